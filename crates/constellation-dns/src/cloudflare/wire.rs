//! Records as the API writes them.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{
    owner::Marker,
    plan::Change,
    record::{Found, Record, RecordId, RecordKind, RecordName, Ttl, Value},
};

/// A record that the API tells of. Only what a plan needs is asked for, so that kinds and fields to come do no harm.
#[derive(Debug, Deserialize)]
pub(super) struct WireRecord {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    data: Option<Json>,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    proxied: Option<bool>,
    #[serde(default)]
    comment: Option<String>,
}

impl WireRecord {
    pub(super) fn found(self) -> Found {
        let content = self.content.unwrap_or_default();
        let kind: Option<RecordKind> = self.kind.parse().ok();
        let value = match kind {
            // Its content leaves the priority out; its data has everything.
            Some(RecordKind::Srv) => self.data.as_ref().and_then(srv),
            Some(kind) => Value::read(kind, &content),
            None => None,
        };
        let name = self.name.parse::<RecordName>().map_or(self.name, |name| name.to_string());
        Found {
            id: RecordId(self.id),
            name,
            kind: self.kind,
            value,
            content,
            ttl: Ttl(self.ttl.unwrap_or(1)),
            proxied: self.proxied.unwrap_or(false),
            comment: self.comment.filter(|comment| !comment.is_empty()),
        }
    }
}

fn srv(data: &Json) -> Option<Value> {
    let number = |field: &str| u16::try_from(data.get(field)?.as_u64()?).ok();
    let target = data.get("target")?.as_str()?.parse().ok()?;
    Some(Value::Srv {
        priority: number("priority")?,
        weight: number("weight")?,
        port: number("port")?,
        target,
    })
}

/// A batch. The API does deletes, patches, puts and posts in this order, in one transaction.
#[derive(Debug, Default, Serialize)]
pub(super) struct Batch<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deletes: Vec<Id<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    posts: Vec<Json>,
}

#[derive(Debug, Serialize)]
struct Id<'a> {
    id: &'a str,
}

impl<'a> Batch<'a> {
    pub(super) fn of(changes: &'a [Change], marker: &Marker) -> Self {
        let mut batch = Self::default();
        for change in changes {
            match change {
                Change::Delete { from } => batch.deletes.push(Id { id: &from.id.0 }),
                // A patch leaves tags and whatever else stands beside the record as it is.
                Change::Update { from, to } => {
                    let mut patch = body(to, marker);
                    if let Some(fields) = patch.as_object_mut() {
                        fields.insert("id".to_owned(), json!(from.id.0));
                    }
                    batch.patches.push(patch);
                }
                Change::Stamp { from } => {
                    batch.patches.push(json!({ "id": from.id.0, "comment": marker.to_string() }));
                }
                Change::Release { from } => batch.patches.push(json!({ "id": from.id.0, "comment": "" })),
                Change::Create { to } => batch.posts.push(body(to, marker)),
            }
        }
        batch
    }
}

fn body(record: &Record, marker: &Marker) -> Json {
    let kind = record.value.kind();
    let mut body = json!({
        "name": record.name.as_str(),
        "type": kind.as_str(),
        "ttl": record.ttl.0,
        "comment": marker.to_string(),
    });
    let Some(fields) = body.as_object_mut() else { return body };
    match &record.value {
        Value::Srv { priority, weight, port, target } => {
            let data =
                json!({ "priority": priority, "weight": weight, "port": port, "target": target.as_str() });
            fields.insert("data".to_owned(), data);
        }
        Value::Txt(text) => {
            // Cloudflare wants the quotes of zone files, and puts a warning where they are missing.
            let strings = text_strings(text);
            fields.insert("content".to_owned(), json!(strings));
        }
        value => {
            fields.insert("content".to_owned(), json!(value.to_string()));
            fields.insert("proxied".to_owned(), json!(record.proxied));
        }
    }
    body
}

/// Text as quoted strings of at most 255 bytes.
fn text_strings(text: &str) -> String {
    let (mut strings, mut string) = (Vec::new(), String::new());
    let mut length = 0;
    for c in text.chars() {
        if length + c.len_utf8() > 255 {
            strings.push(std::mem::take(&mut string));
            length = 0;
        }
        if matches!(c, '"' | '\\') {
            string.push('\\');
        }
        string.push(c);
        length += c.len_utf8();
    }
    strings.push(string);
    strings.iter().map(|string| format!("\"{string}\"")).collect::<Vec<_>>().join(" ")
}
