//! Middlewares that labels define: one space of names for all, as Traefik's Docker provider has it.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use constellation_core::{RouteName, ServiceId};
use serde_json::Value;

use super::{Gathered, RouteProblem, RouteProblemKind, is_foreign};
use crate::{
    document::{Name, Names},
    schema::{Field, conforms},
};

/// The middlewares of all services, by name in lower case. Of two with one name the older service's counts.
#[derive(Default)]
pub(super) struct Middlewares<'a> {
    known: HashMap<String, (&'a RouteName, &'a Value, &'a ServiceId)>,
}

impl<'a> Middlewares<'a> {
    pub(super) fn gather(
        services: &'a [Gathered<'a>],
        of: impl Fn(&'a Gathered<'a>) -> &'a BTreeMap<RouteName, Value>,
        kinds: &[Field],
        problems: &mut Vec<RouteProblem>,
    ) -> Self {
        let mut known: HashMap<String, (&'a RouteName, &'a Value, &'a ServiceId)> = HashMap::new();
        for service in services {
            for (name, value) in of(service) {
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
                match known.entry(name.as_str().to_ascii_lowercase()) {
                    Entry::Vacant(free) => drop(free.insert((name, value, service.id))),
                    // The same, written on several containers, is one.
                    Entry::Occupied(first) if first.get().1 == value => {}
                    Entry::Occupied(first) => {
                        let text = format!(
                            "the older service {} has another middleware of this name, and that one counts",
                            first.get().2
                        );
                        problem(RouteProblemKind::Contested, text);
                    }
                }
            }
        }
        Self { known }
    }

    /// What a router goes through, as the document calls it. An error where nobody defines one of them, or a chain leads to what nobody
    /// does: without its guard a router is left out.
    pub(super) fn through(&self, names: &[String]) -> Result<Names, String> {
        let find = |name: &String| match self.known.get(&name.to_ascii_lowercase()) {
            _ if is_foreign(name) => Ok(name.as_str().into()),
            Some((found, ..)) if self.whole(name, 0) => Ok(found.as_str().into()),
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
        let Some((_, value, _)) = self.known.get(&name.to_ascii_lowercase()).filter(|_| depth < 8) else {
            return false;
        };
        chain(value).all(|part| self.whole(part, depth + 1))
    }

    /// All of them, for the document. Chains name their parts as these are called.
    pub(super) fn into_values(self) -> impl Iterator<Item = (Name, Value)> {
        let names: HashMap<String, Name> =
            self.known.iter().map(|(lower, (name, ..))| (lower.clone(), name.as_str().into())).collect();
        self.known.into_values().map(move |(name, value, _)| {
            let mut value = value.clone();
            if let Some(Value::Array(parts)) =
                value.get_mut("chain").and_then(|chain| chain.get_mut("middlewares"))
            {
                for part in parts {
                    let called = part.as_str().and_then(|part| names.get(&part.to_ascii_lowercase()));
                    if let Some(called) = called {
                        *part = Value::from(&**called);
                    }
                }
            }
            (name.as_str().into(), value)
        })
    }
}

fn chain(value: &Value) -> impl Iterator<Item = &str> {
    let parts = value.get("chain").and_then(|chain| chain.get("middlewares")).and_then(Value::as_array);
    parts.into_iter().flatten().filter_map(Value::as_str)
}
