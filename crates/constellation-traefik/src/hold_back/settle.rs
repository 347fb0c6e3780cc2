//! What is served when one document is to follow another on doubtful evidence.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use constellation_core::{Evidence, Governor, Verdict};

use super::{
    Held, HeldReason,
    l4::{self, Doomed},
};
use crate::{
    document::{DynamicConfig, Http, LoadBalancer, Name, Router, ServerUrl, Service, Shared},
    names::{self, family, other_half},
};

/// What is known about how far to trust the next document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What this node sees of its peers.
    pub evidence: Evidence,
    /// The addresses of this node: what it says of servers there is certain.
    pub own: BTreeSet<IpAddr>,
    /// Whether the agent has just started: then nothing is taken away yet, be it little or its own.
    pub starting: bool,
}

/// The document to serve after `previous` when the cluster now renders to `next`, and what of it is held back.
///
/// Pure. Where nothing is held back, the result is `next`. Where something is:
///
/// - A router that still leads to a server leads only to what `next` says.
/// - A router that would vanish or be left without servers keeps its last ones, except those of this node.
/// - A router that rivals one of `next` is not kept.
pub fn settle(
    previous: &DynamicConfig,
    next: Arc<DynamicConfig>,
    situation: &Situation,
    governor: &Governor,
) -> (Arc<DynamicConfig>, Option<Held>) {
    if !situation.starting && !situation.evidence.looks_cut_off() {
        return (next, None);
    }
    let doomed = doomed_families(&previous.http, &next.http, situation);
    let below_http = Doomed::of(previous, &next, situation);
    let count = doomed.len() + below_http.count();
    if count == 0 {
        return (next, None);
    }
    let reason = if situation.starting {
        HeldReason::Starting
    } else {
        match judge(previous, &next, count, situation, governor) {
            Verdict::Apply => return (next, None),
            Verdict::Hold { evidence, .. } => HeldReason::cut_off(evidence),
        }
    };
    let grounds = Grounds::of(&next.http);
    let kept: Vec<(&str, Members<'_>)> = doomed
        .into_iter()
        .map(|family| (family, members(&previous.http, family)))
        .filter(|(family, members)| !members.iter().any(|(_, router)| grounds.rival(family, router)))
        .collect();
    drop(grounds);
    let mut routers = kept.len();
    let mut settled = Arc::unwrap_or_clone(next);
    for (family, members) in kept {
        keep(&previous.http, &mut settled.http, family, members, situation);
    }
    routers += below_http.keep(previous, &mut settled, situation);
    (Arc::new(settled), (routers > 0).then_some(Held { routers, reason }))
}

fn judge(
    previous: &DynamicConfig,
    next: &DynamicConfig,
    doomed: usize,
    situation: &Situation,
    governor: &Governor,
) -> Verdict {
    let foreign = |document: &DynamicConfig| -> BTreeSet<String> {
        let urls = document.server_urls().into_iter().filter(|url| !situation.is_certain(url));
        let below_http = document.l4_servers().filter(|(_, address)| !l4::is_certain(address, situation));
        let below_http = below_http.map(|(protocol, address)| format!("{protocol}://{address}"));
        urls.map(str::to_owned).chain(below_http).collect()
    };
    let (before, after) = (foreign(previous), foreign(next));
    let by_servers = governor.judge(before.difference(&after).count(), before.len(), situation.evidence);
    if by_servers != Verdict::Apply {
        return by_servers;
    }
    let families = families(&previous.http);
    let leading = families.into_iter().filter(|family| reaches(&previous.http, family, |_| true)).count();
    governor.judge(doomed, leading + l4::leading(previous), situation.evidence)
}

impl Situation {
    /// Whether this node knows for itself how the server is.
    fn is_certain(&self, url: &str) -> bool {
        self.is_certain_at(address_of(url))
    }

    /// The same by its address; it does not of one that has a name.
    pub(super) fn is_certain_at(&self, address: Option<SocketAddr>) -> bool {
        !self.starting && address.is_some_and(|address| self.own.contains(&address.ip()))
    }
}

/// The address in a server's URL.
pub(super) fn address_of(url: &str) -> Option<SocketAddr> {
    ServerUrl::parse(url)?.address
}

/// What the routers of a document are parts of: one whose methods are kept apart is two in the document.
fn families(http: &Http) -> BTreeSet<&str> {
    http.routers.keys().map(|name| family(name)).collect()
}

/// The routers that lead to a server that is not certain, and would lead to none.
fn doomed_families<'p>(previous: &'p Http, next: &Http, situation: &Situation) -> Vec<&'p str> {
    let doubtful = |url: &str| !situation.is_certain(url);
    families(previous)
        .into_iter()
        .filter(|family| reaches(previous, family, doubtful) && !reaches(next, family, |_| true))
        .collect()
}

/// Routers by name.
type Members<'h> = Vec<(&'h Name, &'h Shared<Router>)>;

/// The routers of a family.
fn members<'h>(http: &'h Http, family: &str) -> Members<'h> {
    let other = other_half(family);
    [family, &other].into_iter().filter_map(|name| http.routers.get_key_value(name)).collect()
}

/// Whether any router of a family leads to a server that counts.
fn reaches(http: &Http, family: &str, counts: impl Fn(&str) -> bool) -> bool {
    let routers = members(http, family).into_iter();
    routers
        .flat_map(|(_, router)| closure(http, &router.service))
        // Our own proxy is always there; what counts is whom it can ask.
        .filter(|(name, _)| !name.ends_with(names::PROXY))
        .any(|(_, service)| service.as_load_balancer().is_some_and(|balancer| balancer.urls().any(&counts)))
}

/// Takes out of an earlier document the routers that lead to a server in a later one: from then on that one knows better.
pub(super) fn forget_what_lives(earlier: &mut DynamicConfig, later: &DynamicConfig) {
    earlier.http.routers.retain(|name, _| !reaches(&later.http, family(name), |_| true));
    l4::forget_what_lives(earlier, later);
}

/// A service and all that it refers to. References lead at most two levels down; see the document's validation.
fn closure<'h>(http: &'h Http, service: &str) -> Vec<(&'h Name, &'h Shared<Service>)> {
    let behind_proxy =
        service.strip_suffix(names::PROXY).and_then(|plain| http.services.get_key_value(plain));
    let mut found: Vec<(&Name, &Shared<Service>)> =
        http.services.get_key_value(service).into_iter().chain(behind_proxy).collect();
    let mut next = 0;
    while let Some((_, service)) = found.get(next) {
        next += 1;
        for reference in service.references() {
            let known = found.iter().any(|(name, _)| *name == reference);
            if let Some(entry) = http.services.get_key_value(reference).filter(|_| !known) {
                found.push(entry);
            }
        }
    }
    found
}

/// Brings a family of routers over from the previous document, with all that it needs.
fn keep(previous: &Http, settled: &mut Http, family: &str, members: Members<'_>, situation: &Situation) {
    settled.routers.remove(family);
    settled.routers.remove(other_half(family).as_str());
    for (name, router) in members {
        for middleware in router.middlewares.iter() {
            keep_middleware(previous, settled, middleware, situation);
        }
        for (name, service) in closure(previous, &router.service) {
            keep_service(previous, settled, name, service, situation);
        }
        settled.routers.insert(name.clone(), router.clone());
    }
}

/// Brings a middleware over with what it is a chain of and whom it asks, unless the next document has one of this name.
fn keep_middleware(previous: &Http, settled: &mut Http, name: &str, situation: &Situation) {
    let Some((name, middleware)) = previous.middlewares.get_key_value(name) else { return };
    if settled.middlewares.contains_key(name) {
        return;
    }
    // Before its parts, so that a chain of itself ends.
    settled.middlewares.insert(name.clone(), middleware.clone());
    for part in middleware.parts() {
        keep_middleware(previous, settled, part, situation);
    }
    for (name, service) in middleware.service().map(|asked| closure(previous, asked)).into_iter().flatten() {
        keep_service(previous, settled, name, service, situation);
    }
}

/// Brings a service over, unless the next document has servers for it.
fn keep_service(
    previous: &Http,
    settled: &mut Http,
    name: &Name,
    service: &Shared<Service>,
    situation: &Situation,
) {
    let empty = |balancer: &LoadBalancer| balancer.servers.is_empty();
    if settled.services.get(name).is_some_and(|service| !service.as_load_balancer().is_some_and(empty)) {
        return;
    }
    let mut kept = service.clone();
    if let Service::LoadBalancer(balancer) = &mut *kept {
        balancer.servers.retain(|server| !situation.is_certain(&server.url));
        if let Some(transport) = &balancer.servers_transport
            && let Some((name, transport)) = previous.servers_transports.get_key_value(transport)
        {
            settled.servers_transports.entry(name.clone()).or_insert_with(|| transport.clone());
        }
    }
    settled.services.insert(name.clone(), kept);
}

/// A rule with a priority on an entry point: of two routers there, Traefik could not say which takes a request.
type Ground<'h> = (&'h str, i64, bool, &'h str);

/// Which family has which ground.
struct Grounds<'h>(HashMap<Ground<'h>, &'h str>);

impl<'h> Grounds<'h> {
    fn of(http: &'h Http) -> Self {
        let routers = http.routers.iter();
        Self(
            routers.flat_map(|(name, router)| grounds(router).map(|ground| (ground, family(name)))).collect(),
        )
    }

    /// Whether another family has ground that this router would need.
    fn rival(&self, family: &str, router: &Router) -> bool {
        grounds(router).any(|ground| self.0.get(&ground).is_some_and(|holder| *holder != family))
    }
}

fn grounds(router: &Router) -> impl Iterator<Item = Ground<'_>> {
    let ground = |entry_point| (router.rule.as_str(), router.priority, router.tls.is_some(), entry_point);
    router.entry_points.iter().map(move |entry_point| ground(entry_point.as_ref()))
}
