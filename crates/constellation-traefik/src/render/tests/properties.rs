//! What holds for every view.

use std::time::Duration;

use constellation_core::{
    Health::{Healthy, Starting, Stopped, Unhealthy, Unknown},
    RouteName,
    route::{Failover, HttpHealthCheck, RouterTls, StickyCookie},
};
use proptest::prelude::*;

use super::*;

fn any_set() -> impl Strategy<Value = RouteSet> {
    let rule = prop_oneof![Just("Host(`a`)"), Just("Host(`b`) || Path(`/`)"), Just("nonsense("), Just("")];
    let target = prop_oneof![Just("x"), Just("y"), Just("z"), Just("api@internal"), Just("")];
    let lists = || proptest::collection::vec(prop_oneof![Just("web"), Just("m@file"), Just("")], 0..3);
    let priority = prop_oneof![Just(None), Just(Some(0)), any::<i64>().prop_map(Some)];
    let router = (rule, target, lists(), lists(), priority, any::<bool>()).prop_map(
        |(rule, service, entry_points, middlewares, priority, tls)| HttpRouter {
            rule: rule.to_owned(),
            service: service.to_owned(),
            entry_points: entry_points.into_iter().map(str::to_owned).collect(),
            middlewares: middlewares.into_iter().map(str::to_owned).collect(),
            priority,
            tls: tls.then(RouterTls::default),
            ..HttpRouter::default()
        },
    );
    let check = (any::<bool>(), 0u64..2).prop_map(|(path, millis)| HttpHealthCheck {
        path: if path { "/" } else { "" }.to_owned(),
        interval: Some(Duration::from_millis(millis)),
        ..HttpHealthCheck::default()
    });
    let service = (
        prop_oneof![Just(80u16), Just(0), Just(81)],
        proptest::option::of(check),
        any::<[bool; 3]>(),
        proptest::option::of(prop_oneof![Just("t@file"), Just("t")]),
    )
        .prop_map(|(port, health_check, [sticky, off, zero], transport)| HttpService {
            health_check,
            sticky: sticky.then(StickyCookie::default),
            failover: if off { Failover::Off } else { Failover::Safe },
            response_timeout: zero.then_some(Duration::ZERO),
            servers_transport: transport.map(str::to_owned),
            ..HttpService::to_port(port)
        });
    let name = |pattern: &'static str| pattern.prop_map(|name| name.parse::<RouteName>().unwrap());
    (
        proptest::collection::btree_map(name("[p-r]"), router, 0..3),
        proptest::collection::btree_map(name("[x-z]"), service, 0..3),
        proptest::option::of(name("[x-z]")),
    )
        .prop_map(|(routers, services, generated)| RouteSet {
            routers,
            services,
            generated,
            ..RouteSet::default()
        })
}

/// Service, health, age and routes of an instance.
type AnyInstance = (u8, u8, u64, RouteSet);
/// Number and instances of a node, whether it is live and whether it is cordoned.
type AnyNode = (u8, Vec<AnyInstance>, bool, bool);

fn any_nodes() -> impl Strategy<Value = Vec<AnyNode>> {
    let instance = (0u8..4, 0u8..5, 0u64..3, any_set());
    let node = (1u8..5, proptest::collection::vec(instance, 0..4), any::<bool>(), any::<bool>());
    proptest::collection::vec(node, 0..5)
}

fn build(nodes: &[AnyNode]) -> Vec<Node> {
    let mut seen = std::collections::BTreeSet::new();
    let distinct = nodes.iter().filter(|(number, ..)| seen.insert(*number));
    distinct
        .map(|(number, instances, live, cordoned)| {
            let mut built = node(*number);
            for (index, (service, health, since, set)) in instances.iter().enumerate() {
                let health = [Healthy, Unhealthy, Starting, Stopped, Unknown][usize::from(*health)];
                built = built.with(&format!("i{index}"), &format!("s{service}"), health, *since, set);
            }
            built.1 = *live;
            if *cordoned { built.cordoned() } else { built }
        })
        .collect()
}

proptest! {
    #[test]
    fn whatever_the_cluster_says_the_document_is_one_that_traefik_takes(nodes in any_nodes(), domain: bool, old: bool) {
        let mut config = if domain { under_domain() } else { RenderConfig::default() };
        config.failover_on_errors = !old;
        let rendered = render(&view(build(&nodes)), &config);
        prop_assert_eq!(rendered.document.validate(), Ok(()));
        let text = String::from_utf8(rendered.document.to_bytes()).unwrap();
        // Empty maps that Traefik takes: TLS, and the cookie of a sticky service. Every other refuses the document.
        let bare = text.replace("\"tls\":{}", "\"tls\":1").replace("\"cookie\":{}", "\"cookie\":1");
        prop_assert!(!bare.contains("{}") || bare == "{}", "{}", text);
    }

    #[test]
    fn equal_views_have_equal_bytes_in_whatever_order_they_were_heard(nodes in any_nodes()) {
        let forwards = render(&view(build(&nodes)), &under_domain());
        let mut nodes = build(&nodes);
        nodes.reverse();
        let backwards = render(&view(nodes), &under_domain());
        prop_assert_eq!(forwards.document.to_bytes(), backwards.document.to_bytes());
        prop_assert_eq!(forwards.problems, backwards.problems);
    }

    #[test]
    fn only_healthy_instances_of_live_nodes_are_sent_traffic(nodes in any_nodes()) {
        let view = view(build(&nodes));
        let rendered = render(&view, &under_domain());
        let routable: Vec<String> = view.instances().filter(constellation_core::view::Placed::is_routable)
            .flat_map(|placed| placed.instance.endpoints.iter().map(|endpoint| format!("http://{}", endpoint.address)))
            .collect();
        for url in rendered.document.server_urls() {
            prop_assert!(routable.iter().any(|known| known == url), "{} is not routable", url);
        }
    }
}
