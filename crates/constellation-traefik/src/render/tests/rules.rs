//! What counts, rule by rule.

use std::time::Duration;

use constellation_core::{
    Health::{Healthy, Starting, Stopped, Unhealthy, Unknown},
    route::{Failover, RouterTls, StickyCookie},
};

use super::*;
use crate::document::Service;

#[test]
fn nothing_to_route_is_an_empty_document() {
    assert_eq!(document(vec![node(1), node(2)]).to_bytes(), b"{}");
}

#[test]
fn healthy_instances_of_all_nodes_share_one_load_balancer() {
    let web = routes("web", &["Host(`a`)"]);
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &web).with("b", "web", Unhealthy, 1, &web),
        node(2).with("c", "web", Starting, 1, &web).with("d", "web", Healthy, 1, &web),
        node(3).with("e", "web", Stopped, 1, &web).with("f", "web", Unknown, 1, &web),
    ]);
    assert_eq!(urls(&document, "web"), ["http://10.0.0.1:40000", "http://10.0.0.2:40001"]);
}

#[test]
fn a_route_whose_last_server_died_stays_without_servers() {
    let web = routes("web", &["Host(`a`)"]);
    for nodes in [
        vec![node(1).with("a", "web", Stopped, 1, &web)],
        vec![node(1), node(2).with("a", "web", Healthy, 1, &web).lost()],
    ] {
        let document = document(nodes);
        assert_eq!(document.http.routers["web"].service.as_ref(), "web");
        assert!(balancer(&document, "web").servers.is_empty());
    }
}

#[test]
fn a_node_whose_agent_leaves_gets_requests_only_for_what_no_other_node_has() {
    let web = routes("web", &["Host(`a`)"]);
    let leaving = || {
        let mut node = node(2).with("b", "web", Healthy, 1, &web);
        node.0.facts.leaving = true;
        node
    };
    let others = document(vec![node(1).with("a", "web", Healthy, 1, &web), leaving()]);
    assert_eq!(urls(&others, "web"), ["http://10.0.0.1:40000"]);
    assert_eq!(urls(&document(vec![node(1), leaving()]), "web"), ["http://10.0.0.2:40000"]);
    assert!(urls(&document(vec![node(1), leaving().lost()]), "web").is_empty(), "until it is gone");
}

#[test]
fn a_cordoned_node_gets_requests_only_for_what_no_other_node_has() {
    let web = routes("web", &["Host(`a`)"]);
    let db = routes("db", &["Host(`b`)"]);
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &web),
        node(2).with("b", "web", Healthy, 1, &web).with("c", "db", Healthy, 1, &db).cordoned(),
    ]);
    assert_eq!(urls(&document, "web"), ["http://10.0.0.1:40000"]);
    assert_eq!(urls(&document, "db"), ["http://10.0.0.2:40001"]);
}

#[test]
fn with_two_servers_safe_methods_fail_over_and_the_others_try_again_what_nobody_received() {
    let web = routes("web", &["Host(`a`)"]);
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &web),
        node(2).with("b", "web", Healthy, 1, &web),
    ]);
    let routers = &document.http.routers;
    assert_eq!(names(routers), ["web", "web++unsafe"]);
    let (safe, other) = (&routers["web"], &routers["web++unsafe"]);
    assert_eq!(safe.rule, "Host(`a`) && (Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`))");
    assert_eq!(other.rule, "Host(`a`) && !(Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`))");
    assert_eq!((safe.priority, other.priority), (9, 9), "as long as the rule of the label");
    assert_eq!((safe.service.as_ref(), other.service.as_ref()), ("web++failover", "web"));
    assert_eq!((safe.middlewares.len(), other.middlewares[0].as_ref()), (0, "+retry"));
    assert_eq!(
        names(&document.http.services),
        ["web", "web++failover", "web+n1", "web+n1++failover", "web+n2", "web+n2++failover"]
    );
    let Service::Failover(pair) = &*document.http.services["web+n2++failover"] else {
        panic!("a failover is due")
    };
    assert_eq!((pair.service.as_ref(), pair.fallback.as_ref()), ("web+n2", "web+n1"));
}

#[test]
fn a_server_is_stood_in_for_by_one_of_another_node_where_there_is_one() {
    let web = routes("web", &["Host(`a`)"]);
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &web).with("b", "web", Healthy, 1, &web),
        node(2).with("c", "web", Healthy, 1, &web),
    ]);
    let of_node = |name: &str| name.split('+').nth(1).unwrap().to_owned();
    let mut pairs = 0;
    for service in document.http.services.values() {
        if let Service::Failover(pair) = &**service {
            pairs += 1;
            if of_node(&pair.service) == "n2" || pairs < 3 {
                assert_ne!(of_node(&pair.service), of_node(&pair.fallback), "{pair:?}");
            }
        }
    }
    assert_eq!(pairs, 3);
    assert!(
        document.http.services.contains_key("web+n1+a"),
        "several on one node are told apart by instance"
    );
}

#[test]
fn addresses_are_written_as_they_are_read() {
    for address in ["0.0.0.0:1", "10.20.100.255:65535", "127.0.0.1:40010", "[::1]:80", "[fd00::1:2]:8080"] {
        let web = routes("web", &[]);
        let mut node = node(1).with("a", "web", Healthy, 1, &web);
        node.0
            .instances
            .values_mut()
            .for_each(|instance| instance.endpoints[0].address = address.parse().unwrap());
        assert_eq!(urls(&document(vec![node]), "web"), [format!("http://{address}")]);
    }
}

#[test]
fn no_node_and_no_service_can_have_the_name_of_what_is_made_for_another() {
    let web = routes("web", &["Host(`a`)"]);
    let confusing = ["failover", "unsafe", "web"].map(|name| {
        let Node(mut view, live) = node(1).with(name, "web", Healthy, 1, &web);
        view.name = name.parse().unwrap();
        let instance = view.instances.values_mut().next().unwrap();
        instance.endpoints[0].address.set_port(u16::try_from(name.len()).unwrap());
        Node(view, live)
    });
    let generated = routes("generated", &["Host(`b`)"]);
    let mut nodes: Vec<Node> = confusing.into_iter().collect();
    nodes.push(node(9).with("x", "generated", Healthy, 1, &generated));
    let document = rendered(nodes, &under_domain()).document;
    // A balancer, a weighted service and three pairs for `web`; one balancer for `generated`, one for its node.
    assert_eq!(document.http.services.len(), 1 + 1 + 3 + 3 + 1 + 1);
    assert_eq!(document.http.routers.len(), 2 + 2 + 3 + 1 + 1 + 1);
}

#[test]
fn a_rule_of_alternatives_is_bracketed_before_the_method_is_joined_to_it() {
    let web = routes("web", &["Host(`a`) || Host(`b`)"]);
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &web),
        node(2).with("b", "web", Healthy, 1, &web),
    ]);
    for router in document.http.routers.values() {
        assert!(router.rule.starts_with("(Host(`a`) || Host(`b`)) && "), "{}", router.rule);
        assert_eq!(router.rule.parse::<constellation_rules::Rule>().unwrap().to_string(), router.rule);
    }
}

#[test]
fn one_server_alone_and_sticky_and_declined_services_stay_simple() {
    let web = routes("web", &["Host(`a`)"]);
    let sticky = with_service(web.clone(), |service| service.sticky = Some(StickyCookie::default()));
    let once = with_service(web.clone(), |service| service.failover = Failover::Off);
    let two = |set: &RouteSet| {
        document(vec![node(1).with("a", "web", Healthy, 1, set), node(2).with("b", "web", Healthy, 1, set)])
    };
    for simple in [document(vec![node(1).with("a", "web", Healthy, 1, &web)]), two(&sticky), two(&once)] {
        assert_eq!(names(&simple.http.routers), ["web"]);
        assert_eq!(names(&simple.http.services), ["web"]);
        assert!(simple.http.middlewares.is_empty());
    }
    assert!(balancer(&two(&sticky), "web").sticky.is_some());
}

#[test]
fn for_an_older_traefik_nothing_is_used_that_it_would_refuse() {
    let web = routes("web", &["Host(`a`)"]);
    let config = RenderConfig { failover_on_errors: false, ..RenderConfig::default() };
    let nodes = vec![node(1).with("a", "web", Healthy, 1, &web), node(2).with("b", "web", Healthy, 1, &web)];
    let document = rendered(nodes, &config).document;
    assert_eq!(names(&document.http.services), ["web"]);
    assert_eq!(document.http.routers["web"].middlewares[..], ["+retry".into()]);
}

#[test]
fn the_routes_of_the_newest_healthy_instance_count() {
    let (old, new) = (routes("web", &["Host(`old`)"]), routes("web", &["Host(`new`)"]));
    let rule = |newest: Health| {
        let document = document(vec![
            node(1).with("a", "web", Healthy, 1, &old),
            node(2).with("b", "web", newest, 2, &new),
        ]);
        document.http.routers["web"].rule.clone()
    };
    assert!(rule(Healthy).contains("new"));
    assert!(rule(Starting).contains("old"), "one that is not healthy yet changes nothing");
}

#[test]
fn while_a_service_is_being_replaced_each_instance_is_reached_at_its_own_port() {
    let old = routes("web", &["Host(`a`)"]);
    let new = with_service(old.clone(), |service| service.port = 8080);
    let mut second = node(2).with("b", "web", Healthy, 2, &new);
    for instance in second.0.instances.values_mut() {
        instance.endpoints[0].port = 8080;
    }
    let document = document(vec![node(1).with("a", "web", Healthy, 1, &old), second]);
    assert_eq!(urls(&document, "web").len(), 2);
}

#[test]
fn a_healthy_instance_that_others_cannot_reach_is_named() {
    let web = with_service(routes("web", &["Host(`a`)"]), |service| service.port = 9999);
    let rendered = rendered(vec![node(1).with("a", "web", Healthy, 1, &web)], &RenderConfig::default());
    assert_eq!(
        texts(&rendered),
        [
            "service web: load balancer `web`: instance a on n1 is healthy, but its port 9999 is not one that other nodes \
          reach"
        ]
    );
}

#[test]
fn of_two_services_the_older_keeps_what_both_claim_and_the_younger_is_named() {
    let old = routes("web", &["Host(`a`)"]);
    let young = routes("web", &["Host(`b`)"]);
    let same_rule = routes("other", &["host(\"A\")"]);
    let rendered = rendered(
        vec![
            node(1).with("a", "shop/web", Healthy, 1, &old),
            node(2).with("b", "blog/web", Healthy, 2, &young).with("c", "other", Healthy, 3, &same_rule),
        ],
        &RenderConfig::default(),
    );
    assert_eq!(names(&rendered.document.http.routers), ["web"]);
    assert_eq!(rendered.document.http.routers["web"].rule, "Host(`a`)");
    assert_eq!(urls(&rendered.document, "web"), ["http://10.0.0.1:40000"]);
    let said = texts(&rendered).join("\n");
    for expected in [
        "service blog/web: load balancer `web`: the older service shop/web has a load balancer of this name",
        "service blog/web: router `web`: its service `web` is not there",
        "service other: router `other`: the router `web` of service shop/web has the same rule and priority",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_is_only_remembered_of_a_lost_node_yields_to_what_lives() {
    let (old, young) = (routes("web", &["Host(`a`)"]), routes("web", &["Host(`b`)"]));
    let rendered = rendered(
        vec![
            node(1).with("a", "new/web", Healthy, 9, &young),
            node(2).with("b", "old/web", Healthy, 1, &old).lost(),
        ],
        &RenderConfig::default(),
    );
    assert_eq!(rendered.document.http.routers["web"].rule, "Host(`b`)");
}

#[test]
fn under_a_domain_every_service_has_a_name_and_one_for_each_of_its_nodes() {
    let web = routes("web", &[]);
    let nodes = vec![
        node(1).with("a", "shop/web_app", Healthy, 1, &web),
        node(2).with("b", "shop/web_app", Stopped, 1, &web),
        node(3).with("c", "shop/web_app", Healthy, 1, &web).lost(),
        node(4).with("d", "shop/web_app", Healthy, 1, &web).cordoned(),
    ];
    let document = rendered(nodes, &under_domain()).document;
    let lead = |name: &str| document.http.routers[name].service.to_string();
    assert_eq!(document.http.routers["generated+web-app.example.org"].rule, "Host(`web-app.example.org`)");
    assert_eq!(urls(&document, &lead("generated+web-app.example.org")), ["http://10.0.0.1:40000"]);
    for (node, servers) in [("n1", 1), ("n2", 0), ("n3", 0), ("n4", 1)] {
        let name = format!("generated+web-app.{node}.example.org");
        assert_eq!(urls(&document, &lead(&name)).len(), servers, "{node}");
    }
}

#[test]
fn without_a_domain_nothing_is_generated() {
    assert!(
        document(vec![node(1).with("a", "web", Healthy, 1, &routes("web", &[]))]).http.routers.is_empty()
    );
}

#[test]
fn a_generated_route_yields_to_any_label_with_its_rule() {
    let mut web = routes("web", &["Host(`web.example.org`)"]);
    web.routers.values_mut().for_each(|router| router.priority = Some(500));
    let document = rendered(vec![node(1).with("a", "web", Healthy, 1, &web)], &under_domain()).document;
    assert_eq!(names(&document.http.routers), ["generated+web.n1.example.org", "web"]);
}

#[test]
fn a_generated_route_passes_through_what_guards_the_written_ones() {
    let mut guarded = routes("web", &["Host(`a`)", "Host(`b`)"]);
    guarded.routers.values_mut().for_each(|router| router.middlewares = vec!["auth@file".to_owned()]);
    let document = rendered(vec![node(1).with("a", "web", Healthy, 1, &guarded)], &under_domain()).document;
    for router in document.http.routers.values() {
        assert_eq!(router.middlewares[..], ["auth@file".into()]);
    }
    let mut unsure = guarded.clone();
    unsure.routers.values_mut().take(1).for_each(|router| router.middlewares.clear());
    let mut client_certificates = guarded;
    let tls = RouterTls { options: Some("mtls@file".to_owned()), ..RouterTls::default() };
    client_certificates.routers.values_mut().for_each(|router| router.tls = Some(tls.clone()));
    let mut for_some = routes("web", &["Host(`a`) && ClientIP(`10.0.0.0/8`)"]);
    for_some.routers.insert(
        "web-1".parse().unwrap(),
        routes("web", &["Host(`b`)"]).routers.into_values().next().unwrap(),
    );
    for set in [unsure, client_certificates, for_some] {
        let rendered = rendered(vec![node(1).with("a", "web", Healthy, 1, &set)], &under_domain());
        assert_eq!(names(&rendered.document.http.routers), ["web", "web-1"]);
        assert!(texts(&rendered)[0].contains("no route is generated"));
    }
}

#[test]
fn two_services_of_one_name_share_no_host() {
    let (old, young) = (routes("web-shop", &[]), routes("web-blog", &[]));
    let rendered = rendered(
        vec![
            node(1).with("a", "shop/web", Healthy, 1, &old),
            node(2).with("b", "blog/web", Healthy, 2, &young),
        ],
        &under_domain(),
    );
    assert_eq!(rendered.document.http.routers["generated+web.example.org"].service.as_ref(), "web-shop");
    assert_eq!(
        texts(&rendered),
        [
            "service blog/web: host `web.example.org`: the older service shop/web is served under this name; no route is \
          generated"
        ]
    );
}

#[test]
fn a_response_timeout_gives_a_transport_of_its_own_and_a_foreign_transport_replaces_it() {
    let web = routes("web", &["Host(`a`)"]);
    let limited =
        with_service(web.clone(), |service| service.response_timeout = Some(Duration::from_secs(2)));
    let foreign =
        with_service(web.clone(), |service| service.servers_transport = Some("mtls@file".to_owned()));
    for (set, name, made) in
        [(&web, "+transport", true), (&limited, "+transport+2000ms", true), (&foreign, "mtls@file", false)]
    {
        let document = document(vec![node(1).with("a", "web", Healthy, 1, set)]);
        assert_eq!(balancer(&document, "web").servers_transport.as_deref(), Some(name));
        assert_eq!(document.http.servers_transports.contains_key(name), made);
    }
}

#[test]
fn weights_are_those_of_the_instances_and_who_has_none_only_stands_in() {
    let weighing = |weight| with_service(routes("web", &["Host(`a`)"]), move |it| it.weight = Some(weight));
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &weighing(3)),
        node(2).with("b", "web", Healthy, 2, &weighing(1)),
        node(3).with("c", "web", Healthy, 3, &weighing(0)),
    ]);
    let plain: Vec<_> = balancer(&document, "web").servers.iter().map(|server| server.weight).collect();
    assert_eq!(plain, [Some(3), Some(1), Some(0)]);
    let Service::Weighted(turns) = &*document.http.services["web++failover"] else { panic!("{document:?}") };
    let turns: Vec<_> = turns.services.iter().map(|part| (&*part.name, part.weight)).collect();
    assert_eq!(turns, [("web+n1++failover", 3), ("web+n2++failover", 1)]);
}

#[test]
fn whoever_asks_for_a_strategy_gets_it_and_no_pairs_that_take_turns() {
    let set = with_service(routes("web", &["Host(`a`)"]), |it| it.strategy = Some("p2c".to_owned()));
    let document = document(vec![
        node(1).with("a", "web", Healthy, 1, &set),
        node(2).with("b", "web", Healthy, 2, &set),
    ]);
    assert_eq!(names(&document.http.services), ["web"]);
    assert_eq!(balancer(&document, "web").strategy.as_deref(), Some("p2c"));
    assert_eq!(
        &*document.http.routers["web"].middlewares,
        ["+retry".into()],
        "what nobody received is tried again"
    );
}

#[test]
fn a_url_is_where_an_instance_is_reached_and_one_that_is_none_is_not_passed_on() {
    let at =
        |url: &'static str| with_service(routes("web", &["Host(`a`)"]), |it| it.url = Some(url.to_owned()));
    for (url, reached) in
        [("http://app.internal:8080/base", "http://app.internal:8080/base"), ("app", "http://10.0.0.1:40000")]
    {
        let document = document(vec![node(1).with("a", "web", Healthy, 1, &at(url))]);
        assert_eq!(urls(&document, "web"), [reached]);
    }
}
