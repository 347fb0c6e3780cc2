//! TCP and UDP.

use constellation_core::{
    Role,
    route::{TcpRouter, TcpService, UdpRouter},
};
use serde_json::json;

use super::*;
use crate::{document::L4Service, render::RouteProblemKind};

/// A set that routes one TCP port by an entry point.
fn tcp(name: &str, entry_point: &str) -> RouteSet {
    let mut set = RouteSet::default();
    let service = TcpService { proxy_protocol: Some(2), ..TcpService::to_port(80) };
    set.tcp.services.insert(name.parse().unwrap(), service);
    let router = TcpRouter {
        rule: "HostSNI(`*`)".to_owned(),
        service: name.to_owned(),
        entry_points: vec![entry_point.to_owned()],
        ..TcpRouter::default()
    };
    set.tcp.routers.insert(name.parse().unwrap(), router);
    set
}

#[test]
fn a_tcp_service_has_the_servers_of_all_nodes_and_a_second_on_its_entry_point_is_left_out() {
    let (db, rival) = (tcp("db", "mongo"), tcp("rival", "mongo"));
    let nodes = vec![
        node(1).with("a", "db", Health::Healthy, 1, &db),
        node(2).with("b", "db", Health::Healthy, 2, &db),
        node(3).with("c", "db", Health::Unhealthy, 3, &db),
        node(4).with("d", "rival", Health::Healthy, 4, &rival),
        node(5).with("e", "db", Health::Healthy, 5, &db).cordoned(),
    ];
    let rendered = rendered(nodes, &RenderConfig::default());
    let bytes: serde_json::Value = serde_json::from_slice(&rendered.document.to_bytes()).unwrap();
    let expected = json!({
        "routers": { "db": { "entryPoints": ["mongo"], "service": "db", "rule": "HostSNI(`*`)" } },
        "services": {
            "db": { "loadBalancer": {
                "servers": [{ "address": "10.0.0.1:40000" }, { "address": "10.0.0.2:40000" }],
                "proxyProtocol": { "version": 2 } } },
            "rival": { "loadBalancer": {
                "servers": [{ "address": "10.0.0.4:40000" }], "proxyProtocol": { "version": 2 } } },
        },
    });
    assert_eq!(bytes["tcp"], expected);
    assert!(bytes.get("http").is_none(), "an empty part takes the whole document down");
    assert_eq!(rendered.problems.len(), 1, "{:?}", rendered.problems);
}

#[test]
fn a_udp_service_is_reached_where_its_datagrams_are() {
    let mut set = RouteSet::default();
    set.udp.services.insert("dns".parse().unwrap(), 53);
    let router = UdpRouter { service: "dns".to_owned(), entry_points: vec!["dns".to_owned()] };
    set.udp.routers.insert("dns".parse().unwrap(), router);
    let mut reached = node(1).with("a", "dns", Health::Healthy, 1, &set);
    for instance in reached.0.instances.values_mut() {
        instance.endpoints =
            vec!["53/udp@10.0.0.1:5353".parse().unwrap(), "53/tcp@10.0.0.1:99".parse().unwrap()];
    }
    let document = document(vec![reached]);
    assert_eq!(document.udp.services["dns"].load_balancer.servers[0].address, "10.0.0.1:5353");
    assert_eq!(&*document.udp.routers["dns"].service, "dns");
}

fn addresses(service: &L4Service) -> Vec<&str> {
    service.load_balancer.servers.iter().map(|server| server.address.as_str()).collect()
}

/// The only instance of a node, with these endpoints.
fn reached_at(mut node: Node, endpoints: &[&str]) -> Node {
    for instance in node.0.instances.values_mut() {
        instance.endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    }
    node
}

#[test]
fn while_a_service_is_replaced_each_instance_is_reached_at_its_own_tcp_and_udp_port() {
    let on = |tcp_port: u16, udp_port: u16| {
        let mut set = tcp("db", "mongo");
        set.tcp.services.values_mut().for_each(|service| service.port = tcp_port);
        set.udp.services.insert("dns".parse().unwrap(), udp_port);
        set
    };
    let old = node(1).with("a", "db", Health::Healthy, 1, &on(5432, 53));
    let new = node(2).with("b", "db", Health::Healthy, 2, &on(6432, 5353));
    let document = document(vec![
        reached_at(old, &["5432/tcp@10.0.0.1:40001", "53/udp@10.0.0.1:40002"]),
        reached_at(new, &["6432/tcp@10.0.0.2:40003", "5353/udp@10.0.0.2:40004"]),
    ]);
    assert_eq!(addresses(&document.tcp.services["db"]), ["10.0.0.1:40001", "10.0.0.2:40003"]);
    assert_eq!(addresses(&document.udp.services["dns"]), ["10.0.0.1:40002", "10.0.0.2:40004"]);
}

#[test]
fn an_instance_that_would_not_understand_the_greeting_is_not_greeted() {
    let mut plain = tcp("db", "mongo");
    plain.tcp.services.values_mut().for_each(|service| service.proxy_protocol = None);
    let nodes = vec![
        node(1).with("a", "db", Health::Healthy, 1, &plain),
        node(2).with("b", "db", Health::Healthy, 2, &tcp("db", "mongo")),
    ];
    let rendered = rendered(nodes, &RenderConfig::default());
    assert_eq!(addresses(&rendered.document.tcp.services["db"]), ["10.0.0.2:40000"]);
    assert!(texts(&rendered)[0].contains("another version of the PROXY protocol"), "{:?}", rendered.problems);
}

/// A set with one router that has several entry points.
fn on_entry_points(name: &str, entry_points: &[&str]) -> RouteSet {
    let mut set = tcp(name, "");
    let entry_points: Vec<String> = entry_points.iter().map(|name| (*name).to_owned()).collect();
    set.tcp.routers.values_mut().for_each(|router| router.entry_points = entry_points.clone());
    set.udp.services.insert(name.parse().unwrap(), 80);
    set.udp.routers.insert(name.parse().unwrap(), UdpRouter { service: name.to_owned(), entry_points });
    let endpoints = set.ports();
    assert_eq!(endpoints.len(), 2);
    set
}

#[test]
fn a_router_that_is_left_out_keeps_nothing_from_those_that_come_after_it() {
    let at = |number, service: &str, entry_points: &[&str]| {
        let set = on_entry_points(service, entry_points);
        let node = node(number).with("i", service, Health::Healthy, number.into(), &set);
        reached_at(node, &["80/tcp@10.0.0.1:1", "80/udp@10.0.0.1:2"])
    };
    let rendered = rendered(
        vec![at(1, "first", &["b"]), at(2, "second", &["a", "b"]), at(3, "third", &["a"])],
        &RenderConfig::default(),
    );
    assert_eq!(names(&rendered.document.tcp.routers), ["first", "third"]);
    assert_eq!(names(&rendered.document.udp.routers), ["first", "third"]);
    assert!(rendered.problems.iter().all(|problem| problem.kind == RouteProblemKind::Contested));
    assert_eq!(rendered.problems.len(), 2, "{:?}", rendered.problems);
}

#[test]
fn of_two_routers_of_one_service_that_want_the_same_connections_one_is_left_out_and_named() {
    let mut set = tcp("db", "mongo");
    let same = set.tcp.routers.values().next().cloned().unwrap();
    set.tcp.routers.insert("other".parse().unwrap(), same);
    let rendered =
        rendered(vec![node(1).with("a", "db", Health::Healthy, 1, &set)], &RenderConfig::default());
    assert_eq!(names(&rendered.document.tcp.routers), ["db"]);
    assert!(texts(&rendered)[0].contains("`db` of the same service"), "{:?}", rendered.problems);
}

/// A node with one instance of a service whose route follows the primary, and what the instance says of itself.
fn redis(number: u8, role: Option<Role>) -> Node {
    let mut set = tcp("redis", "redis");
    set.tcp.services.values_mut().for_each(|service| service.role = Some(Role::Primary));
    let reads = TcpService { role: Some(Role::Replica), ..TcpService::to_port(80) };
    set.tcp.services.insert("reads".parse().unwrap(), reads);
    let mut node = node(number).with("a", "redis", Health::Healthy, 1, &set);
    node.0.instances.values_mut().for_each(|instance| instance.role = role);
    node
}

fn by_role(nodes: Vec<Node>) -> (Vec<String>, Vec<String>, Rendered) {
    let rendered = rendered(nodes, &RenderConfig::default());
    let of = |name: &str| {
        let servers = addresses(&rendered.document.tcp.services[name]);
        servers.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    (of("redis"), of("reads"), rendered)
}

#[test]
fn a_route_by_role_leads_to_those_that_have_it_and_the_others_are_no_problem() {
    let (writes, reads, rendered) = by_role(vec![
        redis(1, Some(Role::Replica)),
        redis(2, Some(Role::Primary)),
        redis(3, Some(Role::Replica)),
        redis(4, Some(Role::Other)),
    ]);
    assert_eq!(writes, ["10.0.0.2:40000"]);
    assert_eq!(reads, ["10.0.0.1:40000", "10.0.0.3:40000"]);
    assert_eq!(rendered.problems, []);
}

#[test]
fn one_whose_role_nobody_knows_gets_nothing_and_is_named() {
    let (writes, reads, rendered) = by_role(vec![redis(1, None), redis(2, Some(Role::Primary))]);
    assert_eq!((writes.len(), reads.len()), (1, 0));
    assert!(texts(&rendered).iter().all(|text| text.contains("instance a on n1")), "{:?}", texts(&rendered));
    assert_eq!(rendered.problems.len(), 2);
}

#[test]
fn of_two_primaries_neither_gets_anything_until_one_is_left() {
    let both = || vec![redis(1, Some(Role::Primary)), redis(2, Some(Role::Primary))];
    let (writes, _, rendered) = by_role(both());
    assert_eq!(writes, [""; 0]);
    assert_eq!(rendered.problems.len(), 2, "{:?}", texts(&rendered));
    assert!(rendered.document.tcp.routers.contains_key("redis"), "the route stays");
    let mut one_lost = both();
    one_lost[0].1 = false;
    assert_eq!(by_role(one_lost).0, ["10.0.0.2:40000"]);
}
