//! Brings the instances of each service together, whichever node they are on.

use std::{cmp::Reverse, collections::HashMap, net::SocketAddr, sync::Arc};

use constellation_core::{
    ClusterView, Instance, NodeName, RouteName, RouteSet, ServiceId, WallTime,
    route::{HttpService, TcpService},
    view::{Member, NodeView},
};

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

    /// Where an instance serves what the service calls `name`, and what it says of it. While a service is being replaced
    /// its instances may differ in the port, so each is reached at its own.
    pub(crate) fn address(
        &self,
        candidate: &Candidate<'a>,
        name: &RouteName,
        of_service: &'a HttpService,
    ) -> (Option<SocketAddr>, &'a HttpService) {
        let own = self.own_routes(candidate).and_then(|own| own.services.get(name)).unwrap_or(of_service);
        (candidate.instance.tcp(own.port), own)
    }

    /// The same for a TCP service.
    pub(crate) fn tcp_address(
        &self,
        candidate: &Candidate<'a>,
        name: &RouteName,
        of_service: &'a TcpService,
    ) -> (Option<SocketAddr>, &'a TcpService) {
        let own = self.own_routes(candidate).and_then(|own| own.tcp.services.get(name)).unwrap_or(of_service);
        (candidate.instance.tcp(own.port), own)
    }

    /// The same for a UDP service, of which nothing is said but the port.
    pub(crate) fn udp_address(
        &self,
        candidate: &Candidate<'a>,
        name: &RouteName,
        of_service: u16,
    ) -> (Option<SocketAddr>, u16) {
        let own = self.own_routes(candidate).and_then(|own| own.udp.services.get(name)).copied();
        let port = own.unwrap_or(of_service);
        (candidate.instance.udp(port), port)
    }

    /// What an instance's own labels say, where that is not what counts.
    fn own_routes(&self, candidate: &Candidate<'a>) -> Option<&'a Arc<RouteSet>> {
        let differs = candidate.instance.routes != self.routes_from.routes;
        if differs { candidate.node.routes_of(candidate.instance) } else { None }
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
pub(crate) fn owner<'a>(
    view: &'a ClusterView,
    balancer: &str,
) -> Option<(Gathered<'a>, &'a RouteName, &'a HttpService)> {
    gather(view).into_iter().find_map(|service| {
        let (name, spec) = service.routes.services.iter().find(|(name, _)| name.as_str() == balancer)?;
        Some((service, name, spec))
    })
}

/// The same for a TCP service.
pub(crate) fn tcp_owner<'a>(
    view: &'a ClusterView,
    balancer: &str,
) -> Option<(Gathered<'a>, &'a RouteName, &'a TcpService)> {
    gather(view).into_iter().find_map(|service| {
        let (name, spec) = service.routes.tcp.services.iter().find(|(name, _)| name.as_str() == balancer)?;
        Some((service, name, spec))
    })
}

/// The same for a UDP service.
pub(crate) fn udp_owner<'a>(
    view: &'a ClusterView,
    balancer: &str,
) -> Option<(Gathered<'a>, &'a RouteName, u16)> {
    gather(view).into_iter().find_map(|service| {
        let (name, port) = service.routes.udp.services.iter().find(|(name, _)| name.as_str() == balancer)?;
        Some((service, name, *port))
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
