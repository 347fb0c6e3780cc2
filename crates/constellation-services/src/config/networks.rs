//! The networks that every stack may use.

use std::collections::BTreeMap;

use super::{Config, file::NetworkEntry};
use crate::language::{BACKEND, DEFAULT_NET, NGINX_NET, Network, PUBLICNET, WARP_NAT_NET};

/// The built-in networks as variables and the file change them, and those that the file adds.
pub(super) fn shared_networks(config: &Config, entries: &BTreeMap<String, NetworkEntry>) -> Vec<Network> {
    let prefix = config.stack_name();
    let built_in = |key: &str, variables: &str, subnet: &str, gateway: &str, bridge: &str| {
        Network::new(key)
            .named(format!("{prefix}_{key}"))
            .subnet(config.setting(&format!("{variables}_SUBNET"), subnet))
            .gateway(config.setting(&format!("{variables}_GATEWAY"), gateway))
            .bridge(bridge)
    };
    let mut networks = vec![
        built_in(BACKEND, "BACKEND", "10.0.7.0/24", "10.0.7.1", "br_backend"),
        built_in(PUBLICNET, "PUBLICNET", "10.76.0.0/16", "10.76.0.1", "br_publicnet"),
        built_in(NGINX_NET, "NGINX_TRAEFIK", "10.0.8.0/24", "10.0.8.1", "br_nginx_net"),
        // No prefix: the routing scripts of the WARP gateway know it by this name. No masquerade: what the gateway does
        // not take must not leave with the host's address.
        built_in(WARP_NAT_NET, "WARP_NAT_NET", "10.0.2.0/24", "10.0.2.1", "br_warp-nat-net")
            .named(WARP_NAT_NET)
            .no_masquerade(),
        Network::new(DEFAULT_NET).named(format!("{prefix}_{DEFAULT_NET}")),
    ];
    for (key, entry) in entries {
        let position = networks.iter().position(|network| network.key() == key);
        let network = match position {
            Some(position) => networks.remove(position),
            None => Network::new(key).named(format!("{prefix}_{key}")),
        };
        networks.push(changed(network, entry));
    }
    networks.sort_by(|a, b| a.key.cmp(&b.key));
    networks
}

fn changed(mut network: Network, entry: &NetworkEntry) -> Network {
    if entry.subnet.is_some() && entry.gateway.is_none() {
        // The built-in gateway lies in the built-in range.
        network.gateway = None;
    }
    network.name = entry.name.clone().or(network.name);
    network.subnet = entry.subnet.clone().or(network.subnet);
    network.gateway = entry.gateway.clone().or(network.gateway);
    network.internal = entry.internal.unwrap_or(network.internal);
    network.options.extend(entry.options.clone());
    if let Some(bridge) = &entry.bridge {
        network = network.bridge(bridge);
    }
    match entry.masquerade {
        Some(false) => network.no_masquerade(),
        Some(true) => network.option("com.docker.network.bridge.enable_ip_masquerade", "true"),
        None => network,
    }
}
