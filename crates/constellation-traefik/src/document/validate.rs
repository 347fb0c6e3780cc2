//! What Traefik demands beyond the form of a document.

use constellation_rules as rules;

use super::{
    DynamicConfig, Http, LoadBalancer, Middleware, Name, PRIORITY_MAX, Router, ServerUrl, Service, Tcp, Udp,
};
use crate::schema::{HTTP_MIDDLEWARES, TCP_MIDDLEWARES, conforms};

/// A document that Traefik would refuse, or take otherwise than it is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document has {count} faults, the first of them: {first}", count = self.faults.len(), first = self.first())]
pub struct InvalidDocument {
    /// What is wrong; never empty.
    pub faults: Vec<DocumentFault>,
}

impl InvalidDocument {
    fn first(&self) -> String {
        self.faults.first().map(ToString::to_string).unwrap_or_default()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object} {fault}")]
pub struct DocumentFault {
    /// What it is about.
    pub object: String,
    /// What is wrong with it.
    pub fault: String,
}

impl DynamicConfig {
    /// Proves what the types do not: that every reference leads somewhere and not in a circle, that names and values are
    /// of the form that Traefik wants, and that no list is empty where emptiness has a meaning of its own.
    pub fn validate(&self) -> Result<(), InvalidDocument> {
        let mut check = Check { http: &self.http, faults: Vec::new() };
        self.http.routers.iter().for_each(|(name, router)| check.router(name, router));
        self.http.services.iter().for_each(|(name, service)| check.service(name, service));
        check.shared(self);
        check.done()
    }

    /// The same for a document of which only these routers and services are not as in one that was found sound.
    pub fn validate_parts(&self, parts: &Parts) -> Result<(), InvalidDocument> {
        let mut check = Check { http: &self.http, faults: Vec::new() };
        let routers = parts.routers.iter().filter_map(|name| self.http.routers.get_key_value(name));
        routers.for_each(|(name, router)| check.router(name, router));
        let services = parts.services.iter().filter_map(|name| self.http.services.get_key_value(name));
        services.for_each(|(name, service)| check.service(name, service));
        check.shared(self);
        check.done()
    }
}

/// Some of the routers and services of a document, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// HTTP routers.
    pub routers: Vec<Name>,
    /// HTTP services.
    pub services: Vec<Name>,
}

struct Check<'a> {
    http: &'a Http,
    faults: Vec<DocumentFault>,
}

impl Check<'_> {
    fn done(self) -> Result<(), InvalidDocument> {
        if self.faults.is_empty() { Ok(()) } else { Err(InvalidDocument { faults: self.faults }) }
    }

    /// What routers and services share, and what is below HTTP.
    fn shared(&mut self, document: &DynamicConfig) {
        for (name, middleware) in &self.http.middlewares {
            self.name("middleware", name);
            let object = || format!("middleware `{name}`");
            match middleware {
                Middleware::Retry(retry) => {
                    self.demand(retry.attempts >= 2, object, "tries less than twice");
                }
                Middleware::Written(value) => {
                    self.demand(conforms(value, HTTP_MIDDLEWARES), object, "is none that Traefik knows");
                }
            }
        }
        self.tcp(&document.tcp);
        self.udp(&document.udp);
        for (name, transport) in &self.http.servers_transports {
            self.name("transport", name);
            let timeouts = &transport.forwarding_timeouts;
            let positive = !timeouts.dial_timeout.0.is_zero()
                && timeouts.response_header_timeout.is_none_or(|timeout| !timeout.0.is_zero());
            // Zero is Traefik's word for "no limit".
            self.demand(positive, || format!("transport `{name}`"), "has a timeout of zero");
        }
    }

    fn demand(&mut self, holds: bool, object: impl FnOnce() -> String, fault: &str) {
        if !holds {
            self.faults.push(DocumentFault { object: object(), fault: fault.to_owned() });
        }
    }

    fn name(&mut self, kind: &str, name: &str) {
        // An `@` in a name makes Traefik look for what it refers to at another provider.
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != '@');
        self.demand(valid, || format!("{kind} `{name}`"), "has a name that Traefik would misread");
    }

    fn router(&mut self, name: &Name, router: &Router) {
        let object = || format!("router `{name}`");
        self.name("router", name);
        let entry_points =
            !router.entry_points.is_empty() && router.entry_points.iter().all(|e| !e.is_empty());
        self.demand(entry_points, object, "names no entry point, so that Traefik would take all");
        self.demand(router.priority != 0, object, "has priority 0, which is none");
        self.demand(router.priority <= PRIORITY_MAX, object, "has a priority that Traefik keeps to itself");
        if let Err(error) = rules::parse_generated(&router.rule) {
            self.demand(false, object, &format!("has a rule that is none: {error}"));
        }
        let leads = is_foreign(&router.service) || self.http.services.contains_key(&router.service);
        self.demand(leads, object, "leads to a service that is not there");
        for middleware in router.middlewares.iter() {
            let known = is_foreign(middleware) || self.http.middlewares.contains_key(middleware);
            self.demand(known, object, "uses a middleware that is not there");
        }
    }

    fn service(&mut self, name: &Name, service: &Service) {
        let object = || format!("service `{name}`");
        self.name("service", name);
        match service {
            Service::LoadBalancer(balancer) => self.load_balancer(name, balancer),
            Service::Weighted(weighted) => {
                self.demand(!weighted.services.is_empty(), object, "distributes over nothing");
                self.demand(
                    weighted.services.iter().all(|part| part.weight > 0),
                    object,
                    "has a part without weight",
                );
                let known = |part: &Name| {
                    !matches!(self.http.services.get(part).map(|it| &**it), None | Some(Service::Weighted(_)))
                };
                let known = weighted.services.iter().all(|part| known(&part.name));
                self.demand(known, object, "distributes over what is not there");
            }
            Service::Failover(failover) => {
                // Load balancers alone, so that references cannot go in a circle.
                let known = |part: &Name| {
                    matches!(self.http.services.get(part).map(|it| &**it), Some(Service::LoadBalancer(_)))
                };
                let known = known(&failover.service) && known(&failover.fallback);
                self.demand(known, object, "falls over between what is not there");
                self.demand(failover.service != failover.fallback, object, "falls over to itself");
                self.demand(!failover.errors.status.is_empty(), object, "falls over on no error");
            }
        }
    }

    fn tcp(&mut self, tcp: &Tcp) {
        for (name, router) in &tcp.routers {
            let object = || format!("TCP router `{name}`");
            self.name("TCP router", name);
            self.demand(!router.entry_points.is_empty(), object, "names no entry point");
            self.demand(!router.rule.is_empty(), object, "has no rule");
            let priority = router.priority.is_none_or(|priority| (1..=PRIORITY_MAX).contains(&priority));
            self.demand(priority, object, "has a priority that is none");
            let leads = is_foreign(&router.service) || tcp.services.contains_key(&router.service);
            self.demand(leads, object, "leads to a service that is not there");
            let known = |name: &Name| is_foreign(name) || tcp.middlewares.contains_key(name);
            self.demand(router.middlewares.iter().all(known), object, "uses a middleware that is not there");
        }
        for (name, value) in &tcp.middlewares {
            let object = || format!("TCP middleware `{name}`");
            self.demand(conforms(value, TCP_MIDDLEWARES), object, "is none that Traefik knows");
        }
    }

    fn udp(&mut self, udp: &Udp) {
        for (name, router) in &udp.routers {
            let object = || format!("UDP router `{name}`");
            self.name("UDP router", name);
            self.demand(!router.entry_points.is_empty(), object, "names no entry point");
            let leads = is_foreign(&router.service) || udp.services.contains_key(&router.service);
            self.demand(leads, object, "leads to a service that is not there");
        }
    }

    fn load_balancer(&mut self, name: &Name, balancer: &LoadBalancer) {
        let object = || format!("service `{name}`");
        self.demand(
            balancer.urls().all(|url| ServerUrl::parse(url).is_some()),
            object,
            "has a server whose URL is none",
        );
        if let Some(check) = &balancer.passive_health_check {
            let positive = check.failure_window.is_none_or(|window| !window.0.is_zero());
            self.demand(positive, object, "has a passive health check with a window of zero");
        }
        if let Some(transport) = &balancer.servers_transport {
            let known = is_foreign(transport) || self.http.servers_transports.contains_key(transport);
            self.demand(known, object, "uses a transport that is not there");
        }
        if let Some(check) = &balancer.health_check {
            let complete = check.path.starts_with('/') || check.mode.as_deref() == Some("grpc");
            self.demand(complete, object, "has a health check without a path");
            let zero = [check.interval, check.unhealthy_interval, check.timeout].into_iter().flatten();
            self.demand(
                zero.into_iter().all(|d| !d.0.is_zero()),
                object,
                "has a health check with a time of zero",
            );
        }
    }
}

/// Whether another provider defines it.
fn is_foreign(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, provider)| !name.is_empty() && !provider.is_empty())
}
