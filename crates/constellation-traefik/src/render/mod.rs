//! The whole document from a view of the cluster. Pure: the same view and configuration give the same document.
//!
//! What counts, in short:
//!
//! - A service's instances on all nodes join in one load balancer, wherever their health is good. Nodes that are
//!   cordoned, or whose agent is on the way out, get requests only for what no other node has: an agent that stops does
//!   not stop its containers.
//! - A route stays while anything is known of its service, also of nodes that are lost, and answers 503 without servers:
//!   404 would say that there is no such thing.
//! - Of one service, the routes of its newest healthy instance count. Between services, the older keeps a name or a rule
//!   that both claim; the younger's is left out and said to be.
//! - Every router has a priority: the one of its label, else the length of its rule as Traefik has it. A generated route
//!   yields to any label with the same rule.
//!
//! How things are named is written down in `names.rs`.

mod balance;
mod changes;
mod claims;
mod config;
mod gather;
mod generated;
mod l4;
mod middlewares;
mod problem;
mod renderer;
mod routers;

use constellation_core::{ClusterView, RouteName, ServiceId, route::HttpService};

use self::{
    balance::{Fragment, Lead, Made, Target, balance},
    claims::Claims,
    middlewares::Middlewares,
};
pub use self::{
    config::RenderConfig,
    l4::Out,
    problem::{RouteProblem, RouteProblemKind},
    renderer::{Renderer, Update},
};
pub(crate) use self::{
    gather::{Candidate, Gathered, owner},
    l4::{tcp_priority, tcp_server, udp_server},
};
use crate::document::{DynamicConfig, Names};

/// What a view renders to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// What Traefik gets.
    pub document: DynamicConfig,
    /// What could not be served as it was asked for, sorted.
    pub problems: Vec<RouteProblem>,
}

/// Renders the routes of every service in the cluster. [`Renderer`] says the same of one view after another, in less time.
pub fn render(view: &ClusterView, config: &RenderConfig) -> Rendered {
    Renderer::new(config.clone()).whole(view)
}

/// A service with its load balancers made.
struct Placed<'a> {
    service: &'a Gathered<'a>,
    balancers: Vec<(&'a RouteName, Balancer<'a>)>,
}

impl<'a> Placed<'a> {
    fn balancer(&self, name: &str) -> Option<&Balancer<'a>> {
        self.balancers.iter().find(|(known, _)| known.as_str() == name).map(|(_, balancer)| balancer)
    }
}

/// One load balancer of a service.
struct Balancer<'a> {
    spec: &'a HttpService,
    lead: Lead,
    targets: Targets<'a>,
}

/// The servers of a load balancer that may be sent traffic, by node; those on cordoned and leaving nodes come last.
struct Targets<'a> {
    all: Vec<Target<'a>>,
    /// How many of them are: those on nodes that are neither cordoned nor leaving, or all where there are none such.
    serving: usize,
}

impl<'a> Targets<'a> {
    fn serving(&self) -> &[Target<'a>] {
        self.all.get(..self.serving).unwrap_or(&self.all)
    }
}

/// What is true of all services, and the one that it is the turn of.
struct Rendering {
    config: RenderConfig,
    entry_points: Names,
    tls_entry_points: Names,
    only_retry: Names,
    claims: Claims,
    middlewares: Middlewares,
    made: Made,
}

impl Rendering {
    fn new(config: RenderConfig, middlewares: Middlewares) -> Self {
        let mut entry_points: Names = config
            .entry_points
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| name.as_str().into())
            .collect();
        if entry_points.is_empty() {
            entry_points =
                RenderConfig::default().entry_points.iter().map(|name| name.as_str().into()).collect();
        }
        Self {
            entry_points,
            tls_entry_points: config.tls_entry_points.iter().map(|name| name.as_str().into()).collect(),
            only_retry: [Made::retry().0].into(),
            claims: Claims::default(),
            middlewares,
            made: Made::new(),
            config,
        }
    }

    /// What was made of the service that it was the turn of.
    fn take(&mut self) -> Fragment {
        std::mem::take(&mut self.made.fragment)
    }

    fn problem(&mut self, service: &ServiceId, kind: RouteProblemKind, about: String, text: String) {
        self.made.fragment.problems.push(RouteProblem { service: service.clone(), kind, about, text });
    }

    /// Makes a service's load balancers and the routers of its labels.
    fn place<'a>(&mut self, service: &'a Gathered<'a>) -> Placed<'a> {
        let mut balancers = Vec::with_capacity(service.routes.services.len());
        for (name, spec) in &service.routes.services {
            // What is left out claims nothing.
            if let Some(transport) = spec.servers_transport.as_ref().filter(|name| !is_foreign(name)) {
                let text = format!("the transport `{transport}` is not there; the load balancer is left out");
                self.problem(service.id, RouteProblemKind::Invalid, format!("load balancer `{name}`"), text);
                continue;
            }
            if let Err(holder) = self.claims.service(name, service.id) {
                let text = format!(
                    "the older service {holder} has a load balancer of this name; this one is left out"
                );
                self.problem(
                    service.id,
                    RouteProblemKind::Contested,
                    format!("load balancer `{name}`"),
                    text,
                );
                continue;
            }
            if spec.proxied && self.config.proxy.is_none() {
                let text = "it asks to go through this node's failover proxy, which does not run (see --proxy-listen); it is \
                            served without";
                let about = format!("load balancer `{name}`");
                self.problem(service.id, RouteProblemKind::Invalid, about, text.to_owned());
            }
            let targets = self.targets(service, name, spec);
            let lead = balance(&mut self.made, name.as_str(), spec, targets.serving(), &self.config);
            balancers.push((name, Balancer { spec, lead, targets }));
        }
        let placed = Placed { service, balancers };
        self.label_routers(&placed);
        placed
    }

    fn targets<'a>(
        &mut self,
        service: &'a Gathered<'a>,
        name: &'a RouteName,
        spec: &'a HttpService,
    ) -> Targets<'a> {
        let mut all: Vec<Target<'a>> = Vec::with_capacity(service.candidates.len());
        let mut cordoned = Vec::new();
        for candidate in service.candidates.iter().filter(|candidate| candidate.routable) {
            let (reached, own) = service.reached(candidate, name, spec);
            let Some(reached) = reached else {
                let text = format!(
                    "instance {} on {} is healthy, but its port {} is not one that other nodes reach",
                    candidate.instance.id, candidate.node.name, own.port
                );
                self.problem(
                    service.id,
                    RouteProblemKind::Unreachable,
                    format!("load balancer `{name}`"),
                    text,
                );
                continue;
            };
            let url = self.made.url(&reached);
            // Two records of one address are one server; Traefik would send it twice the requests.
            if all.iter().chain(&cordoned).all(|target| target.url != url) {
                let target = Target {
                    node: &candidate.node.name,
                    instance: &candidate.instance.id,
                    url,
                    weight: own.weight,
                    preserve_path: own.preserve_path,
                };
                let open = !candidate.node.facts.cordoned && !candidate.node.facts.leaving;
                if open { all.push(target) } else { cordoned.push(target) }
            }
        }
        let serving = if all.is_empty() { cordoned.len() } else { all.len() };
        all.append(&mut cordoned);
        Targets { all, serving }
    }
}

/// Whether it is `name@provider`, so that another provider has to define it.
fn is_foreign(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, provider)| !name.is_empty() && !provider.is_empty())
}

#[cfg(test)]
mod tests;
