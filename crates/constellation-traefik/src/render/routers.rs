//! Routers from labels, and how any router becomes one or two in the document.

use std::sync::Arc;

use constellation_core::{
    RouteName,
    route::{self, HttpRouter},
};
use constellation_rules::Rule;

use super::{Placed, Rendering, RouteProblemKind, balance::Lead, claims::Refusal, is_foreign};
use crate::{
    document::{Domain, Name, Names, Observability, PRIORITY_MAX, Router, Tls},
    names,
};

/// The methods without effect of their own (RFC 9110, 9.2.1), as a rule. `TRACE` is left out: nobody balances it.
const SAFE: &str = "(Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`))";

/// A router before it is known whether its methods part.
pub(super) struct Route {
    pub(super) name: Name,
    /// Whether the rule is a chain of alternatives, to which a further condition cannot simply be joined.
    pub(super) alternatives: bool,
    pub(super) rule: String,
    pub(super) priority: i64,
    pub(super) entry_points: Names,
    pub(super) middlewares: Names,
    pub(super) tls: Option<Box<Tls>>,
    pub(super) observability: Option<Box<Observability>>,
}

impl Rendering {
    /// Makes the routers of a service's labels.
    pub(super) fn label_routers(&mut self, placed: &Placed<'_>) {
        for (name, router) in &placed.service.routes.routers {
            if let Err((kind, reason)) = self.label_router(placed, name, router) {
                let text = format!("{reason}; this router is left out");
                self.problem(placed.service.id, kind, format!("router `{name}`"), text);
            }
        }
    }

    fn label_router(
        &mut self,
        placed: &Placed<'_>,
        name: &RouteName,
        router: &HttpRouter,
    ) -> Result<(), (RouteProblemKind, String)> {
        let invalid = |reason: String| (RouteProblemKind::Invalid, reason);
        let contested = |reason: String| (RouteProblemKind::Contested, reason);
        let rule: Rule =
            router.rule.parse().map_err(|error| invalid(format!("its rule is not understood: {error}")))?;
        // Not the canonical length: this is what Traefik would have given to the text of the label.
        let given = router.priority.filter(|priority| *priority != 0);
        let priority = given.unwrap_or(i64::try_from(router.rule.len()).unwrap_or(PRIORITY_MAX));
        if priority > PRIORITY_MAX {
            return Err(invalid(format!("Traefik keeps the priority {priority} to itself")));
        }
        let middlewares = self.middlewares.through(&router.middlewares).map_err(invalid)?;
        let lead = if is_foreign(&router.service) {
            Lead::One { service: router.service.as_str().into(), retry: false }
        } else {
            let missing = || invalid(format!("its service `{}` is not there", router.service));
            placed.balancer(&router.service).map(|balancer| balancer.lead.clone()).ok_or_else(missing)?
        };
        let tls = router.tls.as_ref().map(|tls| Box::new(ends(tls)));
        let named =
            router.entry_points.iter().filter(|name| !name.is_empty()).map(|name| name.as_str().into());
        let mut entry_points: Names = named.collect();
        if entry_points.is_empty() {
            entry_points = Arc::clone(&self.entry_points);
        }
        let printed = rule.to_string();
        let claimant = (placed.service.id, name);
        let claim = self.claims.router(claimant, &printed, priority, tls.is_some(), &entry_points);
        claim.map_err(|refusal| {
            contested(match refusal {
                Refusal::Name(holder) => format!("the older service {holder} has a router of this name"),
                Refusal::Ground(service, router) => format!(
                    "the router `{router}` of service {service} has the same rule and priority and comes first; give one \
                     of them another priority"
                ),
            })
        })?;
        let route = Route {
            name: name.as_str().into(),
            alternatives: matches!(rule, Rule::Or(_)),
            rule: printed,
            priority,
            entry_points,
            middlewares,
            tls,
            observability: router.observability.as_ref().map(observability).map(Box::new),
        };
        self.push(route, &lead);
        Ok(())
    }

    /// Puts a router into the document: as it is, or as two that are kept apart by the method. The two have the same
    /// priority, so the router stands to all others as it would alone.
    pub(super) fn push(&mut self, route: Route, lead: &Lead) {
        let Route { name, alternatives, rule, priority, entry_points, middlewares, tls, observability } =
            route;
        match lead {
            Lead::One { service, retry } => {
                let middlewares = if *retry { self.with_retry(&middlewares) } else { middlewares };
                let service = Arc::clone(service);
                let router =
                    Router { entry_points, middlewares, service, rule, priority, tls, observability };
                self.made.fragment.routers.push((name, router.into()));
            }
            Lead::Proxied { service, middleware, retry } => {
                let mut through: Vec<Name> = middlewares.iter().cloned().collect();
                through.push(Arc::clone(middleware));
                if *retry {
                    through.push(names::RETRY.into());
                }
                let (service, middlewares) = (Arc::clone(service), through.into());
                let router =
                    Router { entry_points, middlewares, service, rule, priority, tls, observability };
                self.made.fragment.routers.push((name, router.into()));
            }
            Lead::ByMethod { safe, other } => {
                let (open, close) = if alternatives { ("(", ")") } else { ("", "") };
                // Innermost, so that what comes before (authentication, say) is asked once.
                let tries_again = self.with_retry(&middlewares);
                let router = Router {
                    entry_points: Arc::clone(&entry_points),
                    middlewares,
                    service: Arc::clone(safe),
                    rule: [open, &rule, close, " && ", SAFE].concat(),
                    priority,
                    tls: tls.clone(),
                    observability: observability.clone(),
                };
                let other_name = self.made.name(&[&name, names::UNSAFE]);
                self.made.fragment.routers.push((name, router.into()));
                let router = Router {
                    entry_points,
                    middlewares: tries_again,
                    service: Arc::clone(other),
                    rule: [open, &rule, close, " && !", SAFE].concat(),
                    priority,
                    tls,
                    observability,
                };
                self.made.fragment.routers.push((other_name, router.into()));
            }
        }
    }

    /// These middlewares and then the one that tries again.
    fn with_retry(&self, middlewares: &[Name]) -> Names {
        if middlewares.is_empty() {
            return Arc::clone(&self.only_retry);
        }
        middlewares.iter().cloned().chain([names::RETRY.into()]).collect()
    }
}

fn observability(of: &route::Observability) -> Observability {
    let route::Observability { access_logs, metrics, tracing, trace_verbosity } = of.clone();
    // Another agent may have sent what Traefik would refuse, together with everybody's routes.
    let trace_verbosity = trace_verbosity.filter(|it| ["minimal", "detailed"].contains(&it.as_str()));
    Observability { access_logs, metrics, tracing, trace_verbosity }
}

/// How a router ends TLS.
pub(super) fn ends(written: &route::RouterTls) -> Tls {
    let domain = |it: &route::TlsDomain| Domain { main: it.main.clone(), sans: it.sans.clone() };
    Tls {
        cert_resolver: written.cert_resolver.clone(),
        options: written.options.clone(),
        domains: written.domains.iter().map(domain).collect(),
    }
}
