//! What stands beside the services of a Compose file: networks, volumes, secrets, configs.

use std::collections::BTreeSet;

use super::{
    ImportError, ImportOptions, Note,
    expr::literal,
    interpolate::Template,
    one_line,
    yaml::{Document, Entry, Node, Value},
};

/// A Compose file, read and not yet written.
pub(super) struct Project<'a> {
    pub(super) stack: String,
    pub(super) base: Option<&'a str>,
    pub(super) services: &'a [Entry],
    pub(super) networks: &'a [Entry],
    pub(super) volumes: &'a [Entry],
    pub(super) secrets: &'a [Entry],
    pub(super) configs: &'a [Entry],
    /// Services that others wait for until they have ended.
    pub(super) jobs: BTreeSet<&'a str>,
    pub(super) notes: Vec<Note>,
}

/// A builder's expression: how it begins, and the calls on that.
pub(super) type Built = (String, Vec<String>);

/// Fields at the top that have a place of their own, or none and need none.
const TOP: &[&str] = &["name", "version", "services", "networks", "volumes", "secrets", "configs"];

impl<'a> Project<'a> {
    pub(super) fn read(document: &'a Document, options: &'a ImportOptions) -> Result<Self, ImportError> {
        let not_compose = |what: &str| ImportError::NotCompose { what: what.to_owned() };
        let root = &document.root;
        let top = root.entries().filter(|_| matches!(root.value, Value::Map(_)));
        let top = top.ok_or_else(|| not_compose("it is no mapping"))?;
        let services = root.get("services").ok_or_else(|| not_compose("it has no `services`"))?;
        let services = services.entries().ok_or_else(|| not_compose("its `services` are no mapping"))?;
        let mut notes = Vec::new();
        let mut section = |name: &str| match root.get(name) {
            None => [].as_slice(),
            Some(node) => node.entries().unwrap_or_else(|| {
                let text = format!("is {} and should be a mapping: left out", node.kind());
                notes.push(Note { line: node.line, place: name.to_owned(), text });
                &[]
            }),
        };
        let (networks, volumes) = (section("networks"), section("volumes"));
        let (secrets, configs) = (section("secrets"), section("configs"));
        for entry in top.iter().filter(|entry| !TOP.contains(&entry.key.as_str())) {
            let text = match entry.key.as_str() {
                "include" => {
                    "other files are not read: import each, or merge them with `docker compose config`"
                }
                key if key.starts_with("x-") => continue,
                _ => "no part of a Compose file that this import knows: left out",
            };
            notes.push(Note { line: entry.line, place: one_line(&entry.key), text: text.to_owned() });
        }
        let named = root.get("name").and_then(Node::text).and_then(|name| Template::parse(name).ok());
        let named = named.and_then(|name| name.at_defaults());
        let stack = stack_name(named.as_deref().or(options.stack.as_deref()).unwrap_or("imported"));
        Ok(Self {
            stack,
            base: options.folder.as_deref().map(|folder| folder.trim_end_matches('/')),
            services,
            networks,
            volumes,
            secrets,
            configs,
            jobs: jobs(services),
            notes,
        })
    }

    /// Whether a service of this name has a health check of its own.
    pub(super) fn has_health(&self, service: &str) -> bool {
        let Some(check) = find(self.services, service).and_then(|service| service.get("healthcheck")) else {
            return false;
        };
        let disabled = check.get("disable").and_then(Node::text).is_some_and(|text| text == "true");
        let none = match check.get("test").map(|test| &test.value) {
            Some(Value::List(words)) => words.first().and_then(|word| word.text()) == Some("NONE"),
            Some(Value::Text(_)) => false,
            _ => true,
        };
        !disabled && !none
    }

    /// Whether a service joins the network that Compose makes for the project.
    pub(super) fn uses_default_network(&self) -> bool {
        self.services.iter().any(|service| {
            service.node.get("network_mode").is_none()
                && service.node.get("networks").is_none_or(|networks| match &networks.value {
                    Value::Null => true,
                    Value::List(items) => items.iter().any(|item| item.text() == Some("default")),
                    _ => networks.get("default").is_some(),
                })
        })
    }

    /// The networks of the stack, each as an expression, with the lines of what they leave out.
    pub(super) fn network_calls(&self, notes: &mut Vec<Note>) -> Vec<Built> {
        let mut calls = Vec::new();
        if self.uses_default_network() && find(self.networks, "default").is_none() {
            calls.push(("Network::new(\"default\")".to_owned(), Vec::new()));
        }
        for entry in self.networks {
            calls.push(network(entry, notes));
        }
        calls
    }
}

pub(super) fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &*entry.node)
}

/// Whether something stands outside of the project.
pub(super) fn is_external(node: &Node) -> bool {
    match node.get("external").map(|external| &external.value) {
        Some(Value::Text(text)) => text == "true",
        Some(Value::Map(_)) => true,
        _ => false,
    }
}

/// The name that the engine knows something by, where the file says one.
pub(super) fn engine_name(node: &Node) -> Option<String> {
    let name = node.get("name").or_else(|| node.get("external").and_then(|external| external.get("name")));
    Template::parse(name?.text()?).ok()?.at_defaults()
}

fn network(entry: &Entry, notes: &mut Vec<Note>) -> Built {
    let node = &entry.node;
    let mut note = |line: usize, field: &str, text: &str| {
        let place = format!("networks.{}{field}", one_line(&entry.key));
        notes.push(Note { line, place, text: text.to_owned() });
    };
    let head = format!("Network::new({})", literal(&entry.key));
    let mut calls = Vec::new();
    let external = is_external(node);
    let name = engine_name(node).or_else(|| external.then(|| entry.key.clone()));
    if let Some(name) = name {
        calls.push(format!(".named({})", literal(&name)));
    }
    if external {
        let text = "it was made outside of this project: if it is Traefik's, services that are routed are on `PUBLICNET` \
                    here; if several stacks share it, put it under [networks] in the configuration file";
        note(entry.line, "", text);
    }
    let Some(fields) = node.entries() else {
        note(entry.line, "", "makes no sense: only its name is taken");
        return (head, calls);
    };
    for field in fields {
        let text = field.node.text();
        match (field.key.as_str(), text) {
            ("name" | "external" | "labels", _) if field.key != "labels" => {}
            ("driver", Some("bridge" | "default")) => {}
            ("driver", _) => note(field.line, ".driver", "the language makes bridge networks only"),
            ("internal", Some("true")) => calls.push(".internal()".to_owned()),
            ("internal" | "attachable" | "enable_ipv4", Some(_)) => {}
            ("driver_opts", _) => {
                for option in field.node.entries().unwrap_or_default() {
                    let value = option.node.text().unwrap_or_default();
                    calls.push(format!(".option({}, {})", literal(&option.key), literal(value)));
                }
            }
            ("ipam", _) => calls.extend(ipam(&field.node, field.line, &mut note)),
            (key, _) if key.starts_with("x-") => {}
            (key, _) => {
                let place = format!(".{}", one_line(key));
                note(field.line, &place, "the language has no word for it: left out");
            }
        }
    }
    (head, calls)
}

/// The first IPv4 range of a network's address management.
fn ipam(node: &Node, line: usize, note: &mut impl FnMut(usize, &str, &str)) -> Vec<String> {
    let mut calls = Vec::new();
    let configs = match node.get("config").map(|config| &config.value) {
        Some(Value::List(configs)) => configs.as_slice(),
        _ => &[],
    };
    let mut taken = 0;
    for config in configs {
        let Some(subnet) = config.get("subnet").and_then(|subnet| subnet.text()) else { continue };
        if taken == 0 && !subnet.contains(':') {
            calls.push(format!(".subnet({})", literal(subnet)));
            if let Some(gateway) = config.get("gateway").and_then(|gateway| gateway.text()) {
                calls.push(format!(".gateway({})", literal(gateway)));
            }
            taken = 1;
        }
    }
    let more = configs.len() > taken
        || node.entries().is_some_and(|fields| fields.iter().any(|field| field.key != "config"))
        || configs
            .iter()
            .filter_map(|config| config.entries())
            .flatten()
            .any(|field| !matches!(field.key.as_str(), "subnet" | "gateway"));
    if more {
        note(line, ".ipam", "only the first IPv4 subnet and its gateway are carried over");
    }
    calls
}

/// Services that somebody waits for with `service_completed_successfully`.
fn jobs(services: &[Entry]) -> BTreeSet<&str> {
    let waits = services.iter().filter_map(|service| service.node.get("depends_on")?.entries());
    waits
        .flatten()
        .filter(|other| {
            other.node.get("condition").and_then(Node::text) == Some("service_completed_successfully")
        })
        .map(|other| other.key.as_str())
        .collect()
}

/// A name as the language takes it, as near to the file's as can be.
pub(super) fn stack_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
    let name = name.trim_start_matches(['_', '.', '-']);
    if name.is_empty() { "imported".to_owned() } else { name.to_owned() }
}
