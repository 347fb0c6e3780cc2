#!/usr/bin/env bash
# Checks an installed node from the outside: program, unit, folders, secrets, Docker, ports, and what the agent says.
# Prints one line per check and what to do about each that fails; exits 1 if one failed.
set -eu

program="${CONSTELLATION_AGENT:-/usr/local/bin/constellation-agent}"
settings="${CONSTELLATION_SETTINGS:-/etc/constellation/agent.env}"
failed=0
warned=0

ok() { printf 'ok    %s\n' "$*"; }
bad() {
    printf 'FAIL  %s\n' "$*"
    failed=$((failed + 1))
}
warn() {
    printf 'warn  %s\n' "$*"
    warned=$((warned + 1))
}

# setting NAME DEFAULT: what the unit's environment file says, read and never executed.
setting() {
    value=""
    if [ -r "$settings" ]; then
        value="$(sed -n "s/^$1=//p" "$settings" | tail -n 1)"
        value="${value%\"}"
        value="${value#\"}"
    fi
    printf '%s' "${value:-$2}"
}

# mode_is PATH MODE KIND
mode_is() {
    if [ ! -e "$1" ]; then
        bad "$3 $1 is missing: run scripts/install.sh"
    elif [ "$(stat -c %a "$1")" = "$2" ]; then
        ok "$3 $1 has mode $2"
    else
        bad "$3 $1 has mode $(stat -c %a "$1"): chmod $2 $1"
    fi
}

# listens KIND PORT [ADDRESS]: whether anything holds that port.
listens() {
    case "$1" in
    udp) flag=-u ;;
    *) flag=-t ;;
    esac
    ss -H -l -n "$flag" 2>/dev/null | awk '{print $4}' | grep -Eq "(^|[]:.*])$2\$"
}

data="$(setting DATA_DIR /opt/constellation/data)"
secrets="$(setting SECRETS_PATH /opt/constellation/secrets)"
socket="$(setting CONSTELLATION_SOCKET "$data/agent.sock")"
docker_socket="$(setting DOCKER_SOCKET /var/run/docker.sock)"
runtime="$(setting CONSTELLATION_RUNTIME docker)"
gossip_port="$(setting GOSSIP_PORT 7946)"
raft_port="$(setting RAFT_PORT 8300)"
provider="$(setting PROVIDER_LISTEN 127.0.0.1:8081)"

if [ -x "$program" ] && version="$("$program" version 2>/dev/null)"; then
    ok "program $program: $version"
else
    bad "no working program at $program: run scripts/install.sh"
fi

if [ -d /run/systemd/system ]; then
    if systemctl is-enabled --quiet constellation-agent.service 2>/dev/null; then
        ok "unit constellation-agent.service is enabled"
    else
        bad "unit constellation-agent.service is not enabled: systemctl enable constellation-agent"
    fi
    if systemctl is-active --quiet constellation-agent.service 2>/dev/null; then
        ok "unit constellation-agent.service is active"
    else
        bad "unit constellation-agent.service is not active: journalctl -u constellation-agent -n 50"
    fi
else
    warn "systemd does not run here: the unit was not checked"
fi

if [ -n "$(setting MESH_ADDRESS "")" ]; then
    ok "MESH_ADDRESS is $(setting MESH_ADDRESS "")"
else
    bad "MESH_ADDRESS is not set: write this machine's mesh address into $settings"
fi

mode_is "$data" 700 folder
mode_is "$secrets" 700 folder
if [ -d "$secrets" ]; then
    found=no
    for secret in "$secrets"/*; do
        [ -f "$secret" ] || continue
        found=yes
        case "$(stat -c %a "$secret")" in
        600 | 400) ok "secret $secret has mode $(stat -c %a "$secret")" ;;
        *) bad "secret $secret has mode $(stat -c %a "$secret"): chmod 600 $secret" ;;
        esac
    done
    [ "$found" = yes ] || warn "no secrets in $secrets: constellation-agent init or join makes them"
fi

if [ "$runtime" = docker ]; then
    if [ ! -S "$docker_socket" ]; then
        bad "no Docker Engine at $docker_socket: apt-get install docker.io, or set DOCKER_SOCKET"
    elif ! command -v curl >/dev/null; then
        warn "curl is not installed: Docker was not asked"
    elif [ "$(curl -s -m 5 --unix-socket "$docker_socket" http://docker/_ping 2>/dev/null || true)" = OK ]; then
        ok "Docker Engine answers at $docker_socket"
    else
        bad "no answer at $docker_socket within 5 s: systemctl status docker"
    fi
fi

if command -v ss >/dev/null; then
    if listens udp "$gossip_port"; then
        ok "gossip listens on $gossip_port/udp"
    else
        bad "nothing listens on $gossip_port/udp: is the agent running?"
    fi
    if [ ! -e "$data/raft/stable/identity" ]; then
        warn "this node is no member of a cluster, so it holds no leases: constellation-agent init, or join"
    elif listens tcp "$raft_port"; then
        ok "Raft listens on $raft_port/tcp"
    else
        bad "nothing listens on $raft_port/tcp, and this node is a member: is the agent running?"
    fi
    if listens tcp "${provider##*:}"; then
        ok "the provider listens on ${provider##*:}/tcp"
    else
        bad "nothing listens on ${provider##*:}/tcp: is the agent running?"
    fi
else
    warn "ss is not installed (iproute2): ports were not checked"
fi

if [ -S "$socket" ] && [ -x "$program" ]; then
    code=0
    said="$("$program" status --socket "$socket" 2>&1)" || code=$?
    case "$code" in
    0) ok "the agent answers and reports no problem" ;;
    3) warn "the agent answers and reports problems" ;;
    *) bad "the agent does not answer at $socket" ;;
    esac
    printf '%s\n' "$said" | sed 's/^/      /'
else
    bad "no socket at $socket: systemctl start constellation-agent"
fi

printf '%s failed, %s warnings\n' "$failed" "$warned"
[ "$failed" -eq 0 ]
