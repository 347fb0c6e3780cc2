//! What a service finds in its file system: volumes, secrets, configuration files.

use super::{
    draft::{Draft, Long, items},
    expr::{self, literal},
    interpolate::Template,
    one_line,
    project::{engine_name, find, is_external},
    yaml::{Node, Value},
};

const UNBOUNDED: &str = "Compose set no size: 64 MiB here, say another";

/// Secrets. Tells the environment variables that are said with them.
pub(super) fn secrets(draft: &mut Draft<'_>) -> Vec<String> {
    let mut variables = Vec::new();
    let Some(node) = draft.take("secrets") else { return variables };
    for item in items(node) {
        let mut long = Long::of(item, "secrets");
        let source = match &mut long {
            Some(long) => long.take("source"),
            None => Some(item),
        };
        let Some(source) = source.and_then(|source| draft.fixed(source, "secrets")) else { continue };
        let (file, file_note) = secret_file(draft, &source);
        draft.note(item.line, "secrets", file_note);
        let mut target = source.clone();
        let mut owner = user_ids(draft);
        let mut mode = None;
        if let Some(long) = &mut long {
            if let Some(said) = long.take("target").and_then(|node| draft.fixed(node, "secrets.target")) {
                target = said;
            }
            owner = said_owner(draft, long, "secrets").or(owner);
            mode = long.take("mode").and_then(|node| said_mode(draft, node, "secrets.mode"));
            draft.finish_long(long);
        }
        let mut code = format!("secret({})", literal(&file));
        let base = file.rsplit('/').next().unwrap_or(&file);
        if base.strip_suffix(".txt").unwrap_or(base) != target {
            code.push_str(&format!(".at({})", literal(&target)));
        }
        match mode {
            Some(mode) if mode & 0o007 != 0 => {
                draft.note(item.line, "secrets.mode", "everybody inside could read it: 0400 here");
            }
            Some(mode) if mode != 0o400 => code.push_str(&format!(".mode(0o{mode:o})")),
            _ => {}
        }
        if let Some((uid, gid)) = owner {
            code.push_str(&format!(".owner({uid}, {gid})"));
        }
        let path = if target.starts_with('/') { target } else { format!("/run/secrets/{target}") };
        for variable in variables_saying(draft, &path) {
            code.push_str(&format!(".env_file({})", literal(&variable)));
            variables.push(variable);
        }
        draft.call("secret", code);
    }
    variables
}

/// The file below the secrets path, and where it is to come from.
fn secret_file(draft: &Draft<'_>, source: &str) -> (String, String) {
    let named = format!("{source}.txt");
    let Some(secret) = find(draft.project.secrets, source) else {
        return (
            named.clone(),
            format!("the file says nothing of `{}`: put it below SECRETS_PATH", one_line(source)),
        );
    };
    if let Some(path) = secret.get("file").and_then(Node::text) {
        let base = path.rsplit('/').next().unwrap_or(path);
        let plain = !base.is_empty() && !base.contains('$') && base != "..";
        let shared = draft.project.secrets.iter().filter(|other| {
            let other = other.node.get("file").and_then(Node::text);
            other.and_then(|path| path.rsplit('/').next()) == Some(base)
        });
        let file = if plain && shared.count() < 2 { base.to_owned() } else { named };
        let text = format!("copy {} to {} below SECRETS_PATH, mode 0600", one_line(path), one_line(&file));
        return (file, text);
    }
    let why = match secret.get("environment").and_then(Node::text) {
        Some(variable) => format!("its value came from the variable {}", one_line(variable)),
        None if is_external(secret) => "it was kept outside of this project".to_owned(),
        None => "the file does not say where it comes from".to_owned(),
    };
    (named.clone(), format!("{why}: write it to {} below SECRETS_PATH, mode 0600", one_line(&named)))
}

/// Variables whose value is exactly this path.
fn variables_saying(draft: &Draft<'_>, path: &str) -> Vec<String> {
    let Some(environment) = draft.peek("environment") else { return Vec::new() };
    let plain = |name: &str| !name.contains('$');
    match &environment.value {
        Value::Map(entries) => entries
            .iter()
            .filter(|entry| entry.node.text() == Some(path) && plain(&entry.key))
            .map(|entry| entry.key.clone())
            .collect(),
        Value::List(items) => items
            .iter()
            .filter_map(|item| item.text()?.split_once('='))
            .filter(|(name, value)| *value == path && plain(name))
            .map(|(name, _)| name.to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

/// The service's user, where it is a number: it must be able to read its secrets.
fn user_ids(draft: &Draft<'_>) -> Option<(u32, u32)> {
    let user = draft.peek("user")?.text()?;
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    let ids = (uid.parse().ok()?, gid.parse().ok()?);
    (ids != (0, 0)).then_some(ids)
}

fn said_owner<'n>(draft: &mut Draft<'_>, long: &mut Long<'n>, field: &str) -> Option<(u32, u32)> {
    let (uid, gid) = (long.take("uid"), long.take("gid"));
    let node = uid.or(gid)?;
    let mut number = |node: Option<&'n Node>| match node {
        Some(node) => draft.fixed(node, field)?.parse::<u32>().ok(),
        None => Some(0),
    };
    match (number(uid), number(gid)) {
        (Some(uid), Some(gid)) => Some((uid, gid)),
        _ => {
            draft.note(node.line, field, "its owner is not a number: left out");
            None
        }
    }
}

/// `0440`, `"0440"` or `0o440`.
fn said_mode(draft: &mut Draft<'_>, node: &Node, field: &str) -> Option<u32> {
    let text = draft.fixed(node, field)?;
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        draft.note(node.line, field, "is no mode: left out");
    }
    mode
}

/// Configuration files.
pub(super) fn configs(draft: &mut Draft<'_>) {
    let Some(node) = draft.take("configs") else { return };
    for item in items(node) {
        let mut long = Long::of(item, "configs");
        let source = match &mut long {
            Some(long) => long.take("source"),
            None => Some(item),
        };
        let Some(source) = source.and_then(|source| draft.fixed(source, "configs")) else { continue };
        let mut target = format!("/{source}");
        let (mut owner, mut mode) = (None, None);
        if let Some(long) = &mut long {
            if let Some(said) = long.take("target").and_then(|node| draft.fixed(node, "configs.target")) {
                target = if said.starts_with('/') { said } else { format!("/{said}") };
            }
            owner = said_owner(draft, long, "configs");
            mode = long.take("mode").and_then(|node| said_mode(draft, node, "configs.mode"));
            draft.finish_long(long);
        }
        config(draft, item.line, &source, &target, owner, mode);
    }
}

fn config(
    draft: &mut Draft<'_>,
    line: usize,
    source: &str,
    target: &str,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
) {
    let definition = find(draft.project.configs, source);
    if let Some(content) = definition.and_then(|config| config.get("content")) {
        let Some(content) = draft.text(content, "configs") else { return };
        let mut code = format!("config_file({}, {content})", literal(target));
        if let Some(mode) = mode.filter(|mode| *mode != 0o444) {
            code.push_str(&format!(".mode(0o{mode:o})"));
        }
        if let Some((uid, gid)) = owner {
            code.push_str(&format!(".owner({uid}, {gid})"));
        }
        return draft.call("config", code);
    }
    if let Some(file) = definition.and_then(|config| config.get("file")) {
        let Some(path) = draft.template(file, "configs") else { return };
        let path = draft.host_path(&path, file.line, "configs");
        draft.note(
            line,
            "configs",
            "bound as it is: with `config_file` its content stands here, and a change is a new service",
        );
        if owner.is_some() || mode.is_some() {
            draft.note(line, "configs", "owner and mode are those of the file");
        }
        return draft.call("volume", format!("bind({path}).file().at({}).read_only()", literal(target)));
    }
    let text = "its content is not in the file: write it with `.config(config_file(…))`";
    draft.note(line, "configs", text);
}

/// Volumes and memory.
pub(super) fn volumes(draft: &mut Draft<'_>) {
    if let Some(node) = draft.take("volumes") {
        for item in items(node) {
            match Long::of(item, "volumes") {
                Some(long) => long_volume(draft, long),
                None => {
                    if let Some(text) = draft.template(item, "volumes") {
                        short_volume(draft, &text, item.line);
                    }
                }
            }
        }
    }
    let Some(node) = draft.take("tmpfs") else { return };
    for (text, line) in draft.texts(node, "tmpfs") {
        let (target, options) = text.split_once(':').unwrap_or((text, Template::default()));
        let options = draft.fix(&options, line, "tmpfs").unwrap_or_default();
        let mut size = None;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", text)) if expr::size(text).is_some() => size = expr::size(text),
                _ => draft.note(line, "tmpfs", format!("`{}` is left out", one_line(option))),
            }
        }
        memory(draft, size, &target, line, "tmpfs");
    }
}

fn memory(draft: &mut Draft<'_>, size: Option<String>, target: &Template, line: usize, field: &str) {
    if size.is_none() {
        draft.note(line, field, UNBOUNDED);
    }
    let size = size.unwrap_or_else(|| "64.mib()".to_owned());
    draft.call("volume", format!("tmpfs({size}).at({})", expr::text(target)));
}

fn short_volume(draft: &mut Draft<'_>, text: &Template, line: usize) {
    let pieces = text.split(':');
    let (source, target, options) = match pieces.as_slice() {
        [target] => return anonymous(draft, target, line),
        [source, target] => (source, target, String::new()),
        [source, target, options] => {
            (source, target, draft.fix(options, line, "volumes").unwrap_or_default())
        }
        _ => return draft.note(line, "volumes", "more colons than a volume has: left out"),
    };
    let mut read_only = false;
    for option in options.split(',') {
        match option {
            "ro" => read_only = true,
            "" | "rw" => {}
            _ => draft.note(line, "volumes", format!("`{}` is left out", one_line(option))),
        }
    }
    let is_path = source.head().starts_with(['/', '.', '~']) || source.head().is_empty();
    let what = if is_path { bound(draft, source, line) } else { kept(draft, source, line) };
    mount(draft, &what, target, read_only);
}

fn mount(draft: &mut Draft<'_>, what: &str, target: &Template, read_only: bool) {
    let read_only = if read_only { ".read_only()" } else { "" };
    draft.call("volume", format!("{what}.at({}){read_only}", expr::text(target)));
}

fn anonymous(draft: &mut Draft<'_>, target: &Template, line: usize) {
    let path = draft.fix(target, line, "volumes").unwrap_or_default();
    let name: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = format!("{}-{}", draft.name, name.trim_matches('-'));
    draft.note(line, "volumes", "it had no name, and would be another one each time: it has one here");
    mount(draft, &format!("named({})", literal(&name)), target, false);
}

fn bound(draft: &mut Draft<'_>, source: &Template, line: usize) -> String {
    let is_socket = source.as_literal().is_some_and(|path| path.ends_with(".sock"));
    let file = if is_socket { ".file()" } else { "" };
    format!("bind({}){file}", draft.host_path(source, line, "volumes"))
}

/// A volume of the engine.
fn kept(draft: &mut Draft<'_>, source: &Template, line: usize) -> String {
    let Some(name) = source.as_literal() else { return format!("named({})", expr::text(source)) };
    let Some(volume) = find(draft.project.volumes, name) else { return format!("named({})", literal(name)) };
    for field in volume.entries().unwrap_or_default() {
        if !matches!(field.key.as_str(), "name" | "external") && !field.key.starts_with("x-") {
            let text =
                format!("`{}` of the volume is left out: make it by hand before", one_line(&field.key));
            draft.note(line, "volumes", text);
        }
    }
    match engine_name(volume) {
        Some(name) => format!("shared_volume({})", literal(&name)),
        None if is_external(volume) => format!("shared_volume({})", literal(name)),
        None => format!("named({})", literal(name)),
    }
}

fn long_volume(draft: &mut Draft<'_>, mut long: Long<'_>) {
    let line = long.line;
    let kind = long.take("type").and_then(|node| draft.fixed(node, "volumes.type"));
    let source = long.take("source").and_then(|node| draft.template(node, "volumes.source"));
    let target = long.take("target").and_then(|node| draft.template(node, "volumes.target"));
    let Some(target) = target else {
        return draft.note(line, "volumes", "it does not say where it is mounted: left out");
    };
    let read_only = long.take("read_only").and_then(|node| draft.flag(node, "volumes.read_only"));
    let mut size = None;
    if let Some(mut tmpfs) = long.take("tmpfs").and_then(|node| Long::of(node, "volumes.tmpfs")) {
        let said = tmpfs.take("size");
        size = said.and_then(|node| draft.amount(node, "volumes.tmpfs.size", "a size", expr::size));
        draft.finish_long(&tmpfs);
    }
    if let Some(mut bind) = long.take("bind").and_then(|node| Long::of(node, "volumes.bind")) {
        // Missing folders are not made either way.
        let _ = bind.take("create_host_path");
        draft.finish_long(&bind);
    }
    draft.finish_long(&long);
    let read_only = read_only.unwrap_or(false);
    match (kind.as_deref(), source) {
        (Some("tmpfs"), _) => memory(draft, size, &target, line, "volumes"),
        (Some("bind"), Some(source)) => {
            let what = bound(draft, &source, line);
            mount(draft, &what, &target, read_only);
        }
        (Some("volume"), Some(source)) => {
            let what = kept(draft, &source, line);
            mount(draft, &what, &target, read_only);
        }
        (Some("volume"), None) => anonymous(draft, &target, line),
        _ => {
            draft.note(line, "volumes", "the language knows bound paths, named volumes and memory: left out");
        }
    }
}
