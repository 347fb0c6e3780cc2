//! `<service>.<domain>` and `<service>.<node>.<domain>`, which nobody has to write.

use std::sync::Arc;

use constellation_core::{DomainName, NodeName, RouteSet};

use super::{
    Balancer, Placed, Rendering, RouteProblemKind,
    balance::{Lead, balance_node, node_name},
    is_foreign,
    routers::Route,
};
use crate::document::{Name, Names, Tls};

/// The longest host name that DNS has, in bytes.
const HOST_BYTES_MAX: usize = 253;

impl<'a> Rendering<'a> {
    /// Makes the generated routes of a service, where there is a domain and the service has not declined.
    pub(super) fn generate(&mut self, placed: &Placed<'a>) {
        let Some(domain) = &self.config.domain else { return };
        let service = placed.service;
        let Some(name) = &service.routes.generated else { return };
        let Some(balancer) = placed.balancers.get(name) else { return };
        let Some(middlewares) = guards(service.routes, name.as_str()) else {
            let text = "its routers have different middlewares, and which of them should guard a generated route is not \
                        known; no route is generated (constellation.generated-routes=false says that none is wanted)";
            let about = format!("host `{}.{domain}`", service.id.host_label());
            self.problem(service.id, RouteProblemKind::Withheld, about, text.to_owned());
            return;
        };
        let label = service.id.host_label();
        self.host(placed, &label, None, &middlewares, |_| balancer.lead.clone());
        let mut nodes: Vec<&'a NodeName> =
            service.candidates.iter().map(|candidate| &candidate.node.name).collect();
        nodes.dedup();
        for node in nodes {
            self.host(placed, &label, Some(node), &middlewares, |this| Lead::One {
                service: this.on_node(name.as_str(), balancer, node),
                retry: false,
            });
        }
    }

    /// The load balancer over one node's servers: nobody who asks for a node wants the answer of another.
    fn on_node(&mut self, name: &str, balancer: &Balancer<'a>, node: &NodeName) -> Name {
        let mut there = balancer.serving.iter().filter(|target| target.node == node);
        let alone = there.next().is_some() && there.next().is_none();
        if alone && matches!(balancer.lead, Lead::ByMethod { .. }) {
            // Already made, as half of a failover pair.
            return node_name(name, node);
        }
        // From all servers, so that a cordoned node still answers to its name.
        let targets: Vec<_> = balancer.all.iter().filter(|target| target.node == node).cloned().collect();
        balance_node(&mut self.made, name, node, balancer.spec, &targets, self.config)
    }

    fn host(
        &mut self,
        placed: &Placed<'a>,
        label: &str,
        node: Option<&'a NodeName>,
        middlewares: &Names,
        lead: impl FnOnce(&mut Self) -> Lead,
    ) {
        let service = placed.service.id;
        let domain = self.config.domain.as_ref().map_or("", DomainName::as_str);
        let host = match node {
            None => [label, ".", domain].concat(),
            Some(node) => [label, ".", node.as_str(), ".", domain].concat(),
        };
        // The parts are names already; only the whole may be too long, or the label empty.
        if host.len() > HOST_BYTES_MAX || host.starts_with('.') {
            let text = "this is no host name that DNS can have; no route is generated".to_owned();
            self.problem(service, RouteProblemKind::Invalid, format!("host `{host}`"), text);
            return;
        }
        if let Err(holder) = self.claims.host(label, node, service) {
            let text = format!("the older service {holder} is served under this name; no route is generated");
            self.problem(service, RouteProblemKind::Contested, format!("host `{host}`"), text);
            return;
        }
        let rule = ["Host(`", &host, "`)"].concat();
        if self.claims.is_written(&rule) {
            return;
        }
        let lead = lead(self);
        let cert_resolver = self.config.cert_resolver.clone();
        let route = Route {
            name: &["generated~", &host].concat(),
            alternatives: false,
            // As Traefik has it for a rule of this length: what is more specific goes first, as with labels.
            priority: i64::try_from(rule.len()).unwrap_or(1),
            rule,
            entry_points: Arc::clone(&self.entry_points),
            middlewares: Arc::clone(middlewares),
            tls: cert_resolver.map(|resolver| Box::new(Tls { cert_resolver: Some(resolver), options: None })),
        };
        self.push(route, &lead);
    }
}

/// What a generated route must pass through: what every router to the same load balancer passes through. A route that
/// nobody wrote must not open what the written ones guard. `None` where they differ, or where TLS options ask for more.
fn guards(routes: &RouteSet, service: &str) -> Option<Names> {
    let mut routers = routes.routers.values().filter(|router| router.service == service);
    let Some(first) = routers.next() else { return Some([].into()) };
    let plain_tls = |tls: &Option<_>| {
        tls.as_ref().is_none_or(|tls: &constellation_core::route::RouterTls| tls.options.is_none())
    };
    let agree = plain_tls(&first.tls)
        && first.middlewares.iter().all(|name| is_foreign(name))
        && routers.all(|other| other.middlewares == first.middlewares && plain_tls(&other.tls));
    agree.then(|| first.middlewares.iter().map(|name| name.as_str().into()).collect())
}
