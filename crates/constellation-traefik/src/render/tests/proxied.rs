//! Services that ask to go through each node's own proxy.

use super::*;
use crate::{
    document::Middleware,
    explain::explain,
    hold_back::{Situation, settle},
    render::RouteProblemKind,
};

fn proxied() -> RouteSet {
    with_service(routes("web", &["Host(`web.example.org`)"]), |service| service.proxied = true)
}

fn two(set: &RouteSet) -> Vec<Node> {
    let on = |number: u8| node(number).with("a", "web", Health::Healthy, u64::from(number), set);
    vec![on(1), on(2)]
}

fn with_proxy() -> RenderConfig {
    RenderConfig { proxy: Some(([127, 0, 0, 1], 8082).into()), ..under_domain() }
}

#[test]
fn its_routers_lead_to_the_proxy_with_its_name_and_the_servers_stay_for_the_proxy_to_know() {
    let document = rendered(two(&proxied()), &with_proxy()).document;
    let router = &document.http.routers["web"];
    assert_eq!(&*router.service, "web++proxy");
    let through: Vec<&str> = router.middlewares.iter().map(|it| &**it).collect();
    assert_eq!(through, ["web++proxy", "+retry"]);
    assert!(!document.http.routers.contains_key("web++unsafe"), "the proxy knows methods itself");
    let Middleware::Written(header) = &document.http.middlewares["web++proxy"] else { panic!() };
    assert_eq!(header["headers"]["customRequestHeaders"]["X-Constellation-Service"], "web");
    assert_eq!(balancer(&document, "web++proxy").urls().collect::<Vec<_>>(), ["http://127.0.0.1:8082"]);
    assert_eq!(
        document.plain_balancer("web++proxy").map(|(name, it)| (name, it.servers.len())),
        Some(("web", 2))
    );
}

#[test]
fn without_a_proxy_it_is_served_directly_and_that_is_said() {
    let rendered = rendered(two(&proxied()), &under_domain());
    assert_eq!(&*rendered.document.http.routers["web"].service, "web++failover");
    assert_eq!(rendered.problems.len(), 1);
    assert_eq!(rendered.problems[0].kind, RouteProblemKind::Invalid);
    assert!(rendered.problems[0].text.contains("--proxy-listen"));
}

#[test]
fn explain_tells_of_the_servers_behind_the_proxy() {
    let view = view(two(&proxied()));
    let document = render(&view, &with_proxy()).document;
    let request = asking("web.example.org");
    let explained = explain(&document, &view, &request);
    assert_eq!(explained.servers.len(), 2);
    assert!(explained.backends.iter().all(|backend| backend.server.is_some()));
}

#[test]
fn a_node_that_is_cut_off_keeps_the_servers_behind_its_proxy() {
    let before = rendered(two(&proxied()), &with_proxy()).document;
    let lost = two(&proxied()).into_iter().map(Node::lost).collect();
    let after = rendered(lost, &with_proxy()).document;
    assert!(balancer(&after, "web").servers.is_empty());
    let situation = Situation {
        evidence: constellation_core::Evidence { peers_known: 4, peers_live: 0 },
        own: std::collections::BTreeSet::new(),
        starting: false,
    };
    let (kept, held) = settle(&before, after.into(), &situation, &constellation_core::Governor::default());
    assert!(held.is_some());
    assert_eq!(balancer(&kept, "web").servers.len(), 2);
    kept.validate().unwrap();
}
