//! What holds from labels, as anybody may write them, to the document.

use std::collections::BTreeMap;

use constellation_core::Health::Healthy;
use proptest::{prelude::*, sample::select};

use super::*;
use crate::labels::{LabelConfig, ParsedLabels, parse_labels};

/// Labels, each with values that are right and some that nearly are.
const POOL: &[(&str, &[&str])] = &[
    ("traefik.enable", &["true", "yes"]),
    ("traefik.http.routers.R.rule", &["Host(`r.test`)", "PathPrefix(`/r`) || Host(`a`)", "Host(a)", ""]),
    ("traefik.http.routers.R.entrypoints", &["web", "websecure, web", "a b", ",", ""]),
    ("traefik.http.routers.R.service", &["S", "s@docker", "x@file", "nobody", "@", ""]),
    ("traefik.http.routers.R.priority", &["7", "0", "-3", "9223372036854775807", "high"]),
    ("traefik.http.routers.R.middlewares", &["M", "M@docker, x@file", "chain", "none", "a@b@c"]),
    ("traefik.http.routers.R.tls", &["true", "false", "on"]),
    ("traefik.http.routers.R.tls.certresolver", &["le", "l e", ""]),
    ("traefik.http.routers.R.tls.options", &["default", "mtls@file", "mtls"]),
    ("traefik.http.routers.R.tls.domains[0].main", &["a.test", "*.a.test", "a b", ""]),
    ("traefik.http.routers.R.tls.domains[3].sans", &["b.test, *.c.test", "", ",", "b/"]),
    ("traefik.http.routers.R.tls.domains[3].sans[1]", &["d.test"]),
    ("traefik.http.routers.R.observability.metrics", &["false", "maybe"]),
    ("traefik.http.routers.R.observability.traceverbosity", &["minimal", "loud"]),
    ("traefik.http.services.S.loadbalancer.server.port", &["80", "81", "0", "70000"]),
    ("traefik.http.services.S.loadbalancer.server.scheme", &["https", "h2c", "ftp"]),
    (
        "traefik.http.services.S.loadbalancer.server.url",
        &["http://h:8080/x", "https://h", "http://", "h2c://h:0"],
    ),
    ("traefik.http.services.S.loadbalancer.server.weight", &["3", "0", "-1", "4294967295", "99999999999"]),
    ("traefik.http.services.S.loadbalancer.server.preservepath", &["true", "1x"]),
    ("traefik.http.services.S.loadbalancer.strategy", &["p2c", "hrw", "leasttime", "wrr", "best"]),
    ("traefik.http.services.S.loadbalancer.passhostheader", &["false", "?"]),
    (
        "traefik.http.services.S.loadbalancer.responseforwarding.flushinterval",
        &["5ms", "-1", "-1s", "0", "x"],
    ),
    ("traefik.http.services.S.loadbalancer.passivehealthcheck.failurewindow", &["3s", "0s", "1ns", "x"]),
    ("traefik.http.services.S.loadbalancer.passivehealthcheck.maxfailedattempts", &["4", "0", "-1"]),
    ("traefik.http.services.S.loadbalancer.healthcheck.path", &["/h", "h", ""]),
    ("traefik.http.services.S.loadbalancer.healthcheck.interval", &["7", "0", "1ns", "soon"]),
    ("traefik.http.services.S.loadbalancer.healthcheck.timeout", &["2s", "0s"]),
    ("traefik.http.services.S.loadbalancer.healthcheck.mode", &["grpc", "http", "tcp"]),
    ("traefik.http.services.S.loadbalancer.healthcheck.status", &["204", "99"]),
    ("traefik.http.services.S.loadbalancer.healthcheck.headers.X-A", &["b", "\n"]),
    ("traefik.http.services.S.loadbalancer.sticky.cookie", &["true", "false"]),
    ("traefik.http.services.S.loadbalancer.sticky.cookie.name", &["c", "c d"]),
    ("traefik.http.services.S.loadbalancer.sticky.cookie.samesite", &["lax", "any"]),
    ("traefik.http.services.S.loadbalancer.sticky.cookie.maxage", &["5", "-1", "x"]),
    ("traefik.http.services.S.loadbalancer.serverstransport", &["t@file", "t"]),
    ("traefik.http.services.S.weighted.services", &["a"]),
    ("traefik.http.middlewares.M.addprefix.prefix", &["/x", ""]),
    ("traefik.http.middlewares.M.ratelimit.average", &["4", "many"]),
    ("traefik.http.middlewares.M.compress", &["true", "x"]),
    ("traefik.http.middlewares.chain.chain.middlewares", &["M", "chain", "M, none"]),
    ("traefik.tcp.routers.R.rule", &["HostSNI(`*`)", "HostSNI(`r.test`) && ALPN(`h2`)", "Host(`a`)", ""]),
    ("traefik.tcp.routers.R.entrypoints", &["mongo", "", ","]),
    ("traefik.tcp.routers.R.priority", &["7", "0", "-3", "9223372036854775807"]),
    ("traefik.tcp.routers.R.service", &["S", "x@file", "nobody"]),
    ("traefik.tcp.routers.R.middlewares", &["M", "x@file", "none"]),
    ("traefik.tcp.routers.R.tls.passthrough", &["true", "false"]),
    ("traefik.tcp.routers.R.tls.options", &["default", "x@file", "x"]),
    ("traefik.tcp.routers.R.tls.domains[2].main", &["a.test", ""]),
    ("traefik.tcp.middlewares.M.inflightconn.amount", &["4", "-1", "x"]),
    ("traefik.tcp.services.S.loadbalancer.server.port", &["80", "x"]),
    ("traefik.tcp.services.S.loadbalancer.server.tls", &["true"]),
    ("traefik.tcp.services.S.loadbalancer.proxyprotocol.version", &["1", "2", "3"]),
    ("traefik.tcp.services.S.loadbalancer.healthcheck.interval", &["1m", "0", "1ns"]),
    ("traefik.udp.routers.R.entrypoints", &["dns", ""]),
    ("traefik.udp.routers.R.service", &["S", "nobody"]),
    ("traefik.udp.services.S.loadbalancer.server.port", &["53", "0"]),
    ("traefik.tls.stores.default.defaultgeneratedcert.resolver", &["le"]),
    ("traefik.tls.options.x.minversion", &["VersionTLS13"]),
    ("constellation.response-timeout", &["2s", "0", "2h"]),
    ("constellation.failover", &["off", "safe", "no"]),
    ("constellation.proxy", &["true", "x"]),
    ("constellation.generated-routes", &["false", "x"]),
    ("constellation.route-role", &["primary", "leader"]),
    ("constellation.route-role.s", &["replica", ""]),
    ("tier", &["web", "hidden"]),
];

/// What is whole already, so that the labels that join it come as far as the document.
const WHOLE: &[&[(&str, &str)]] = &[
    &[],
    &[
        ("traefik.http.routers.r.rule", "Host(`r.test`)"),
        ("traefik.http.services.s.loadbalancer.server.port", "80"),
    ],
    &[
        ("traefik.tcp.routers.r.rule", "HostSNI(`*`)"),
        ("traefik.tcp.routers.r.entrypoints", "mongo"),
        ("traefik.tcp.services.s.loadbalancer.server.port", "80"),
    ],
    &[
        ("traefik.udp.routers.r.entrypoints", "dns"),
        ("traefik.udp.services.s.loadbalancer.server.port", "53"),
    ],
];

type Labels = BTreeMap<String, String>;

fn any_labels() -> impl Strategy<Value = Labels> {
    let one =
        (0..POOL.len(), any::<prop::sample::Index>(), 0usize..2, 0usize..2).prop_map(|(at, value, r, s)| {
            let (label, values) = POOL[at];
            let label = label.replace(".R.", [".r.", ".Q."][r]).replace(".S.", [".s.", ".T."][s]);
            (label, values[value.index(values.len())].to_owned())
        });
    let whole = select(WHOLE)
        .prop_map(|lines| lines.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())));
    let more = proptest::collection::vec(one, 0..14);
    (whole, more).prop_map(|(whole, more)| whole.chain(more).collect())
}

fn any_config() -> impl Strategy<Value = LabelConfig> {
    let rule =
        select(vec![None, Some("Host(`{{ normalize .Name }}.x`)"), Some("Host({{ .Name }})"), Some("")]);
    let constraints = select(vec![None, Some("!Label(`tier`,`hidden`)")]);
    (rule, constraints, any::<bool>()).prop_map(|(rule, constraints, domain)| LabelConfig {
        exposed_by_default: true,
        constraints: constraints.map(|text| text.parse().unwrap()),
        default_rule: rule.map(|text| text.parse().unwrap()),
        domain: if domain { "example.org".parse().ok() } else { None },
    })
}

fn read(labels: &Labels, config: &LabelConfig) -> ParsedLabels {
    parse_labels(&"shop/web".parse().unwrap(), labels, &[80, 81], config)
}

/// Whether what is left out because of another label has this one.
fn is_left_out(label: &str, parsed: &ParsedLabels) -> bool {
    let object = |label: &str| label.to_ascii_lowercase().split('.').take(4).collect::<Vec<_>>().join(".");
    parsed.problems.iter().any(|problem| {
        let left_out = ["left out", "there is no "].iter().any(|it| problem.text.contains(it));
        // Our own labels are about every service of the container.
        problem.label == "traefik.enable"
            || left_out && (object(&problem.label) == object(label) || label.starts_with("constellation."))
    })
}

proptest! {
    #[test]
    fn what_labels_say_is_a_document_that_traefik_takes(
        all in proptest::collection::vec((any_labels(), 1u8..4, 0u8..3), 0..5),
        reading in any_config(),
        domain: bool,
    ) {
        let mut nodes: BTreeMap<u8, Node> = BTreeMap::new();
        for (index, (labels, at, service)) in all.iter().enumerate() {
            let name = format!("s{service}");
            let parsed = parse_labels(&name.parse().unwrap(), labels, &[80, 81], &reading);
            let again = parse_labels(&name.parse().unwrap(), labels, &[80, 81], &reading);
            prop_assert_eq!(&parsed, &again);
            let Some(set) = parsed.routes else { continue };
            let id = format!("i{index}");
            let mut host = nodes.remove(at).unwrap_or_else(|| node(*at)).with(&id, &name, Healthy, 0, &set);
            let instance = host.0.instances.get_mut(&id.parse().unwrap()).unwrap();
            let ports = set.ports().into_iter().zip(1u16..);
            instance.endpoints = ports
                .map(|((protocol, port), n)| Endpoint {
                    port,
                    protocol,
                    address: ([10, 0, 0, *at], 41_000 + n).into(),
                })
                .collect();
            nodes.insert(*at, host);
        }
        let config = if domain { under_domain() } else { RenderConfig::default() };
        let rendered = render(&view(nodes.into_values().collect()), &config);
        prop_assert_eq!(rendered.document.validate(), Ok(()));
        let bytes = rendered.document.to_bytes();
        prop_assert_eq!(&serde_json::from_slice::<DynamicConfig>(&bytes).unwrap(), &rendered.document);
    }

    #[test]
    fn every_label_is_read_or_said_to_change_nothing(labels in any_labels(), config in any_config()) {
        let whole = read(&labels, &config);
        // Labels of who takes no part are nobody's concern.
        let read_at_all = labels.keys().filter(|label| *label != "tier" && whole.routes.is_some());
        for label in read_at_all {
            let said = whole.problems.iter().any(|problem| problem.label == *label);
            if said || is_left_out(label, &whole) {
                continue;
            }
            let mut garbled = labels.clone();
            garbled.insert(label.clone(), "\u{1}`(".to_owned());
            prop_assert!(read(&garbled, &config) != whole, "{} is not read: {:?}", label, whole);
        }
    }
}
