//! Names, labels and texts: what must not turn into something else on its way to the engine.

use std::collections::BTreeMap;

use super::{About, Found, NAME_RULE, is_name, shown};
use crate::{
    config::Config,
    index::Index,
    language::{BuildSource, Stack},
    render::{DEFINITION_LABEL, SERVICE_LABEL, STACK_LABEL, derived_labels},
};

const OWN_LABELS: &[&str] = &[STACK_LABEL, SERVICE_LABEL, DEFINITION_LABEL];

/// The longest name of a stack or service: it is one label of a host name.
const NAME_BYTES_MAX: usize = 63;

pub(super) fn check_stacks(stacks: &[Stack], config: &Config, found: &mut Found) {
    let mut seen = BTreeMap::new();
    for stack in stacks {
        if !is_name(&stack.name, NAME_BYTES_MAX) {
            let what = format!("the stack's name {} cannot be one", shown(&stack.name));
            found.add(format!("stack {}", shown(&stack.name)), "name", what, NAME_RULE);
        }
        if seen.insert(&stack.name, ()).is_some() {
            found.add(
                &stack.name,
                "name",
                "two stacks have this name",
                "rename one, or put their services into one",
            );
        }
        let mut services = BTreeMap::new();
        for service in &stack.services {
            if services.insert(&service.name, ()).is_some() {
                let place = format!("{}/{}", stack.name, service.name);
                found.add(place, "name", "two services of the stack have this name", "rename one of them");
            }
        }
    }
    let prefix = config.stack_name();
    if !is_name(&prefix, NAME_BYTES_MAX) {
        found.add(
            "configuration",
            "STACK_NAME",
            format!("{} cannot begin a network's name", shown(&prefix)),
            NAME_RULE,
        );
    }
}

pub(super) fn check(about: &mut About<'_, '_>) {
    let service = about.member.service;
    if !is_name(&service.name, NAME_BYTES_MAX) {
        let advice = if service.name.contains('/') {
            "leave the `/` out: the stack's name is put before it by itself".to_owned()
        } else {
            NAME_RULE.to_owned()
        };
        about.wrong("name", format!("{} cannot be a service's name", shown(&service.name)), advice);
    }
    if let Some(name) = &service.container_name
        && (!is_name(name, 128) || name.len() < 2)
    {
        about.wrong("container_name", format!("{} cannot be a container's name", shown(name)), NAME_RULE);
    }
    if let Some(name) = &service.hostname
        && !is_hostname(name)
    {
        let advice = "use letters, digits, `-` and `.`, 253 characters at most";
        about.wrong("hostname", format!("{} cannot be a host name", shown(name)), advice);
    }
    image(about);
    environment(about);
    labels(about);
    for (field, what) in service.repeated.clone() {
        let what = format!("`{what}` is said twice, with two meanings");
        about.wrong(field, what, "say it once");
    }
}

fn is_hostname(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn image(about: &mut About<'_, '_>) {
    let image = &about.member.service.image;
    let reference = image.reference();
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    // A port makes a colon before the last slash, so only what follows it must not be empty.
    let tag_is_empty = reference.ends_with(':') || reference.ends_with('@') || reference.contains(":@");
    if reference.is_empty()
        || !reference.chars().all(fits)
        || tag_is_empty
        || reference.starts_with(['/', ':', '@'])
    {
        let what = format!("{} is not an image reference", shown(reference));
        about.wrong("image", what, "write `registry/name:tag` or `registry/name@sha256:…`");
    }
    if let Some(build) = &image.build {
        match &build.source {
            BuildSource::Folder(folder) if !folder.starts_with('/') => {
                let what = format!("the build folder {} is not an absolute path", shown(folder));
                about.wrong("image", what, "begin it with `/`, or make it with `cfg.root(…)`");
            }
            BuildSource::Files(files) => {
                let leaves = |name: &&String| {
                    name.starts_with('/') || name.split('/').any(|part| part.is_empty() || part == "..")
                };
                if let Some(name) = files.keys().find(leaves) {
                    let what = format!("the build's file {} is not beside its Dockerfile", shown(name));
                    about.wrong("image", what, "write its name, or a path below");
                }
            }
            BuildSource::Folder(_) => {}
        }
        if reference.contains('@') {
            about.wrong("image", "an image made here cannot have a digest in its name", "name it with a tag");
        }
        if build.dockerfile.starts_with('/') || build.dockerfile.split('/').any(|part| part == "..") {
            let what = format!("the Dockerfile {} is not inside the build folder", shown(&build.dockerfile));
            about.wrong("image", what, "write its path relative to the folder");
        }
    }
}

fn environment(about: &mut About<'_, '_>) {
    let service = about.member.service;
    let from_secrets = service.secrets.iter().flat_map(|secret| &secret.env).map(|env| &env.variable);
    let mut names: BTreeMap<&String, u32> = BTreeMap::new();
    for name in from_secrets {
        *names.entry(name).or_default() += 1;
        if service.env.contains_key(name) {
            let what = format!("{} is set by `env` and by a secret", shown(name));
            about.wrong("env", what, "leave one of them out");
        }
    }
    for (name, _) in names.iter().filter(|(_, times)| **times > 1) {
        about.wrong(
            "secrets",
            format!("{} is set by two secrets", shown(name)),
            "give each its own variable",
        );
    }
    for name in service.env.keys().chain(names.keys().copied()) {
        if name.is_empty() || name.contains(['=', '\0']) || name.chars().any(char::is_whitespace) {
            let what = format!("{} cannot be the name of a variable", shown(name));
            about.wrong("env", what, "use a name such as `LOG_LEVEL`, without `=` and spaces");
        }
    }
    for (name, value) in &service.env {
        if value.text.contains('\0') {
            about.wrong("env", format!("the value of {} holds a NUL", shown(name)), "remove it");
        }
    }
}

fn labels(about: &mut About<'_, '_>) {
    let service = about.member.service;
    for (key, value) in &service.labels {
        if key.is_empty() || key.chars().any(|c| c.is_control() || c.is_whitespace() || c == '=') {
            let what = format!("{} cannot be a label's name", shown(key));
            about.wrong("labels", what, "leave out spaces, line breaks and `=`");
        }
        if value.chars().any(char::is_control) {
            let what = format!("the value of {} has line breaks or control characters", shown(key));
            about.wrong(
                "labels",
                what,
                "write it on one line: what reads labels would take it for more than one",
            );
        }
        let lower = key.to_ascii_lowercase();
        if OWN_LABELS.contains(&lower.as_str()) {
            let what = format!("{} says whose the container is, and the tool writes it", shown(key));
            about.wrong("labels", what, "leave it out");
        }
    }
}

/// Labels that the language makes: that none of them carries anything but text, and that no free label contradicts one.
pub(super) fn check_derived(config: &Config, about: &mut About<'_, '_>) {
    let service = about.member.service;
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (key, value, word) in derived_labels(service, config) {
        if key.chars().any(|c| c.is_control() || c.is_whitespace()) || value.chars().any(char::is_control) {
            let what = format!("label {} {word} would carry line breaks or spaces in its name", shown(&key));
            about.wrong("labels", what, "remove them from what it is made of");
        }
        let free = service.labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key));
        if let Some((_, said)) = free
            && *said != value
        {
            let what = format!("{} is {} in `label` and {} {word}", shown(&key), shown(said), shown(&value));
            about.wrong("labels", what, "leave the label out, or say it with the language's own word");
        }
        match seen.get(&key) {
            Some(before) if *before != value => {
                let what = format!("{} would be both {} and {}", shown(&key), shown(before), shown(&value));
                about.wrong("labels", what, "give the two routes or middlewares different names");
            }
            _ => drop(seen.insert(key, value)),
        }
    }
}

/// Two services of one node cannot have one container name.
pub(super) fn check_containers(index: &Index<'_>, found: &mut Found) {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for member in index.members_here() {
        let name = member.service.container();
        if let Some(first) = names.get(name) {
            if *first != member.id() {
                let what = format!("its container would be named `{name}`, as that of {first}");
                found.add(member.id(), "container_name", what, "give one of them a `container_name`");
            }
        } else {
            names.insert(name, member.id());
        }
    }
}
