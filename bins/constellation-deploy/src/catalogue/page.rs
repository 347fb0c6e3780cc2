//! `docs/catalogue.md`: what is in the catalogue, and what it does otherwise than the reference.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use constellation_services::prelude::*;

use super::{Chapter, Difference, EVERYWHERE, chapters};

/// The page, in Markdown. It depends on the configuration only where the catalogue does: the committed one is that of
/// `Config::example()`.
pub fn markdown(cfg: &Config) -> String {
    let chapters = chapters(cfg);
    let services: usize = chapters.iter().map(|chapter| chapter.stack().iter().count()).sum();
    let mut page = String::from(
        "# The catalogue\n\n\
         <!-- Printed by `constellation-deploy catalogue --markdown`: change the definitions, not this page. -->\n\n",
    );
    let mut say = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    say(format!(
        "{services} services in {} stacks, as definitions to start from: `bins/constellation-deploy/src/catalogue`, one \
         module a stack.\nTheir facts (images, ports, variables, volumes, labels, health tests) come from a reference \
         collection. Where that was wrong,\nthe catalogue does it right: the tables say what differs and why, and a test \
         compares every field of every service with them.\n",
        chapters.len(),
    ));
    say("**Versions of images are starting points.** No image was pulled when they were written down: each is a variable \
         (`REDIS_TAG`, ...), and\n`apply` names the service and the image where a registry does not have \
         one.\n"
        .to_owned());
    say("| stack | services | what it is |\n|---|---|---|".to_owned());
    for chapter in &chapters {
        let stack = chapter.stack();
        say(format!(
            "| [{name}](#{name}) | {} | {} |",
            stack.iter().count(),
            cell(stack.purpose().unwrap_or_default()),
            name = stack.name(),
        ));
    }
    say("\n## Secret files\n".to_owned());
    say(secrets(&chapters));
    say("## What differs everywhere\n".to_owned());
    say(differences(EVERYWHERE.iter().map(|difference| (None, difference))));
    for chapter in &chapters {
        say(section(chapter));
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// What an operator has to have below the secrets path.
fn secrets(chapters: &[Chapter]) -> String {
    let mut files: BTreeMap<&str, (bool, BTreeSet<&str>)> = BTreeMap::new();
    for chapter in chapters {
        for service in chapter.stack().iter() {
            for secret in service.secrets() {
                let (optional, readers) = files.entry(secret.file()).or_insert((true, BTreeSet::new()));
                *optional &= secret.is_optional();
                readers.insert(service.name());
            }
        }
    }
    let mut text = "A stack needs the files of its services below the secrets path before it is applied; without an \
                    optional one its\nservices do without. What ends in `.env` or `.ini` holds several values: \
                    the tables below say which.\n\n| file | who reads it | |\n|---|---|---|\n"
        .to_owned();
    for (file, (optional, readers)) in files {
        let readers: Vec<String> = readers.into_iter().map(|name| format!("`{name}`")).collect();
        let optional = if optional { "optional" } else { "" };
        let _ = writeln!(text, "| `{}` | {} | {optional} |", cell(file), readers.join(", "));
    }
    text
}

fn section(chapter: &Chapter) -> String {
    let stack = chapter.stack();
    let mut text = format!("## {}\n\n| service | what it is |\n|---|---|\n", stack.name());
    for service in stack.iter() {
        let _ = writeln!(text, "| `{}` | {} |", service.name(), cell(service.purpose().unwrap_or_default()));
    }
    let own: Vec<(Option<&str>, &Difference)> = stack
        .iter()
        .flat_map(|service| {
            chapter
                .differences(service.name())
                .iter()
                .map(move |difference| (Some(service.name()), difference))
        })
        .collect();
    if !own.is_empty() {
        text.push('\n');
        text.push_str(&differences(own));
    }
    text
}

fn differences<'a>(rows: impl IntoIterator<Item = (Option<&'a str>, &'a Difference)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let mut text = match rows.first() {
        Some((Some(_), _)) => "| service | differs in | because |\n|---|---|---|\n".to_owned(),
        _ => "| differs in | because |\n|---|---|\n".to_owned(),
    };
    for (service, Difference { field, reason }) in rows {
        let service = service.map(|name| format!("| `{name}` ")).unwrap_or_default();
        let _ = writeln!(text, "{service}| `{}` | {} |", cell(field), cell(reason));
    }
    text
}

/// A bar would end the cell, a line break the table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
