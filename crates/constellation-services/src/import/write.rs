//! The module as a whole: what stands above it, the stack, and one function a service.

use std::collections::BTreeSet;

use super::{
    Imported, Note,
    draft::{Draft, Line},
    expr::{chain, literal},
    life, mounts, one_line, ports,
    project::{Built, Project},
    reach, rights, what,
    yaml::{Entry, Value},
};

/// Where comments are broken.
const COLUMNS: usize = 110;

/// Fields of a service without a word, and what to do.
const NO_WORD: &[(&str, &str)] = &[
    ("attach", "it belongs to `docker compose up`"),
    ("cpuset", "limit it with `.cpus(…)`"),
    ("cpu_quota", "limit it with `.cpus(…)`"),
    ("cpu_period", "limit it with `.cpus(…)`"),
    ("develop", "it belongs to development on one's own machine"),
    (
        "env_file",
        "write its variables with `.env(…)`, those that are secret with `.secret(…)`, or put them under [variables] in the configuration file and ask `cfg`",
    ),
    ("extends", "copy the fields of the other service, or share them with a function and `.with(…)`"),
    ("gpus", "name its devices with `.device(…)`"),
    ("ipc", "the language gives every service its own"),
    ("links", "services on one network find each other by name"),
    ("memswap_limit", "the engine allows as much swap as memory"),
    ("pid", "the language gives every service its own"),
    ("profiles", "Compose started it only with one of these profiles: it is always part of the stack here"),
    ("scale", "a node runs one of it: `.placement(replicas(n))` puts it on n nodes"),
    ("stdin_open", "nobody sits before it"),
    ("tty", "nobody sits before it"),
    ("uts", "the language gives every service its own"),
    ("volumes_from", "name the volumes here, too"),
];

/// Names that the module and the prelude have, and Rust's own words.
const TAKEN: &[&str] = &[
    "stack",
    "pass_on",
    "cfg",
    "secret",
    "config_file",
    "bind",
    "named",
    "shared_volume",
    "tmpfs",
    "build",
    "image",
    "on",
    "every_node",
    "replicas",
    "attach",
    "localhost",
    "on_address",
    "all_interfaces",
    "millis",
    "secs",
    "mins",
    "hours",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "main",
    "_",
];

/// A function of the module.
struct Function {
    name: String,
    asks: bool,
    code: String,
}

pub(super) fn write(project: &Project<'_>, asides: &[(usize, String)]) -> Imported {
    let mut notes: Vec<Note> = asides
        .iter()
        .map(|(line, text)| Note { line: *line, place: "the file".to_owned(), text: text.clone() })
        .collect();
    notes.extend(project.notes.iter().cloned());
    let networks = project.network_calls(&mut notes);
    let mut names: BTreeSet<String> = TAKEN.iter().map(|name| (*name).to_owned()).collect();
    let mut functions = Vec::new();
    let above = notes.len();
    for entry in project.services {
        functions.push(service(project, entry, &mut names, &mut notes));
    }
    let general = general(project);
    let body = functions.iter().map(|function| function.code.as_str()).collect::<Vec<_>>().join("\n");
    let helpers = helpers(project, &body);
    let mut code = heading(project, &notes[..above], &general);
    code.push_str("use constellation_services::prelude::*;\n\n");
    code.push_str(&helpers);
    code.push_str(&stack(project, &networks, &functions));
    for function in &functions {
        code.push('\n');
        code.push_str(&function.code);
    }
    code.push_str(pass_on(&body));
    let whole = general.into_iter().map(|text| Note { line: 0, place: "the file".to_owned(), text });
    notes.extend(whole);
    Imported { stack: project.stack.clone(), code, notes }
}

/// What holds for the whole file.
fn general(project: &Project<'_>) -> Vec<String> {
    let mut texts = Vec::new();
    let any = |fits: &dyn Fn(&Entry) -> bool| project.services.iter().any(fits);
    let said = |field: &'static str| any(&move |service| service.node.get(field).is_some());
    if any(&|service| service.node.get("restart").is_none() && !project.jobs.contains(service.key.as_str())) {
        texts.push("A service that says nothing of `restart` comes back here, also after the machine did. What is to run \
                    once is a `Service::job`.");
    }
    if any(&|service| service.node.get("cap_drop").is_none() && service.node.get("privileged").is_none()) {
        texts.push("`.engine_caps()` keeps the capabilities that every container of Compose has. Without it a service has \
                    none: try that, or `.caps(STEP_DOWN)` for images that start as root and step down.");
    }
    texts.push("Nothing inside may gain rights, as `sudo` does, unless `.new_privileges()` says so.");
    if said("volumes") {
        texts.push("Bound folders must be there: `cfg.volume(\"name\")` in place of a path is made where it is missing.");
    }
    if said("secrets") {
        texts.push(
            "A secret is a file that only its owner reads, root unless `.owner(uid, gid)` says otherwise.",
        );
    }
    texts.push("A container has its service's name, without the project's before it.");
    texts.into_iter().map(str::to_owned).collect()
}

fn heading(project: &Project<'_>, above: &[Note], general: &[String]) -> String {
    let mut head = format!("//! The stack `{}`, made from a Compose file.\n//!\n", project.stack);
    let mut item = |text: &str| head.push_str(&wrapped(text, "//! - ", "//!   "));
    for note in above {
        item(&note.to_string());
    }
    for text in general {
        item(text);
    }
    head.push('\n');
    head
}

/// A comment, broken into lines.
fn wrapped(text: &str, first: &str, next: &str) -> String {
    let (mut whole, mut line) = (String::new(), first.to_owned());
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            whole.push_str(&line);
            whole.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    whole.push_str(&line);
    whole.push('\n');
    whole
}

fn helpers(project: &Project<'_>, body: &str) -> String {
    match project.base {
        Some(base) if body.contains("{HERE}") || body.contains("(HERE)") => {
            format!(
                "/// The folder of the Compose file: its relative paths begin here.\nconst HERE: &str = {};\n\n",
                literal(base)
            )
        }
        _ => String::new(),
    }
}

/// Compose's variable that is a name alone.
fn pass_on(body: &str) -> &'static str {
    if !body.contains("pass_on(cfg, ") {
        return "";
    }
    "
/// Sets a variable where the configuration has it, and leaves it out otherwise.
fn pass_on(cfg: &Config, name: impl Into<String>) -> impl FnOnce(Service) -> Service {
    let name = name.into();
    let value = cfg.optional(&name);
    move |service| match value {
        Some(value) => service.env(name, value),
        None => service,
    }
}
"
}

fn stack(project: &Project<'_>, networks: &[Built], functions: &[Function]) -> String {
    let asks = functions.iter().any(|function| function.asks);
    let cfg = if asks { "cfg" } else { "_cfg" };
    let mut code =
        format!("/// What the Compose file describes.\npub fn stack({cfg}: &Config) -> Stack {{\n");
    code.push_str(&format!("    Stack::new({})\n", literal(&project.stack)));
    for (head, calls) in networks {
        let line = format!("        .network({head}{})\n", calls.concat());
        match line.len() <= COLUMNS {
            true => code.push_str(&line),
            false => {
                let chain = chain(head, calls, 16);
                code.push_str(&format!("        .network(\n            {chain},\n        )\n"));
            }
        }
    }
    for function in functions {
        let argument = if function.asks { "cfg" } else { "" };
        code.push_str(&format!("        .service({}({argument}))\n", function.name));
    }
    code.push_str("}\n");
    code
}

fn service(
    project: &Project<'_>,
    entry: &Entry,
    names: &mut BTreeSet<String>,
    notes: &mut Vec<Note>,
) -> Function {
    let fields = entry.node.entries().unwrap_or_default();
    let name = service_name(&entry.key);
    let mut draft = Draft::new(project, &name, fields);
    if name != entry.key {
        draft.note(entry.line, "", format!("its name was `{}`, which is none here", one_line(&entry.key)));
    }
    if !matches!(entry.node.value, Value::Map(_)) {
        draft.note(entry.line, "", "it describes nothing");
    }
    let is_job = project.jobs.contains(entry.key.as_str());
    let image = what::image(&mut draft);
    what::process(&mut draft);
    let of_secrets = mounts::secrets(&mut draft);
    what::environment(&mut draft, &of_secrets);
    mounts::configs(&mut draft);
    mounts::volumes(&mut draft);
    let in_host_network = reach::networks(&mut draft);
    ports::ports(&mut draft, in_host_network);
    what::labels(&mut draft);
    life::health(&mut draft);
    life::depends_on(&mut draft);
    life::restart(&mut draft, is_job);
    life::ending(&mut draft);
    rights::limits(&mut draft);
    rights::confinement(&mut draft);
    for field in draft.rest() {
        if field.key.starts_with("x-") {
            continue;
        }
        let known = NO_WORD.iter().find(|(name, _)| *name == field.key);
        let text = known.map_or("the language has no word for it: left out", |(_, text)| text);
        draft.note(field.line, &field.key, text);
    }
    let (lines, own) = (draft.lines, draft.notes);
    notes.extend(own);
    let kind = if is_job { "job" } else { "new" };
    let line = format!("    Service::{kind}({}, {})\n", literal(&name), image.code());
    let mut body = if line.len() <= COLUMNS {
        line
    } else {
        format!("    let image = {};\n    Service::{kind}({}, image)\n", image.lines(), literal(&name))
    };
    for line in &lines {
        match line {
            Line::Call(call) => body.push_str(&format!("        {call}\n")),
            Line::Comment(text) => body.push_str(&wrapped(text, "        // ", "        // ")),
        }
    }
    let function = function_name(&entry.key, names);
    let asks = asks(&image.code()) || lines.iter().any(|line| matches!(line, Line::Call(call) if asks(call)));
    let argument = if asks { "cfg: &Config" } else { "" };
    Function { code: format!("fn {function}({argument}) -> Service {{\n{body}}}\n"), name: function, asks }
}

/// Whether an expression asks the configuration: `cfg` outside of its texts.
fn asks(code: &str) -> bool {
    let mut rest = code;
    while let Some(at) = rest.find(['"', 'c', 'r']) {
        let here = &rest[at..];
        if here.starts_with("cfg.") || here.starts_with("cfg,") {
            return true;
        }
        let skip = match here.strip_prefix("r#\"") {
            Some(text) => text.find("\"#").map_or(here.len(), |end| 3 + end + 2),
            None if here.starts_with('"') => 1 + end_of_text(&here[1..]),
            None => 1,
        };
        rest = here.get(skip..).unwrap_or_default();
    }
    false
}

/// Where a literal ends, its closing quote included.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return position + 1,
            _ => {}
        }
    }
    text.len()
}

/// A service's name as the language takes it.
pub(super) fn service_name(name: &str) -> String {
    super::project::stack_name(name)
}

/// A name for the function that describes a service.
fn function_name(name: &str, names: &mut BTreeSet<String>) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut base: String = name.chars().map(fits).take(60).collect();
    if base.is_empty() || base.starts_with(|c: char| c.is_ascii_digit()) {
        base.insert_str(0, "service_");
    }
    let mut candidate = base.clone();
    for number in 1.. {
        if names.insert(candidate.clone()) {
            break;
        }
        candidate = if number == 1 { format!("{base}_service") } else { format!("{base}_service_{number}") };
    }
    candidate
}
