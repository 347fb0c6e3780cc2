//! Traefik's rule language: which requests a router takes, which connections, and which containers take part.
//!
//! Rules come from container labels, so from anybody who may start a container. A rule that Traefik would refuse
//! disables its router there, with the reason hidden in Traefik's own API; parsed here, it is refused with a position
//! and a reason before it travels to any other node. The printed form is canonical, so that two spellings of one rule
//! are seen to be one.

mod compiled;
mod error;
mod expression;
mod labels;
mod lexer;
mod matcher;
mod parser;
mod request;
mod tcp;

use std::{fmt, str::FromStr};

pub use self::{
    compiled::{AddressRange, CompiledRule, Subject},
    error::{RuleError, RuleFault},
    labels::{LabelKind, LabelMatcher, LabelRule},
    matcher::{Matcher, MatcherKind},
    request::Request,
    tcp::{Connection, TcpKind, TcpMatcher, TcpRule},
};

/// The longest rule, in bytes. Longer ones are mistakes: Traefik evaluates every rule for every request.
pub const RULE_BYTES_MAX: usize = 4096;
/// How deeply parentheses and negations may be nested.
pub const RULE_DEPTH_MAX: usize = 32;

/// Conditions and what joins them, in Traefik's version 3 syntax.
///
/// Chains are flat: an [`Tree::And`] never directly holds another, nor an [`Tree::Or`], and each holds at least two.
/// Parsing keeps that up; make chains with [`Tree::and`] and [`Tree::or`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree<M> {
    /// One condition.
    Matcher(M),
    /// Not this.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
}

/// Which requests a router takes.
pub type Rule = Tree<Matcher>;

impl Rule {
    /// The rule that matches one host name.
    pub fn host(name: &str) -> Self {
        Self::Matcher(Matcher { kind: MatcherKind::Host, arguments: vec![name.to_owned()] })
    }
}

impl<M> Tree<M> {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut all = self.into_conjuncts();
        all.extend(other.into_conjuncts());
        Self::And(all)
    }

    /// At least one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut any = self.into_disjuncts();
        any.extend(other.into_disjuncts());
        Self::Or(any)
    }

    /// Whether it holds where each condition holds that is found to.
    pub fn holds(&self, found: &impl Fn(&M) -> bool) -> bool {
        match self {
            Self::Matcher(matcher) => found(matcher),
            Self::Not(inner) => !inner.holds(found),
            Self::And(all) => all.iter().all(|part| part.holds(found)),
            Self::Or(any) => any.iter().any(|part| part.holds(found)),
        }
    }

    /// The same with other conditions.
    fn map<N>(&self, made: &impl Fn(&M) -> N) -> Tree<N> {
        let each = |parts: &[Self]| parts.iter().map(|part| part.map(made)).collect();
        match self {
            Self::Matcher(matcher) => Tree::Matcher(made(matcher)),
            Self::Not(inner) => Tree::Not(Box::new(inner.map(made))),
            Self::And(all) => Tree::And(each(all)),
            Self::Or(any) => Tree::Or(each(any)),
        }
    }

    fn into_conjuncts(self) -> Vec<Self> {
        match self {
            Self::And(all) => all,
            other => vec![other],
        }
    }

    fn into_disjuncts(self) -> Vec<Self> {
        match self {
            Self::Or(any) => any,
            other => vec![other],
        }
    }
}

impl<M: parser::Condition> FromStr for Tree<M> {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        parser::parse(text, RULE_BYTES_MAX, RULE_DEPTH_MAX)
    }
}

/// Reads a rule that was generated from one within the bounds: printing may have lengthened it (one control character
/// becomes six), and a condition may have been joined to it.
pub fn parse_generated(text: &str) -> Result<Rule, RuleError> {
    parser::parse(text, RULE_BYTES_MAX * 8, RULE_DEPTH_MAX + 4)
}

impl<M: fmt::Display> fmt::Display for Tree<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matcher(matcher) => write!(f, "{matcher}"),
            Self::Not(inner) => match **inner {
                Self::And(_) | Self::Or(_) => write!(f, "!({inner})"),
                Self::Matcher(_) | Self::Not(_) => write!(f, "!{inner}"),
            },
            Self::And(all) => chain(f, all, " && ", |part| matches!(part, Self::Or(_) | Self::And(_))),
            Self::Or(any) => chain(f, any, " || ", |part| matches!(part, Self::Or(_))),
        }
    }
}

fn chain<M: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: &[Tree<M>],
    join: &str,
    wrapped: fn(&Tree<M>) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(join)?;
        }
        if wrapped(part) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
