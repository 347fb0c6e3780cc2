//! Middlewares that labels define, and what is routed below HTTP.

use constellation_core::route::{TcpRouter, TcpService, UdpRouter};
use serde_json::json;

use super::*;
use crate::{
    document::Middleware,
    hold_back::{Situation, settle},
    render::RouteProblemKind,
};

fn guarded(service: &str, through: &[&str]) -> RouteSet {
    let mut set = routes(service, &[&format!("Host(`{service}.test`)")]);
    set.routers.values_mut().for_each(|router| {
        router.middlewares = through.iter().map(ToString::to_string).collect();
    });
    set
}

fn defining(mut set: RouteSet, name: &str, value: serde_json::Value) -> RouteSet {
    set.middlewares.insert(name.parse().unwrap(), value);
    set
}

fn one(set: &RouteSet) -> Vec<Node> {
    vec![node(1).with("a", set.services.keys().next().unwrap().as_str(), Health::Healthy, 1, set)]
}

#[test]
fn a_router_goes_through_what_its_own_labels_or_another_containers_define() {
    let auth = json!({"basicAuth": {"users": ["u:p"]}});
    let web = guarded("web", &["Auth", "both", "seen@file"]);
    let other = defining(routes("other", &[]), "auth", auth.clone());
    let other = defining(other, "both", json!({"chain": {"middlewares": ["AUTH"]}}));
    let nodes = vec![
        node(1).with("a", "web", Health::Healthy, 1, &web),
        node(2).with("b", "other", Health::Healthy, 2, &other),
    ];
    let document = document(nodes);
    assert_eq!(
        document.http.routers["web"].middlewares.iter().map(|it| &**it).collect::<Vec<_>>(),
        ["auth", "both", "seen@file"]
    );
    assert_eq!(document.http.middlewares["auth"], Middleware::Written(auth));
    let chain = Middleware::Written(json!({"chain": {"middlewares": ["auth"]}}));
    assert_eq!(document.http.middlewares["both"], chain);
}

#[test]
fn a_router_whose_guard_nobody_defines_is_left_out_and_so_are_the_generated_ones() {
    let circle = defining(guarded("web", &["round"]), "round", json!({"chain": {"middlewares": ["round"]}}));
    let broken = defining(guarded("web", &["auth"]), "auth", json!({"basicAuth": {"users": 7}}));
    for set in [guarded("web", &["auth"]), circle, broken] {
        let rendered = rendered(one(&set), &under_domain());
        assert!(rendered.document.http.routers.is_empty(), "{:?}", rendered.document);
        assert!(
            rendered.problems.iter().any(|it| it.text.contains("is not there")),
            "{:?}",
            rendered.problems
        );
    }
}

#[test]
fn generated_routes_go_through_what_the_written_ones_do() {
    let set = defining(guarded("web", &["auth"]), "auth", json!({"basicAuth": {"users": ["u:p"]}}));
    let document = rendered(one(&set), &under_domain()).document;
    assert!(document.http.routers.len() > 1);
    assert!(document.http.routers.values().all(|router| &*router.middlewares[0] == "auth"));
}

#[test]
fn of_two_middlewares_with_one_name_the_older_services_counts_and_equal_ones_are_one() {
    let users = |user: &str| json!({"basicAuth": {"users": [user]}});
    let old = defining(guarded("old", &["auth"]), "auth", users("old:p"));
    let young = defining(guarded("young", &["auth"]), "auth", users("young:p"));
    let same = defining(guarded("same", &["auth"]), "auth", users("old:p"));
    let nodes = vec![
        node(1).with("a", "old", Health::Healthy, 1, &old),
        node(2).with("b", "young", Health::Healthy, 2, &young),
        node(3).with("c", "same", Health::Healthy, 3, &same),
    ];
    let rendered = rendered(nodes, &RenderConfig::default());
    assert_eq!(rendered.document.http.middlewares["auth"], Middleware::Written(users("old:p")));
    let contested: Vec<_> = rendered.problems.iter().map(|it| (it.service.to_string(), it.kind)).collect();
    assert_eq!(contested, [("young".to_owned(), RouteProblemKind::Contested)]);
}

#[test]
fn a_route_that_is_held_back_keeps_all_that_its_chain_is_made_of_and_asks() {
    let set =
        defining(guarded("web", &["both"]), "both", json!({"chain": {"middlewares": ["auth", "pages"]}}));
    let set = defining(set, "auth", json!({"basicAuth": {"users": ["u:p"]}}));
    let set = defining(set, "pages", json!({"errors": {"status": ["500"], "service": "web", "query": "/"}}));
    let before = rendered(one(&set), &RenderConfig::default()).document;
    // An agent that has just started, and has heard of nobody yet.
    let after = rendered(vec![], &RenderConfig::default()).document;
    let situation = Situation {
        evidence: constellation_core::Evidence { peers_known: 0, peers_live: 0 },
        own: std::collections::BTreeSet::new(),
        starting: true,
    };
    let (kept, held) = settle(&before, after, &situation, &constellation_core::Governor::default());
    assert!(held.is_some());
    assert_eq!(kept, before);
}

/// A set that routes one TCP port by an entry point.
fn tcp(name: &str, entry_point: &str) -> RouteSet {
    let mut set = RouteSet::default();
    let service = TcpService { port: 80, proxy_protocol: Some(2), servers_transport: None };
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
