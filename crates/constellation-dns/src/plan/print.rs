//! A plan for people: one line a change, each beginning with what it does.

use std::fmt;

use super::{Change, Plan};
use crate::record::{Found, Record};

fn was(found: &Found) -> String {
    let proxied = if found.proxied { ", proxied" } else { "" };
    format!("{} (ttl {}{proxied})", found.content, found.ttl)
}

fn will_be(record: &Record) -> String {
    let proxied = if record.proxied { ", proxied" } else { "" };
    format!("{} (ttl {}{proxied})", record.value, record.ttl)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete { from } => write!(f, "- {:<5} {}  {}", from.kind, from.name, was(from)),
            Self::Update { from, to } if from.kind != to.value.kind().as_str() => {
                write!(
                    f,
                    "~ {:<5} {}  {} -> {} {}",
                    from.kind,
                    to.name,
                    was(from),
                    to.value.kind(),
                    will_be(to)
                )
            }
            Self::Update { from, to } => {
                write!(f, "~ {:<5} {}  {} -> {}", from.kind, to.name, was(from), will_be(to))
            }
            Self::Stamp { from } => write!(f, "= {:<5} {}  takes our token", from.kind, from.name),
            Self::Release { from } => write!(f, "= {:<5} {}  is let go of", from.kind, from.name),
            Self::Create { to } => write!(f, "+ {:<5} {}  {}", to.value.kind(), to.name, will_be(to)),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (create, change, remove) = self.counts();
        let refused = self.refused.len();
        writeln!(
            f,
            "{create} to add, {change} to change, {remove} to remove, {refused} refused; {} records are ours, {} are not",
            self.owned, self.foreign
        )?;
        for change in &self.changes {
            writeln!(f, "  {change}")?;
        }
        for refusal in &self.refused {
            writeln!(f, "  ! {refusal}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  ? {problem}")?;
        }
        Ok(())
    }
}
