use constellation_core::{Role, route::TlsDomain};

use super::*;

#[test]
fn a_tcp_service_leads_to_the_role_of_its_own_label_or_of_the_containers() {
    let set = set(
        &[
            "constellation.route-role=primary",
            "constellation.Route-Role.Reads=Replica",
            "traefik.tcp.services.writes.loadbalancer.server.port=6379",
            "traefik.tcp.services.reads.loadbalancer.server.port=6379",
        ],
        &[],
    );
    let role = |name: &str| set.tcp.services[&name.parse::<RouteName>().unwrap()].role;
    assert_eq!((role("writes"), role("reads")), (Some(Role::Primary), Some(Role::Replica)));
}

#[test]
fn a_role_that_is_none_leaves_the_service_out_instead_of_opening_it_to_all() {
    let port = "traefik.tcp.services.db.loadbalancer.server.port=6379";
    for (label, what) in
        [("constellation.route-role=leader", "is no role"), ("constellation.route-role.db=", "is no role")]
    {
        let parsed = read(&[label, port], &[]);
        assert!(parsed.routes.as_ref().is_none_or(|set| set.tcp.is_empty()), "{label}");
        assert!(texts(&parsed).contains(what), "{}", texts(&parsed));
    }
    let parsed = read(&["constellation.route-role.other=primary", port], &[]);
    assert!(texts(&parsed).contains("no such TCP service"), "{}", texts(&parsed));
}

#[test]
fn tcp_and_udp_are_read_and_make_no_http_service_of_their_port() {
    let set = set(
        &[
            "traefik.tcp.routers.db.rule=HostSNI(`db.test`)",
            "traefik.tcp.routers.db.entrypoints=mongo",
            "traefik.tcp.routers.db.tls.passthrough=true",
            "traefik.tcp.routers.db.middlewares=few",
            "traefik.tcp.routers.db.tls.options=default",
            "traefik.tcp.routers.db.tls.domains[2].main=db.test",
            "traefik.tcp.routers.db.tls.domains[2].sans=*.db.test",
            "traefik.tcp.middlewares.few.inflightconn.amount=5",
            "traefik.tcp.services.db.loadbalancer.server.port=27017",
            "traefik.tcp.services.db.loadbalancer.proxyprotocol.version=2",
            "traefik.udp.routers.dns.entrypoints=dns",
            "traefik.udp.services.dns.loadbalancer.server.port=53",
        ],
        &[27017],
    );
    assert!(set.services.is_empty() && set.generated.is_none());
    let db = &set.tcp.routers[&"db".parse::<RouteName>().unwrap()];
    assert_eq!((db.service.as_str(), db.entry_points.as_slice()), ("db", &["mongo".to_owned()][..]));
    let tls = db.tls.as_ref().unwrap();
    assert!(tls.passthrough);
    assert_eq!(tls.ends.options.as_deref(), Some("default"));
    let domain = TlsDomain { main: "db.test".to_owned(), sans: vec!["*.db.test".to_owned()] };
    assert_eq!(tls.ends.domains, [domain]);
    assert_eq!(set.tcp.services[&"db".parse::<RouteName>().unwrap()].proxy_protocol, Some(2));
    assert_eq!(set.udp.routers[&"dns".parse::<RouteName>().unwrap()].service, "dns");
    assert_eq!(set.ports().len(), 2);
}

#[test]
fn what_would_be_everywhere_or_nowhere_below_http_is_left_out_with_its_reason() {
    for (line, reason) in [
        ("traefik.tcp.routers.a.rule=HostSNI(`*`)", "on which entry points"),
        ("traefik.tcp.routers.a.rule=HostSNI(`a.test`)", "only TLS tells a name"),
        ("traefik.tcp.routers.a.rule=HostSNI(`a`, `b`)", "takes one value"),
        ("traefik.tcp.routers.a.rule=Host(`a`)", "asks by HostSNI"),
        ("traefik.tcp.routers.a.colour=red", "no such field"),
        ("traefik.tcp.services.b.loadbalancer.server.weight=2", "no such field"),
        ("traefik.tcp.services.b.loadbalancer.healthcheck.port=9", "endpoint of the mesh gateway"),
        ("traefik.tcp.services.b.loadbalancer.healthcheck.interval=0", "more than nothing"),
        ("traefik.udp.routers.a.entrypoints=dns", "say which of them"),
        ("traefik.udp.services.b.loadbalancer.server.port=0", "not a port"),
    ] {
        let parsed = read(&[line], &[80]);
        assert!(texts(&parsed).contains(reason), "{line}: {}", texts(&parsed));
        let set = parsed.routes.unwrap_or_default();
        assert!(set.tcp.is_empty() && set.udp.is_empty(), "{line}");
    }
}
