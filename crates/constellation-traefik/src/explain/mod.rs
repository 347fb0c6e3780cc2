//! Which router takes a request, and where it leads: for people who wonder.

use std::{collections::BTreeSet, fmt};

use constellation_core::{ClusterView, Health, InstanceId, NodeName, Role, ServiceId};
use constellation_rules::{Request, parse_generated};

mod l4;

pub use self::l4::{L4Explained, L4Taker, L4Traffic, explain_l4};
use crate::{
    document::{DynamicConfig, Name, Router, Service},
    names,
    render::{self, Candidate, Out},
};

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
    /// Every instance of the service behind the first, also of nodes that are out of sight; those that get requests first.
    pub backends: Vec<Backend>,
}

/// An instance of the service that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The service.
    pub service: ServiceId,
    /// Where it runs.
    pub node: NodeName,
    /// Which instance.
    pub instance: InstanceId,
    /// What is known of it, or was when its node was last heard of.
    pub health: Health,
    /// Its URL in the document; `None` where it gets no request.
    pub server: Option<Name>,
    /// Why it gets requests, or none.
    pub standing: Standing,
}

/// Why an instance gets requests, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in: it is well, and so is its node.
    Well,
    /// It is in although its node is cordoned: no other has the service.
    OnlyCordoned,
    /// It is in although its node is leaving: no other has the service.
    OnlyLeaving,
    /// It is in although it should be out: removing it is held back, or is a moment away.
    Kept,
    /// It is out: its node is not in sight.
    NodeLost,
    /// It is out: it is not healthy.
    Unhealthy,
    /// It is out: it has no address for this port that other nodes reach.
    Unreachable,
    /// It is out: its node is cordoned, and others have the service.
    Cordoned,
    /// It is out: its node is leaving, and others have the service.
    Leaving,
    /// It is out: it understands another PROXY protocol than the servers are greeted with.
    OtherGreeting,
    /// It is out: only those of this role get connections, and nobody knows its own.
    RoleUnknown(Role),
    /// It is out: it has another role than this one.
    OtherRole(Role),
    /// It is out: it is not the only one that says that it is the primary.
    SecondPrimary,
    /// It is out: the router asks for another node, or the document is a moment behind.
    NotMeant,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = match self {
            Self::OtherGreeting => Some(Out::Greeting),
            Self::RoleUnknown(role) => Some(Out::RoleUnknown(*role)),
            Self::OtherRole(role) => Some(Out::OtherRole(*role)),
            Self::SecondPrimary => Some(Out::SecondPrimary),
            _ => None,
        };
        if let Some(out) = out {
            return out.fmt(f);
        }
        f.write_str(match self {
            Self::Well => "it is well, and so is its node",
            Self::OnlyCordoned => "its node is cordoned, and no other node has it",
            Self::OnlyLeaving => "its node is leaving, and no other node has it",
            Self::Kept => "it should be out; removing it is held back, or is a moment away",
            Self::NodeLost => "its node is out of sight",
            Self::Unhealthy => "it is not healthy",
            Self::Unreachable => "its port has no address that other nodes reach",
            Self::Cordoned => "its node is cordoned, and other nodes have it",
            Self::Leaving => "its node is leaving, and other nodes have it",
            Self::OtherGreeting | Self::RoleUnknown(_) | Self::OtherRole(_) | Self::SecondPrimary => "",
            Self::NotMeant => "this router does not lead to it, or the document is a moment behind",
        })
    }
}

/// Asks a document, and the view for the instances behind it. Of two routers with the same priority the first by name is told
/// first. Every router counts whatever its entry points are: which of them a request comes in by is not asked.
pub fn explain(document: &DynamicConfig, view: &ClusterView, request: &Request) -> Explained {
    let takes = |router: &Router| parse_generated(&router.rule).is_ok_and(|rule| rule.matches(request));
    let routers = document.http.routers.iter().filter(|(_, router)| takes(router));
    let mut routers: Vec<(Name, Router)> =
        routers.map(|(name, router)| (Name::clone(name), Router::clone(router))).collect();
    routers.sort_by(|(a, one), (b, other)| other.priority.cmp(&one.priority).then_with(|| a.cmp(b)));
    let mut explained = Explained { routers, ..Explained::default() };
    if let Some((_, winner)) = explained.routers.first() {
        let mut servers = BTreeSet::new();
        let mut elsewhere = None;
        walk(document, &winner.service, DEPTH_MAX, &mut servers, &mut elsewhere);
        explained.backends = backends(view, names::base(&winner.service), &servers);
        explained.servers = servers.into_iter().collect();
        explained.elsewhere = elsewhere;
    }
    explained
}

fn backends(view: &ClusterView, balancer: &str, servers: &BTreeSet<Name>) -> Vec<Backend> {
    let Some((service, name, spec)) = render::owner(view, balancer) else { return Vec::new() };
    let mut backends: Vec<Backend> = service
        .candidates
        .iter()
        .map(|candidate| {
            let (address, own) = service.address(candidate, name, spec);
            let url = address.map(|address| format!("{}://{address}", own.scheme.as_str()));
            let server = url.as_deref().and_then(|url| servers.get(url)).cloned();
            Backend {
                service: service.id.clone(),
                node: candidate.node.name.clone(),
                instance: candidate.instance.id.clone(),
                health: candidate.instance.health,
                standing: standing(candidate, url.is_some(), server.is_some()),
                server,
            }
        })
        .collect();
    // Stable: in the order of their nodes otherwise.
    backends.sort_by_key(|backend| backend.server.is_none());
    backends
}

fn standing(candidate: &Candidate<'_>, reachable: bool, served: bool) -> Standing {
    let facts = &candidate.node.facts;
    match served {
        true if !candidate.routable => Standing::Kept,
        true if facts.leaving => Standing::OnlyLeaving,
        true if facts.cordoned => Standing::OnlyCordoned,
        true => Standing::Well,
        false if !candidate.live => Standing::NodeLost,
        false if !candidate.routable => Standing::Unhealthy,
        false if !reachable => Standing::Unreachable,
        false if facts.leaving => Standing::Leaving,
        false if facts.cordoned => Standing::Cordoned,
        false => Standing::NotMeant,
    }
}

fn walk(
    document: &DynamicConfig,
    name: &str,
    depth: usize,
    servers: &mut BTreeSet<Name>,
    elsewhere: &mut Option<Name>,
) {
    if depth == 0 {
        return;
    }
    // Behind our own proxy are the servers that it chooses from.
    let name = name.strip_suffix(names::PROXY).unwrap_or(name);
    match document.http.services.get(name).map(|service| &**service) {
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
        None => *elsewhere = Some(name.into()),
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
        explain(&document(), &ClusterView::empty("n1".parse().unwrap()), &request)
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
