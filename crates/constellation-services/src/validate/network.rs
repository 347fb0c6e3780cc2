//! Networks, their settings, and who may be on which.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{About, Found, NAME_RULE, is_name, shown};
use crate::{
    index::{Index, Unknown, attachments},
    language::{Egress, Network, Reach, WARP_NAT_NET},
};

/// The kernel's limit for the name of an interface.
const BRIDGE_BYTES_MAX: usize = 15;

pub(super) fn check(index: &Index<'_>, about: &mut About<'_, '_>) {
    let member = about.member;
    let service = member.service;
    match &service.reach {
        Reach::Host | Reach::None | Reach::Service(_) => mode(index, about),
        Reach::Derived | Reach::Networks(_) => {}
    }
    let (attachments, _) = attachments(service);
    let mut seen = BTreeMap::new();
    for attach in &attachments {
        if index.network(&member.stack.name, &attach.network).is_none() {
            let what = format!("there is no network {}", shown(&attach.network));
            let keys = index.network_keys(member.stack).join(", ");
            about.wrong("networks", what, format!("use one of {keys}, or add it with `Stack::network`"));
        }
        if seen.insert(&attach.network, ()).is_some() {
            about.wrong("networks", format!("{} is named twice", shown(&attach.network)), "name it once");
        }
        for alias in attach.aliases.iter().filter(|alias| !is_name(alias, 253)) {
            about.wrong("networks", format!("{} cannot be an alias", shown(alias)), NAME_RULE);
        }
    }
    leaks(index, about);
    for (name, address) in &service.extra_hosts {
        let fits = address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok();
        if !is_name(name, 253) || !fits {
            let what = format!("{} cannot be a line of /etc/hosts", shown(&format!("{name} {address}")));
            about.wrong("extra_hosts", what, "give a host name, and an address or `host-gateway`");
        }
    }
}

/// What has no networks of its own cannot have what hangs on them.
fn mode(index: &Index<'_>, about: &mut About<'_, '_>) {
    let member = about.member;
    let service = member.service;
    let mode = match &service.reach {
        Reach::Host => "the host's network",
        Reach::None => "no network",
        Reach::Service(other) => {
            match index.service(&member.stack.name, other) {
                Ok(other) if other.id() == member.id() => {
                    about.wrong("network_mode", "it cannot be in its own network", "name another service");
                }
                Ok(other) if !index.is_here(other) && index.is_here(member) => {
                    let what = format!(
                        "{} runs on other nodes, and a network cannot be shared over machines",
                        other.id()
                    );
                    about.wrong("network_mode", what, "give both the same placement");
                }
                Ok(_) => {}
                Err(unknown) => {
                    let (what, advice) = explain_unknown(other, &unknown);
                    about.wrong("network_mode", what, advice);
                }
            }
            "another service's network"
        }
        Reach::Derived | Reach::Networks(_) => return,
    };
    if !service.ports.is_empty() {
        let advice = match service.reach {
            Reach::Host => {
                "leave `publish` out: it listens on the host itself (say which port with `expose`)"
            }
            Reach::Service(_) => "publish the port on the service whose network it is",
            _ => "leave `publish` out, or give it a network",
        };
        about.wrong("ports", format!("it is in {mode}, so nothing can be published"), advice);
    }
    if service.reach == Reach::None && service.is_routed() {
        about.wrong(
            "routes",
            "it has no network, so nobody can reach it",
            "leave the route out, or give it a network",
        );
    }
    if service.egress == Egress::Warp {
        let advice =
            format!("leave the network mode out: `egress(Egress::Warp)` puts it on `{WARP_NAT_NET}`");
        about.wrong(
            "egress",
            format!("it is in {mode}, so its connections do not pass the WARP gateway"),
            advice,
        );
    }
    if service.reach == Reach::Host
        && let Some(name) = service.sysctls.keys().find(|name| name.starts_with("net."))
    {
        let what = format!("{} would change the host itself", shown(name));
        about.wrong("sysctls", what, "set it on the host, where it is seen");
    }
}

/// Anonymous egress must not have a way around it.
fn leaks(index: &Index<'_>, about: &mut About<'_, '_>) {
    let member = about.member;
    let service = member.service;
    let Reach::Networks(networks) = &service.reach else { return };
    let on_warp = networks.iter().any(|attach| attach.network == WARP_NAT_NET);
    if service.egress == Egress::Warp && !on_warp {
        let what = format!("its egress is `warp`, and it is not on `{WARP_NAT_NET}`");
        about.wrong("egress", what, format!("add `.network({WARP_NAT_NET:?})`, or leave the networks out"));
    }
    if !on_warp {
        return;
    }
    for attach in networks.iter().filter(|attach| attach.network != WARP_NAT_NET) {
        let Some(known) = index.network(&member.stack.name, &attach.network) else { continue };
        if !known.network.internal {
            let what = format!(
                "it is on `{WARP_NAT_NET}` and on `{}`, which has a way out: a second default route is a leak",
                attach.network
            );
            about.wrong(
                "networks",
                what,
                format!(
                    "leave `{}` out, or use a network that is `.internal()`; its routes work all the same",
                    attach.network
                ),
            );
        }
    }
}

pub(super) fn explain_unknown(name: &str, unknown: &Unknown) -> (String, String) {
    match unknown {
        Unknown::Nowhere => (
            format!("there is no service {}", shown(name)),
            "check the name, or define the service".to_owned(),
        ),
        Unknown::Ambiguous(candidates) => (
            format!("{} could be any of {}", shown(name), candidates.join(", ")),
            "write the stack's name before it".to_owned(),
        ),
    }
}

/// The networks themselves: names, ranges, and that no two ranges overlap.
pub(super) fn check_networks(index: &Index<'_>, found: &mut Found) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut bridges: BTreeMap<String, String> = BTreeMap::new();
    let mut ranges: Vec<(String, Range)> = Vec::new();
    for known in index.networks() {
        let network = &known.network;
        let place = match &known.stack {
            Some(stack) => format!("network {stack}/{}", network.key),
            None => format!("network {}", network.key),
        };
        if !is_name(&network.key, 64) || !is_name(&known.engine_name, 128) {
            found.add(
                &place,
                "name",
                format!("{} cannot be a network's name", shown(&known.engine_name)),
                NAME_RULE,
            );
        }
        if let Some(first) = names.insert(known.engine_name.clone(), place.clone()) {
            let what = format!("the engine would know it as `{}`, as {first}", known.engine_name);
            found.add(&place, "name", what, "rename one of them");
        }
        if let Some(bridge) = network.bridge_name() {
            if bridge.len() > BRIDGE_BYTES_MAX || bridge.is_empty() || bridge.contains(['/', ' ']) {
                let what = format!("{} cannot be the name of a bridge", shown(bridge));
                found.add(
                    &place,
                    "bridge",
                    what,
                    format!("use at most {BRIDGE_BYTES_MAX} characters, without `/` and spaces"),
                );
            }
            if let Some(first) = bridges.insert(bridge.to_owned(), place.clone()) {
                found.add(
                    &place,
                    "bridge",
                    format!("{first} has the bridge `{bridge}`, too"),
                    "rename one of them",
                );
            }
        }
        match range(network) {
            Ok(None) => {}
            Ok(Some(range)) => {
                if let Some((other, _)) = ranges.iter().find(|(_, other)| other.overlaps(&range)) {
                    let subnet = network.subnet.as_deref().unwrap_or_default();
                    let what = format!("its range {subnet} overlaps that of {other}");
                    found.add(&place, "subnet", what, "choose another range");
                }
                ranges.push((place, range));
            }
            Err((field, what, advice)) => found.add(&place, field, what, advice),
        }
    }
}

/// First and last address.
struct Range(u32, u32);

impl Range {
    fn overlaps(&self, other: &Self) -> bool {
        self.0 <= other.1 && other.0 <= self.1
    }
}

fn range(network: &Network) -> Result<Option<Range>, (&'static str, String, &'static str)> {
    const SUBNET: &str = "write an IPv4 range such as `10.9.0.0/24`";
    let Some(subnet) = &network.subnet else {
        return match &network.gateway {
            Some(_) => Err(("gateway", "a gateway needs a subnet".to_owned(), SUBNET)),
            None => Ok(None),
        };
    };
    let parsed = subnet.split_once('/').and_then(|(address, bits)| {
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
        Some((u32::from(address.parse::<Ipv4Addr>().ok()?), bits))
    });
    let Some((first, bits)) = parsed else {
        return Err(("subnet", format!("{} is not a range", shown(subnet)), SUBNET));
    };
    let size = 1_u32 << (32 - bits);
    if first % size != 0 {
        let right = Ipv4Addr::from(first - first % size);
        return Err((
            "subnet",
            format!("{} does not begin where its range does, at {right}", shown(subnet)),
            SUBNET,
        ));
    }
    let range = Range(first, first + (size - 1));
    if let Some(gateway) = &network.gateway {
        let inside = gateway.parse::<Ipv4Addr>().is_ok_and(|address| {
            let address = u32::from(address);
            range.0 < address && address < range.1
        });
        if !inside {
            let what = format!("{} is no address within {subnet}", shown(gateway));
            return Err(("gateway", what, "choose one inside the range, such as its first"));
        }
    }
    Ok(Some(range))
}
