//! Middlewares that labels define.

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
    let (kept, held) = settle(&before, after.into(), &situation, &constellation_core::Governor::default());
    assert!(held.is_some());
    assert_eq!(*kept, before);
}
