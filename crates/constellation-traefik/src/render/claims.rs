//! Who has which name and which rule. Services claim in the order of their age, so the older keeps what it has.

use std::{collections::HashMap, sync::Arc};

use constellation_core::{NodeName, RouteName, ServiceId};

use crate::document::Names;

/// What one router has of a rule. Two that have the same are rivals: Traefik could not say which of them a request belongs
/// to. Routers with and without TLS never see the same request.
struct Ground<'a> {
    priority: i64,
    tls: bool,
    entry_points: Names,
    holder: Holder<'a>,
}

/// A router, by its service and its name.
pub(super) type Holder<'a> = (&'a ServiceId, &'a RouteName);

/// A service's part of a host name, among the claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// What has been claimed. Only looked up, never walked through, so the order of a hash map decides nothing.
#[derive(Default)]
pub(super) struct Claims<'a> {
    services: HashMap<&'a RouteName, &'a ServiceId>,
    routers: HashMap<&'a RouteName, &'a ServiceId>,
    /// By the rule in its canonical form.
    grounds: HashMap<String, Vec<Ground<'a>>>,
    labels: HashMap<String, Label>,
    /// By label: the node of each generated route, or none, and whose it is.
    hosts: Vec<Vec<(Option<&'a NodeName>, &'a ServiceId)>>,
}

impl<'a> Claims<'a> {
    /// Claims the name of a load balancer; the service that has it, where another does.
    pub(super) fn service(&mut self, name: &'a RouteName, by: &'a ServiceId) -> Result<(), &'a ServiceId> {
        first(self.services.entry(name).or_insert(by), by)
    }

    /// Claims the name of a router.
    pub(super) fn router(&mut self, name: &'a RouteName, by: &'a ServiceId) -> Result<(), &'a ServiceId> {
        first(self.routers.entry(name).or_insert(by), by)
    }

    /// Claims the requests of a rule with a priority, on all entry points or on none. Two routers of one service are
    /// rivals as well: which of them Traefik would take changes from one of its starts to the next.
    pub(super) fn ground(
        &mut self,
        rule: &str,
        priority: i64,
        tls: bool,
        entry_points: &Names,
        holder: Holder<'a>,
    ) -> Result<(), Holder<'a>> {
        let claimed = self.grounds.entry(rule.to_owned()).or_default();
        let rival = claimed.iter().find(|ground| {
            (ground.priority, ground.tls) == (priority, tls)
                && ground.entry_points.iter().any(|entry_point| entry_points.contains(entry_point))
        });
        if let Some(rival) = rival {
            return Err(rival.holder);
        }
        claimed.push(Ground { priority, tls, entry_points: Arc::clone(entry_points), holder });
        Ok(())
    }

    /// Whether some label has this rule, on whatever entry point and with whatever priority.
    pub(super) fn is_written(&self, rule: &str) -> bool {
        self.grounds.contains_key(rule)
    }

    /// A service's part of a host name, to claim hosts with.
    pub(super) fn label(&mut self, label: &str) -> Label {
        let next = Label(self.hosts.len());
        let known = *self.labels.entry(label.to_owned()).or_insert(next);
        if known == next {
            self.hosts.push(Vec::new());
        }
        known
    }

    /// Claims `<label>.<domain>`, or `<label>.<node>.<domain>`, for a generated route.
    pub(super) fn host(
        &mut self,
        label: Label,
        node: Option<&'a NodeName>,
        by: &'a ServiceId,
    ) -> Result<(), &'a ServiceId> {
        let Some(claimed) = self.hosts.get_mut(label.0) else { return Ok(()) };
        match claimed.iter().find(|(other, _)| *other == node) {
            Some((_, holder)) => first(holder, by),
            None => {
                claimed.push((node, by));
                Ok(())
            }
        }
    }
}

fn first<'a>(holder: &&'a ServiceId, by: &ServiceId) -> Result<(), &'a ServiceId> {
    if *holder == by { Ok(()) } else { Err(holder) }
}
