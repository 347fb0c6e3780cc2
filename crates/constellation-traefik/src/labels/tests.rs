mod l4;

use std::time::Duration;

use constellation_core::route::{Failover, RouterTls, Scheme};
use proptest::prelude::*;

use super::*;

fn labels(lines: &[&str]) -> BTreeMap<String, String> {
    lines
        .iter()
        .map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect()
}

fn read(lines: &[&str], ports: &[u16]) -> ParsedLabels {
    let config = LabelConfig { exposed_by_default: true, ..LabelConfig::default() };
    parse_labels(&"shop/Web_App".parse().unwrap(), &labels(lines), ports, &config)
}

fn set(lines: &[&str], ports: &[u16]) -> RouteSet {
    let parsed = read(lines, ports);
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.routes.unwrap()
}

fn router(set: &RouteSet, name: &str) -> HttpRouter {
    set.routers[&name.parse::<RouteName>().unwrap()].clone()
}

fn service(set: &RouteSet, name: &str) -> HttpService {
    set.services[&name.parse::<RouteName>().unwrap()].clone()
}

fn texts(parsed: &ParsedLabels) -> String {
    parsed.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn a_container_is_routed_only_when_somebody_said_so() {
    let service: ServiceId = "web".parse().unwrap();
    for (lines, routed) in [
        (&[][..], false),
        (&["traefik.http.routers.a.rule=Host(`a`)"][..], false),
        (&["traefik.enable=false"][..], false),
        (&["traefik.enable=nonsense"][..], false),
        (&["traefik.enable=true"][..], true),
        (&["Traefik.Enable=TRUE"][..], true),
    ] {
        let parsed = parse_labels(&service, &labels(lines), &[80], &LabelConfig::default());
        assert_eq!(parsed.routes.is_some(), routed, "{lines:?}");
    }
}

#[test]
fn a_container_without_further_labels_gets_a_load_balancer_to_its_lowest_port() {
    let set = set(&[], &[8443, 8080]);
    assert!(set.routers.is_empty());
    assert_eq!(service(&set, "web-app-shop"), HttpService::to_port(8080));
    assert_eq!(set.generated, "web-app-shop".parse().ok());
}

#[test]
fn labels_are_read_as_traefik_reads_them() {
    let set = set(
        &[
            "traefik.http.routers.App.rule=Host(`a.example.org`) && PathPrefix(`/x`)",
            "traefik.http.routers.app.EntryPoints=websecure, web",
            "traefik.http.routers.app.middlewares=auth@file,compress@file",
            "traefik.http.routers.app.priority=42",
            "traefik.http.routers.app.tls.certResolver=le",
            "traefik.http.routers.app.service=MAIN",
            "traefik.http.services.main.loadBalancer.server.port=8080",
            "traefik.http.services.main.loadbalancer.server.scheme=h2c",
            "traefik.http.services.main.loadbalancer.passhostheader=false",
            "traefik.http.services.main.loadbalancer.healthcheck.path=/health",
            "traefik.http.services.main.loadbalancer.healthcheck.interval=10",
            "traefik.http.services.main.loadbalancer.healthcheck.timeout=1.5s",
            "traefik.http.services.main.loadbalancer.healthcheck.headers.X-Probe=yes",
            "traefik.http.services.main.loadbalancer.sticky.cookie.name=session",
            "traefik.http.services.main.loadbalancer.sticky.cookie.httponly=true",
            "traefik.docker.network=publicnet",
            "constellation.heal=restart",
            "com.docker.compose.service=app",
        ],
        &[80],
    );
    let app = router(&set, "App");
    assert_eq!(app.rule, "Host(`a.example.org`) && PathPrefix(`/x`)");
    assert_eq!(app.entry_points, ["web", "websecure"]);
    assert_eq!(app.middlewares, ["auth@file", "compress@file"], "the order of middlewares is kept");
    assert_eq!(app.priority, Some(42));
    assert_eq!(app.tls, Some(RouterTls { cert_resolver: Some("le".to_owned()), ..RouterTls::default() }));
    assert_eq!(app.service, "main");
    let main = service(&set, "main");
    assert_eq!((main.port, main.scheme, main.pass_host_header), (8080, Scheme::H2c, Some(false)));
    let check = main.health_check.unwrap();
    assert_eq!(check.path, "/health");
    assert_eq!(check.interval, Some(Duration::from_secs(10)));
    assert_eq!(check.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(check.headers["X-Probe"], "yes");
    assert_eq!(main.sticky.unwrap().name.as_deref(), Some("session"));
}

#[test]
fn lists_may_be_written_item_by_item() {
    let set = set(
        &[
            "traefik.http.routers.a.rule=Host(`a`)",
            "traefik.http.routers.a.middlewares[1]=b@file",
            "traefik.http.routers.a.middlewares[0]=a@file",
            "traefik.http.routers.a.entrypoints[0]=web",
        ],
        &[80],
    );
    assert_eq!(router(&set, "a").middlewares, ["a@file", "b@file"]);
    assert_eq!(router(&set, "a").entry_points, ["web"]);
}

#[test]
fn our_own_labels_reach_every_load_balancer() {
    let set = set(
        &[
            "constellation.response-timeout=2s",
            "constellation.failover=off",
            "constellation.generated-routes=false",
        ],
        &[80],
    );
    let service = service(&set, "web-app-shop");
    assert_eq!((service.response_timeout, service.failover), (Some(Duration::from_secs(2)), Failover::Off));
    assert_eq!(set.generated, None);
}

#[test]
fn our_own_labels_about_http_say_so_where_there_is_none() {
    let lines = ["constellation.failover=off", "traefik.udp.services.dns.loadbalancer.server.port=53"];
    let said = texts(&read(&lines, &[80]));
    assert!(
        said.contains("`constellation.failover`: it is about HTTP services, and there is none"),
        "{said}"
    );
}

#[test]
fn one_mistake_leaves_out_one_router_and_is_named() {
    let parsed = read(
        &[
            "traefik.http.routers.good.rule=Host(`good`)",
            "traefik.http.routers.norule.priority=1",
            "traefik.http.routers.badrule.rule=Host(good",
            "traefik.http.routers.nobody.rule=Host(`n`)",
            "traefik.http.routers.nobody.service=nobody",
            "traefik.http.routers.badprio.rule=Host(`n`)",
            "traefik.http.routers.badprio.priority=high",
        ],
        &[80],
    );
    let set = parsed.routes.clone().unwrap();
    assert_eq!(set.routers.keys().map(RouteName::as_str).collect::<Vec<_>>(), ["good"]);
    let said = texts(&parsed);
    for expected in [
        "label `traefik.http.routers.norule.rule`: there is no rule",
        "label `traefik.http.routers.badrule.rule`: at character 6: found `good` where a value in backticks is due",
        "this container has no service `nobody`",
        "`high` is not a priority, that is a whole number; the router `badprio` is left out",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(set.generated.is_some(), "none of them could have kept anybody out");
}

#[test]
fn what_could_be_a_guard_takes_its_router_and_the_generated_routes_with_it() {
    for guard in [
        "traefik.http.routers.a.middlewares=auth@",
        "traefik.http.routers.a.middelwares=auth@file",
        "traefik.http.routers.a.tls.options=mtls",
    ] {
        let parsed = read(&["traefik.http.routers.a.rule=Host(`a`)", guard], &[80]);
        let set = parsed.routes.clone().unwrap();
        assert!(set.routers.is_empty(), "{guard}");
        assert_eq!(set.generated, None, "{guard}");
        assert!(texts(&parsed).contains("the router `a` is left out"), "{}", texts(&parsed));
    }
}

#[test]
fn a_value_that_is_too_long_to_read_takes_its_router_with_it() {
    let long = format!("traefik.http.routers.a.middlewares={}", "auth@file,".repeat(500));
    let parsed = read(&["traefik.http.routers.a.rule=Host(`a`)", &long], &[80]);
    assert!(parsed.routes.unwrap().routers.is_empty());
}

#[test]
fn a_wrong_port_leaves_out_the_service_and_what_leads_to_it() {
    let parsed = read(
        &["traefik.http.routers.a.rule=Host(`a`)", "traefik.http.services.a.loadbalancer.server.port=http"],
        &[80],
    );
    assert_eq!(parsed.routes, None);
    assert!(
        texts(&parsed).contains("`http` is not a port; the service `a` is left out"),
        "{}",
        texts(&parsed)
    );
    assert!(texts(&parsed).contains("there is no service for it"), "{}", texts(&parsed));
}

#[test]
fn a_wrong_health_check_costs_the_health_check_alone() {
    let parsed = read(
        &[
            "traefik.http.services.a.loadbalancer.server.port=80",
            "traefik.http.services.a.loadbalancer.healthcheck.path=/",
            "traefik.http.services.a.loadbalancer.healthcheck.interval=soon",
        ],
        &[],
    );
    let check = service(&parsed.routes.clone().unwrap(), "a").health_check.unwrap();
    assert_eq!(check.interval, None);
    assert!(texts(&parsed).contains("`soon` is not a duration"), "{}", texts(&parsed));
}

#[test]
fn a_container_without_any_port_says_what_to_write() {
    let parsed = read(&[], &[]);
    assert_eq!(parsed.routes, None);
    assert!(texts(&parsed).contains("loadbalancer.server.port=PORT"), "{}", texts(&parsed));
}

#[test]
fn a_router_that_leads_elsewhere_needs_no_port() {
    let set =
        set(&["traefik.http.routers.d.rule=Host(`d`)", "traefik.http.routers.d.service=api@internal"], &[]);
    assert_eq!(router(&set, "d").service, "api@internal");
    assert!(set.services.is_empty());
}

#[test]
fn with_several_services_a_router_must_say_which() {
    let parsed = read(
        &[
            "traefik.http.routers.a.rule=Host(`a`)",
            "traefik.http.services.one.loadbalancer.server.port=1",
            "traefik.http.services.two.loadbalancer.server.port=2",
        ],
        &[],
    );
    assert!(texts(&parsed).contains("the container has 2 services"), "{}", texts(&parsed));
    assert_eq!(parsed.routes.unwrap().generated, None);
}

#[test]
fn a_router_without_a_rule_is_served_under_the_domain() {
    let config = LabelConfig {
        exposed_by_default: true,
        domain: "example.org".parse().ok(),
        ..LabelConfig::default()
    };
    let lines = labels(&["traefik.http.routers.a.middlewares=auth@file"]);
    let parsed = parse_labels(&"web_app".parse().unwrap(), &lines, &[80], &config);
    assert_eq!(router(&parsed.routes.unwrap(), "a").rule, "Host(`web-app.example.org`)");
}

#[test]
fn what_is_unknown_is_said_and_changes_nothing() {
    let parsed = read(
        &[
            "traefik.htpp.routers.a.rule=Host(`a`)",
            "traefik.http.routers.b.rule=Host(`b`)",
            "traefik.http.services.a.loadbalancer.server.port=80",
            "traefik.http.services.a.loadbalancer.colour=red",
        ],
        &[],
    );
    let kinds: Vec<_> = parsed.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(
        kinds,
        [
            LabelProblemKind::Unknown, // htpp; sorted first
            LabelProblemKind::Unknown,
        ],
        "{}",
        texts(&parsed)
    );
    assert_eq!(parsed.routes.unwrap().services.len(), 1);
}

#[test]
fn what_is_about_tls_and_no_routers_is_sent_where_it_belongs() {
    for (label, where_to) in [
        ("traefik.tls.options.mine.minversion", "tls.options=NAME@file"),
        ("traefik.tls.stores.default.defaultcertificate.certfile", "--tls-certificates"),
        ("traefik.tls.stores.other.defaultgeneratedcert.resolver", "--tls-certificates"),
        ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "not read of labels yet"),
    ] {
        let parsed = read(&[&format!("{label}=x")], &[80]);
        assert!(texts(&parsed).contains(where_to), "{}", texts(&parsed));
        assert_eq!(parsed.problems.len(), 1);
        assert_eq!(parsed.problems[0].kind, LabelProblemKind::Unknown);
    }
}

#[test]
fn what_a_balancer_cannot_do_leaves_out_what_depends_on_it() {
    for (label, left_out) in [
        ("loadbalancer.server.url=ftp://a", true),
        ("loadbalancer.server.url=http://a/\"", true),
        ("loadbalancer.server.weight=-1", false),
        ("loadbalancer.strategy=random", false),
        ("loadbalancer.passivehealthcheck.failurewindow=0s", false),
        ("loadbalancer.responseforwarding.flushinterval=soon", false),
    ] {
        let label = format!("traefik.http.services.a.{label}");
        let parsed = read(&["traefik.http.routers.a.rule=Host(`a`)", &label], &[80]);
        assert!(!parsed.problems.is_empty(), "{label}");
        let services = parsed.routes.map(|set| set.services.len()).unwrap_or_default();
        assert_eq!(services == 0, left_out, "{label}");
    }
    for label in
        ["tls.domains[0].main=a b", "tls.domains[99].main=a", "tls.domains.main=a", "observability.colour=1"]
    {
        let label = format!("traefik.http.routers.a.{label}");
        let parsed = read(&["traefik.http.routers.a.rule=Host(`a`)", &label], &[80]);
        assert_eq!(parsed.routes.unwrap().routers.len(), 0, "{label}");
    }
}

#[test]
fn middlewares_are_read_and_named_as_the_docker_provider_names_them() {
    let set = set(
        &[
            "traefik.http.routers.a.rule=Host(`a`)",
            "traefik.http.routers.a.middlewares=auth, both@docker,seen@file",
            "traefik.http.middlewares.auth.basicauth.users=u:p",
            "traefik.http.middlewares.both.chain.middlewares=auth@docker,seen@file",
        ],
        &[80],
    );
    assert_eq!(router(&set, "a").middlewares, ["auth", "both", "seen@file"]);
    let middleware = |name: &str| set.middlewares[&name.parse::<RouteName>().unwrap()].to_string();
    assert_eq!(middleware("auth"), r#"{"basicAuth":{"users":["u:p"]}}"#);
    assert_eq!(middleware("both"), r#"{"chain":{"middlewares":["auth","seen@file"]}}"#);
}

#[test]
fn a_middleware_with_a_mistake_is_left_out_whole_and_said() {
    let parsed = read(
        &[
            "traefik.http.middlewares.a.basicauth.users=u:p",
            "traefik.http.middlewares.a.basicauth.usrfile=/x",
            "traefik.http.middlewares.b.basicauth.users=u:p",
            "traefik.http.middlewares.b.stripprefix.prefixes=/x",
        ],
        &[80],
    );
    assert!(parsed.routes.clone().unwrap().middlewares.is_empty());
    let said = texts(&parsed);
    assert!(said.contains("no field `usrfile`; the middleware `a` is left out"), "{said}");
    assert!(said.contains("several kinds: basicAuth, stripPrefix"), "{said}");
}

#[test]
fn no_container_may_have_more_routers_or_problems_than_the_bounds() {
    let mut many: BTreeMap<String, String> =
        (0..500).map(|i| (format!("traefik.http.routers.r{i}.rule"), "Host(`a`)".to_owned())).collect();
    many.insert("traefik.enable".to_owned(), "true".to_owned());
    let parsed = parse_labels(&"web".parse().unwrap(), &many, &[80], &LabelConfig::default());
    assert_eq!(parsed.routes.unwrap().routers.len(), ROUTERS_MAX);
    assert!(parsed.problems.len() <= 33);
}

proptest! {
    #[test]
    fn no_labels_make_the_parser_panic_and_every_router_leads_somewhere(
        lines in proptest::collection::btree_map(
            prop_oneof![
                "[tT]raefik\\.(http|tcp)\\.(routers|services)\\.[a-c]\\.(rule|service|middlewares|tls|loadbalancer\\.server\\.port|loadbalancer\\.sticky)",
                "(traefik|constellation)\\.[a-z.\\[\\]0-9-]{0,40}",
                ".{0,30}",
            ],
            prop_oneof!["Host\\(`[a-c]`\\)", "[a-c]", "[a-c]@file", "[0-9]{1,6}", ".{0,20}"],
            0..12,
        ),
        ports in proptest::collection::vec(1u16.., 0..3),
    ) {
        let config = LabelConfig { exposed_by_default: true, ..LabelConfig::default() };
        let parsed = parse_labels(&"web".parse().unwrap(), &lines, &ports, &config);
        let set = parsed.routes.unwrap_or_default();
        for router in set.routers.values() {
            let own = router.service.parse().is_ok_and(|name: RouteName| set.services.contains_key(&name));
            prop_assert!(own || router.service.contains('@'));
            prop_assert!(router.rule.parse::<constellation_rules::Rule>().is_ok());
        }
        prop_assert!(set.generated.is_none_or(|name| set.services.contains_key(&name)));
    }
}

#[test]
fn a_default_rule_is_for_routers_without_one_and_for_containers_without_routers() {
    let config = LabelConfig {
        domain: "example.org".parse().ok(),
        default_rule: Some("Host(`{{ normalize .Name }}.test`)".parse().unwrap()),
        ..LabelConfig::default()
    };
    let rules = |lines: &[&str]| {
        let mut lines = labels(lines);
        lines.insert("traefik.enable".to_owned(), "true".to_owned());
        let parsed = parse_labels(&"shop/web".parse().unwrap(), &lines, &[80], &config);
        let routers = parsed.routes.map(|set| set.routers).unwrap_or_default();
        let rules = routers.into_iter().map(|(name, router)| format!("{name} {}", router.rule));
        (rules.collect::<Vec<_>>().join(", "), parsed.problems.len())
    };
    let none = 0;
    assert_eq!(rules(&[]), ("web-shop Host(`web.test`)".to_owned(), none));
    let compose = ["com.docker.compose.service=web", "com.docker.compose.project=shop"];
    assert_eq!(rules(&compose), ("web-shop Host(`web-shop.test`)".to_owned(), none));
    let written = ["traefik.http.routers.a.rule=Host(`a`)", "traefik.http.routers.b.entrypoints=web"];
    assert_eq!(rules(&written), ("a Host(`a`), b Host(`web.test`)".to_owned(), none));
    assert_eq!(
        rules(&["traefik.http.routers.a.midlewares=auth"]),
        (String::new(), 1),
        "a guard may be missed"
    );
    let tcp = ["traefik.tcp.services.a.loadbalancer.server.port=80"];
    assert_eq!(rules(&tcp).0, "", "it has no HTTP");

    let broken = LabelConfig { default_rule: Some("Host({{ .Name }})".parse().unwrap()), ..config.clone() };
    let enabled = labels(&["traefik.enable=true"]);
    let parsed = parse_labels(&"web".parse().unwrap(), &enabled, &[80], &broken);
    assert_eq!(parsed.problems.len(), 1, "{}", texts(&parsed));
}

#[test]
fn who_does_not_meet_the_constraints_takes_no_part() {
    let config = LabelConfig {
        exposed_by_default: true,
        constraints: Some("Label(`tier`,`web`)".parse().unwrap()),
        ..LabelConfig::default()
    };
    for (tier, takes_part) in [("web", true), ("db", false)] {
        let parsed = parse_labels(&"a".parse().unwrap(), &labels(&[&format!("tier={tier}")]), &[80], &config);
        assert_eq!((parsed.routes.is_some(), parsed.problems.len()), (takes_part, 0));
    }
}
