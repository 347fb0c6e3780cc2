//! Who has which name and which rule. Services claim in the order of their age, so the older keeps what it has.
//!
//! What was claimed stays from one rendering to the next. A service that asks again what it has asked before is answered the
//! same; one that asks for something else is [withdrawn](Claims::withdraw) first, and may then only have what nobody else wants
//! ([`Claims::is_contested`]): otherwise its age would have to decide, and all claim anew.

use std::{collections::HashMap, sync::Arc};

use constellation_core::{NodeName, RouteName, ServiceId};

use crate::document::Names;

/// A router, by its service and its name.
pub(super) type Holder<'a> = (&'a ServiceId, &'a RouteName);

/// A service's part of a host name, among the claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A name, whose it is, and who wanted it as well.
struct Claim {
    holder: ServiceId,
    losers: Vec<ServiceId>,
}

impl Claim {
    fn of(holder: &ServiceId) -> Self {
        Self { holder: holder.clone(), losers: Vec::new() }
    }

    fn ask(&mut self, by: &ServiceId) -> Result<(), ServiceId> {
        if self.holder == *by {
            return Ok(());
        }
        note(&mut self.losers, by);
        Err(self.holder.clone())
    }

    fn is_contested(&self, service: &ServiceId) -> bool {
        self.losers.contains(service) || self.holder == *service && !self.losers.is_empty()
    }
}

/// What one router has of a rule. Two that have the same are rivals: Traefik could not say which of them a request belongs
/// to. Routers with and without TLS never see the same request.
struct Ground {
    priority: i64,
    tls: bool,
    entry_points: Names,
    service: ServiceId,
    router: RouteName,
}

/// A rule, by whom it is written and who would have it.
#[derive(Default)]
struct Written {
    grounds: Vec<Ground>,
    losers: Vec<ServiceId>,
    /// Whose generated route has this rule, or has it where no label does.
    yielding: Vec<ServiceId>,
}

impl Written {
    fn is_contested(&self, service: &ServiceId) -> bool {
        let others = |wanting: &[ServiceId]| wanting.iter().any(|other| other != service);
        self.losers.contains(service)
            || self.grounds.iter().any(|ground| ground.service == *service)
                && (others(&self.losers) || others(&self.yielding))
    }

    fn withdraw(&mut self, service: &ServiceId) -> bool {
        self.grounds.retain(|ground| ground.service != *service);
        self.losers.retain(|other| other != service);
        self.yielding.retain(|other| other != service);
        !(self.grounds.is_empty() && self.losers.is_empty() && self.yielding.is_empty())
    }
}

/// What has been claimed. Only looked up, never walked through for what is rendered, so the order of a hash map decides nothing.
#[derive(Default)]
pub(super) struct Claims {
    services: HashMap<RouteName, Claim>,
    routers: HashMap<RouteName, Claim>,
    /// By the rule in its canonical form.
    rules: HashMap<String, Written>,
    labels: HashMap<String, Label>,
    /// By label: the node of each generated route, or none, and whose it is.
    hosts: Vec<Vec<(Option<NodeName>, Claim)>>,
}

impl Claims {
    /// Claims the name of a load balancer; the service that has it, where another does.
    pub(super) fn service(&mut self, name: &RouteName, by: &ServiceId) -> Result<(), ServiceId> {
        self.services.entry(name.clone()).or_insert_with(|| Claim::of(by)).ask(by)
    }

    /// Claims the name of a router.
    pub(super) fn router(&mut self, name: &RouteName, by: &ServiceId) -> Result<(), ServiceId> {
        self.routers.entry(name.clone()).or_insert_with(|| Claim::of(by)).ask(by)
    }

    /// Claims the requests of a rule with a priority, on all entry points or on none. Two routers of one service are
    /// rivals as well: which of them Traefik would take changes from one of its starts to the next.
    pub(super) fn ground(
        &mut self,
        rule: &str,
        priority: i64,
        tls: bool,
        entry_points: &Names,
        (service, router): Holder<'_>,
    ) -> Result<(), (ServiceId, RouteName)> {
        let written = self.rule(rule);
        let rival = written.grounds.iter().find(|ground| {
            (ground.priority, ground.tls) == (priority, tls)
                && ground.entry_points.iter().any(|entry_point| entry_points.contains(entry_point))
        });
        match rival {
            None => written.grounds.push(Ground {
                priority,
                tls,
                entry_points: Arc::clone(entry_points),
                service: service.clone(),
                router: router.clone(),
            }),
            // It asks again.
            Some(own) if (&own.service, &own.router) == (service, router) => {}
            Some(rival) => {
                let holder = (rival.service.clone(), rival.router.clone());
                if holder.0 != *service {
                    note(&mut written.losers, service);
                }
                return Err(holder);
            }
        }
        Ok(())
    }

    /// Whether some label has this rule, on whatever entry point and with whatever priority. A generated route yields to it.
    pub(super) fn is_written(&mut self, rule: &str, asked_by: &ServiceId) -> bool {
        let written = self.rule(rule);
        note(&mut written.yielding, asked_by);
        !written.grounds.is_empty()
    }

    fn rule(&mut self, rule: &str) -> &mut Written {
        self.rules.entry(rule.to_owned()).or_default()
    }

    /// A service's part of a host name, to claim hosts with.
    pub(super) fn label(&mut self, label: &str) -> Label {
        if let Some(known) = self.labels.get(label) {
            return *known;
        }
        let next = Label(self.hosts.len());
        self.labels.insert(label.to_owned(), next);
        self.hosts.push(Vec::new());
        next
    }

    /// Claims `<label>.<domain>`, or `<label>.<node>.<domain>`, for a generated route.
    pub(super) fn host(
        &mut self,
        label: Label,
        node: Option<&NodeName>,
        by: &ServiceId,
    ) -> Result<(), ServiceId> {
        let Some(claimed) = self.hosts.get_mut(label.0) else { return Ok(()) };
        match claimed.iter_mut().find(|(other, _)| other.as_ref() == node) {
            Some((_, claim)) => claim.ask(by),
            None => {
                claimed.push((node.cloned(), Claim::of(by)));
                Ok(())
            }
        }
    }

    /// Whether a service has asked for something that another wanted, too, or yields to.
    pub(super) fn is_contested(&self, service: &ServiceId) -> bool {
        let names = self.services.values().chain(self.routers.values());
        let hosts = self.hosts.iter().flatten().map(|(_, claim)| claim);
        names.chain(hosts).any(|claim| claim.is_contested(service))
            || self.rules.values().any(|written| written.is_contested(service))
    }

    /// Takes back all that a service has asked for. Only for one that is not contested: nobody else is given what it had.
    pub(super) fn withdraw(&mut self, service: &ServiceId) {
        self.services.retain(|_, claim| claim.holder != *service);
        self.routers.retain(|_, claim| claim.holder != *service);
        self.rules.retain(|_, written| written.withdraw(service));
        self.hosts.iter_mut().for_each(|hosts| hosts.retain(|(_, claim)| claim.holder != *service));
    }
}

fn note(list: &mut Vec<ServiceId>, service: &ServiceId) {
    if !list.contains(service) {
        list.push(service.clone());
    }
}
