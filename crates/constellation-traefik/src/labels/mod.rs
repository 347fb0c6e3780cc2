//! Container labels in Traefik's grammar, read as Traefik's Docker provider reads them.
//!
//! So containers that somebody else started take part in routing with the labels that they already have. What differs
//! from Traefik is deliberate: one mistake leaves out the router that it is in and not the whole container, and what
//! is left out is said.
//!
//! One difference is in reading itself: Traefik passes over the items of a plain list that are written with an index
//! (`sourcerange[0]=...`), without a word, so that an allow list written so allows everybody. Here they are read.
//!
//! Names of fields are read in any case, as Traefik does. So are the names of routers and services: two that differ
//! in case alone are one, spelt as the first in sorted order.
//!
//! **A mistake never opens what it was meant to close.** A router with a field that is not understood, with a
//! middleware that nobody defines or with TLS options that cannot be kept is left out, because serving it without
//! them could serve it without its authentication; and the generated routes of that service are withheld, too.

mod default_rule;
mod draft;
mod l4;
mod middleware;
mod problem;
mod router;
mod service;
mod tls;
pub(crate) mod value;

use std::collections::BTreeMap;

use constellation_core::{
    DomainName, RouteName, RouteSet, ServiceId,
    route::{HttpRouter, HttpService},
};
use constellation_rules::LabelRule;

pub use self::{
    default_rule::{DefaultRule, InvalidDefaultRule},
    problem::{LabelProblem, LabelProblemKind},
};
use self::{draft::Drafts, problem::Problems};
use crate::schema::HTTP_MIDDLEWARES;

/// The most routers that one container may have, and the most services.
pub const ROUTERS_MAX: usize = 64;
/// The longest label value that is read, in bytes. A route set has to fit into 8 KiB of gossip.
pub const VALUE_BYTES_MAX: usize = 4096;
/// The longest label name that is read, in bytes.
pub const NAME_BYTES_MAX: usize = 512;

/// How labels are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelConfig {
    /// Whether a container without `traefik.enable` is routed. Off by default: a container is exposed because somebody
    /// said so.
    pub exposed_by_default: bool,
    /// Which containers take part; all, where there are none.
    pub constraints: Option<LabelRule>,
    /// The rule of a router whose labels have none, and of the router of a container whose labels name none.
    pub default_rule: Option<DefaultRule>,
    /// What a router without a rule is served under where there is no default rule: `<service>.<domain>`. Without it such a
    /// router is left out.
    pub domain: Option<DomainName>,
}

/// What a container's labels say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedLabels {
    /// Its routes; `None` where it takes no part in routing.
    pub routes: Option<RouteSet>,
    /// What was left out or not understood.
    pub problems: Vec<LabelProblem>,
}

/// Reads the labels of a container of `service` that exposes these TCP `ports`.
///
/// Beside Traefik's own labels there are five of ours: `constellation.response-timeout` (how long a server may take to
/// begin its answer), `constellation.failover` (`safe` or `off`), `constellation.generated-routes` (`false` for none),
/// `constellation.proxy` (`true` sends requests through each node's own failover proxy) and `constellation.route-role` (TCP
/// services lead only to the `primary`, or to each `replica`).
pub fn parse_labels(
    service: &ServiceId,
    labels: &BTreeMap<String, String>,
    ports: &[u16],
    config: &LabelConfig,
) -> ParsedLabels {
    let mut problems = Problems::default();
    let drafts = Drafts::sort(labels, &mut problems);
    let enabled = match &drafts.enable {
        None => config.exposed_by_default,
        Some(field) => value::boolean(&field.value).unwrap_or_else(|reason| {
            problems.invalid(&field.label, format!("{reason}; the container is not routed"));
            false
        }),
    };
    if !enabled {
        // Labels of a container that is not routed are nobody's concern, except for the one that switches it on.
        problems.retain_about_enable();
        return ParsedLabels { routes: None, problems: problems.into_vec() };
    }
    if config.constraints.as_ref().is_some_and(|constraints| !constraints.admit(labels)) {
        return ParsedLabels { routes: None, problems: Vec::new() };
    }
    let default_rule =
        config.default_rule.as_ref().map(|rule| rule.rule(&docker_name(service, labels), labels));
    let services =
        if drafts.only_l4() { BTreeMap::new() } else { services(service, &drafts, ports, &mut problems) };
    if services.is_empty() {
        drafts.own_about_nothing(&mut problems);
    }
    let mut withheld = drafts.router_dropped | drafts.generated_off(&mut problems);
    let mut routers = BTreeMap::new();
    for (name, draft) in drafts.routers() {
        let context =
            router::Context { service, services: &services, config, default_rule: default_rule.as_deref() };
        match router::build(name, draft, &context, &mut problems) {
            Some(router) => drop(routers.insert(name.clone(), router)),
            None => withheld |= draft.may_guard(),
        }
    }
    let unnamed = drafts.routers().next().is_none() && !drafts.router_dropped;
    if let (Some(rule), true, Some(target)) = (default_rule, unnamed, only_service(&services)) {
        routers.extend(router::by_default(service, &target, &rule, &mut problems));
    }
    let generated = if withheld { None } else { generated(service, &services) };
    let middlewares = middleware::all(drafts.middlewares(), HTTP_MIDDLEWARES, &mut problems);
    let (tcp, udp) = (l4::tcp(&drafts, &mut problems), l4::udp(&drafts, &mut problems));
    let set = RouteSet { routers, services, generated, middlewares, tcp, udp };
    let routes = (set != RouteSet::default()).then_some(set);
    ParsedLabels { routes, problems: problems.into_vec() }
}

/// The name of the load balancer of a container whose labels name none: `<service>`, or `<service>-<stack>` as Traefik
/// has it for Compose.
pub fn default_service_name(service: &ServiceId) -> Option<RouteName> {
    let normal = |text: &str| {
        let text: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        text.trim_matches('-').to_owned()
    };
    let name = match service.stack() {
        Some(stack) => format!("{}-{}", normal(service.name()), normal(stack)),
        None => normal(service.name()),
    };
    name.parse().ok()
}

/// What Traefik's Docker provider calls a container: by Compose's service and project, else by its own name, as it would have them in
/// a host name.
fn docker_name(service: &ServiceId, labels: &BTreeMap<String, String>) -> String {
    let compose = |label: &str| labels.get(&format!("com.docker.compose.{label}"));
    match (compose("service"), compose("project")) {
        (Some(service), Some(project)) => default_rule::normalize(&format!("{service}_{project}")),
        _ => default_rule::normalize(service.name()),
    }
}

fn services(
    service: &ServiceId,
    drafts: &Drafts,
    ports: &[u16],
    problems: &mut Problems,
) -> BTreeMap<RouteName, HttpService> {
    let own = service::OwnLabels::read(drafts, problems);
    let mut services = BTreeMap::new();
    for (name, draft) in drafts.services() {
        if let Some(built) = service::build(name, draft, ports, &own, problems) {
            services.insert(name.clone(), built);
        }
    }
    // A container whose routers all lead elsewhere (`api@internal`, `x@file`) needs no port of its own.
    let needs_own =
        drafts.routers().next().is_none() || drafts.routers().any(|(_, draft)| draft.needs_own_service());
    if drafts.services().next().is_none() && needs_own {
        match (ports.iter().min(), default_service_name(service)) {
            (Some(port), Some(name)) => {
                services.insert(name, own.apply(HttpService::to_port(*port)));
            }
            _ => problems.invalid(
                "traefik.enable",
                "no port is known: the container exposes no TCP port; write the label \
                 traefik.http.services.NAME.loadbalancer.server.port=PORT",
            ),
        }
    }
    services
}

/// The load balancer that the generated routes lead to: the only one, or the one with the default name.
fn generated(service: &ServiceId, services: &BTreeMap<RouteName, HttpService>) -> Option<RouteName> {
    if services.len() == 1 {
        return services.keys().next().cloned();
    }
    default_service_name(service).filter(|name| services.contains_key(name))
}

/// A service of this set by its name in any case; `None` also where it is not of this set.
fn own_service(services: &BTreeMap<RouteName, HttpService>, name: &str) -> Option<RouteName> {
    services.keys().find(|known| known.as_str().eq_ignore_ascii_case(name)).cloned()
}

/// The only service of a set.
fn only_service(services: &BTreeMap<RouteName, HttpService>) -> Option<RouteName> {
    let mut names = services.keys();
    names.next().filter(|_| names.next().is_none()).cloned()
}

type Built = Option<HttpRouter>;

#[cfg(test)]
mod tests;
