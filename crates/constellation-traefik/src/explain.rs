//! Which router takes a request, and where it leads: for people who wonder.

use std::collections::BTreeSet;

use constellation_rules::{Request, parse_generated};

use crate::document::{DynamicConfig, Name, Router, Service};

/// How deep services may refer to each other; what is generated goes three deep.
const DEPTH_MAX: usize = 8;

/// What a document does with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// The routers that take it, the one that wins first. With several entry points each decides for itself, among those of
    /// its own.
    pub routers: Vec<(Name, Router)>,
    /// The URLs of the servers behind the first, sorted.
    pub servers: Vec<Name>,
    /// The service of another provider that it leads to, if it does.
    pub elsewhere: Option<Name>,
}

/// Asks a document. Of two routers with the same priority the first by name is told first.
pub fn explain(document: &DynamicConfig, request: &Request) -> Explained {
    let takes = |router: &Router| parse_generated(&router.rule).is_ok_and(|rule| rule.matches(request));
    let routers = document.http.routers.iter().filter(|(_, router)| takes(router));
    let mut routers: Vec<(Name, Router)> =
        routers.map(|(name, router)| (Name::clone(name), router.clone())).collect();
    routers.sort_by(|(a, one), (b, other)| other.priority.cmp(&one.priority).then_with(|| a.cmp(b)));
    let mut explained = Explained { routers, ..Explained::default() };
    if let Some((_, winner)) = explained.routers.first() {
        let mut servers = BTreeSet::new();
        let mut elsewhere = None;
        walk(document, &winner.service, DEPTH_MAX, &mut servers, &mut elsewhere);
        explained.servers = servers.into_iter().collect();
        explained.elsewhere = elsewhere;
    }
    explained
}

fn walk(
    document: &DynamicConfig,
    name: &Name,
    depth: usize,
    servers: &mut BTreeSet<Name>,
    elsewhere: &mut Option<Name>,
) {
    if depth == 0 {
        return;
    }
    match document.http.services.get(name) {
        Some(Service::LoadBalancer(balancer)) => {
            servers.extend(balancer.servers.iter().map(|server| Name::clone(&server.url)));
        }
        Some(Service::Weighted(weighted)) => {
            for service in &weighted.services {
                walk(document, &service.name, depth - 1, servers, elsewhere);
            }
        }
        Some(Service::Failover(failover)) => {
            for service in [&failover.service, &failover.fallback] {
                walk(document, service, depth - 1, servers, elsewhere);
            }
        }
        None => *elsewhere = Some(Name::clone(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> DynamicConfig {
        serde_json::from_value(serde_json::json!({ "http": {
            "routers": {
                "wide": { "entryPoints": ["web"], "service": "both", "rule": "PathPrefix(`/`)", "priority": 1 },
                "app": { "entryPoints": ["web"], "service": "both", "rule": "Host(`app.example.org`)", "priority": 24 },
                "away": { "entryPoints": ["web"], "service": "api@file", "rule": "Host(`away.example.org`)",
                    "priority": 25 },
            },
            "services": {
                "both": { "weighted": { "services": [
                    { "name": "pair", "weight": 1 }, { "name": "one", "weight": 1 } ] } },
                "pair": { "failover": { "service": "one", "fallback": "two",
                    "errors": { "status": ["502-504"], "maxRequestBodyBytes": 1 } } },
                "one": { "loadBalancer": { "servers": [{ "url": "http://192.0.2.1:1" }] } },
                "two": { "loadBalancer": { "servers": [{ "url": "http://192.0.2.2:2" }] } },
            },
        } }))
        .unwrap()
    }

    fn of(host: &str) -> Explained {
        let request = Request {
            host: host.to_owned(),
            path: "/".to_owned(),
            method: "GET".to_owned(),
            ..Request::default()
        };
        explain(&document(), &request)
    }

    #[test]
    fn the_highest_priority_wins_and_every_server_behind_it_is_told_once() {
        let explained = of("app.example.org");
        let names: Vec<&str> = explained.routers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["app", "wide"]);
        assert_eq!(
            explained.servers.iter().map(|url| &**url).collect::<Vec<_>>(),
            ["http://192.0.2.1:1", "http://192.0.2.2:2"]
        );
    }

    #[test]
    fn a_service_of_another_provider_is_named_and_not_followed() {
        let explained = of("away.example.org");
        assert_eq!((explained.servers.len(), explained.elsewhere.as_deref()), (0, Some("api@file")));
    }
}
