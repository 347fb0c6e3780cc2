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
#[derive(Default)]
struct Claim {
    /// Nobody, where who wanted it was refused for another reason.
    holder: Option<ServiceId>,
    losers: Vec<ServiceId>,
}

impl Claim {
    fn of(holder: &ServiceId) -> Self {
        Self { holder: Some(holder.clone()), losers: Vec::new() }
    }

    fn ask(&mut self, by: &ServiceId) -> Result<(), ServiceId> {
        match self.holder.get_or_insert_with(|| by.clone()) {
            holder if holder == by => Ok(()),
            holder => {
                note(&mut self.losers, by);
                Err(holder.clone())
            }
        }
    }

    fn is_contested(&self, service: &ServiceId) -> bool {
        self.losers.contains(service) || self.is_of(service) && !self.losers.is_empty()
    }

    fn is_of(&self, service: &ServiceId) -> bool {
        self.holder.as_ref() == Some(service)
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

/// Why a router is left out.
#[derive(Clone)]
pub(super) enum Refusal {
    /// This service has a router of its name.
    Name(ServiceId),
    /// This router has its rule and priority.
    Ground(ServiceId, RouteName),
}

/// What has been claimed. Only looked up, never walked through for what is rendered, so the order of a hash map decides nothing.
#[derive(Default)]
pub(super) struct Claims {
    services: HashMap<RouteName, Claim>,
    routers: HashMap<RouteName, Claim>,
    refused: HashMap<ServiceId, HashMap<RouteName, Refusal>>,
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

    /// Claims a router's name and the requests of its rule with its priority, on all entry points: all of it or nothing, for what is
    /// left out must not keep from others what it does not have itself. Two routers of one service are rivals as well: which of
    /// them Traefik would take changes from one of its starts to the next.
    ///
    /// Who is refused wants both still, and is refused in the same way when it asks again, whoever has got them since.
    pub(super) fn router(
        &mut self,
        (service, router): Holder<'_>,
        rule: &str,
        priority: i64,
        tls: bool,
        entry_points: &Names,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.refused.get(service).and_then(|refused| refused.get(router)) {
            return Err(refusal.clone());
        }
        let written = self.rules.entry(rule.to_owned()).or_default();
        let claim = self.routers.entry(router.clone()).or_default();
        let rival = written.grounds.iter().find(|ground| {
            (ground.priority, ground.tls) == (priority, tls)
                && (&ground.service, &ground.router) != (service, router)
                && ground.entry_points.iter().any(|entry_point| entry_points.contains(entry_point))
        });
        let named = claim.holder.as_ref().filter(|holder| *holder != service);
        let refusal = match (named, rival) {
            (Some(holder), _) => Refusal::Name(holder.clone()),
            (None, Some(rival)) => Refusal::Ground(rival.service.clone(), rival.router.clone()),
            (None, None) => {
                claim.holder = Some(service.clone());
                let own = |ground: &Ground| (&ground.service, &ground.router) == (service, router);
                if !written.grounds.iter().any(own) {
                    written.grounds.push(Ground {
                        priority,
                        tls,
                        entry_points: Arc::clone(entry_points),
                        service: service.clone(),
                        router: router.clone(),
                    });
                }
                return Ok(());
            }
        };
        note(&mut claim.losers, service);
        note(&mut written.losers, service);
        self.refused.entry(service.clone()).or_default().insert(router.clone(), refusal.clone());
        Err(refusal)
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
        self.services.retain(|_, claim| !claim.is_of(service));
        self.routers.retain(|_, claim| !claim.is_of(service));
        self.refused.remove(service);
        self.rules.retain(|_, written| written.withdraw(service));
        self.hosts.iter_mut().for_each(|hosts| hosts.retain(|(_, claim)| !claim.is_of(service)));
    }
}

fn note(list: &mut Vec<ServiceId>, service: &ServiceId) {
    if !list.contains(service) {
        list.push(service.clone());
    }
}
