//! Middlewares that labels define: one space of names for all, as Traefik's Docker provider has it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use constellation_core::{RouteName, RouteSet, ServiceId};
use serde_json::Value;

use super::{Gathered, RouteProblem, RouteProblemKind, is_foreign};
use crate::{
    document::{Name, Names},
    schema::{Field, conforms},
};

/// Where a service's middlewares of one kind of router are.
pub(super) type Of = fn(&RouteSet) -> &BTreeMap<RouteName, Value>;

/// The middlewares of all services, by name in lower case. Of two with one name the older service's counts.
pub(super) struct Middlewares {
    known: HashMap<String, Known>,
    of: Of,
}

struct Known {
    name: RouteName,
    /// Where its definition is.
    routes: Arc<RouteSet>,
    service: ServiceId,
}

impl Middlewares {
    pub(super) fn gather(
        services: &[Gathered<'_>],
        of: Of,
        kinds: &[Field],
        problems: &mut Vec<RouteProblem>,
    ) -> Self {
        let mut all = Self { known: HashMap::new(), of };
        for service in services {
            for (name, value) in of(service.routes) {
                let mut problem = |kind, text| {
                    let about = format!("middleware `{name}`");
                    problems.push(RouteProblem { service: service.id.clone(), kind, about, text });
                };
                // Another agent may have sent what Traefik would refuse, together with everybody's routes.
                if !conforms(value, kinds) || value.as_object().is_none_or(|it| it.len() != 1) {
                    problem(
                        RouteProblemKind::Invalid,
                        "it is not one that Traefik takes; it is left out".to_owned(),
                    );
                    continue;
                }
                let lower = name.as_str().to_ascii_lowercase();
                match all.value(&lower) {
                    None => {
                        let (routes, service) = (Arc::clone(service.routes), service.id.clone());
                        all.known.insert(lower, Known { name: name.clone(), routes, service });
                    }
                    // The same, written on several containers, is one.
                    Some((_, first)) if first == value => {}
                    Some((owner, _)) => {
                        let text = format!(
                            "the older service {owner} has another middleware of this name, and that one counts"
                        );
                        problem(RouteProblemKind::Contested, text);
                    }
                }
            }
        }
        all
    }

    /// A middleware's definition, and whose it is.
    fn value(&self, lower: &str) -> Option<(&ServiceId, &Value)> {
        let Known { name, routes, service } = self.known.get(lower)?;
        (self.of)(routes).get(name).map(|value| (service, value))
    }

    /// What a router goes through, as the document calls it. An error where nobody defines one of them, or a chain leads to what nobody
    /// does: without its guard a router is left out.
    pub(super) fn through(&self, names: &[String]) -> Result<Names, String> {
        let find = |name: &String| match self.known.get(&name.to_ascii_lowercase()) {
            _ if is_foreign(name) => Ok(name.as_str().into()),
            Some(found) if self.whole(name, 0) => Ok(found.name.as_str().into()),
            _ => Err(format!("the middleware `{name}` is not there")),
        };
        names.iter().map(find).collect()
    }

    /// Whether a middleware and all that it is a chain of are there.
    fn whole(&self, name: &str, depth: usize) -> bool {
        if name.contains('@') {
            return true;
        }
        // Deeper than anybody writes, or a chain of itself.
        let Some((_, value)) = self.value(&name.to_ascii_lowercase()).filter(|_| depth < 8) else {
            return false;
        };
        chain(value).all(|part| self.whole(part, depth + 1))
    }

    /// All of them, for the document. Chains name their parts as these are called.
    pub(super) fn values(&self) -> impl Iterator<Item = (Name, Value)> {
        self.known.iter().filter_map(|(lower, Known { name, .. })| {
            let mut value = self.value(lower)?.1.clone();
            if let Some(Value::Array(parts)) =
                value.get_mut("chain").and_then(|chain| chain.get_mut("middlewares"))
            {
                for part in parts {
                    let called = part.as_str().and_then(|part| self.known.get(&part.to_ascii_lowercase()));
                    if let Some(called) = called {
                        *part = Value::from(called.name.as_str());
                    }
                }
            }
            Some((name.as_str().into(), value))
        })
    }
}

fn chain(value: &Value) -> impl Iterator<Item = &str> {
    let parts = value.get("chain").and_then(|chain| chain.get("middlewares")).and_then(Value::as_array);
    parts.into_iter().flatten().filter_map(Value::as_str)
}
