//! What `ip` and `nft` are told, as text.

use std::net::Ipv4Addr;

use super::Namespaces;

/// How packets are kept away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    /// Nobody answers, as with a pulled cable.
    Silent,
    /// A firewall answers: connections are reset, and packets come back as prohibited.
    Refusing,
}

/// What every node has: two sets of senders that it does not want to hear, empty at first.
///
/// Packets are dropped where they arrive. On the way out the sender would get an error at once, which no cable gives.
pub(super) const WALLS: &str = "\
table netdev cable {
  set silent { type ipv4_addr; }
  chain arriving {
    type filter hook ingress device eth0 priority 0;
    ip saddr @silent drop
    arp saddr ip @silent drop
  }
}
table ip firewall {
  set refused { type ipv4_addr; }
  chain arriving {
    type filter hook input priority 0;
    ip saddr @refused meta l4proto tcp reject with tcp reset
    ip saddr @refused reject with icmp type admin-prohibited
  }
}
";

/// Nobody is unwanted any more.
pub(super) const HEAL: &str = "\
flush set netdev cable silent
flush set ip firewall refused
";

/// Adds senders to the set of `wall`.
pub(super) fn block(from: &[Ipv4Addr], wall: Wall) -> String {
    let set = match wall {
        Wall::Silent => "netdev cable silent",
        Wall::Refusing => "ip firewall refused",
    };
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    format!("add element {set} {{ {} }}\n", from.join(", "))
}

/// The bridge, with one cable to each of `nodes`.
pub(super) fn bridge(nodes: &[String]) -> String {
    let cable = |(number, node): (usize, &String)| {
        format!(
            "link add cable{number} type veth peer name eth0 netns {node}\nlink set cable{number} master bridge up\n"
        )
    };
    let cables: String = (1..).zip(nodes).map(cable).collect();
    format!("link set lo up\nlink add bridge type bridge\nlink set bridge up\n{cables}")
}

/// The node's end of its cable.
pub(super) fn node(number: u8, size: u8) -> String {
    let address = Namespaces::address(number);
    // The kernel's table of neighbours is one for all namespaces and overflows; permanent entries do not count.
    let neighbours: String = (1..=size)
        .filter(|other| *other != number)
        .map(|other| {
            let (address, hardware) = (Namespaces::address(other), hardware(other));
            format!("neigh replace {address} lladdr {hardware} dev eth0 nud permanent\n")
        })
        .collect();
    let hardware = hardware(number);
    format!(
        "link set lo up\nlink set eth0 address {hardware}\naddr add {address}/24 dev eth0\nlink set eth0 up\n{neighbours}"
    )
}

/// A locally administered address.
fn hardware(number: u8) -> String {
    format!("02:4d:00:00:00:{number:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_go_into_the_set_of_the_wall() {
        let from = [Namespaces::address(2), Namespaces::address(3)];
        assert_eq!(block(&from, Wall::Silent), "add element netdev cable silent { 10.77.0.2, 10.77.0.3 }\n");
        assert!(block(&from, Wall::Refusing).starts_with("add element ip firewall refused {"));
    }

    #[test]
    fn a_node_knows_all_others_for_good() {
        let text = node(2, 3);
        assert!(text.contains("addr add 10.77.0.2/24 dev eth0"), "{text}");
        assert!(
            text.contains("10.77.0.3 lladdr 02:4d:00:00:00:03") && text.contains("10.77.0.1 lladdr"),
            "{text}"
        );
        assert!(!text.contains("neigh replace 10.77.0.2"), "{text}");
    }
}
