//! The configuration file: TOML, and every key is known or refused.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::ConfigError;
use crate::language::NodeEntry;

/// The largest file that is read: room for thousands of variables, none for a log named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the file may say. Whatever it says, the environment goes before it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigDocument {
    pub(super) domain: Option<String>,
    pub(super) node: Option<String>,
    /// What the names of shared networks begin with.
    pub(super) stack_name: Option<String>,
    pub(super) config_path: Option<String>,
    pub(super) secrets_path: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) root_path: Option<String>,
    /// Values for `${NAME}` of the definitions.
    pub(super) variables: BTreeMap<String, Scalar>,
    /// Nodes that services may be placed on.
    pub(super) nodes: BTreeMap<String, NodeEntry>,
    /// Settings of shared networks by key, beside the built-in ones.
    pub(super) networks: BTreeMap<String, NetworkEntry>,
}

/// A value of one word.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Real(f64),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// A shared network's settings; what is left out stays as it is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NetworkEntry {
    pub(super) name: Option<String>,
    pub(super) subnet: Option<String>,
    pub(super) gateway: Option<String>,
    pub(super) bridge: Option<String>,
    pub(super) internal: Option<bool>,
    pub(super) masquerade: Option<bool>,
    pub(super) options: BTreeMap<String, String>,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<ConfigDocument, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })
}
