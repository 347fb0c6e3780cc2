//! Labels: whose a container is, and what other tools read.

use constellation_docker::ContainerSpec;

use super::{SERVICE_LABEL, STACK_LABEL, container::Reasons, container::SAID, traefik};
use crate::{
    config::Config,
    index::Member,
    language::{AnyRoute, Heal, Kind, Service},
};

/// Read by the agent: what it does when the health check fails.
const HEAL_LABEL: &str = "constellation.heal";

pub(super) fn add(member: Member<'_>, config: &Config, spec: &mut ContainerSpec, why: &mut Reasons) {
    let service = member.service;
    spec.labels.insert(STACK_LABEL.to_owned(), member.stack.name.clone());
    spec.labels.insert(SERVICE_LABEL.to_owned(), member.id());
    for (key, value, reason) in derived(service, config) {
        why.say(&format!("labels.{key}"), value.clone(), reason);
        spec.labels.insert(key, value);
    }
    for (key, value) in &service.labels {
        why.say(&format!("labels.{key}"), value.clone(), SAID);
        spec.labels.insert(key.clone(), value.clone());
    }
}

/// Labels that words of the language make: name, value, and the word.
pub(crate) fn derived(service: &Service, config: &Config) -> Vec<(String, String, &'static str)> {
    let mut labels = traefik::labels(service, config);
    let heal = match (service.heal, &service.health, service.kind) {
        (Some(Heal::Restart), _, _) => Some(("restart", SAID)),
        (Some(Heal::None), _, _) => Some(("none", SAID)),
        (None, Some(_), Kind::Service) => {
            Some(("restart", "it has a health check, so the agent can mend it"))
        }
        _ => None,
    };
    if let Some((value, reason)) = heal {
        labels.push((HEAL_LABEL.to_owned(), value.to_owned(), reason));
    }
    if let Some(tile) = &service.homepage {
        let href = tile.href.clone().or_else(|| first_url(service, config).map(|url| format!("{url}/")));
        let mut tell = |field: &str, value: Option<String>| {
            labels.extend(value.map(|value| (format!("homepage.{field}"), value, "from `homepage`")));
        };
        tell("group", Some(tile.group.clone()));
        tell("name", Some(tile.name.clone()));
        tell("icon", tile.icon.clone());
        tell("href", href);
        tell("description", tile.description.clone());
        tell("weight", tile.weight.map(|weight| weight.to_string()));
        for (field, value) in &tile.widget {
            tell(&format!("widget.{field}"), Some(value.clone()));
        }
    }
    if let Some(monitor) = &service.uptime {
        let id = monitor.id.as_deref().unwrap_or(&service.name);
        let node = config.node();
        let name = monitor.name.clone().unwrap_or_else(|| match node {
            "" => config.fqdn(&service.name),
            node => format!("{}.{node}.{}", service.name, config.domain()),
        });
        let url = monitor.url.clone().or_else(|| first_url(service, config)).unwrap_or_default();
        for (field, value) in
            [("name", name), ("url", url), ("interval", monitor.interval.as_secs().to_string())]
        {
            labels.push((format!("kuma.{id}.http.{field}"), value, "from `uptime`"));
        }
    }
    if let Some(metrics) = &service.metrics {
        for (field, value) in [
            ("scrape", "true".to_owned()),
            ("port", metrics.port.to_string()),
            ("path", metrics.path.clone()),
        ] {
            labels.push((format!("prometheus.io/{field}"), value, "from `metrics`"));
        }
    }
    labels
}

/// The first routed host, as people's browsers reach it.
pub(crate) fn first_url(service: &Service, config: &Config) -> Option<String> {
    let AnyRoute::Http(route) = service.routes.iter().find(|route| matches!(route, AnyRoute::Http(_)))?
    else {
        return None;
    };
    if route.hosts.names().is_empty() && route.rule.is_some() {
        return None;
    }
    let default = config.host(&service.name);
    let hosts = if route.hosts.names().is_empty() { &default } else { &route.hosts };
    hosts.names().first().map(|host| format!("https://{host}"))
}
