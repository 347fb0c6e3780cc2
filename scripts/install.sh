#!/usr/bin/env bash
# Installs the agent on this machine: program, folders, gossip key, systemd unit. Run it again to upgrade.
#
#   sudo scripts/install.sh                          build it here, then install
#   sudo scripts/install.sh --binary FILE            install this program
#   sudo scripts/install.sh --key FILE               use the gossip key of the cluster that this machine joins
#   sudo scripts/install.sh --no-start               install, but start nothing
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
    --no-start)
        start=no
        shift
        ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "unknown argument $1; see --help" ;;
    esac
done

[ "$(id -u)" -eq 0 ] || fail "run it as root: sudo $0"

if [ -z "$binary" ]; then
    command -v cargo >/dev/null || fail "cargo is not here: install Rust, or give a program with --binary"
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
elif [ ! -e "$prefix/secrets/gossip.key" ]; then
    "$program" keygen --out "$prefix/secrets/gossip.key" >/dev/null
    say "made a new gossip key: every other node needs this very file, $prefix/secrets/gossip.key"
fi

install -d -m 0755 "$(dirname "$settings")"
if [ ! -e "$settings" ]; then
    install -m 0600 "$here/deploy/agent.env.example" "$settings"
    say "wrote $settings: set MESH_ADDRESS in it, and CONSTELLATION_JOIN unless this is the first node"
fi

if [ ! -d /run/systemd/system ]; then
    say "systemd does not run here; start the agent yourself: $program run --help"
    exit 0
fi
install -m 0644 "$here/deploy/constellation-agent.service" "$unit"
systemctl daemon-reload
systemctl enable --quiet constellation-agent.service
if ! grep -Eq '^MESH_ADDRESS=.+' "$settings"; then
    say "not started yet: set MESH_ADDRESS in $settings, then run: systemctl start constellation-agent"
elif [ "$start" = yes ]; then
    systemctl restart constellation-agent.service
    say "started; look at it with: $program status, and $here/scripts/verify.sh"
fi
