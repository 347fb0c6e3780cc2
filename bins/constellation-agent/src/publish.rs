//! What this node tells the others, from what its monitor sees. Pure.
//!
//! An endpoint is told only with an address that other nodes reach: a port that is published on the mesh address, or
//! one that the mesh gateway forwards. Which of the two is decided here; opening the gateway's ports is the shell's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use constellation_core::{
    Endpoint, Health, Instance, InstanceId, NodeFacts, Protocol, Role, RouteSet, fact::Publication,
};
use constellation_docker::Container;
use constellation_monitor::{Observed, Report, identity};
use constellation_proxy::Forward;

use crate::greeting::Greetings;

/// Endpoints told of one instance, at most: what fits an instance's 512 bytes with room for everything else.
const ENDPOINTS_MAX: usize = 6;

/// What one container wants to be reached by, read from its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its routes; `None` where it takes no part in routing.
    pub routes: Option<RouteSet>,
    /// How the gateway greets it.
    pub greetings: Greetings,
    /// What is wrong with its labels.
    pub problems: Vec<String>,
}

/// How a port of a container can be reached from other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is published on an address that they reach.
    Published(SocketAddr),
    /// It is reachable on this machine, here; the gateway must forward it.
    Forward(SocketAddr),
}

/// How other nodes can reach a port of a container, given the mesh address of this node.
pub fn reach(container: &Container, (protocol, port): (Protocol, u16), mesh: IpAddr) -> Option<Reach> {
    let wanted = match protocol {
        Protocol::Tcp => constellation_docker::Protocol::Tcp,
        Protocol::Udp => constellation_docker::Protocol::Udp,
    };
    let is_port = |published: &&constellation_docker::PublishedPort| {
        published.container.number == port && published.container.protocol == wanted
    };
    let published: Vec<_> = container.published.iter().filter(is_port).collect();
    let on_mesh = published.iter().find(|p| p.host_ip == mesh || unspecified_for(p.host_ip, mesh));
    if let Some(published) = on_mesh {
        return Some(Reach::Published(SocketAddr::new(mesh, published.host_port)));
    }
    if let Some(published) = published.first() {
        // "All addresses" of the other family is reached over that family's loopback.
        let host = match published.host_ip {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        return Some(Reach::Forward(SocketAddr::new(host, published.host_port)));
    }
    if container.host_network {
        // It listens on the host itself; a service that is to be reached from elsewhere listens on all addresses.
        return Some(Reach::Published(SocketAddr::new(mesh, port)));
    }
    let on_network = |wanted: &dyn Fn(&str) -> bool| {
        container.networks.iter().filter(|network| wanted(&network.name)).find_map(|network| network.address)
    };
    // The network on Traefik's side first: a firewall between networks then sees the traffic that it expects.
    let address = on_network(&|name| name == "publicnet" || name.ends_with("_publicnet"))
        .or_else(|| on_network(&|_| true))?;
    Some(Reach::Forward(SocketAddr::new(address, port)))
}

fn unspecified_for(published: IpAddr, mesh: IpAddr) -> bool {
    published.is_unspecified() && published.is_ipv4() == mesh.is_ipv4()
}

/// What the mesh gateway must forward: every routed port of a running container that is not published on the mesh.
pub fn forwards(report: &Report, wanted: &BTreeMap<InstanceId, Wanted>, mesh: IpAddr) -> BTreeSet<Forward> {
    let mut forwards = BTreeSet::new();
    for observed in report.containers.values().filter(|observed| observed.health != Health::Stopped) {
        let Some(wanted) = wanted.get(&observed.instance) else { continue };
        for (protocol, port) in wanted.routes.iter().flat_map(RouteSet::ports) {
            if let Some(Reach::Forward(upstream)) = reach(&observed.container, (protocol, port), mesh) {
                let (service, instance) = (observed.service.clone(), observed.instance.clone());
                let greeting = wanted.greetings.of(protocol, port);
                forwards.insert(Forward { service, instance, protocol, port, upstream, greeting });
            }
        }
    }
    forwards
}

/// What to tell, once the gateway listens.
pub fn publication(
    node: NodeFacts,
    report: &Report,
    wanted: &BTreeMap<InstanceId, Wanted>,
    listening: &BTreeMap<(InstanceId, Protocol, u16), SocketAddr>,
    roles: &BTreeMap<InstanceId, Role>,
) -> Publication {
    let mut routes = BTreeMap::new();
    let mut instances = Vec::new();
    for observed in report.containers.values() {
        let set = wanted.get(&observed.instance).and_then(|wanted| wanted.routes.as_ref());
        let id = set.map(|set| {
            let id = set.id();
            routes.entry(id.clone()).or_insert_with(|| set.clone());
            id
        });
        instances.push(Instance {
            id: observed.instance.clone(),
            service: observed.service.clone(),
            health: observed.health,
            since: observed.since,
            endpoints: endpoints(observed, set, node.mesh, listening),
            networks: observed
                .container
                .networks
                .iter()
                .filter_map(|network| network.name.parse().ok())
                .collect(),
            routes: id,
            definition: observed
                .container
                .labels
                .get(identity::DEFINITION_LABEL)
                .map(|hash| hash.chars().take(64).collect()),
            role: roles.get(&observed.instance).copied(),
        });
    }
    Publication { node, instances, routes }
}

fn endpoints(
    observed: &Observed,
    routes: Option<&RouteSet>,
    mesh: IpAddr,
    listening: &BTreeMap<(InstanceId, Protocol, u16), SocketAddr>,
) -> Vec<Endpoint> {
    let Some(routes) = routes else { return Vec::new() };
    if observed.health == Health::Stopped {
        return Vec::new();
    }
    routes
        .ports()
        .into_iter()
        .filter_map(|(protocol, port)| {
            let address = match reach(&observed.container, (protocol, port), mesh)? {
                Reach::Published(address) => address,
                Reach::Forward(_) => *listening.get(&(observed.instance.clone(), protocol, port))?,
            };
            Some(Endpoint { port, protocol, address })
        })
        .take(ENDPOINTS_MAX)
        .collect()
}

/// What keeps routed containers from being reached, by container name.
pub fn unreachable(
    report: &Report,
    wanted: &BTreeMap<InstanceId, Wanted>,
    mesh: IpAddr,
) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for observed in report.containers.values().filter(|observed| observed.health != Health::Stopped) {
        let Some(wanted) = wanted.get(&observed.instance) else { continue };
        for (protocol, port) in wanted.routes.iter().flat_map(RouteSet::ports) {
            let message = match reach(&observed.container, (protocol, port), mesh) {
                None => format!(
                    "its port {port} is routed, but it is on no network with an address: attach it to a bridge network, \
                     or publish the port on {mesh}"
                ),
                Some(Reach::Published(address)) if wanted.greetings.of(protocol, port).is_some() => format!(
                    "its port {port} is reached at {address} without the mesh gateway, so nobody greets it by the PROXY \
                     protocol: publish it on 127.0.0.1, or not at all"
                ),
                Some(_) => continue,
            };
            problems.push((observed.container.name.clone(), message));
        }
    }
    problems
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
