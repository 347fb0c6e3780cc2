//! How a service is kept: secrets, tags, health, limits.

use super::{About, Lint, Severity};
use crate::{
    config::Origin,
    language::{EnvValue, Kind},
};

pub(super) fn look(about: &mut About<'_>) {
    let service = about.member.service;
    secrets(about);
    if service.image.is_floating() {
        let what = format!("`{}` may be another image tomorrow", service.image.reference());
        about.find(Lint::FloatingTag, what, "write a full version, or a digest");
    }
    match &service.health {
        None if service.kind == Kind::Service => {
            let advice = "give it a `health`: without one it is never healed, and replaced without looking";
            about.find(Lint::NoHealthCheck, "nobody can tell whether it works", advice);
        }
        Some(health) => {
            let line = health.command.join(" ");
            let installs = ["apt-get install", "apt install", "apk add", "yum install", "dnf install"];
            if installs.iter().any(|word| line.contains(word)) {
                about.find(
                    Lint::StrangeHealthCheck,
                    "its health check installs packages",
                    "use what the image has",
                );
            } else if line.trim_end().ends_with("|| true") || line.trim_end().ends_with("; exit 0") {
                about.find(Lint::StrangeHealthCheck, "its health check cannot fail", "let it fail");
            }
        }
        None => {}
    }
    if service.kind == Kind::Service {
        if service.limits.memory.is_none() {
            about.find(Lint::NoMemoryLimit, "it may take all memory of the host", "give it a `memory`");
        }
        if service.limits.cpus.is_none() {
            about.find(
                Lint::NoCpuLimit,
                "it may take all cores of the host",
                "give it `cpus`, or `cpu_shares`",
            );
        }
    }
}

fn secrets(about: &mut About<'_>) {
    let service = about.member.service;
    for (name, value) in &service.env {
        let in_url = has_password(&value.text);
        let in_clear = is_secret_name(name) && is_plain(&value.text);
        if !in_url && !in_clear {
            continue;
        }
        // What the operator set is at least not in the code; everybody who sees the container sees it all the same.
        let severity = match &value.from {
            Some(from) if from.origin != Origin::Default => Severity::Warning,
            _ => Severity::Error,
        };
        let what = format!("{name} is in plain text in the container's environment{}", said_where(value));
        let advice = "make it a `secret`, and tell the program where it stands with `env_file`";
        about.find_as(severity, Lint::PlainSecret, what, advice);
    }
    let words: Vec<&String> = service.entrypoint.iter().chain(&service.command).flatten().collect();
    for (position, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix('-') else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (
                flag,
                words.get(position + 1).map(|next| next.as_str()).filter(|next| !next.starts_with('-')),
            ),
        };
        let name = name.trim_start_matches('-').replace(['-', '.'], "_");
        if is_secret_name(&name) && value.is_some_and(is_plain) {
            let what = format!(
                "`{}` is on the command line, where every process of the host reads it",
                word_shown(word)
            );
            about.find(Lint::PlainSecret, what, "use the program's way of reading it from a file");
        }
    }
}

fn said_where(value: &EnvValue) -> String {
    value.from.as_ref().map_or_else(String::new, |from| format!(" ({from})"))
}

fn word_shown(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// Whether a variable of this name usually holds a secret, and not where one is.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split('_').filter(|word| !word.is_empty()).collect();
    let last = words.last().copied().unwrap_or_default();
    let before =
        words.len().checked_sub(2).and_then(|position| words.get(position)).copied().unwrap_or_default();
    match last {
        "PASSWORD" | "PASSWD" | "PASS" | "SECRET" | "TOKEN" | "REQUIREPASS" => true,
        "KEY" => matches!(
            before,
            "API" | "SECRET" | "PRIVATE" | "MASTER" | "ENCRYPTION" | "LICENSE" | "SIGNING" | "ACCESS"
        ),
        _ => false,
    }
}

/// Whether a value is the secret itself: not empty, not a path to it, and not another service's yes or no.
fn is_plain(value: &str) -> bool {
    let value = value.trim();
    let is_place = value.starts_with('/') || value.starts_with("file:") || value.contains("/run/secrets/");
    !value.is_empty() && !is_place && !matches!(value, "true" | "false")
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty())
}
