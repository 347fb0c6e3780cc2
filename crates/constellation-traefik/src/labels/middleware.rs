//! Middlewares from their labels.

use std::collections::BTreeMap;

use constellation_core::RouteName;
use serde_json::Value;

use super::{draft::Draft, problem::Problems};
use crate::{
    document::PROVIDER_SUFFIXES,
    schema::{self, Field},
};

impl schema::Labels for Draft {
    fn each(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
        self.fields.iter().map(|(path, field)| {
            // After `traefik.http.middlewares.NAME`.
            (path.as_str(), field.value.as_str(), field.label.split('.').skip(4).collect())
        })
    }

    fn list(&self, path: &str) -> Vec<String> {
        Draft::list(self, path)
    }
}

/// The middlewares that could be read whole. One with a mistake is left out, and with it every router that goes through it: what it
/// was to guard is not opened.
pub(super) fn all<'d>(
    drafts: impl Iterator<Item = (&'d RouteName, &'d Draft)>,
    kinds: &[Field],
    problems: &mut Problems,
) -> BTreeMap<RouteName, Value> {
    let mut made = BTreeMap::new();
    for (name, draft) in drafts {
        match read(draft, kinds) {
            Ok(value) => drop(made.insert(name.clone(), value)),
            Err((path, reason)) => {
                let field = draft.fields.get(&path).or_else(|| draft.fields.values().next());
                let label = field.map(|field| field.label.clone()).unwrap_or_default();
                problems.invalid(
                    &label,
                    format!("{reason}; the middleware `{name}` is left out, and every router that uses it"),
                );
            }
        }
    }
    made
}

fn read(draft: &Draft, kinds: &[Field]) -> Result<Value, schema::Wrong> {
    let mut made = schema::decode(kinds, draft)?;
    if made.len() != 1 {
        let kinds: Vec<&str> = made.keys().map(String::as_str).collect();
        return Err((String::new(), format!("it is of several kinds: {}", kinds.join(", "))));
    }
    // What is written for Traefik's Docker provider names its neighbours so.
    if let Some(Value::Array(chain)) = made.get_mut("chain").and_then(|chain| chain.get_mut("middlewares")) {
        for item in chain {
            if let Value::String(name) = item {
                *name = own(name).to_owned();
            }
        }
    }
    if let Some(Value::String(service)) = made.get_mut("errors").and_then(|errors| errors.get_mut("service"))
    {
        *service = own(service).to_owned();
    }
    Ok(Value::Object(made))
}

/// A name without the provider, where that is ours: labels written for the Docker provider say `@docker`.
pub(super) fn own(name: &str) -> &str {
    PROVIDER_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
