#!/bin/bash
# Hands the password over in the broker's own environment, and becomes what the image starts by itself.
set -eu
RABBITMQ_DEFAULT_PASS=$(</run/secrets/rabbitmq-password)
export RABBITMQ_DEFAULT_PASS
exec docker-entrypoint.sh rabbitmq-server
