//! What differs from one installation to the next: domain, node, paths, variables. Definitions ask it; they read no
//! environment themselves, so that the same code describes every node.
//!
//! A value is the environment's, else the file's, else the definition's default. An empty value counts as none, as in
//! `${NAME:-default}`.

mod file;
mod networks;
mod var;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use constellation_core::{DomainName, NodeName};

pub use self::var::{Origin, Var};
use self::{file::ConfigDocument, networks::shared_networks};
use crate::{
    language::{HostPath, Hosts, Network, NodeEntry},
    problem::Problem,
};

/// The configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system refused.
    #[error("could not read the configuration {path}", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large.
    #[error("the configuration {path} has {bytes} bytes: it is hardly a configuration; check the path", path = .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It is not what it should be.
    #[error("the configuration {path} makes no sense", path = .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

/// A variable that definitions asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lookup {
    /// The defaults that were given for it; more than one is a contradiction between definitions.
    pub defaults: BTreeSet<String>,
    /// The value that it has, where there is one.
    pub value: Option<String>,
    /// Where that came from.
    pub origin: Origin,
}

#[derive(Debug, Default)]
struct Asked {
    lookups: BTreeMap<String, Lookup>,
    problems: Vec<Problem>,
}

/// What differs from one installation to the next.
///
/// ```
/// use constellation_services::prelude::*;
/// let cfg = Config::from_parts([("DOMAIN", "example.org"), ("TS_HOSTNAME", "n1"), ("REDIS_PORT", "7000")]);
/// assert_eq!(cfg.host("blog").names(), ["blog.example.org", "blog.n1.example.org"]);
/// assert_eq!(cfg.port("REDIS_PORT", 6379), 7000);
/// assert_eq!(cfg.var("REDIS_HOSTNAME", "redis").as_str(), "redis");
/// assert_eq!(cfg.volume("redis").as_str(), "/opt/constellation/volumes/redis");
/// ```
#[derive(Debug)]
pub struct Config {
    environment: BTreeMap<String, String>,
    document: ConfigDocument,
    domain: String,
    node: String,
    asked: Mutex<Asked>,
}

impl Config {
    /// Reads the file, if there is one, below this environment.
    ///
    /// # Errors
    /// When the file cannot be read or says what it may not say.
    pub fn load(
        environment: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let document = file.map(file::read).transpose()?.unwrap_or_default();
        Ok(Self::new(environment.into_iter().collect(), document))
    }

    /// From these variables alone.
    pub fn from_parts<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::new(environment.collect(), ConfigDocument::default())
    }

    /// A configuration for examples and tests: `example.org`, node `n1`, default paths.
    pub fn example() -> Self {
        Self::from_parts([("DOMAIN", "example.org"), ("TS_HOSTNAME", "n1")])
    }

    fn new(environment: BTreeMap<String, String>, document: ConfigDocument) -> Self {
        let mut config = Self {
            environment,
            document,
            domain: String::new(),
            node: String::new(),
            asked: Mutex::default(),
        };
        let domain = config.read("DOMAIN").map(|(value, _)| value);
        let node = config.read("TS_HOSTNAME").map(|(value, _)| value);
        config.domain = domain.unwrap_or_else(|| {
            config.complain(
                "DOMAIN",
                "is not set",
                "set DOMAIN=example.org, or `domain` in the configuration file",
            );
            "invalid".to_owned()
        });
        if let Err(error) = config.domain.parse::<DomainName>() {
            config.complain("DOMAIN", &error.to_string(), "set a domain such as `example.org`");
        }
        config.node = node.unwrap_or_default();
        if !config.node.is_empty()
            && let Err(error) = config.node.parse::<NodeName>()
        {
            config.complain("TS_HOSTNAME", &error.to_string(), "set a node name such as `web-1`");
        }
        for (name, fallback) in
            [("CONFIG_PATH", CONFIG_PATH), ("SECRETS_PATH", SECRETS_PATH), ("DATA_DIR", DATA_DIR)]
        {
            let path = config.setting(name, fallback);
            if !path.starts_with('/') {
                config.complain(name, &format!("`{path}` is not an absolute path"), "begin it with `/`");
            }
        }
        config
    }

    /// The domain that services are served under.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// This node's name; empty where none was given.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What the names of shared networks begin with (`STACK_NAME`).
    pub fn stack_name(&self) -> String {
        self.setting("STACK_NAME", "infra")
    }

    /// Where the tool keeps its own files (`DATA_DIR`).
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(self.setting("DATA_DIR", DATA_DIR))
    }

    /// Where secrets are (`SECRETS_PATH`).
    pub fn secrets_path(&self) -> PathBuf {
        PathBuf::from(self.setting("SECRETS_PATH", SECRETS_PATH))
    }

    /// A folder of a service below `CONFIG_PATH`; `apply` makes it where it is missing.
    pub fn volume(&self, below: &str) -> HostPath {
        HostPath::ours(self.setting("CONFIG_PATH", CONFIG_PATH)).join(below)
    }

    /// A path below `ROOT_PATH`, where the operator's own sources and files are. It must be there.
    pub fn root(&self, below: &str) -> HostPath {
        HostPath::from(self.setting("ROOT_PATH", ROOT_PATH)).join(below)
    }

    /// `label.<domain>`, and `label.<node>.<domain>` where the node has a name.
    pub fn host(&self, label: &str) -> Hosts {
        Hosts::labelled(label, &self.suffixes())
    }

    /// The domain itself, and `<node>.<domain>`.
    pub fn apex(&self) -> Hosts {
        let names = self.suffixes();
        names.into_iter().fold(Hosts::default(), Hosts::and)
    }

    /// `label.<domain>`.
    pub fn fqdn(&self, label: &str) -> String {
        format!("{label}.{}", self.domain)
    }

    fn suffixes(&self) -> Vec<String> {
        let mut suffixes = vec![self.domain.clone()];
        if !self.node.is_empty() {
            suffixes.push(format!("{}.{}", self.node, self.domain));
        }
        suffixes
    }

    /// The image of this name, below `IMAGE_PREFIX` where that is set: `${IMAGE_PREFIX:+${IMAGE_PREFIX}/}name`.
    pub fn own_image(&self, name: &str) -> String {
        match self.optional("IMAGE_PREFIX") {
            Some(prefix) => format!("{}/{name}", prefix.trim_end_matches('/')),
            None => name.to_owned(),
        }
    }

    /// A variable, or its default where it is unset or empty: `${NAME:-default}`.
    pub fn var(&self, name: &str, default: impl Into<String>) -> Var {
        let default = default.into();
        let (value, origin) = self.read(name).unwrap_or((default.clone(), Origin::Default));
        self.note(name, Some(default), Some(&value), origin);
        Var { name: name.to_owned(), value, origin }
    }

    /// A variable that need not be set.
    pub fn optional(&self, name: &str) -> Option<Var> {
        let read = self.read(name);
        let (value, origin) = match &read {
            Some((value, origin)) => (Some(value.as_str()), *origin),
            None => (None, Origin::Default),
        };
        self.note(name, None, value, origin);
        read.map(|(value, origin)| Var { name: name.to_owned(), value, origin })
    }

    /// A variable that must be set: `${NAME:?}`. Where it is not, `validate` says so, and `what_for` beside it.
    pub fn required(&self, name: &str, what_for: &str) -> Var {
        self.optional(name).unwrap_or_else(|| {
            let advice =
                format!("set {name}, or `{name}` under [variables] in the configuration file: {what_for}");
            self.complain(name, "is not set", &advice);
            Var { name: name.to_owned(), value: String::new(), origin: Origin::Default }
        })
    }

    /// A variable that is a port.
    pub fn port(&self, name: &str, default: u16) -> u16 {
        self.parsed(name, default, "a port from 1 to 65535", |port| *port != 0)
    }

    /// A variable that is an IP address.
    pub fn address(&self, name: &str, default: IpAddr) -> IpAddr {
        self.parsed(name, default, "an IP address", |_| true)
    }

    /// A variable that is a whole number.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        self.parsed(name, default, "a whole number", |_| true)
    }

    /// A variable that says yes or no: `true`, `yes`, `on`, `1` and their opposites, in any case.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        let text = self.var(name, default.to_string());
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => true,
            "false" | "no" | "off" | "0" => false,
            other => {
                self.complain(name, &format!("`{other}` is neither yes nor no"), "write `true` or `false`");
                default
            }
        }
    }

    fn parsed<T: std::str::FromStr + ToString>(
        &self,
        name: &str,
        default: T,
        what: &str,
        fits: impl Fn(&T) -> bool,
    ) -> T {
        let text = self.var(name, default.to_string());
        match text.parse() {
            Ok(value) if fits(&value) => value,
            _ => {
                self.complain(name, &format!("`{text}` is not {what}"), &format!("write {what}"));
                default
            }
        }
    }

    /// The name by which the engine knows a shared network.
    pub fn network(&self, key: &str) -> String {
        let networks = self.networks();
        let found = networks.iter().find(|network| network.key() == key);
        found
            .and_then(|network| network.name.clone())
            .unwrap_or_else(|| format!("{}_{key}", self.stack_name()))
    }

    /// The shared networks: the built-in ones, as the configuration changes them, and those that it adds.
    pub fn networks(&self) -> Vec<Network> {
        shared_networks(self, &self.document.networks)
    }

    /// The nodes that services may be placed on; only this one where the configuration lists none.
    pub fn nodes(&self) -> BTreeMap<String, NodeEntry> {
        if self.document.nodes.is_empty() {
            return [(self.node.clone(), NodeEntry::default())].into();
        }
        self.document.nodes.clone()
    }

    /// Every variable that definitions have asked for so far.
    pub fn lookups(&self) -> BTreeMap<String, Lookup> {
        self.lock().lookups.clone()
    }

    /// What was wrong with variables that definitions have asked for so far.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.lock().problems.clone()
    }

    pub(crate) fn setting(&self, name: &str, default: &str) -> String {
        self.read(name).map_or_else(|| default.to_owned(), |(value, _)| value)
    }

    fn read(&self, name: &str) -> Option<(String, Origin)> {
        let document = &self.document;
        if let Some(value) = self.environment.get(name).filter(|value| !value.is_empty()) {
            return Some((value.clone(), Origin::Environment));
        }
        let key = match name {
            "DOMAIN" => document.domain.clone(),
            "TS_HOSTNAME" => document.node.clone(),
            "STACK_NAME" => document.stack_name.clone(),
            "CONFIG_PATH" => document.config_path.clone(),
            "SECRETS_PATH" => document.secrets_path.clone(),
            "DATA_DIR" => document.data_dir.clone(),
            "ROOT_PATH" => document.root_path.clone(),
            _ => None,
        };
        let value = key.or_else(|| document.variables.get(name).map(ToString::to_string));
        value.filter(|value| !value.is_empty()).map(|value| (value, Origin::File))
    }

    fn note(&self, name: &str, default: Option<String>, value: Option<&str>, origin: Origin) {
        let mut asked = self.lock();
        let lookup = asked.lookups.entry(name.to_owned()).or_insert_with(|| Lookup {
            defaults: BTreeSet::new(),
            value: value.map(str::to_owned),
            origin,
        });
        lookup.defaults.extend(default);
    }

    fn complain(&self, name: &str, what: &str, advice: &str) {
        let problem = Problem::of_configuration(name, what, advice);
        let mut asked = self.lock();
        if !asked.problems.contains(&problem) {
            asked.problems.push(problem);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CONFIG_PATH: &str = "/opt/constellation/volumes";
const SECRETS_PATH: &str = "/opt/constellation/secrets";
const DATA_DIR: &str = "/opt/constellation/data";
const ROOT_PATH: &str = "/opt/constellation";

#[cfg(test)]
mod tests;
