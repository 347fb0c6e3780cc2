//! Routes in Traefik's label grammar, which the agent reads as well.

use std::time::Duration;

use constellation_core::route::Scheme;

use crate::{
    config::Config,
    language::{AnyRoute, Hosts, HttpRoute, Service, TcpRoute, TcpTls, UdpRoute},
};

/// Name, value, and the word of the language that made it.
type Label = (String, String, &'static str);

const FROM_ROUTE: &str = "from `route`";

/// Every label that routes and middlewares make.
pub(super) fn labels(service: &Service, config: &Config) -> Vec<Label> {
    let mut labels = Labels::default();
    if service.is_routed() {
        labels.add("traefik.enable", "true");
    }
    for route in &service.routes {
        match route {
            AnyRoute::Http(route) => http(service, route, config, &mut labels),
            AnyRoute::Tcp(route) => tcp(service, route, &mut labels),
            AnyRoute::Udp(route) => udp(service, route, &mut labels),
        }
    }
    if service.is_routed() && !service.generated_routes {
        labels.0.push((
            "constellation.generated-routes".into(),
            "false".into(),
            "from `no_generated_routes`",
        ));
    }
    for middleware in &service.middlewares {
        let prefix = format!("traefik.http.middlewares.{}.{}", middleware.name, middleware.kind);
        if middleware.fields.is_empty() {
            labels.0.push((prefix, "true".to_owned(), "from `middleware`"));
            continue;
        }
        for (field, value) in &middleware.fields {
            labels.0.push((format!("{prefix}.{field}"), value.clone(), "from `middleware`"));
        }
    }
    labels.0
}

#[derive(Default)]
struct Labels(Vec<Label>);

impl Labels {
    fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((key.into(), value.into(), FROM_ROUTE));
    }

    fn maybe(&mut self, key: impl Into<String>, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(key, value.to_string());
        }
    }

    fn list(&mut self, key: impl Into<String>, items: &[String]) {
        if !items.is_empty() {
            self.add(key, items.join(","));
        }
    }
}

/// The hosts of a route: its own, or the service's name below the domain.
pub(crate) fn hosts_of(service: &Service, route: &HttpRoute, config: &Config) -> Hosts {
    if route.hosts.names().is_empty() { config.host(&service.name) } else { route.hosts.clone() }
}

/// The rule of an HTTP route.
pub(crate) fn http_rule(service: &Service, route: &HttpRoute, config: &Config) -> String {
    if let Some(rule) = &route.rule {
        return rule.clone();
    }
    let hosts = alternatives("Host", hosts_of(service, route, config).names());
    if route.paths.is_empty() {
        return hosts;
    }
    format!("({hosts}) && ({})", alternatives("PathPrefix", &route.paths))
}

/// The rule of a TCP route.
pub(crate) fn tcp_rule(route: &TcpRoute) -> String {
    if route.sni.names().is_empty() {
        return "HostSNI(`*`)".to_owned();
    }
    alternatives("HostSNI", route.sni.names())
}

fn alternatives(matcher: &str, values: &[String]) -> String {
    let terms: Vec<String> = values.iter().map(|value| format!("{matcher}(`{value}`)")).collect();
    terms.join(" || ")
}

/// A middleware by the name that Traefik knows it by from everywhere.
pub(crate) fn middleware_reference(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@docker") }
}

/// The name of a route's router and load balancer.
pub(crate) fn route_name<'a>(service: &'a Service, route: &'a AnyRoute) -> &'a str {
    let name = match route {
        AnyRoute::Http(route) => &route.name,
        AnyRoute::Tcp(route) => &route.name,
        AnyRoute::Udp(route) => &route.name,
    };
    name.as_deref().unwrap_or(&service.name)
}

/// The router and middleware that send an alias to the route's own host: their name, the hosts, regex and replacement.
pub(crate) struct Redirect {
    pub(crate) name: String,
    pub(crate) hosts: Hosts,
    pub(crate) regex: String,
    pub(crate) replacement: String,
}

/// The redirects of a route.
pub(crate) fn redirects(service: &Service, route: &HttpRoute, config: &Config) -> Vec<Redirect> {
    let canonical = hosts_of(service, route, config);
    let own = route.name.as_deref().unwrap_or(&service.name);
    let make = |(number, aliases): (usize, &Hosts)| {
        let (name, regex, replacement) = match (&aliases.label, &canonical.label) {
            (Some(alias), Some(label)) => {
                let suffixes: Vec<String> = aliases.suffixes.iter().map(|suffix| escaped(suffix)).collect();
                (
                    format!("{alias}-redirect"),
                    format!("^https?://{}\\.((?:{}))(.*)$", escaped(alias), suffixes.join("|")),
                    format!("https://{label}.$1$2"),
                )
            }
            _ => {
                let names: Vec<String> = aliases.names().iter().map(|name| escaped(name)).collect();
                let target = canonical.names().first().cloned().unwrap_or_default();
                (
                    format!("{own}-redirect-{}", number + 1),
                    format!("^https?://(?:{})(.*)$", names.join("|")),
                    format!("https://{target}$1"),
                )
            }
        };
        Redirect { name, hosts: aliases.clone(), regex, replacement }
    };
    route.redirects.iter().enumerate().map(make).collect()
}

/// Host names hold letters, digits, `-` and `.`: only the dot means something in a regular expression.
fn escaped(host: &str) -> String {
    host.replace('.', "\\.")
}

fn http(service: &Service, route: &HttpRoute, config: &Config, labels: &mut Labels) {
    let name = route.name.as_deref().unwrap_or(&service.name);
    let target = route.target.as_deref().unwrap_or(name);
    router(name, &http_rule(service, route, config), target, route, labels);
    let middlewares: Vec<String> = route.middlewares.iter().map(|name| middleware_reference(name)).collect();
    labels.list(format!("traefik.http.routers.{name}.middlewares"), &middlewares);
    for redirect in redirects(service, route, config) {
        let rule = alternatives("Host", redirect.hosts.names());
        router(&redirect.name, &rule, target, route, labels);
        labels.add(
            format!("traefik.http.routers.{}.middlewares", redirect.name),
            middleware_reference(&redirect.name),
        );
        let prefix = format!("traefik.http.middlewares.{}.redirectRegex", redirect.name);
        labels.add(format!("{prefix}.regex"), redirect.regex);
        labels.add(format!("{prefix}.replacement"), redirect.replacement);
        labels.add(format!("{prefix}.permanent"), "false");
    }
    balancer(name, route, labels);
}

fn router(name: &str, rule: &str, target: &str, route: &HttpRoute, labels: &mut Labels) {
    let prefix = format!("traefik.http.routers.{name}");
    labels.add(format!("{prefix}.rule"), rule);
    labels.add(format!("{prefix}.service"), target);
    labels.list(format!("{prefix}.entrypoints"), &route.entry_points);
    labels.maybe(format!("{prefix}.priority"), route.priority);
    if let Some(tls) = &route.tls {
        labels.add(format!("{prefix}.tls"), "true");
        labels.maybe(format!("{prefix}.tls.certresolver"), tls.cert_resolver.as_ref());
        labels.maybe(format!("{prefix}.tls.options"), tls.options.as_ref());
    }
}

fn balancer(name: &str, route: &HttpRoute, labels: &mut Labels) {
    let prefix = format!("traefik.http.services.{name}.loadbalancer");
    labels.add(format!("{prefix}.server.port"), route.port.to_string());
    if route.scheme != Scheme::Http {
        labels.add(format!("{prefix}.server.scheme"), route.scheme.as_str());
    }
    labels.maybe(format!("{prefix}.passhostheader"), route.pass_host_header);
    if let Some(check) = &route.health {
        let prefix = format!("{prefix}.healthcheck");
        labels.add(format!("{prefix}.path"), &check.path);
        labels.maybe(format!("{prefix}.interval"), check.interval.map(go_duration));
        labels.maybe(format!("{prefix}.unhealthyinterval"), check.unhealthy_interval.map(go_duration));
        labels.maybe(format!("{prefix}.timeout"), check.timeout.map(go_duration));
        labels.maybe(format!("{prefix}.hostname"), check.hostname.as_ref());
        labels.maybe(format!("{prefix}.scheme"), check.scheme.as_ref());
        labels.maybe(format!("{prefix}.mode"), check.mode.as_ref());
        labels.maybe(format!("{prefix}.method"), check.method.as_ref());
        labels.maybe(format!("{prefix}.status"), check.status);
        labels.maybe(format!("{prefix}.port"), check.port);
        labels.maybe(format!("{prefix}.followredirects"), check.follow_redirects);
        for (header, value) in &check.headers {
            labels.add(format!("{prefix}.headers.{header}"), value);
        }
    }
    if let Some(cookie) = &route.sticky {
        let prefix = format!("{prefix}.sticky.cookie");
        labels.add(&prefix, "true");
        labels.maybe(format!("{prefix}.name"), cookie.name.as_ref());
        labels.maybe(format!("{prefix}.httponly"), cookie.http_only);
        labels.maybe(format!("{prefix}.secure"), cookie.secure);
        labels.maybe(format!("{prefix}.samesite"), cookie.same_site.as_ref());
        labels.maybe(format!("{prefix}.maxage"), cookie.max_age);
        labels.maybe(format!("{prefix}.path"), cookie.path.as_ref());
        labels.maybe(format!("{prefix}.domain"), cookie.domain.as_ref());
    }
    labels.maybe("constellation.response-timeout", route.response_timeout.map(go_duration));
    if !route.failover {
        labels.add("constellation.failover", "off");
    }
}

fn tcp(service: &Service, route: &TcpRoute, labels: &mut Labels) {
    let name = route.name.as_deref().unwrap_or(&service.name);
    let prefix = format!("traefik.tcp.routers.{name}");
    labels.add(format!("{prefix}.rule"), tcp_rule(route));
    labels.add(format!("{prefix}.service"), name);
    labels.list(format!("{prefix}.entrypoints"), &route.entry_points);
    match route.tls {
        TcpTls::None => {}
        TcpTls::Terminate => labels.add(format!("{prefix}.tls"), "true"),
        TcpTls::Passthrough => labels.add(format!("{prefix}.tls.passthrough"), "true"),
    }
    let prefix = format!("traefik.tcp.services.{name}.loadbalancer.server");
    labels.add(format!("{prefix}.port"), route.port.to_string());
    if route.backend_tls {
        labels.add(format!("{prefix}.tls"), "true");
    }
}

fn udp(service: &Service, route: &UdpRoute, labels: &mut Labels) {
    let name = route.name.as_deref().unwrap_or(&service.name);
    let prefix = format!("traefik.udp.routers.{name}");
    labels.add(format!("{prefix}.service"), name);
    labels.list(format!("{prefix}.entrypoints"), &route.entry_points);
    labels.add(format!("traefik.udp.services.{name}.loadbalancer.server.port"), route.port.to_string());
}

/// As Go's `time.ParseDuration` reads it.
fn go_duration(duration: Duration) -> String {
    match duration.as_millis() {
        whole if whole % 1000 == 0 => format!("{}s", whole / 1000),
        millis => format!("{millis}ms"),
    }
}
