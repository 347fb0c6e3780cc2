//! One thing that is wrong, where it is, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a definition or its configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// `stack/service`, a stack, a network, or `configuration`.
    pub place: String,
    /// The field, in the language's words.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Problem {
    pub(crate) fn new(
        place: impl Into<String>,
        field: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), field: field.into(), what: what.into(), advice: advice.into() }
    }

    pub(crate) fn of_configuration(variable: &str, what: &str, advice: &str) -> Self {
        Self::new("configuration", variable, what, advice)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.place, self.field, self.what, self.advice)
    }
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the definitions have {count} problem{}", if count == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
