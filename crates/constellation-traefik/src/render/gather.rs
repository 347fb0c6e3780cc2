//! Brings the instances of each service together, whichever node they are on.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use constellation_core::{
    ClusterView, Instance, RouteName, RouteSet, ServiceId, WallTime,
    node::NodeFacts,
    route::HttpService,
    view::{Member, NodeView},
};

/// An instance that takes part in routing, or did when its node was last heard of.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) node: &'a NodeView,
    pub(super) instance: &'a Instance,
    pub(super) live: bool,
    pub(super) routable: bool,
    pub(super) routes: Option<&'a Arc<RouteSet>>,
}

impl<'a> Candidate<'a> {
    fn of(member: &'a Member, instance: &'a Instance) -> Self {
        let node: &NodeView = &member.node;
        let NodeFacts { leaving, .. } = node.facts;
        Self {
            node,
            instance,
            live: member.live,
            routable: member.live && !leaving && instance.health.is_routable(),
            routes: node.routes_of(instance),
        }
    }

    /// Where this instance serves what its service calls `name`. While a service is being replaced its instances may
    /// differ in the port, so each is reached at its own.
    pub(super) fn address(&self, name: &RouteName, of_service: &'a HttpService) -> (Option<SocketAddr>, &'a HttpService) {
        let own = self.routes.and_then(|routes| routes.services.get(name)).unwrap_or(of_service);
        (self.instance.tcp(own.port), own)
    }
}

/// A service with the routes that count and all of its instances, by node and id.
pub(super) struct Gathered<'a> {
    pub(super) id: &'a ServiceId,
    pub(super) routes: &'a Arc<RouteSet>,
    pub(super) candidates: Vec<Candidate<'a>>,
    /// Services with a live instance before those without, then the older: the order in which they claim names.
    rank: (bool, WallTime),
}

/// Every service that has routes, in the order in which they claim names.
pub(super) fn gather(view: &ClusterView) -> Vec<Gathered<'_>> {
    let mut by_service: BTreeMap<&ServiceId, Vec<Candidate<'_>>> = BTreeMap::new();
    for member in view.members() {
        for instance in member.node.instances.values().filter(|instance| instance.routes.is_some()) {
            by_service.entry(&instance.service).or_default().push(Candidate::of(member, instance));
        }
    }
    let mut services: Vec<Gathered<'_>> = by_service
        .into_iter()
        .filter_map(|(id, candidates)| {
            let routes = counting_routes(&candidates)?;
            let live = candidates.iter().any(|candidate| candidate.live);
            let counted = candidates.iter().filter(|candidate| candidate.live == live);
            let oldest = counted.map(|candidate| candidate.instance.since).min().unwrap_or_default();
            Some(Gathered { id, routes, candidates, rank: (!live, oldest) })
        })
        .collect();
    // Stable, so that services of one age stay in the order of their names.
    services.sort_by_key(|service| service.rank);
    services
}

/// The routes of the newest instance that may be sent traffic; where there is none, of the newest that is alive; where
/// there is none either, of the newest that was.
fn counting_routes<'a>(candidates: &[Candidate<'a>]) -> Option<&'a Arc<RouteSet>> {
    let newest = candidates.iter().filter(|candidate| candidate.routes.is_some()).max_by_key(|candidate| {
        let Candidate { node, instance, live, routable, .. } = **candidate;
        (routable, live, instance.since, &node.name, &instance.id)
    });
    newest.and_then(|candidate| candidate.routes)
}
