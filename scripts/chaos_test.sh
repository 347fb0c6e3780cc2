#!/usr/bin/env bash
# Breaks real agents and checks that the leases keep their promise: see docs/chaos.md. Arguments are those of
# `cargo xtask chaos`, such as --minutes 10, --scenario partition, --seed N; --list names the scenarios.
set -eu
cd "$(dirname "$0")/.."
exec cargo xtask chaos "$@"
