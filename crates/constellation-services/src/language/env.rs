//! Values of environment variables. A secret is none: there is no conversion, and the compiler says so.

use serde::Serialize;

use crate::config::{Origin, Var};

/// What an environment variable may be set to: text, a number, yes or no, or a variable of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvValue {
    pub(crate) text: String,
    /// The variable of the configuration that it came from.
    pub(crate) from: Option<FromVariable>,
}

/// A variable of the configuration, and where its value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FromVariable {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

impl std::fmt::Display for FromVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "variable {} ({})", self.name, self.origin)
    }
}

impl EnvValue {
    fn plain(text: String) -> Self {
        Self { text, from: None }
    }
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> Self {
        Self::plain(text.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(text: String) -> Self {
        Self::plain(text)
    }
}

impl From<&String> for EnvValue {
    fn from(text: &String) -> Self {
        Self::plain(text.clone())
    }
}

impl From<bool> for EnvValue {
    fn from(value: bool) -> Self {
        Self::plain(value.to_string())
    }
}

impl From<Var> for EnvValue {
    fn from(var: Var) -> Self {
        Self { from: Some(FromVariable { name: var.name, origin: var.origin }), text: var.value }
    }
}

impl From<&Var> for EnvValue {
    fn from(var: &Var) -> Self {
        var.clone().into()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for EnvValue {
            fn from(value: $number) -> Self {
                Self::plain(value.to_string())
            }
        })*
    };
}

numbers!(i32, i64, u16, u32, u64, usize, f64);
