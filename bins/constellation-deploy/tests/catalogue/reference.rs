//! The reference's facts: one JSON file a stack below `tests/reference`, a service by name, each with the fields that
//! `fields.rs` names. Variables stand as `${NAME:-default}`; `null` is a text that was left out.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use crate::{
    fields::{Fields, Sheet, seconds, sorted},
    variables::{collect, expand},
};

/// The stacks of the reference by name.
const STACKS: &[(&str, &str)] = &[
    ("authentik", include_str!("../reference/authentik.json")),
    ("coolify-proxy", include_str!("../reference/coolify-proxy.json")),
    ("core", include_str!("../reference/core.json")),
    ("elfhosted", include_str!("../reference/elfhosted.json")),
    ("firecrawl", include_str!("../reference/firecrawl.json")),
    ("headscale", include_str!("../reference/headscale.json")),
    ("llm", include_str!("../reference/llm.json")),
    ("metrics", include_str!("../reference/metrics.json")),
    ("stremio", include_str!("../reference/stremio.json")),
    ("unsend", include_str!("../reference/unsend.json")),
    ("warp", include_str!("../reference/warp.json")),
    ("wordpress", include_str!("../reference/wordpress.json")),
];

/// Every stack with its services.
pub(crate) fn stacks() -> BTreeMap<&'static str, Map<String, Value>> {
    STACKS.iter().map(|(name, text)| (*name, serde_json::from_str(text).unwrap())).collect()
}

/// Every variable that the reference asks for, with its default.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, text) in STACKS {
        // Parsed first, so that quotes in defaults are those that a shell sees.
        each_text(&serde_json::from_str(text).unwrap(), &mut |text| collect(text, &mut found));
    }
    found
}

fn each_text(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, look)),
        Value::Object(fields) => fields.values().for_each(|item| each_text(item, look)),
        _ => {}
    }
}

/// A service of the reference under these variables.
pub(crate) fn fields(
    name: &str,
    facts: &Value,
    set: &BTreeMap<String, String>,
    suffixes: &[String],
) -> Fields {
    let reader = Reader { facts, set };
    let mut sheet = Sheet::default();
    sheet.image(&reader.text("/image").unwrap());
    for field in ["context", "dockerfile"] {
        sheet.say_if(&format!("build.{field}"), reader.text(&format!("/build/{field}")));
    }
    for field in ["container_name", "network_mode", "user", "working_dir", "userns_mode", "restart"] {
        sheet.say_if(field, reader.text(&format!("/{field}")));
    }
    // The host has its own name, and so has what is in its network.
    let mode = reader.text("/network_mode");
    if mode.as_deref() != Some("host") {
        sheet.say("hostname", reader.text("/hostname").unwrap_or_else(|| name.to_owned()));
    }
    let labels: Fields = reader.map("labels");
    let is_routed = labels.get("traefik.enable").is_some_and(|value| value.as_deref() == Some("true"));
    let mut networks = reader.list("networks");
    if networks.is_empty() && mode.is_none() {
        // What its deployer did with services that name none.
        networks.push("backend".to_owned());
        networks.extend(is_routed.then(|| "publicnet".to_owned()));
    }
    sheet.list("networks", &sorted(networks));
    let ports = reader.list("ports");
    // Published and routed ports are exposed, whether it is said or not.
    let published = ports.iter().map(|port| port.split("->").nth(1).unwrap().to_owned());
    let routed =
        labels.iter().filter(|(key, _)| key.to_ascii_lowercase().ends_with("loadbalancer.server.port"));
    let routed = routed.map(|(_, port)| format!("{}/tcp", port.as_deref().unwrap()));
    sheet.list("expose", &sorted(reader.list("expose").into_iter().chain(published).chain(routed).collect()));
    sheet.list("ports", &sorted(ports));
    sheet.list("extra_hosts", &sorted(reader.list("extra_hosts")));
    for field in ["volumes", "secrets", "environment"] {
        for (key, value) in reader.map(field) {
            // A variable that is empty says as much as none.
            if value.as_deref() != Some("") {
                sheet.0.insert(format!("{field}.{}", key.trim_end_matches('/')), value);
            }
        }
    }
    for (target, mode) in reader.map("configs") {
        sheet.say(format!("configs.{target}"), format!("mode {}", mode.unwrap()));
    }
    for field in ["entrypoint", "command"] {
        match reader.facts.get(field) {
            Some(Value::Array(words)) if words.iter().any(Value::is_null) => {
                sheet.0.insert(field.to_owned(), None);
            }
            _ if field == "command" => sheet.command(&reader.list(field)),
            _ => sheet.words(field, &reader.list(field)),
        }
    }
    health(&reader, &mut sheet);
    sheet.labels(&labels, name, suffixes);
    for (other, condition) in reader.map("depends_on") {
        let condition = condition.map(|condition| condition.trim_start_matches("service_").to_owned());
        let condition = condition.map(|condition| condition.replace("completed_successfully", "completed"));
        sheet.0.insert(format!("depends_on.{other}"), condition);
    }
    rights(&reader, &mut sheet);
    sheet.0
}

struct Reader<'a> {
    facts: &'a Value,
    set: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn text(&self, pointer: &str) -> Option<String> {
        match self.facts.pointer(pointer)? {
            Value::String(text) => Some(expand(text, self.set)),
            other => Some(other.to_string()),
        }
    }

    fn list(&self, field: &str) -> Vec<String> {
        let items = self.facts.get(field).and_then(Value::as_array);
        items.into_iter().flatten().map(|item| expand(item.as_str().unwrap(), self.set)).collect()
    }

    fn map(&self, field: &str) -> Fields {
        let items = self.facts.get(field).and_then(Value::as_object);
        let text = |value: &Value| value.as_str().map(|text| expand(text, self.set));
        items.into_iter().flatten().map(|(key, value)| (expand(key, self.set), text(value))).collect()
    }
}

fn health(reader: &Reader<'_>, sheet: &mut Sheet) {
    let Some(check) = reader.facts.get("healthcheck") else { return };
    let test: Vec<String> = check["test"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| expand(word.as_str().unwrap(), reader.set))
        .collect();
    let command = match test[0].as_str() {
        "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), test[1].clone()],
        "CMD" => test[1..].to_vec(),
        other => panic!("a health test of kind {other}"),
    };
    sheet.words("healthcheck.test", &command);
    // What is not said is the engine's.
    for (field, default) in [("interval", "30s"), ("timeout", "30s"), ("start_period", "0s")] {
        let text = check.get(field).and_then(Value::as_str).unwrap_or(default);
        sheet.say(format!("healthcheck.{field}"), seconds(duration(text)));
    }
    sheet.say("healthcheck.retries", check.get("retries").and_then(Value::as_u64).unwrap_or(3).to_string());
}

fn duration(text: &str) -> Duration {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let number: u64 = text[..unit].parse().unwrap();
    match &text[unit..] {
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        other => panic!("a time in {other}"),
    }
}

fn bytes(text: &str) -> u64 {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let number: f64 = text[..unit].parse().unwrap();
    let factor = match text[unit..].to_ascii_uppercase().trim_end_matches('B') {
        "K" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("a size in {other}"),
    };
    format!("{:.0}", number * factor).parse().unwrap()
}

fn rights(reader: &Reader<'_>, sheet: &mut Sheet) {
    for field in ["privileged", "stdin_open", "tty"] {
        sheet.say_if(field, reader.facts.get(field).map(|_| "yes"));
    }
    sheet.caps(&reader.list("cap_add"));
    let devices = reader.list("devices").into_iter();
    sheet.list(
        "devices",
        &sorted(devices.map(|device| device.split(':').next().unwrap().to_owned()).collect()),
    );
    let resource = |field: &str| reader.text(&format!("/resources/{field}"));
    for field in ["memory_limit", "memory_reservation"] {
        sheet.say_if(&format!("resources.{field}"), resource(field).map(|text| bytes(&text)));
    }
    let millis = resource("cpus").map(|text| text.parse::<f64>().unwrap() * 1000.0);
    sheet.say_if("resources.cpus", millis.map(|millis| format!("{millis:.0} m")));
    // The reference has the same number twice.
    sheet.say_if("resources.nofile", resource("nofile/soft").or_else(|| resource("nofile/hard")));
}
