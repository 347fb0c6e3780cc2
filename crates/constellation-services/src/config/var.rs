//! A variable of the configuration: its value, and where that came from.

use std::{fmt, ops::Deref};

use serde::Serialize;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The environment of the tool.
    Environment,
    /// The configuration file.
    File,
    /// The definition's own default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::File => "configuration file",
            Self::Default => "default",
        })
    }
}

/// A variable's value. It reads as a `&str`, prints as its text, and goes wherever text goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Var {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Var {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.value
    }
}

impl Deref for Var {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

impl AsRef<str> for Var {
    fn as_ref(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.value)
    }
}

impl From<Var> for String {
    fn from(var: Var) -> Self {
        var.value
    }
}

impl From<&Var> for String {
    fn from(var: &Var) -> Self {
        var.value.clone()
    }
}
