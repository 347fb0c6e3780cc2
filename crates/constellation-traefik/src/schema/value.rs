//! Values from labels, and values from elsewhere.

use serde_json::{Map, Value};

use super::{Field, Kind};
use crate::{document::GoDuration, labels::value};

/// Labels of one object, by their path in lower case.
pub(crate) trait Labels {
    /// Path, value, and the path's parts as they were written.
    fn each(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)>;
    /// A list under a path, however it was written.
    fn list(&self, path: &str) -> Vec<String>;
}

/// A value that could not be made: which path, and why.
pub(crate) type Wrong = (String, String);

/// Makes the value of these fields that labels describe. Any mistake is an error: half of a guard is none.
pub(crate) fn decode(fields: &[Field], labels: &impl Labels) -> Result<Map<String, Value>, Wrong> {
    let mut made = Map::new();
    for (path, text, written) in labels.each() {
        let parts: Vec<&str> = path.split('.').collect();
        set(&mut made, fields, &parts, "", text, &written, labels)
            .map_err(|reason| (path.to_owned(), reason))?;
    }
    match empty(&made, fields) {
        Some(name) => Err((name.to_ascii_lowercase(), "it says nothing".to_owned())),
        None => Ok(made),
    }
}

fn set(
    into: &mut Map<String, Value>,
    fields: &[Field],
    parts: &[&str],
    before: &str,
    text: &str,
    written: &[&str],
    labels: &impl Labels,
) -> Result<(), String> {
    let unknown = || format!("there is no field `{}`", parts.join("."));
    let (part, rest) = parts.split_first().ok_or_else(unknown)?;
    let bare = part.split('[').next().unwrap_or(part);
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(bare)).ok_or_else(unknown)?;
    let here = format!("{before}{bare}");
    let indexed = bare.len() < part.len();
    let leaf = |value: Value| if rest.is_empty() && !indexed { Ok(value) } else { Err(unknown()) };
    let name = || field.name.to_owned();
    match field.kind {
        Kind::Text => drop(into.insert(name(), leaf(value::line(text)?.into())?)),
        Kind::Flag => drop(into.insert(name(), leaf(value::boolean(text)?.into())?)),
        Kind::Number => drop(into.insert(name(), leaf(number(text)?)?)),
        Kind::Duration => {
            let duration = GoDuration(value::duration(text)?).to_string();
            into.insert(name(), leaf(duration.into())?);
        }
        Kind::List if rest.is_empty() => {
            let items = labels.list(&here);
            let items: Result<Vec<Value>, String> =
                items.iter().map(|item| value::line(item).map(Value::from)).collect();
            into.insert(name(), items?.into());
        }
        Kind::Map | Kind::Numbers if rest.len() == 1 && !indexed => {
            let value =
                if matches!(field.kind, Kind::Map) { value::line(text)?.into() } else { number(text)? };
            let key = written.last().copied().unwrap_or_default().to_owned();
            object(into, field.name)?.insert(key, value);
        }
        Kind::Struct(inner) | Kind::Switch(inner) if !rest.is_empty() && !indexed => {
            let inside = object(into, field.name)?;
            set(inside, inner, rest, &format!("{here}."), text, written, labels)?;
        }
        Kind::Switch(_) if !indexed => {
            if value::boolean(text)? {
                object(into, field.name)?;
            }
        }
        // A plugin's own fields are written as the plugin spells them.
        Kind::Free if !rest.is_empty() => {
            let depth = written.len().saturating_sub(rest.len());
            let mut inside = object(into, field.name)?;
            let (last, way) = written.get(depth..).and_then(|it| it.split_last()).ok_or_else(unknown)?;
            for part in way {
                inside = object(inside, part)?;
            }
            inside.insert((*last).to_owned(), value::line(text)?.into());
        }
        Kind::List | Kind::Map | Kind::Numbers | Kind::Struct(_) | Kind::Switch(_) | Kind::Free => {
            return Err(unknown());
        }
    }
    Ok(())
}

fn number(text: &str) -> Result<Value, String> {
    value::number::<i64>(text, "a whole number").map(Value::from)
}

/// The object of this name, made where it is not there; an error where it is something else.
fn object<'m>(into: &'m mut Map<String, Value>, name: &str) -> Result<&'m mut Map<String, Value>, String> {
    match into.entry(name).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(object) => Ok(object),
        _ => Err(format!("`{name}` is a value and has fields as well")),
    }
}

/// A structure that is there and says nothing, which Traefik refuses together with all else.
fn empty(made: &Map<String, Value>, fields: &[Field]) -> Option<String> {
    fields.iter().find_map(|field| {
        let Value::Object(inside) = made.get(field.name)? else { return None };
        match field.kind {
            Kind::Switch(inner) => empty(inside, inner),
            Kind::Struct(inner) if !inside.is_empty() => empty(inside, inner),
            _ if inside.is_empty() => Some(field.name.to_owned()),
            _ => None,
        }
    })
}

/// Whether a value that somebody sent has these fields alone, each of its kind, so that Traefik would read it.
pub(crate) fn conforms(value: &Value, fields: &[Field]) -> bool {
    let Value::Object(object) = value else { return false };
    object
        .iter()
        .all(|(name, value)| fields.iter().any(|field| field.name == name && fits(value, &field.kind)))
}

fn fits(value: &Value, kind: &Kind) -> bool {
    let filled = |value: &Value| value.as_object().is_some_and(|object| !object.is_empty());
    let all =
        |fits: fn(&Value) -> bool| filled(value) && value.as_object().is_some_and(|it| it.values().all(fits));
    match kind {
        Kind::Text => value.is_string(),
        Kind::Flag => value.is_boolean(),
        Kind::Number => value.is_i64(),
        Kind::Duration => value.as_str().is_some_and(|text| value::duration(text).is_ok()),
        Kind::List => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Kind::Map => all(Value::is_string),
        Kind::Numbers => all(Value::is_i64),
        Kind::Struct(fields) => filled(value) && conforms(value, fields),
        Kind::Switch(fields) => conforms(value, fields),
        Kind::Free => filled(value) && nested(value),
    }
}

/// Texts in objects, as labels can say them.
fn nested(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Object(object) => !object.is_empty() && object.values().all(nested),
        _ => false,
    }
}
