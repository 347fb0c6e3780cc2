//! Host names that a route answers to.

use serde::Serialize;

/// One or more host names.
///
/// [`Config::host`](crate::Config::host) makes `blog.<domain>` and `blog.<node>.<domain>` of a label; a text is one whole
/// name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hosts {
    /// The label that the names share, where they were made of one.
    pub(crate) label: Option<String>,
    /// What stands behind the label in each name: the domain, and the node's own domain.
    pub(crate) suffixes: Vec<String>,
    pub(crate) names: Vec<String>,
}

impl Hosts {
    pub(crate) fn labelled(label: &str, suffixes: &[String]) -> Self {
        Self {
            label: Some(label.to_owned()),
            suffixes: suffixes.to_vec(),
            names: suffixes.iter().map(|suffix| format!("{label}.{suffix}")).collect(),
        }
    }

    /// The whole names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// These as well.
    #[must_use]
    pub fn and(mut self, more: impl Into<Self>) -> Self {
        let more = more.into();
        if !self.names.is_empty() {
            self.label = None;
        } else {
            self.label = more.label;
            self.suffixes = more.suffixes;
        }
        self.names.extend(more.names);
        self
    }
}

impl From<&str> for Hosts {
    fn from(name: &str) -> Self {
        Self::from(name.to_owned())
    }
}

impl From<String> for Hosts {
    fn from(name: String) -> Self {
        Self { label: None, suffixes: Vec::new(), names: vec![name] }
    }
}
