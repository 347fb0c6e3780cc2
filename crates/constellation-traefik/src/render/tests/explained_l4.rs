//! Why instances are behind a connection or not.

use constellation_core::{
    Role,
    route::{TcpRouter, TcpService, TcpTls, UdpRouter},
};

use super::*;
use crate::{
    explain::{L4Explained, L4Traffic, Out, Standing, explain_l4},
    rules::Connection,
};

/// A set whose TCP service has the routers by these rules, on the entry point `db`; those with a name have TLS.
fn set(role: Option<Role>, rules: &[&str]) -> RouteSet {
    let mut set = RouteSet::default();
    set.tcp.services.insert("db".parse().unwrap(), TcpService { role, ..TcpService::to_port(80) });
    for (index, rule) in rules.iter().enumerate() {
        let router = TcpRouter {
            rule: (*rule).to_owned(),
            service: "db".to_owned(),
            entry_points: vec!["db".to_owned()],
            tls: (!rule.contains("(`*`)")).then(TcpTls::default),
            ..TcpRouter::default()
        };
        set.tcp.routers.insert(format!("r{index}").parse().unwrap(), router);
    }
    set
}

fn explained(nodes: Vec<Node>, traffic: &L4Traffic, entry_point: Option<&str>) -> L4Explained {
    let view = view(nodes);
    explain_l4(&render(&view, &RenderConfig::default()).document, &view, traffic, entry_point)
}

fn tls(name: &str) -> L4Traffic {
    L4Traffic::Tls(Connection { server_name: Some(name.to_owned()), ..Connection::default() })
}

fn takers(explained: &L4Explained) -> Vec<&str> {
    explained.routers.iter().map(|router| &*router.name).collect()
}

#[test]
fn the_most_exact_router_with_tls_wins_and_one_in_the_clear_sees_no_name() {
    let set =
        set(None, &["HostSNI(`*`)", "HostSNI(`*.example.org`)", "HostSNI(`db.example.org`) || ALPN(`x`)"]);
    let nodes = || vec![node(1).with("a", "db", Health::Healthy, 1, &set)];
    assert_eq!(takers(&explained(nodes(), &tls("db.example.org"), None)), ["r2", "r1", "r0"]);
    assert_eq!(takers(&explained(nodes(), &tls("other.example.org"), Some("db"))), ["r1", "r0"]);
    let plain = L4Traffic::Plain(Connection::default());
    assert_eq!(takers(&explained(nodes(), &plain, None)), ["r0"]);
    assert_eq!(takers(&explained(nodes(), &plain, Some("web"))), [""; 0]);
}

#[test]
fn a_router_that_looks_at_alpn_takes_what_offers_it() {
    let set = set(None, &["HostSNI(`*`)", "HostSNI(`db.example.org`) && ALPN(`h2`)"]);
    let nodes = || vec![node(1).with("a", "db", Health::Healthy, 1, &set)];
    let offering = |protocols: &[&str]| {
        L4Traffic::Tls(Connection {
            server_name: Some("db.example.org".to_owned()),
            alpn: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
            ..Connection::default()
        })
    };
    assert_eq!(takers(&explained(nodes(), &offering(&["http/1.1", "h2"]), None)), ["r1", "r0"]);
    for other in [&["H2"][..], &[]] {
        assert_eq!(takers(&explained(nodes(), &offering(other), None)), ["r0"]);
    }
}

#[test]
fn every_instance_of_a_tcp_service_has_a_reason() {
    let set = set(Some(Role::Primary), &["HostSNI(`*`)"]);
    let told = |number: u8, health: Health, role: Option<Role>| {
        let mut node = node(number).with("i", "db", health, 1, &set);
        node.0.instances.values_mut().for_each(|instance| instance.role = role);
        node
    };
    let mut unreachable = told(5, Health::Healthy, Some(Role::Replica));
    unreachable.0.instances.values_mut().for_each(|instance| instance.endpoints.clear());
    let nodes = vec![
        told(1, Health::Healthy, None),
        told(2, Health::Healthy, Some(Role::Primary)),
        told(3, Health::Healthy, Some(Role::Replica)),
        told(4, Health::Unhealthy, Some(Role::Primary)),
        unreachable,
    ];
    let explained = explained(nodes, &L4Traffic::Plain(Connection::default()), None);
    assert_eq!(explained.servers.iter().map(|it| &**it).collect::<Vec<_>>(), ["10.0.0.2:40000"]);
    let standings: Vec<(&str, Standing)> =
        explained.backends.iter().map(|backend| (backend.node.as_str(), backend.standing)).collect();
    let expected = [
        ("n2", Standing::Well),
        ("n1", Standing::Out(Out::RoleUnknown(Role::Primary))),
        ("n3", Standing::Out(Out::OtherRole(Role::Primary))),
        ("n4", Standing::Unhealthy),
        ("n5", Standing::Out(Out::OtherRole(Role::Primary))),
    ];
    assert_eq!(standings, expected);
    assert!(explained.backends.iter().all(|backend| !backend.standing.to_string().is_empty()));
}

#[test]
fn datagrams_are_explained_by_their_entry_point() {
    let mut set = RouteSet::default();
    set.udp.services.insert("dns".parse().unwrap(), 53);
    let router = UdpRouter { service: "dns".to_owned(), entry_points: vec!["dns".to_owned()] };
    set.udp.routers.insert("dns".parse().unwrap(), router);
    let mut reached = node(1).with("a", "dns", Health::Healthy, 1, &set);
    for instance in reached.0.instances.values_mut() {
        instance.endpoints = vec!["53/udp@10.0.0.1:5353".parse().unwrap()];
    }
    let explained = explained(vec![reached], &L4Traffic::Datagrams, Some("dns"));
    assert_eq!(takers(&explained), ["dns"]);
    assert_eq!(explained.backends[0].server.as_deref(), Some("10.0.0.1:5353"));
}
