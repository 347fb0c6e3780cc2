//! What is wrong with a rule, and where.

use super::{RULE_BYTES_MAX, RULE_DEPTH_MAX};

/// A rule is not one that Traefik would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {fault}")]
pub struct RuleError {
    /// Which character it is about, counted from 1.
    pub position: usize,
    /// What is wrong there.
    pub fault: RuleFault,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// There is nothing.
    #[error("the rule is empty where {due} is due")]
    Empty {
        /// What would be right.
        due: &'static str,
    },
    /// It is longer than any rule should be.
    #[error("the rule is longer than {RULE_BYTES_MAX} bytes")]
    TooLong,
    /// Parentheses or negations are nested too deeply.
    #[error("parentheses and `!` are nested more than {RULE_DEPTH_MAX} deep")]
    TooDeep,
    /// A character that has no meaning here.
    #[error("`{0}` has no meaning here; join matchers by `&&` and `||`, and put values in backticks")]
    Character(char),
    /// A quoted value does not end.
    #[error("the value that begins here does not end; close it with {0}")]
    Unclosed(char),
    /// A quoted value has an escape that is none.
    #[error(
        "this escape is none that a quoted value may have; put the value in backticks to have it as it is"
    )]
    Escape,
    /// Another piece was due.
    #[error("found {found} where {expected} is due")]
    Expected {
        /// What would be right.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// No matcher has this name.
    #[error("there is no matcher `{name}`; the matchers are {known}")]
    UnknownMatcher {
        /// The name.
        name: String,
        /// Those that a rule of this kind has.
        known: String,
    },
    /// A matcher has too few or too many values.
    #[error("{matcher} takes {expected}, here are {found}")]
    Arity {
        /// Which matcher.
        matcher: &'static str,
        /// How many it takes.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A value is not of its matcher's kind.
    #[error("{matcher} cannot have the value `{value}`: {reason}")]
    Value {
        /// Which matcher.
        matcher: &'static str,
        /// The value, cut at 80 characters.
        value: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl RuleFault {
    pub(super) fn unknown<const N: usize>(name: &str, known: [&'static str; N]) -> Self {
        Self::UnknownMatcher { name: name.to_owned(), known: known.join(", ") }
    }

    pub(super) fn value(matcher: &'static str, value: &str, reason: String) -> Self {
        Self::Value { matcher, value: value.chars().take(80).collect(), reason }
    }
}
