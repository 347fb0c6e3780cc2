//! Which services a command is about.

use std::collections::BTreeSet;

use constellation_core::ServiceId;

use super::{CliError, args::Selection};

/// The services that were named, out of those that there are; `None` where none was named, which means all.
pub(super) fn select(
    selection: &Selection,
    known: &BTreeSet<ServiceId>,
) -> Result<Option<BTreeSet<ServiceId>>, CliError> {
    if selection.services.is_empty() && selection.stacks.is_empty() {
        return Ok(None);
    }
    let mut chosen = BTreeSet::new();
    for stack in &selection.stacks {
        let of_stack: Vec<&ServiceId> = known.iter().filter(|id| id.stack() == Some(stack)).collect();
        if of_stack.is_empty() {
            let mut stacks: Vec<&str> = known.iter().filter_map(ServiceId::stack).collect();
            stacks.dedup();
            return Err(format!("there is no stack `{stack}` here; there are {}", list(&stacks)).into());
        }
        chosen.extend(of_stack.into_iter().cloned());
    }
    for name in &selection.services {
        chosen.insert(one(name, known)?);
    }
    Ok(Some(chosen))
}

/// The one service of this name.
pub(super) fn one(name: &str, known: &BTreeSet<ServiceId>) -> Result<ServiceId, CliError> {
    let found: Vec<&ServiceId> = known
        .iter()
        .filter(|id| id.to_string() == name || (!name.contains('/') && id.name() == name))
        .collect();
    match found.as_slice() {
        [id] => Ok((*id).clone()),
        [] => {
            let close: Vec<String> =
                known.iter().map(ToString::to_string).filter(|id| id.contains(name)).take(5).collect();
            let close: Vec<&str> = close.iter().map(String::as_str).collect();
            let hint = if close.is_empty() {
                "`list` shows them all".to_owned()
            } else {
                format!("is it {}?", list(&close))
            };
            Err(format!("there is no service `{name}` here; {hint}").into())
        }
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!("`{name}` could be any of {}: write the stack's name before it", several.join(", "))
                .into())
        }
    }
}

fn list(items: &[&str]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<ServiceId> {
        ["a/db", "b/db", "b/web"].iter().map(|id| id.parse().unwrap()).collect()
    }

    fn selected(services: &[&str], stacks: &[&str]) -> Result<Vec<String>, String> {
        let own = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        let selection = Selection { services: own(services), stacks: own(stacks) };
        let chosen = select(&selection, &known()).map_err(|error| error.to_string())?;
        Ok(chosen.into_iter().flatten().map(|id| id.to_string()).collect())
    }

    #[test]
    fn services_are_named_alone_or_with_their_stack() {
        assert_eq!(selected(&["web"], &[]).unwrap(), ["b/web"]);
        assert_eq!(selected(&["a/db"], &["b"]).unwrap(), ["a/db", "b/db", "b/web"]);
        assert!(selected(&["db"], &[]).unwrap_err().contains("a/db, b/db"));
        assert!(selected(&["we"], &[]).unwrap_err().contains("is it b/web?"));
        assert!(selected(&[], &["c"]).unwrap_err().contains("no stack `c`"));
    }
}
