#!/bin/bash
# Runs the setup when the gateway is another one than before, when egress stops working, and again and again while it does
# not. Whether it works says the health of the checker, which asks from inside the network.
set -uo pipefail

setup=${SETUP:-/usr/local/bin/warp-nat-setup.sh}
state=${STATE:-/run/warp-router}
checker=${CHECKER_CONTAINER_NAME:-ip-checker-warp}
mkdir -p "$state"
rm -f "$state/ok"
seen=none
working=unknown
failures=0
trap 'rm -f "$state/ok"; exit 0' TERM INT

while true; do
    now=$(docker inspect -f '{{.State.Pid}} {{.State.StartedAt}}' "$WARP_CONTAINER_NAME" 2>/dev/null) || now=gone
    before=$working
    case $(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$checker" 2>/dev/null) in
    healthy) working=yes failures=0 ;;
    unhealthy) working=no failures=$((failures + 1)) ;;
    *) working=unknown ;;
    esac
    if [ "$now" = gone ]; then
        rm -f "$state/ok"
        seen=none
    elif [ "$now" != "$seen" ] || [ "$before$working" = yesno ] || [ "$failures" -ge "$RETRY_SETUP_AFTER" ]; then
        failures=0
        if "$setup"; then
            seen=$now
            : > "$state/ok"
        else
            seen=none
            rm -f "$state/ok"
        fi
    fi
    # In the background, so that a signal does not wait for it.
    sleep "$SLEEP_INTERVAL" &
    wait $!
done
