//! What waits for what, and that it can come true.

use std::collections::{BTreeMap, BTreeSet};

use super::{About, Found, network::explain_unknown};
use crate::{
    index::Index,
    language::{Condition, Kind},
};

pub(super) fn check(index: &Index<'_>, about: &mut About<'_, '_>) {
    let member = about.member;
    for (name, condition) in &member.service.depends_on {
        let other = match index.service(&member.stack.name, name) {
            Ok(other) => other,
            Err(unknown) => {
                let (what, advice) = explain_unknown(name, &unknown);
                about.wrong("depends_on", what, advice);
                continue;
            }
        };
        let is_job = other.service.kind == Kind::Job;
        match condition {
            Condition::Healthy if other.service.health.is_none() => {
                let what = format!("it waits for {} to be healthy, which has no health check", other.id());
                about.wrong("depends_on", what, "give that one a `health`, or wait for `Started`");
            }
            Condition::Healthy if is_job => {
                let what = format!("it waits for {} to be healthy, which is a job", other.id());
                about.wrong("depends_on", what, "wait for `Completed`");
            }
            Condition::Completed if !is_job => {
                let what = format!("it waits for {} to complete, which runs on", other.id());
                about.wrong(
                    "depends_on",
                    what,
                    "wait for `Started` or `Healthy`, or make that one a `Service::job`",
                );
            }
            _ => {}
        }
    }
}

/// Circles, each told once and in full.
pub(super) fn check_circles(index: &Index<'_>, found: &mut Found) {
    let mut arrows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in index.members() {
        let waits_for = member.service.depends_on.keys();
        let targets = waits_for.filter_map(|name| Some(index.service(&member.stack.name, name).ok()?.id()));
        arrows.insert(member.id(), targets.collect());
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in arrows.keys() {
        let mut path = Vec::new();
        walk(start, &arrows, &mut done, &mut path, found);
    }
}

fn walk<'a>(
    node: &'a str,
    arrows: &'a BTreeMap<String, Vec<String>>,
    done: &mut BTreeSet<&'a str>,
    path: &mut Vec<&'a str>,
    found: &mut Found,
) {
    if let Some(start) = path.iter().position(|step| *step == node) {
        let mut circle: Vec<&str> = path[start..].to_vec();
        circle.push(node);
        let what = format!("it waits for itself: {}", circle.join(" -> "));
        found.add(node, "depends_on", what, "take one of these dependencies away");
        return;
    }
    if done.contains(node) {
        return;
    }
    path.push(node);
    for next in arrows.get(node).into_iter().flatten() {
        walk(next, arrows, done, path, found);
    }
    path.pop();
    done.insert(node);
}
