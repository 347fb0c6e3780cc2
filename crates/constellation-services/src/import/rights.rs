//! What a service may use and do.

use super::{
    draft::{Draft, Long, Pair, items},
    expr::{self, literal},
    interpolate::Template,
    one_line,
    yaml::{Node, Value},
};
use crate::language::Cap;

/// What the engine gives to everyone.
const ENGINE_CAPS: &[Cap] = &[
    Cap::Chown,
    Cap::DacOverride,
    Cap::Fowner,
    Cap::Fsetid,
    Cap::Kill,
    Cap::Setgid,
    Cap::Setuid,
    Cap::Setpcap,
    Cap::NetBindService,
    Cap::NetRaw,
    Cap::SysChroot,
    Cap::Mknod,
    Cap::AuditWrite,
    Cap::Setfcap,
];

/// Limits that stand at the service itself, as Compose had them first.
pub(super) fn limits(draft: &mut Draft<'_>) {
    for (field, word) in
        [("mem_limit", "memory"), ("mem_reservation", "memory_reservation"), ("shm_size", "shm")]
    {
        size(draft, field, word);
    }
    if let Some(node) = draft.take("cpus") {
        cores(draft, node, "cpus");
    }
    for (field, word, shares) in [("cpu_shares", "cpu_shares", ".shares()"), ("pids_limit", "pids", "")] {
        if let Some(node) = draft.take(field)
            && let Some(count) = draft.amount(node, field, "a number above 0", count)
        {
            draft.call(word, format!("{count}{shares}"));
        }
    }
    if let Some(node) = draft.take("deploy") {
        super::life::deploy(draft, node);
    }
    ulimits(draft);
}

fn count(text: &str) -> Option<String> {
    text.parse::<u64>().ok().filter(|count| *count > 0).map(|count| count.to_string())
}

fn size(draft: &mut Draft<'_>, field: &str, word: &str) {
    if let Some(node) = draft.take(field)
        && let Some(size) = draft.amount(node, field, "a size such as `512m`", expr::size)
    {
        draft.call(word, size);
    }
}

fn cores(draft: &mut Draft<'_>, node: &Node, field: &str) {
    if let Some(cores) = draft.amount(node, field, "a number of cores", expr::cores) {
        draft.call("cpus", cores);
    }
}

/// `deploy.resources`.
pub(super) fn resources(draft: &mut Draft<'_>, node: &Node) {
    let Some(mut resources) = Long::of(node, "deploy.resources") else { return };
    if let Some(mut limits) =
        resources.take("limits").and_then(|node| Long::of(node, "deploy.resources.limits"))
    {
        if let Some(node) = limits.take("memory")
            && let Some(size) = draft.amount(node, "deploy.resources.limits.memory", "a size", expr::size)
        {
            draft.call("memory", size);
        }
        if let Some(node) = limits.take("cpus") {
            cores(draft, node, "deploy.resources.limits.cpus");
        }
        if let Some(node) = limits.take("pids")
            && let Some(count) = draft.amount(node, "deploy.resources.limits.pids", "a number", count)
        {
            draft.call("pids", count);
        }
        draft.finish_long(&limits);
    }
    if let Some(mut reserved) =
        resources.take("reservations").and_then(|node| Long::of(node, "deploy.resources.reservations"))
    {
        if let Some(node) = reserved.take("memory")
            && let Some(size) =
                draft.amount(node, "deploy.resources.reservations.memory", "a size", expr::size)
        {
            draft.call("memory_reservation", size);
        }
        draft.finish_long(&reserved);
    }
    draft.finish_long(&resources);
}

fn ulimits(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("ulimits") else { return };
    for entry in node.entries().unwrap_or_default() {
        let field = format!("ulimits.{}", entry.key);
        let limit = |text: &str| text.parse::<i64>().ok().map(|limit| limit.to_string());
        if let Value::Map(_) = entry.node.value {
            let mut read = |key| {
                let node = entry.node.get(key)?;
                draft.amount(node, &field, "a number", limit)
            };
            match (read("soft"), read("hard")) {
                (Some(soft), Some(hard)) => {
                    draft.call("ulimit", format!("{}, {soft}, {hard}", literal(&entry.key)));
                }
                _ => draft.note(entry.line, &field, "it has no `soft` and `hard`: left out"),
            }
        } else if let Some(limit) = draft.amount(&entry.node, &field, "a number", limit) {
            match (entry.key.as_str(), limit.parse::<u32>()) {
                ("nofile", Ok(limit)) => draft.call("nofile", limit.to_string()),
                _ => draft.call("ulimit", format!("{}, {limit}, {limit}", literal(&entry.key))),
            }
        }
    }
}

/// Capabilities, devices, kernel parameters and the like.
pub(super) fn confinement(draft: &mut Draft<'_>) {
    let privileged = draft.take("privileged").and_then(|node| draft.flag(node, "privileged"));
    capabilities(draft, privileged == Some(true));
    if let Some(node) = draft.take("read_only")
        && draft.flag(node, "read_only") == Some(true)
    {
        draft.call("read_only_root", "");
    }
    for (text, line) in draft.take("devices").map(|node| devices(draft, node)).unwrap_or_default() {
        let pieces = text.split(':');
        let same = match pieces.as_slice() {
            [_] => true,
            [outside, inside] | [outside, inside, _] => outside == inside,
            _ => false,
        };
        let all_rights = pieces.get(2).and_then(Template::as_literal).is_none_or(|rights| rights == "rwm");
        match pieces.first() {
            Some(device) if same => {
                if !all_rights {
                    draft.note(line, "devices", "a device is readable and writable here");
                }
                draft.call("device", expr::text(device));
            }
            _ => {
                draft.note(line, "devices", "a device is at the same path inside and outside here: left out");
            }
        }
    }
    if let Some(node) = draft.take("sysctls") {
        for Pair { name, value, line } in draft.pairs(node, "sysctls", &['=']) {
            match value {
                Some(value) => draft.call("sysctl", format!("{}, {}", expr::text(&name), expr::text(&value))),
                None => draft.note(line, "sysctls", "it has no value: left out"),
            }
        }
    }
    let Some(node) = draft.take("security_opt") else { return };
    for (option, _) in draft.texts(node, "security_opt") {
        match option.as_literal() {
            Some("no-new-privileges:true" | "no-new-privileges" | "no-new-privileges=true") => {}
            Some("no-new-privileges:false" | "no-new-privileges=false") => draft.call("new_privileges", ""),
            _ => draft.call("security_opt", expr::text(&option)),
        }
    }
}

fn devices(draft: &mut Draft<'_>, node: &Node) -> Vec<(Template, usize)> {
    let mut devices = Vec::new();
    for item in items(node) {
        let Some(mut long) = Long::of(item, "devices") else {
            devices.extend(draft.template(item, "devices").map(|text| (text, item.line)));
            continue;
        };
        let mut whole = Template::default();
        for (key, colon) in [("source", ""), ("target", ":"), ("permissions", ":")] {
            let Some(text) = long.take(key).and_then(|node| draft.fixed(node, "devices")) else { continue };
            whole.push_text(colon);
            whole.push_text(&text);
        }
        draft.finish_long(&long);
        devices.push((whole, item.line));
    }
    devices
}

fn capabilities(draft: &mut Draft<'_>, privileged: bool) {
    let mut read = |field: &'static str| -> Vec<(String, usize)> {
        let Some(node) = draft.take(field) else { return Vec::new() };
        let texts = draft.texts(node, field);
        let fixed = texts.into_iter().filter_map(|(text, line)| Some((draft.fix(&text, line, field)?, line)));
        fixed
            .map(|(name, line)| (name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned(), line))
            .collect()
    };
    let (added, dropped) = (read("cap_add"), read("cap_drop"));
    if privileged {
        draft.call("privileged", "");
        return;
    }
    let named = |name: &str| Cap::ALL.iter().copied().find(|cap| cap.as_str() == name);
    let mut add = Vec::new();
    for (name, line) in added {
        match named(&name) {
            Some(cap) => add.push(cap),
            None if name == "ALL" => {
                draft.note(line, "cap_add", "every capability is `.privileged()`: name those that it needs");
            }
            None => draft.note(line, "cap_add", format!("`{}` is no capability: left out", one_line(&name))),
        }
    }
    let drops_all = dropped.iter().any(|(name, _)| name == "ALL");
    let code = |caps: &[Cap]| {
        let names: Vec<String> = caps.iter().map(|cap| format!("Cap::{cap:?}")).collect();
        format!("&{}", expr::bracketed(&names))
    };
    if !drops_all && dropped.is_empty() {
        draft.call("engine_caps", "");
    } else if !drops_all {
        let mut kept: Vec<Cap> = ENGINE_CAPS.to_vec();
        for (name, line) in dropped {
            match named(&name) {
                Some(cap) => kept.retain(|kept| *kept != cap),
                None => {
                    draft.note(line, "cap_drop", format!("`{}` is no capability: left out", one_line(&name)));
                }
            }
        }
        kept.extend(add);
        add = kept;
    }
    add.sort_unstable();
    add.dedup();
    if !add.is_empty() {
        draft.call("caps", code(&add));
    }
}
