//! What could not be read, said so that the person who wrote the label finds it.

use std::fmt;

/// The most problems that are told of one container; one mistyped prefix would otherwise fill the log.
const PROBLEMS_MAX: usize = 32;

/// Something about a container's labels that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelProblem {
    /// The label that it is about.
    pub label: String,
    /// How bad it is.
    pub kind: LabelProblemKind,
    /// What is wrong, what follows from it and what would be right.
    pub text: String,
}

/// How bad a problem with a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelProblemKind {
    /// Nobody knows this label; it changes nothing.
    Unknown,
    /// It is wrong, and something was left out.
    Invalid,
    /// There was too much to read.
    TooMuch,
}

impl fmt::Display for LabelProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label `{}`: {}", self.label, self.text)
    }
}

/// Problems as they are found, within their bound.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<LabelProblem>,
    more: usize,
}

impl Problems {
    pub(super) fn push(&mut self, label: &str, kind: LabelProblemKind, text: impl Into<String>) {
        if self.found.len() < PROBLEMS_MAX {
            let label = label.chars().take(200).collect();
            self.found.push(LabelProblem { label, kind, text: text.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn invalid(&mut self, label: &str, text: impl Into<String>) {
        self.push(label, LabelProblemKind::Invalid, text);
    }

    /// Keeps only what is about `traefik.enable` itself.
    pub(super) fn retain_about_enable(&mut self) {
        self.found.retain(|problem| problem.label.eq_ignore_ascii_case("traefik.enable"));
        self.more = 0;
    }

    pub(super) fn into_vec(mut self) -> Vec<LabelProblem> {
        if self.more > 0 {
            self.found.push(LabelProblem {
                label: "traefik.*".to_owned(),
                kind: LabelProblemKind::TooMuch,
                text: format!("{} more problems are not listed", self.more),
            });
        }
        self.found
    }
}
