//! Routes: names, hosts and rules that mean what they say and nothing more.

use std::collections::{BTreeMap, BTreeSet};

use super::{About, Found, shown};
use crate::{
    config::Config,
    index::Index,
    language::{AnyRoute, HttpRoute, Service, TcpTls},
    render::{http_rule, middleware_reference, redirects, route_name, tcp_rule},
};

const ROUTE_NAME: &str = "use letters, digits, `_` and `-`: a dot would begin another field of the label";

pub(super) fn check(config: &Config, about: &mut About<'_, '_>) {
    let service = about.member.service;
    let mut names = BTreeMap::new();
    let mut per_container: Vec<(&str, String)> = Vec::new();
    for route in &service.routes {
        let name = route_name(service, route);
        if !is_route_name(name) {
            about.wrong("routes", format!("{} cannot be a route's name", shown(name)), ROUTE_NAME);
        }
        let kind = match route {
            AnyRoute::Http(_) => "http",
            AnyRoute::Tcp(_) => "tcp",
            AnyRoute::Udp(_) => "udp",
        };
        if names.insert((kind, name), ()).is_some() {
            about.wrong(
                "routes",
                format!("two {kind} routes are named {}", shown(name)),
                "give each a `.named(…)`",
            );
        }
        if route.port() == 0 {
            about.wrong("routes", "port 0 means nothing here", "write the port that the service listens on");
        }
        match route {
            AnyRoute::Http(route) => {
                http(service, route, config, about);
                let limit = route.response_timeout.map(|limit| format!("{limit:?}")).unwrap_or_default();
                per_container.push(("response_timeout", limit));
                per_container.push(("no_failover", (!route.failover).to_string()));
            }
            AnyRoute::Tcp(route) => {
                hosts(route.sni.names(), "sni", about);
                if !route.sni.names().is_empty() && route.tls == TcpTls::None {
                    let what = "a plain TCP connection names no host";
                    about.wrong(
                        "routes",
                        what,
                        "add `.tls()` or `.tls_passthrough()`, or leave `.sni(…)` out",
                    );
                }
                if route.sni.names().is_empty() && route.entry_points.is_empty() {
                    let what = "every TCP connection to every entry point would go there";
                    about.wrong("routes", what, "add `.entry_point(…)`, or `.sni(…)` with `.tls()`");
                }
                references(&route.entry_points, about);
            }
            AnyRoute::Udp(route) => {
                if route.entry_points.is_empty() {
                    let what = "every datagram to every entry point would go there";
                    about.wrong("routes", what, "add `.entry_point(…)`");
                }
                references(&route.entry_points, about);
            }
        }
    }
    for field in ["response_timeout", "no_failover"] {
        let mut values: Vec<&str> = per_container
            .iter()
            .filter(|(name, _)| *name == field)
            .map(|(_, value)| value.as_str())
            .collect();
        values.dedup();
        if values.len() > 1 {
            let what = format!("its routes differ in `{field}`, which holds for the whole service");
            about.wrong("routes", what, "say the same on each");
        }
    }
    middlewares(about);
}

fn http(service: &Service, route: &HttpRoute, config: &Config, about: &mut About<'_, '_>) {
    hosts(route.hosts.names(), "host", about);
    for aliases in &route.redirects {
        hosts(aliases.names(), "redirect_from", about);
    }
    if let Some(rule) = &route.rule {
        if rule.trim().is_empty() || rule.chars().any(char::is_control) {
            let what = format!("{} is not a rule", shown(rule));
            about.wrong("routes", what, "write one line in Traefik's language");
        }
        if !route.hosts.names().is_empty() || !route.paths.is_empty() {
            about.wrong(
                "routes",
                "a `rule` and hosts or paths",
                "put them into the rule, or leave the rule out",
            );
        }
        if !route.redirects.is_empty() {
            let what = "a redirect needs to know where to, and a `rule` does not say";
            about.wrong("routes", what, "use `.host(…)` instead of the rule");
        }
    }
    for path in &route.paths {
        if !path.starts_with('/')
            || path.contains('`')
            || path.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            about.wrong(
                "routes",
                format!("{} is not a path", shown(path)),
                "begin it with `/`, without spaces and backquotes",
            );
        }
    }
    for redirect in redirects(service, route, config) {
        if !is_route_name(&redirect.name) {
            about.wrong(
                "routes",
                format!("{} cannot be a redirect's name", shown(&redirect.name)),
                ROUTE_NAME,
            );
        }
    }
    references(&route.entry_points, about);
    references(&route.middlewares, about);
    let tls = route.tls.as_ref();
    let named = tls
        .and_then(|tls| tls.cert_resolver.clone())
        .into_iter()
        .chain(tls.and_then(|tls| tls.options.clone()));
    references(&named.chain(route.target.clone()).collect::<Vec<_>>(), about);
    if let Some(check) = &route.health
        && !check.path.starts_with('/')
    {
        about.wrong(
            "routes",
            format!("the health path {} is not one", shown(&check.path)),
            "begin it with `/`",
        );
    }
}

/// A host that held a backquote would end its matcher and go on as a rule of its own.
fn hosts(names: &[String], word: &str, about: &mut About<'_, '_>) {
    for name in names {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        let fits = (1..=253).contains(&plain.len())
            && plain.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
            });
        if !fits {
            let what = format!("`{word}`: {} is not a host name", shown(name));
            about.wrong("routes", what, "use lower-case labels joined by dots, such as `blog.example.org`");
        }
    }
}

/// Names of things in Traefik: entry points, middlewares, resolvers, services.
fn references(names: &[String], about: &mut About<'_, '_>) {
    for name in names {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@');
        if name.is_empty() || !name.chars().all(fits) || name.matches('@').count() > 1 {
            let what = format!("{} is not the name of anything in Traefik", shown(name));
            about.wrong("routes", what, "use letters, digits, `_`, `.` and `-`, and `@provider` behind it");
        }
    }
}

fn middlewares(about: &mut About<'_, '_>) {
    let service = about.member.service;
    let mut names = BTreeMap::new();
    for middleware in &service.middlewares {
        if !is_route_name(&middleware.name) {
            about.wrong(
                "middlewares",
                format!("{} cannot be a middleware's name", shown(&middleware.name)),
                ROUTE_NAME,
            );
        }
        if !middleware.kind.bytes().all(|c| c.is_ascii_alphanumeric()) || middleware.kind.is_empty() {
            let what = format!("{} is not a kind of middleware", shown(&middleware.kind));
            about.wrong(
                "middlewares",
                what,
                "use the name of its section in Traefik's documentation, such as `rateLimit`",
            );
        }
        if names.insert(&middleware.name, ()).is_some() {
            about.wrong(
                "middlewares",
                format!("{} is defined twice", shown(&middleware.name)),
                "define it once",
            );
        }
    }
}

fn is_route_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// What holds between services: a router name, a rule and a middleware have one owner, and every middleware has one.
pub(super) fn check_together(index: &Index<'_>, config: &Config, found: &mut Found) {
    let mut names: BTreeMap<(&str, String), String> = BTreeMap::new();
    let mut rules: BTreeMap<(String, Vec<String>, Option<i64>), String> = BTreeMap::new();
    let mut defined: BTreeMap<String, (String, &crate::language::Middleware)> = BTreeMap::new();
    let mut redirecting: BTreeSet<String> = BTreeSet::new();
    for member in index.members_here() {
        for route in &member.service.routes {
            if let AnyRoute::Http(route) = route {
                let own = redirects(member.service, route, config);
                redirecting.extend(own.iter().map(|redirect| middleware_reference(&redirect.name)));
            }
        }
        for middleware in &member.service.middlewares {
            let reference = middleware_reference(&middleware.name);
            match defined.get(&reference) {
                // Three services may well define one `gzip`, if it is the same.
                Some((owner, first)) if *first != middleware => {
                    let what = format!("{owner} defines another middleware `{}`", middleware.name);
                    found.add(member.id(), "middlewares", what, "rename one of them");
                }
                _ => drop(defined.insert(reference, (member.id(), middleware))),
            }
        }
    }
    for member in index.members_here() {
        let service = member.service;
        let mut own = |kind: &'static str, name: String, found: &mut Found| {
            if let Some(owner) = names.get(&(kind, name.clone())) {
                if *owner != member.id() {
                    let what = format!("{owner} has a {kind} route `{name}`, too");
                    found.add(member.id(), "routes", what, "give one of them a `.named(…)`");
                }
            } else {
                names.insert((kind, name), member.id());
            }
        };
        for route in &service.routes {
            let name = route_name(service, route).to_owned();
            match route {
                AnyRoute::Http(http) => {
                    own("http", name, found);
                    for redirect in redirects(service, http, config) {
                        own("http", redirect.name, found);
                    }
                    let key = (http_rule(service, http, config), http.entry_points.clone(), http.priority);
                    if let Some(owner) = rules.insert(key.clone(), member.id()) {
                        let what = format!("{owner} answers to the same requests: {}", shown(&key.0));
                        found.add(
                            member.id(),
                            "routes",
                            what,
                            "change the hosts or paths, or give one a `.priority(…)`",
                        );
                    }
                    for name in &http.middlewares {
                        let reference = middleware_reference(name);
                        let ours = reference.ends_with("@docker");
                        let is_there = defined.contains_key(&reference) || redirecting.contains(&reference);
                        if ours && !is_there {
                            let what =
                                format!("no service on this node defines the middleware {}", shown(name));
                            let advice = "define it with `Service::middleware`, or write `name@file` for one of Traefik's own files";
                            found.add(member.id(), "routes", what, advice);
                        }
                    }
                }
                AnyRoute::Tcp(tcp) => {
                    own("tcp", name, found);
                    let key = (tcp_rule(tcp), tcp.entry_points.clone(), None);
                    if let Some(owner) = rules.insert(key.clone(), member.id()) {
                        let what = format!("{owner} takes the same connections: {}", shown(&key.0));
                        found.add(
                            member.id(),
                            "routes",
                            what,
                            "use other server names or another entry point",
                        );
                    }
                }
                AnyRoute::Udp(udp) => {
                    own("udp", name, found);
                    for entry_point in &udp.entry_points {
                        let key = (format!("udp {entry_point}"), Vec::new(), None);
                        if let Some(owner) = rules.insert(key, member.id()) {
                            let what = format!("{owner} takes the datagrams of `{entry_point}` already");
                            found.add(member.id(), "routes", what, "use another entry point");
                        }
                    }
                }
            }
        }
    }
}
