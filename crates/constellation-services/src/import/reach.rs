//! How a service meets the network.

use std::net::IpAddr;

use super::{
    draft::{Draft, Pair},
    expr::{self, literal},
    interpolate::Template,
    one_line,
    yaml::{Node, Value},
};

/// Networks, names and name servers. Whether it is in the host's own network.
pub(super) fn networks(draft: &mut Draft<'_>) -> bool {
    let mode = draft.take("network_mode").and_then(|node| {
        let mode = draft.fixed(node, "network_mode")?;
        Some((mode, node.line))
    });
    let networks = draft.take("networks");
    let mut in_host_network = false;
    match mode {
        Some((mode, line)) => {
            match mode.as_str() {
                "host" => {
                    in_host_network = true;
                    draft.call("host_network", "");
                }
                "none" => draft.call("no_network", ""),
                other => match other.strip_prefix("service:") {
                    Some(service) => draft.call("network_of", literal(service)),
                    None => {
                        let text = format!(
                            "`{}`: it is on `backend` here, as what nobody says more of",
                            one_line(other)
                        );
                        draft.note(line, "network_mode", text);
                    }
                },
            }
            if let Some(networks) = networks {
                draft.note(networks.line, "networks", "Compose refuses them beside `network_mode`: left out");
            }
        }
        None => match networks {
            None => draft.call("network", "\"default\""),
            Some(node) => attachments(draft, node),
        },
    }
    for (text, line) in draft.take("dns").map(|node| draft.texts(node, "dns")).unwrap_or_default() {
        match draft.fix(&text, line, "dns").map(|text| text.parse::<IpAddr>()) {
            Some(Ok(address)) => draft.call("dns", expr::address(address)),
            Some(Err(_)) => draft.note(line, "dns", "is no address: left out"),
            None => {}
        }
    }
    extra_hosts(draft);
    in_host_network
}

fn attachments(draft: &mut Draft<'_>, node: &Node) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let mut aliases = String::new();
                for field in entry.node.entries().unwrap_or_default() {
                    let place = format!("networks.{}.{}", entry.key, field.key);
                    match (field.key.as_str(), &field.node.value) {
                        ("aliases", Value::List(items)) => {
                            for alias in items.iter().filter_map(|alias| draft.text(alias, &place)) {
                                aliases.push_str(&format!(".alias({alias})"));
                            }
                        }
                        ("ipv4_address" | "ipv6_address", _) => {
                            let text = "the engine chooses addresses here: others find it by its name";
                            draft.note(field.line, &place, text);
                        }
                        _ => draft.note(field.line, &place, "the language has no word for it: left out"),
                    }
                }
                attach(draft, &entry.key, &aliases, entry.line);
            }
        }
        Value::List(items) => {
            for item in items {
                if let Some(name) = draft.fixed(item, "networks") {
                    attach(draft, &name, "", item.line);
                }
            }
        }
        _ => draft.odd(node, "networks", "a list or a mapping"),
    }
}

fn attach(draft: &mut Draft<'_>, name: &str, aliases: &str, line: usize) {
    if name != "default" && super::project::find(draft.project.networks, name).is_none() {
        draft.note(line, "networks", format!("the file has no network `{}`: left out", one_line(name)));
        return;
    }
    let name = literal(name);
    match aliases {
        "" => draft.call("network", name),
        aliases => draft.call("network", format!("attach({name}){aliases}")),
    }
}

fn extra_hosts(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("extra_hosts") else { return };
    for Pair { name, value, line } in draft.pairs(node, "extra_hosts", &['=', ':']) {
        let Some(value) = value else {
            draft.note(line, "extra_hosts", "it has no address: left out");
            continue;
        };
        let value = match value.as_literal() {
            // `[::1]` in a list.
            Some(text) => Template::literal(text.trim_start_matches('[').trim_end_matches(']')),
            None => value,
        };
        draft.call("extra_host", format!("{}, {}", expr::text(&name), expr::text(&value)));
    }
}
