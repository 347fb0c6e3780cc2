#!/usr/bin/env bash
# Installs the agent on this machine: program, folders, systemd unit; founds or joins a cluster. Run it again to upgrade.
#
#   sudo scripts/install.sh --mesh-address A --init         build, install, found a cluster on this machine, start
#   sudo scripts/install.sh --mesh-address A --join FILE    the same, and join with the token in this file
#   sudo scripts/install.sh                                 build and install; no leases until you found or join
#   sudo scripts/install.sh --binary FILE                   install this program instead of building one
#   sudo scripts/install.sh --key FILE                      use this gossip key
#   sudo scripts/install.sh --no-start                      install, but start nothing
#
# Nothing that exists is overwritten but the program and the unit: keys and settings are yours.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
prefix=/opt/constellation
program=/usr/local/bin/constellation-agent
settings=/etc/constellation/agent.env
unit=/etc/systemd/system/constellation-agent.service
binary=""
key=""
mesh=""
join=""
init=no
start=yes

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
    --binary)
        [ $# -ge 2 ] || fail "--binary needs a file"
        binary="$2"
        shift 2
        ;;
    --key)
        [ $# -ge 2 ] || fail "--key needs a file"
        key="$2"
        shift 2
        ;;
    --mesh-address)
        [ $# -ge 2 ] || fail "--mesh-address needs an address"
        mesh="$2"
        shift 2
        ;;
    --init)
        init=yes
        shift
        ;;
    --join)
        [ $# -ge 2 ] || fail "--join needs a file with a token"
        join="$2"
        shift 2
        ;;
    --no-start)
        start=no
        shift
        ;;
    -h | --help)
        sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "unknown argument $1; see --help" ;;
    esac
done

[ "$init" = no ] || [ -z "$join" ] || fail "--init founds a cluster and --join enters one: say one of them"
[ -z "$join" ] || [ -f "$join" ] || fail "there is no token at $join"
[ "$(id -u)" -eq 0 ] || fail "run it as root: sudo $0"

if [ -z "$binary" ]; then
    command -v cargo >/dev/null || fail "cargo is not here: install Rust, or give a program with --binary"
    command -v make >/dev/null || fail "make is not here: run 'apt-get install make', or give a program with --binary"
    say "building constellation-agent"
    (cd "$here" && cargo build --release --locked --package constellation-agent)
    target="$(cd "$here" && cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
    binary="$target/release/constellation-agent"
fi
[ -f "$binary" ] || fail "there is no program at $binary"
"$binary" version >/dev/null || fail "$binary does not run on this machine"

# Beside its place first, so that a running agent is replaced in one step and never half-written.
say "installing $program ($("$binary" version))"
install -D -m 0755 "$binary" "$program.new"
mv -f "$program.new" "$program"

install -d -m 0755 "$prefix"
install -d -m 0755 "$prefix/volumes"
install -d -m 0700 "$prefix/secrets" "$prefix/data"

if [ -n "$key" ]; then
    [ -f "$key" ] || fail "there is no key at $key"
    if [ -e "$prefix/secrets/gossip.key" ] && ! cmp -s "$key" "$prefix/secrets/gossip.key"; then
        fail "$prefix/secrets/gossip.key is another key than $key: remove it first if it is not needed any more"
    fi
    install -m 0600 "$key" "$prefix/secrets/gossip.key"
fi

install -d -m 0755 "$(dirname "$settings")"
if [ ! -e "$settings" ]; then
    install -m 0600 "$here/deploy/agent.env.example" "$settings"
    say "wrote $settings"
fi
if [ -n "$mesh" ]; then
    grep -Eq "^MESH_ADDRESS=($mesh)?\$" "$settings" || fail "$settings has another MESH_ADDRESS than $mesh: change it there"
    sed -i "s/^MESH_ADDRESS=\$/MESH_ADDRESS=$mesh/" "$settings"
fi
mesh="$(sed -n 's/^MESH_ADDRESS=//p' "$settings" | tail -n 1)"

# The agent's settings are read as systemd reads them, and never executed.
agent() {
    (
        export TS_HOSTNAME DATA_DIR="$prefix/data" SECRETS_PATH="$prefix/secrets"
        TS_HOSTNAME="$(uname -n)"
        while IFS='=' read -r name value; do
            case "$name" in
            '' | '#'*) ;;
            *[!A-Z_]*) ;;
            *) [ -z "$value" ] || export "$name=$value" ;;
            esac
        done <"$settings"
        "$program" "$@"
    )
}
if [ "$init" = yes ] || [ -n "$join" ]; then
    [ -n "$mesh" ] || fail "the mesh address is missing: say --mesh-address, or set MESH_ADDRESS in $settings"
    if [ -e "$prefix/data/raft/stable/identity" ]; then
        say "this machine is a member of a cluster already; nothing is founded or joined"
    elif [ "$init" = yes ]; then
        agent init
    else
        agent join - <"$join"
    fi
elif [ ! -e "$prefix/secrets/gossip.key" ]; then
    say "this machine belongs to no cluster yet. On the first one: $program init; on each other: $program join TOKEN, with a"
    say "token that '$program token' prints on a member. (Routes without leases need only the same gossip key everywhere:"
    say "$program keygen --out $prefix/secrets/gossip.key)"
fi

if [ ! -d /run/systemd/system ]; then
    say "systemd does not run here; start the agent yourself: $program run --help"
    exit 0
fi
install -m 0644 "$here/deploy/constellation-agent.service" "$unit"
systemctl daemon-reload
systemctl enable --quiet constellation-agent.service
if [ -z "$mesh" ] || [ ! -e "$prefix/secrets/gossip.key" ]; then
    say "not started yet: set MESH_ADDRESS in $settings, found or join a cluster, then: systemctl start constellation-agent"
elif [ "$start" = yes ]; then
    systemctl restart constellation-agent.service
    say "started; look at it with: $program status, and $here/scripts/verify.sh"
fi
