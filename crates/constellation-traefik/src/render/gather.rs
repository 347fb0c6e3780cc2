//! Brings the instances of each service together, whichever node they are on.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use constellation_core::{
    ClusterView, Instance, NodeName, RouteName, RouteSet, ServiceId, WallTime,
    route::{HttpService, Scheme},
    view::{Member, NodeView},
};

use crate::document::ServerUrl;

/// An instance that takes part in routing, or did when its node was last heard of.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) node: &'a NodeView,
    pub(crate) instance: &'a Instance,
    pub(crate) live: bool,
    pub(crate) routable: bool,
}

impl<'a> Candidate<'a> {
    fn of(member: &'a Member, instance: &'a Instance) -> Self {
        let node: &NodeView = &member.node;
        let routable = member.live && instance.health.is_routable();
        Self { node, instance, live: member.live, routable }
    }
}

/// Where an instance is reached by HTTP; printed, it is a URL.
pub(crate) enum Reached<'a> {
    /// Where its label says.
    Written(&'a str),
    /// At its port.
    At(Scheme, SocketAddr),
}

impl fmt::Display for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(url) => f.write_str(url),
            Self::At(scheme, address) => write!(f, "{}://{address}", scheme.as_str()),
        }
    }
}

/// A service with the routes that count and all of its instances, by node and id.
pub(crate) struct Gathered<'a> {
    pub(crate) id: &'a ServiceId,
    pub(super) routes: &'a Arc<RouteSet>,
    pub(crate) candidates: Vec<Candidate<'a>>,
    /// The instance whose routes count.
    routes_from: &'a Instance,
    /// Services with a live instance before those without, then the older: the order in which they claim names.
    rank: (bool, WallTime),
}

impl<'a> Gathered<'a> {
    fn new(id: &'a ServiceId, candidates: Vec<Candidate<'a>>) -> Option<Self> {
        let (routes_from, routes) = counting_routes(&candidates)?;
        let live = candidates.iter().any(|candidate| candidate.live);
        let counted = candidates.iter().filter(|candidate| candidate.live == live);
        let oldest = counted.map(|candidate| candidate.instance.since).min().unwrap_or_default();
        Some(Self { id, routes, candidates, routes_from, rank: (!live, oldest) })
    }

    /// Services with a live instance before those without, then the older.
    pub(super) const fn rank(&self) -> (bool, WallTime) {
        self.rank
    }

    /// The nodes that it is on, by name.
    pub(super) fn nodes(&self) -> Vec<NodeName> {
        let mut nodes: Vec<NodeName> =
            self.candidates.iter().map(|candidate| candidate.node.name.clone()).collect();
        nodes.dedup();
        nodes
    }

    /// What an instance says of what the service calls `name`. While a service is being replaced its instances may differ in the
    /// port, so each is reached at its own.
    pub(crate) fn own<S>(
        &self,
        candidate: &Candidate<'a>,
        name: &RouteName,
        of_service: &'a S,
        among: impl Fn(&RouteSet) -> &BTreeMap<RouteName, S>,
    ) -> &'a S {
        self.own_routes(candidate).and_then(|own| among(own).get(name)).unwrap_or(of_service)
    }

    /// Where an instance serves it by HTTP, if other nodes reach it, and what it says of it.
    pub(crate) fn reached(
        &self,
        candidate: &Candidate<'a>,
        name: &RouteName,
        of_service: &'a HttpService,
    ) -> (Option<Reached<'a>>, &'a HttpService) {
        let own = self.own(candidate, name, of_service, |routes| &routes.services);
        let written = own.url.as_deref().filter(|url| ServerUrl::parse(url).is_some()).map(Reached::Written);
        let at_port = || Some(Reached::At(own.scheme, candidate.instance.tcp(own.port)?));
        (written.or_else(at_port), own)
    }

    /// What an instance's own labels say, where that is not what counts.
    fn own_routes(&self, candidate: &Candidate<'a>) -> Option<&'a RouteSet> {
        let differs = candidate.instance.routes != self.routes_from.routes;
        if differs { candidate.node.routes_of(candidate.instance).map(AsRef::as_ref) } else { None }
    }
}

/// Every service that has routes, in the order in which they claim names.
pub(super) fn gather(view: &ClusterView) -> Vec<Gathered<'_>> {
    gather_those(view, |_| true)
}

/// Of the services that have routes those that are wanted, in the order in which they claim names.
pub(super) fn gather_those(view: &ClusterView, wanted: impl Fn(&ServiceId) -> bool) -> Vec<Gathered<'_>> {
    // Most services run on several nodes, so the largest node knows nearly as many as there are.
    let room = view.members().map(|member| member.node.instances.len()).max().unwrap_or_default();
    let mut by_service: HashMap<&ServiceId, Vec<Candidate<'_>>> = HashMap::with_capacity(room);
    for member in view.members() {
        let routed = member.node.instances.values().filter(|instance| instance.routes.is_some());
        for instance in routed.filter(|instance| wanted(&instance.service)) {
            by_service.entry(&instance.service).or_default().push(Candidate::of(member, instance));
        }
    }
    let mut services: Vec<Gathered<'_>> =
        by_service.into_iter().filter_map(|(id, candidates)| Gathered::new(id, candidates)).collect();
    services.sort_unstable_by_key(|service| (service.rank, service.id));
    services
}

/// The service that a load balancer of this name is of, with its definition: the first that claims it, as in a rendering.
pub(crate) fn owner<'a, S: 'a>(
    view: &'a ClusterView,
    balancer: &str,
    among: impl Fn(&'a RouteSet) -> &'a BTreeMap<RouteName, S>,
) -> Option<(Gathered<'a>, &'a RouteName, &'a S)> {
    gather(view).into_iter().find_map(|service| {
        let (name, spec) = among(service.routes).iter().find(|(name, _)| name.as_str() == balancer)?;
        Some((service, name, spec))
    })
}

/// The routes of the newest instance that may be sent traffic; where there is none, of the newest that is alive; where
/// there is none either, of the newest that was.
fn counting_routes<'a>(candidates: &[Candidate<'a>]) -> Option<(&'a Instance, &'a Arc<RouteSet>)> {
    let mut newest: Vec<&Candidate<'a>> = candidates.iter().collect();
    newest.sort_unstable_by_key(|candidate| {
        let Candidate { node, instance, live, routable } = **candidate;
        Reverse((routable, live, instance.since, &node.name, &instance.id))
    });
    newest
        .into_iter()
        .find_map(|candidate| Some((candidate.instance, candidate.node.routes_of(candidate.instance)?)))
}
