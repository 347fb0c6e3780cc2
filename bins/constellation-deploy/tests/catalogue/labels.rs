//! Labels as what they mean: two ways of writing the same thing are no difference.

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, Option<String>>;

/// Names whose case Traefik ignores are lower-case, what it fills in is written out, and what it takes for the same is
/// written in one way.
pub(crate) fn meaning(labels: &Labels, service: &str, suffixes: &[String]) -> Labels {
    let mut labels: Labels = labels
        .iter()
        .map(|(key, value)| {
            let key = if key.starts_with("traefik.") { key.to_ascii_lowercase() } else { key.clone() };
            let value = value.as_ref().map(|value| plain(&key, value));
            (key, value)
        })
        .collect();
    if labels.get("traefik.enable").is_some_and(|value| value.as_deref() == Some("true")) {
        fill_in(&mut labels, service, suffixes);
    }
    labels
}

/// One way of writing.
fn plain(key: &str, value: &str) -> String {
    let same_address = |value: &str| value.strip_suffix('/').unwrap_or(value).to_owned();
    if key == "homepage.href" || (key.starts_with("kuma.") && key.ends_with(".url")) {
        return same_address(value);
    }
    if !key.starts_with("traefik.") {
        return value.to_owned();
    }
    if key.ends_with(".service") || key.ends_with(".middlewares") {
        // Within one provider its name behind the `@` says nothing.
        let names: Vec<&str> =
            value.split(',').map(|name| name.strip_suffix("@docker").unwrap_or(name)).collect();
        return names.join(",");
    }
    if key.ends_with(".rule") {
        return rule(value);
    }
    value.to_owned()
}

/// `PathPrefix("/")` is always true, and parentheses around one term say nothing.
fn rule(rule: &str) -> String {
    let mut rule = rule.to_owned();
    for always in [" && (PathPrefix(`/`))", " && PathPrefix(`/`)"] {
        if let Some(rest) = rule.strip_suffix(always) {
            rule = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest).to_owned();
        }
    }
    if let Some((before, path)) = rule.rsplit_once("(PathPrefix(")
        && let Some(path) = path.strip_suffix("))")
        && !path.contains('(')
    {
        rule = format!("{before}PathPrefix({path})");
    }
    rule
}

/// What Traefik's Docker provider does by itself: a router for a service without one, its rule, and the service of a
/// router where there is only one.
fn fill_in(labels: &mut Labels, service: &str, suffixes: &[String]) {
    let names = |labels: &Labels, prefix: &str| -> BTreeSet<String> {
        let names =
            labels.keys().filter_map(|key| Some(key.strip_prefix(prefix)?.split('.').next()?.to_owned()));
        names.collect()
    };
    let mut routers = names(labels, "traefik.http.routers.");
    let services = names(labels, "traefik.http.services.");
    let others = labels.keys().any(|key| key.starts_with("traefik.tcp.") || key.starts_with("traefik.udp."));
    if routers.is_empty() && !(others && services.is_empty()) {
        routers.insert(service.to_ascii_lowercase());
    }
    let hosts: Vec<String> = suffixes.iter().map(|suffix| format!("Host(`{service}.{suffix}`)")).collect();
    for router in routers {
        let mut fill = |field: &str, value: String| {
            labels.entry(format!("traefik.http.routers.{router}.{field}")).or_insert(Some(value));
        };
        fill("rule", hosts.join(" || "));
        if services.len() == 1 {
            fill("service", services.first().cloned().unwrap_or_default());
        }
    }
}

#[test]
fn what_traefik_takes_for_the_same_is_the_same() {
    let suffixes = ["example.org".to_owned()];
    let read = |pairs: &[(&str, &str)]| {
        let labels =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        meaning(&labels, "web", &suffixes)
    };
    let short =
        read(&[("traefik.enable", "true"), ("traefik.http.services.web.loadBalancer.server.port", "80")]);
    let long = read(&[
        ("traefik.enable", "true"),
        ("traefik.http.routers.web.rule", "(Host(`web.example.org`)) && PathPrefix(`/`)"),
        ("traefik.http.routers.web.service", "web@docker"),
        ("traefik.http.services.web.loadbalancer.server.port", "80"),
    ]);
    assert_eq!(short, long);
    let path = |rule: &str| super::labels::rule(rule);
    assert_eq!(path("(Host(`a`)) && (PathPrefix(`/b`))"), path("(Host(`a`)) && PathPrefix(`/b`)"));
    assert_ne!(path("Host(`a`) || Host(`b`)"), path("Host(`a`)"));
}
