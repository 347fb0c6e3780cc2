//! The catalogue against the reference, field by field, and against itself.
//!
//! Every field of every service is compared under two configurations: one that sets nothing, and one that sets every
//! variable of the reference to something else, so that a variable which is read nowhere, or in the wrong place, is seen.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod egress;
mod fields;
mod files;
mod golden;
mod labels;
mod lints;
mod plans;
mod reference;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use constellation_deploy::catalogue::{self, Chapter, EVERYWHERE};
use constellation_services::{Desired, prelude::*, render};

use crate::fields::{Context, Fields, ours};

/// One configuration, with everything that follows from it.
struct Side {
    set: BTreeMap<String, String>,
    suffixes: Vec<String>,
    chapters: Vec<Chapter>,
    desired: Desired,
}

impl Side {
    fn new(set: BTreeMap<String, String>) -> Self {
        let cfg = Config::from_parts(set.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let chapters = catalogue::chapters(&cfg);
        let stacks: Vec<Stack> = chapters.iter().map(|chapter| chapter.stack().clone()).collect();
        let desired =
            render(&stacks, &cfg, &Default::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let suffixes = vec![cfg.domain().to_owned(), format!("{}.{}", cfg.node(), cfg.domain())];
        Self { set, suffixes, chapters, desired }
    }

    /// Our fields and the reference's, by `stack/service`.
    fn pairs(&self) -> BTreeMap<String, (Fields, Fields)> {
        let reference = reference::stacks();
        let mut pairs = BTreeMap::new();
        for rendered in &self.desired.services {
            let id = rendered.id.to_string();
            let (stack, name) = id.split_once('/').unwrap();
            let Some(facts) = reference.get(stack).and_then(|stack| stack.get(name)) else { continue };
            let chapter = self.chapters.iter().find(|chapter| chapter.stack().name() == stack).unwrap();
            let context = Context { desired: &self.desired, chapter, suffixes: &self.suffixes };
            let theirs = reference::fields(name, facts, &self.set, &self.suffixes);
            pairs.insert(id.clone(), (ours(rendered, &context), theirs));
        }
        pairs
    }
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Nothing is set but where and who.
fn bare() -> Side {
    Side::new(settings(&[
        ("DOMAIN", "example.org"),
        ("TS_HOSTNAME", "n1"),
        ("CONFIG_PATH", "/opt/constellation/volumes"),
        ("SECRETS_PATH", "/opt/constellation/secrets"),
        ("ROOT_PATH", "/opt/constellation"),
        ("STACK_NAME", "infra"),
    ]))
}

/// Every variable of the reference is set, to another value than its default.
fn all_set() -> Side {
    let mut set = settings(&[
        ("DOMAIN", "example.net"),
        ("TS_HOSTNAME", "n2"),
        ("CONFIG_PATH", "/srv/volumes"),
        ("SECRETS_PATH", "/srv/secrets"),
        ("ROOT_PATH", "/srv/sources"),
        ("STACK_NAME", "site"),
        ("DATA_DIR", "/srv/data"),
        ("CERTS_PATH", "/srv/certs"),
        ("SRC_PATH", "/srv/projects"),
        ("IMAGE_PREFIX", "registry.example.net/ours"),
        ("WARP_NAT_NET_SUBNET", "10.9.2.0/24"),
        ("WARP_NAT_NET_GATEWAY", "10.9.2.1"),
    ]);
    for (position, (name, default)) in (1..).zip(reference::variables()) {
        // No two numbers are the same, so that one variable is not taken for another.
        let other = match default.as_str() {
            "true" => "false".to_owned(),
            "false" => "true".to_owned(),
            path if path.starts_with('/') => format!("/set/{}", name.to_ascii_lowercase()),
            number if number.parse::<u64>().is_ok() => {
                (number.parse::<u64>().unwrap() + position).to_string()
            }
            _ => format!("set-{}", name.to_ascii_lowercase().replace('_', "-")),
        };
        set.entry(name).or_insert(other);
    }
    Side::new(set)
}

/// Differences by `stack/service` and field, with what each side says.
fn differences() -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for side in [bare(), all_set()] {
        for (id, (ours, theirs)) in side.pairs() {
            let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let (mine, other) = (ours.get(name), theirs.get(name));
                // Where the reference left its text out, any text of ours will do.
                let open = mine.is_some() && other == Some(&None);
                if !open && mine != other {
                    let show = |side: Option<&Option<String>>| match side {
                        None => "nothing".to_owned(),
                        Some(None) => "some text".to_owned(),
                        Some(Some(text)) => format!("`{text}`"),
                    };
                    let text = format!("reference: {}\n      ours:      {}", show(other), show(mine));
                    found.entry((id.clone(), name.clone())).or_insert(text);
                }
            }
        }
    }
    found
}

fn own_differences(chapters: &[Chapter], id: &str) -> Vec<catalogue::Difference> {
    let (stack, name) = id.split_once('/').unwrap();
    let chapter = chapters.iter().find(|chapter| chapter.stack().name() == stack).unwrap();
    chapter.differences(name).to_vec()
}

#[test]
fn every_difference_from_the_reference_has_a_reason() {
    let chapters = bare().chapters;
    let unexplained: Vec<String> = differences()
        .into_iter()
        .filter(|((id, field), _)| {
            let own = own_differences(&chapters, id);
            !own.iter().chain(EVERYWHERE).any(|difference| difference.covers(field))
        })
        .map(|((id, field), text)| format!("{id}: {field}\n      {text}"))
        .collect();
    assert!(
        unexplained.is_empty(),
        "{} fields differ from tests/reference without a reason; change them back, or say why with \
         `.differs(field, reason)` behind the service:\n  {}",
        unexplained.len(),
        unexplained.join("\n  ")
    );
}

#[test]
fn every_reason_has_a_difference() {
    let found = differences();
    let mut idle = Vec::new();
    for chapter in bare().chapters {
        for service in chapter.stack().iter() {
            let id = format!("{}/{}", chapter.stack().name(), service.name());
            for difference in chapter.differences(service.name()) {
                assert!(!difference.reason.trim().is_empty(), "{id}: {}: no reason", difference.field);
                if !found.keys().any(|(other, field)| *other == id && difference.covers(field)) {
                    idle.push(format!("{id}: {}", difference.field));
                }
            }
        }
    }
    for difference in EVERYWHERE {
        if !found.keys().any(|(_, field)| difference.covers(field)) {
            idle.push(format!("everywhere: {}", difference.field));
        }
    }
    assert!(
        idle.is_empty(),
        "no difference is left for these reasons; remove them:\n  {}",
        idle.join("\n  ")
    );
}

#[test]
fn every_service_of_the_reference_is_in_the_catalogue_and_no_other() {
    let chapters = bare().chapters;
    let ids = |stack: &str, names: Vec<&str>| -> Vec<String> {
        names.into_iter().map(|name| format!("{stack}/{name}")).collect()
    };
    let here: BTreeSet<String> = chapters
        .iter()
        .flat_map(|chapter| ids(chapter.stack().name(), chapter.stack().iter().map(Service::name).collect()))
        .collect();
    let reference = reference::stacks();
    let there: BTreeSet<String> = reference
        .iter()
        .flat_map(|(stack, services)| ids(stack, services.keys().map(String::as_str).collect()))
        .collect();
    assert_eq!(here, there);
    assert_eq!(reference.values().map(serde_json::Map::len).sum::<usize>(), 79);
}

#[test]
fn every_service_says_what_it_is_for() {
    for chapter in bare().chapters {
        assert!(chapter.stack().purpose().is_some(), "{}", chapter.stack().name());
        for service in chapter.stack().iter() {
            assert!(service.purpose().is_some(), "{}: add an `about`", service.name());
        }
    }
}
