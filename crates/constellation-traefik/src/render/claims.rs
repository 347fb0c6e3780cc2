//! Who has which name and which rule. Services claim in the order of their age, so the older keeps what it has.

use std::collections::{HashMap, HashSet};

use constellation_core::{NodeName, RouteName, ServiceId};

use crate::document::Name;

/// What makes two routers rivals: Traefik could not say which of them a request belongs to. Routers with and without
/// TLS never see the same request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ground {
    rule: String,
    priority: i64,
    tls: bool,
    entry_point: Name,
}

/// A router, by its service and its name.
pub(super) type Holder<'a> = (&'a ServiceId, &'a RouteName);

/// What has been claimed. Only looked up, never walked through, so the order of a hash map decides nothing.
#[derive(Default)]
pub(super) struct Claims<'a> {
    services: HashMap<&'a RouteName, &'a ServiceId>,
    routers: HashMap<&'a RouteName, &'a ServiceId>,
    grounds: HashMap<Ground, Holder<'a>>,
    rules: HashSet<String>,
    /// By the service's part of the host name: the node of each generated route, or none, and whose it is.
    hosts: HashMap<String, Vec<(Option<&'a NodeName>, &'a ServiceId)>>,
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
        entry_points: &[Name],
        by: Holder<'a>,
    ) -> Result<(), Holder<'a>> {
        let ground = |entry_point: &Name| Ground {
            rule: rule.to_owned(),
            priority,
            tls,
            entry_point: entry_point.clone(),
        };
        if let Some(holder) =
            entry_points.iter().find_map(|entry_point| self.grounds.get(&ground(entry_point)))
        {
            return Err(*holder);
        }
        self.grounds.extend(entry_points.iter().map(|entry_point| (ground(entry_point), by)));
        if !self.rules.contains(rule) {
            self.rules.insert(rule.to_owned());
        }
        Ok(())
    }

    /// Whether some label has this rule, on whatever entry point and with whatever priority.
    pub(super) fn is_written(&self, rule: &str) -> bool {
        self.rules.contains(rule)
    }

    /// Claims `<label>.<domain>`, or `<label>.<node>.<domain>`, for a generated route.
    pub(super) fn host(
        &mut self,
        label: &str,
        node: Option<&'a NodeName>,
        by: &'a ServiceId,
    ) -> Result<(), &'a ServiceId> {
        if !self.hosts.contains_key(label) {
            self.hosts.insert(label.to_owned(), Vec::new());
        }
        let Some(claimed) = self.hosts.get_mut(label) else { return Ok(()) };
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
