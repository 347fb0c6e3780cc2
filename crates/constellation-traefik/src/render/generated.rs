//! `<service>.<domain>` and `<service>.<node>.<domain>`, which nobody has to write.

use std::sync::Arc;

use constellation_core::{DomainName, NodeName, RouteSet};

use super::{
    Balancer, Placed, Rendering, RouteProblemKind,
    balance::{Lead, balance_node},
    claims::Label,
    routers::Route,
};
use crate::{
    document::{Name, Names, Tls},
    names,
};

/// The longest host name that DNS has, in bytes.
const HOST_BYTES_MAX: usize = 253;

impl Rendering {
    /// Makes the generated routes of a service, where there is a domain and the service has not declined.
    pub(super) fn generate(&mut self, placed: &Placed<'_>) {
        let Some(domain) = self.config.domain.clone() else { return };
        let service = placed.service;
        let Some(name) = &service.routes.generated else { return };
        let Some(balancer) = placed.balancer(name.as_str()) else { return };
        let guards = guards(service.routes, name.as_str());
        let Some(middlewares) = guards.and_then(|guards| self.middlewares.through(guards).ok()) else {
            let text = "its routers are guarded in ways that a generated route could not be; no route is generated \
                        (constellation.generated-routes=false says that none is wanted)";
            let about = format!("host `{}.{domain}`", service.id.host_label());
            self.problem(service.id, RouteProblemKind::Withheld, about, text.to_owned());
            return;
        };
        let label = service.id.host_label();
        let claim = self.claims.label(&label);
        let hosts = Hosts { placed, label: &label, claim, middlewares: &middlewares };
        self.host(&hosts, None, |_| balancer.lead.clone());
        let mut nodes: Vec<&NodeName> =
            service.candidates.iter().map(|candidate| &candidate.node.name).collect();
        nodes.dedup();
        for node in nodes {
            self.host(&hosts, Some(node), |this| Lead::One {
                service: this.on_node(name.as_str(), balancer, node),
                retry: false,
            });
        }
    }

    /// The load balancer over one node's servers: nobody who asks for a node wants the answer of another.
    fn on_node(&mut self, name: &str, balancer: &Balancer<'_>, node: &NodeName) -> Name {
        let mut there = balancer.targets.serving().iter().filter(|target| target.node == node);
        let alone = there.next().is_some() && there.next().is_none();
        if alone && matches!(balancer.lead, Lead::ByMethod { .. }) {
            // Already made, as half of a failover pair.
            return self.made.node_name(name, node);
        }
        // From all servers, so that a cordoned node still answers to its name.
        let targets: Vec<_> =
            balancer.targets.all.iter().filter(|target| target.node == node).cloned().collect();
        balance_node(&mut self.made, name, node, balancer.spec, &targets, &self.config)
    }

    fn host(&mut self, hosts: &Hosts<'_>, node: Option<&NodeName>, lead: impl FnOnce(&mut Self) -> Lead) {
        let Hosts { placed, label, claim, middlewares } = *hosts;
        let service = placed.service.id;
        let domain = self.config.domain.clone();
        let domain = domain.as_ref().map_or("", DomainName::as_str);
        let (node_name, dot) = node.map_or(("", ""), |node| (node.as_str(), "."));
        let host = |before, after| [before, label, ".", node_name, dot, domain, after];
        let rule = host("Host(`", "`)").concat();
        // The parts are names already; only the whole may be too long, or the label empty.
        if rule.len() > HOST_BYTES_MAX + "Host(``)".len() || label.is_empty() {
            let text = "this is no host name that DNS can have; no route is generated".to_owned();
            self.problem(service, RouteProblemKind::Invalid, host("host `", "`").concat(), text);
            return;
        }
        if let Err(holder) = self.claims.host(claim, node, service) {
            let text = format!("the older service {holder} is served under this name; no route is generated");
            self.problem(service, RouteProblemKind::Contested, host("host `", "`").concat(), text);
            return;
        }
        if self.claims.is_written(&rule, service) {
            return;
        }
        let lead = lead(self);
        let cert_resolver = self.config.cert_resolver.clone();
        let route = Route {
            name: self.made.name(&host(names::GENERATED, "")),
            alternatives: false,
            // As Traefik has it for a rule of this length: what is more specific goes first, as with labels.
            priority: i64::try_from(rule.len()).unwrap_or(1),
            rule,
            entry_points: Arc::clone(&self.entry_points),
            middlewares: Arc::clone(middlewares),
            tls: cert_resolver
                .map(|resolver| Box::new(Tls { cert_resolver: Some(resolver), ..Tls::default() })),
            observability: None,
        };
        if !self.tls_entry_points.is_empty() {
            let secure = Route {
                name: self.made.name(&[&route.name, names::TLS]),
                rule: route.rule.clone(),
                entry_points: Arc::clone(&self.tls_entry_points),
                middlewares: Arc::clone(middlewares),
                tls: Some(Box::default()),
                observability: None,
                ..route
            };
            self.push(secure, &lead);
        }
        self.push(route, &lead);
    }
}

/// What the generated routes of one service share.
struct Hosts<'h> {
    placed: &'h Placed<'h>,
    label: &'h str,
    /// The label among the claims.
    claim: Label,
    middlewares: &'h Names,
}

/// What a generated route must pass through: what every router to the same load balancer passes through. A route that
/// nobody wrote must not open what the written ones guard. `None` where they differ in it, where TLS options ask for
/// more, or where a rule admits some clients alone.
fn guards<'r>(routes: &'r RouteSet, service: &str) -> Option<&'r [String]> {
    let mut routers = routes.routers.values().filter(|router| router.service == service).peekable();
    let Some(first) = routers.peek().copied() else { return Some(&[]) };
    let agree = routers.all(|router| {
        let rule = router.rule.to_ascii_lowercase();
        router.middlewares == first.middlewares
            && router.tls.as_ref().is_none_or(|tls| tls.options.is_none())
            && !["clientip", "header"].iter().any(|matcher| rule.contains(matcher))
    });
    agree.then_some(first.middlewares.as_slice())
}
