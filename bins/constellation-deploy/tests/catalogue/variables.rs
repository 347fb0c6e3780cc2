//! Variables in the facts of the reference: `${NAME:-default}` and its kin, as a shell reads them.

use std::collections::BTreeMap;

/// The text with every variable replaced. `$${` stays as `${`: those are for the container's own shell.
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = closing(inside);
        out.push_str(&value(&inside[..end], variables));
        rest = &inside[end + 1..];
    }
    out + rest
}

/// Every variable of the text with its defaults; nested ones as well.
pub(crate) fn collect(text: &str, found: &mut BTreeMap<String, String>) {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let inside = &rest[at + 2..];
        if rest[..at].ends_with('$') {
            rest = inside;
            continue;
        }
        let end = closing(inside);
        let name = inside[..end].split(':').next().unwrap();
        let default = inside[name.len()..end].strip_prefix(":-").unwrap_or_default();
        found.entry(name.to_owned()).or_insert_with(|| default.to_owned());
        collect(&inside[name.len()..end], found);
        rest = &inside[end + 1..];
    }
}

fn closing(inside: &str) -> usize {
    let mut depth = 1;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a variable without an end: {inside}");
}

fn value(variable: &str, variables: &BTreeMap<String, String>) -> String {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some((name, default)) = variable.split_once(":-") {
        return set(name).unwrap_or_else(|| expand(default, variables));
    }
    if let Some((name, then)) = variable.split_once(":+") {
        return set(name).map(|_| expand(then, variables)).unwrap_or_default();
    }
    let name = variable.split(':').next().unwrap();
    set(name).unwrap_or_default()
}

#[test]
fn variables_are_replaced_as_a_shell_does_it() {
    let set = BTreeMap::from([("A".to_owned(), "a".to_owned()), ("E".to_owned(), String::new())]);
    for (text, expected) in [
        ("${A}${B}", "a"),
        ("${A:-x} ${B:-x} ${E:-x}", "a x x"),
        ("${A:+<${A}>}${B:+<${B}>}", "<a>"),
        ("${B:-${C:-c}/{d}}", "c/{d}"),
        ("$${A} $A $1", "${A} $A $1"),
    ] {
        assert_eq!(expand(text, &set), expected, "{text}");
    }
    let mut found = BTreeMap::new();
    collect("${A:-x} ${B:+${C:-y}} $${D}", &mut found);
    let found: Vec<_> = found.iter().map(|(name, default)| (name.as_str(), default.as_str())).collect();
    assert_eq!(found, [("A", "x"), ("B", ""), ("C", "y")]);
}
