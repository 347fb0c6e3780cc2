#!/bin/bash
# Leads what leaves the WARP network through the gateway, and nothing past it. Safe to run again: it makes what is missing.
#
#   containers ─ bridge ─ host: rule by source ─ table ─ veth ─ gateway's namespace ─ WARP
#
# What fails leaves the network closed: the first thing made is the rule that drops, and the table ends in a blackhole.
set -euo pipefail

host_proc=${HOST_PROC:-/host/proc}
veth_inside=${VETH_HOST}-in
subnet=$WARP_NAT_NET_SUBNET
table=110
chain=WARP-EGRESS

say() { echo "warp-nat-setup: $*" >&2; }
rule() { # command, table, chain, then the rule: added at the end unless it is there
    local tool=$1 in_table=$2 in_chain=$3
    shift 3
    $tool -w -t "$in_table" -C "$in_chain" "$@" 2>/dev/null || $tool -w -t "$in_table" -A "$in_chain" "$@"
}

# A name for the table, in this container's own file: the host needs none.
names=/etc/iproute2/rt_tables
mkdir -p "$(dirname "$names")"
grep -qs "^$table[[:space:]]" "$names" || echo "$table $ROUTING_TABLE" >> "$names"

# 1. Closed, until the rest stands: from the subnet only the gateway's own packets may pass, and those to the veth.
iptables -w -N "$chain" 2>/dev/null || true
iptables -w -F "$chain"
iptables -w -A "$chain" -o "$VETH_HOST" -j RETURN
iptables -w -A "$chain" -j DROP
parent=FORWARD
if iptables -w -n -L DOCKER-USER >/dev/null 2>&1; then parent=DOCKER-USER; fi
iptables -w -C "$parent" -s "$subnet" ! -d "$subnet" -j "$chain" 2>/dev/null ||
    iptables -w -I "$parent" 1 -s "$subnet" ! -d "$subnet" -j "$chain"
ip route replace blackhole default metric 4294967295 table "$table"

pid=$(docker inspect -f '{{.State.Pid}}' "$WARP_CONTAINER_NAME")
address=$(docker inspect -f "{{with index .NetworkSettings.Networks \"$DOCKER_NETWORK_NAME\"}}{{.IPAddress}}{{end}}" \
    "$WARP_CONTAINER_NAME")
bridge=$(docker network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' "$DOCKER_NETWORK_NAME")
if [ "${pid:-0}" -le 0 ] || [ -z "$address" ] || [ -z "$bridge" ]; then
    say "$WARP_CONTAINER_NAME does not run on $DOCKER_NETWORK_NAME; the network stays closed"
    exit 1
fi
namespace=$host_proc/$pid/ns/net
inside() { nsenter --net="$namespace" "$@"; }

# 2. The gateway's own packets leave by the main table, with the host's address: they are the tunnel.
while ip rule show priority 99 | grep -q .; do ip rule del priority 99; done
ip rule add from "$address" lookup main priority 99
iptables -w -I "$chain" 1 -s "$address" -j RETURN
rule iptables nat POSTROUTING -s "$address" ! -o "$bridge" -m comment --comment warp-tunnel -j MASQUERADE

# 3. A pair of interfaces, one end in the gateway's namespace. A restarted gateway took its end with it.
if ! inside ip link show "$veth_inside" >/dev/null 2>&1 || ! ip link show "$VETH_HOST" >/dev/null 2>&1; then
    ip link del "$VETH_HOST" 2>/dev/null || true
    ip link add "$VETH_HOST" type veth peer name "$veth_inside"
    ip link set "$veth_inside" netns "$namespace"
fi
ip address replace "$HOST_VETH_IP/30" dev "$VETH_HOST"
ip link set "$VETH_HOST" up
inside ip address replace "$CONT_VETH_IP/30" dev "$veth_inside"
inside ip link set "$veth_inside" up

# 4. Through it: the gateway sees one sender, so that answers come back this way, and hides it behind WARP's address.
rule iptables nat POSTROUTING -s "$subnet" -o "$VETH_HOST" -m comment --comment warp-veth -j MASQUERADE
rule "inside iptables" nat POSTROUTING -s "$HOST_VETH_IP/32" ! -o "$veth_inside" -j MASQUERADE
ip route replace default via "$CONT_VETH_IP" dev "$VETH_HOST" table "$table"
ip rule show priority 100 | grep -q "from $subnet lookup" || ip rule add from "$subnet" lookup "$table" priority 100
say "$DOCKER_NETWORK_NAME leaves through $WARP_CONTAINER_NAME ($address, $bridge)"
