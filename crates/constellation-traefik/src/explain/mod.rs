//! Which router takes a request, and where it leads: for people who wonder.

use std::{collections::BTreeSet, fmt};

use constellation_core::{ClusterView, Health, InstanceId, NodeName, ServiceId};
use constellation_rules::{Request, parse_generated};

mod l4;

pub use self::l4::{L4Explained, L4Taker, L4Traffic, explain_l4};
pub use crate::render::Out;
use crate::{
    document::{DynamicConfig, Name, Router, Service},
    names,
    render::{self, Candidate, Gathered},
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
    /// It is out: its node is cordoned, and others have the service.
    Cordoned,
    /// It is out: its node is leaving, and others have the service.
    Leaving,
    /// It is out although it is well, and so is its node.
    Out(Out),
    /// It is out: the router asks for another node, or the document is a moment behind.
    NotMeant,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "it is well, and so is its node",
            Self::OnlyCordoned => "its node is cordoned, and no other node has it",
            Self::OnlyLeaving => "its node is leaving, and no other node has it",
            Self::Kept => "it should be out; removing it is held back, or is a moment away",
            Self::NodeLost => "its node is out of sight",
            Self::Unhealthy => "it is not healthy",
            Self::Cordoned => "its node is cordoned, and other nodes have it",
            Self::Leaving => "its node is leaving, and other nodes have it",
            Self::Out(out) => return out.fmt(f),
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
    let owner = render::owner(view, balancer, |routes| &routes.services);
    let Some((service, name, spec)) = owner else { return Vec::new() };
    standings(&service, servers, |candidate| {
        let (reached, own) = service.reached(candidate, name, spec);
        reached.map(|reached| reached.to_string()).ok_or(Out::Unreachable(own.port))
    })
}

/// How the instances of a service stand to the servers behind a router; `server` says what each would be called there.
fn standings<'a>(
    service: &Gathered<'a>,
    servers: &BTreeSet<Name>,
    server: impl Fn(&Candidate<'a>) -> Result<String, Out>,
) -> Vec<Backend> {
    let mut backends: Vec<Backend> = service
        .candidates
        .iter()
        .map(|candidate| {
            let server = server(candidate);
            let served = server.as_ref().ok().and_then(|server| servers.get(server.as_str())).cloned();
            Backend {
                service: service.id.clone(),
                node: candidate.node.name.clone(),
                instance: candidate.instance.id.clone(),
                health: candidate.instance.health,
                standing: standing(candidate, server.err(), served.is_some()),
                server: served,
            }
        })
        .collect();
    // Stable: in the order of their nodes otherwise.
    backends.sort_by_key(|backend| backend.server.is_none());
    backends
}

fn standing(candidate: &Candidate<'_>, out: Option<Out>, served: bool) -> Standing {
    let facts = &candidate.node.facts;
    match (served, out) {
        (true, _) if !candidate.routable => Standing::Kept,
        (true, _) if facts.leaving => Standing::OnlyLeaving,
        (true, _) if facts.cordoned => Standing::OnlyCordoned,
        (true, _) => Standing::Well,
        (false, _) if !candidate.live => Standing::NodeLost,
        (false, _) if !candidate.routable => Standing::Unhealthy,
        (false, Some(out)) => Standing::Out(out),
        (false, None) if facts.leaving => Standing::Leaving,
        (false, None) if facts.cordoned => Standing::Cordoned,
        (false, None) => Standing::NotMeant,
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
