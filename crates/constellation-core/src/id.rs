//! Validated names. Each is checked once, where it enters; from then on its type says what it is.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name was not of its kind's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {rule}")]
pub struct InvalidName {
    /// What was given, cut at 80 characters.
    pub text: String,
    /// What it should have been.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl InvalidName {
    fn new(text: &str, kind: &'static str, rule: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), kind, rule }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $valid(text) { Ok(Self(text.into())) } else { Err(InvalidName::new(text, $kind, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A machine's name in the cluster: one DNS label, because it becomes part of host names.
    NodeName, "node name",
    "use 1 to 63 lower-case letters, digits and inner hyphens, such as `web-1`", dns_label
}
name! {
    /// A cluster's name. It is sealed into every datagram, so that two clusters with one key stay apart.
    ClusterId, "cluster id",
    "use 1 to 63 lower-case letters, digits and inner hyphens, such as `home`", dns_label
}
name! {
    /// A domain that services are served under, without a trailing dot.
    DomainName, "domain name",
    "use lower-case DNS labels joined by dots, 253 characters at most, such as `example.org`", domain
}
name! {
    /// A container network's name.
    NetworkName, "network name",
    "use 1 to 64 letters, digits, `_`, `.` and `-`, beginning with a letter or digit", docker_name
}
name! {
    /// One running thing on one node: the first twelve characters of its container id.
    InstanceId, "instance id",
    "use 1 to 32 letters, digits, `_`, `.` and `-`, beginning with a letter or digit", instance_id
}
name! {
    /// The name of a router or of a load-balancer service, as labels give it.
    RouteName, "router or service name",
    "use 1 to 128 letters, digits, `_`, `.` and `-`, beginning with a letter or digit", route_name
}
name! {
    /// The content address of a [`RouteSet`](crate::RouteSet): sixteen hex digits of its SHA-256.
    RouteSetId, "route set id",
    "it is sixteen lower-case hex digits", route_set_id
}

fn dns_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(dns_label)
}

fn word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

fn docker_name(text: &str) -> bool {
    word(text, 64)
}

fn instance_id(text: &str) -> bool {
    word(text, 32)
}

fn route_name(text: &str) -> bool {
    word(text, 128)
}

fn route_set_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

impl NodeName {
    /// The node name that a host name suggests: its first label in lower case, with `_` as `-`.
    pub fn from_hostname(hostname: &str) -> Result<Self, InvalidName> {
        let label = hostname.split('.').next().unwrap_or(hostname);
        label.to_ascii_lowercase().replace('_', "-").parse()
    }
}

impl RouteSetId {
    /// The content address of these bytes.
    pub fn of(content: &[u8]) -> Self {
        let digest = Sha256::digest(content);
        let mut text = String::with_capacity(16);
        for byte in digest.iter().take(8) {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text.into())
    }
}

/// Which service an instance belongs to: `name`, or `stack/name` where a stack (a Compose project) owns it.
///
/// Two stacks may each have a service `db`; these are two services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceId {
    name: Arc<str>,
    stack: Option<Arc<str>>,
}

const SERVICE_RULE: &str = "use `name` or `stack/name`, each 1 to 63 letters, digits, `_`, `.` and `-`, beginning with \
                            a letter or digit";

impl ServiceId {
    /// A service, in a stack or outside of any.
    pub fn new(stack: Option<&str>, name: &str) -> Result<Self, InvalidName> {
        let valid = word(name, 63) && stack.is_none_or(|stack| word(stack, 63));
        if !valid {
            let text = stack.map_or_else(|| name.to_owned(), |stack| format!("{stack}/{name}"));
            return Err(InvalidName::new(&text, "service", SERVICE_RULE));
        }
        Ok(Self { name: name.into(), stack: stack.map(Into::into) })
    }

    /// The service's name within its stack.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stack that owns it.
    pub fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }

    /// The name as one DNS label: lower case, everything but letters and digits as `-`, as Traefik normalises names.
    pub fn host_label(&self) -> String {
        let label: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        label.trim_matches('-').to_owned()
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stack {
            Some(stack) => write!(f, "{stack}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for ServiceId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((stack, name)) => Self::new(Some(stack), name),
            None => Self::new(None, text),
        }
    }
}

impl TryFrom<String> for ServiceId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ServiceId> for String {
    fn from(id: ServiceId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_name_is_one_dns_label() {
        for good in ["a", "web-1", "0", &"x".repeat(63)] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a b", &"x".repeat(64), "ä"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_name_suggests_its_first_label_in_lower_case() {
        assert_eq!(NodeName::from_hostname("Web_1.example.org").unwrap().as_str(), "web-1");
        assert!(NodeName::from_hostname("").is_err());
    }

    #[test]
    fn services_of_two_stacks_are_two_services() {
        let a: ServiceId = "shop/db".parse().unwrap();
        let b: ServiceId = "blog/db".parse().unwrap();
        assert_ne!(a, b);
        assert_eq!(a.host_label(), b.host_label());
    }

    #[test]
    fn an_underscore_in_a_service_name_stays_and_only_its_host_label_differs() {
        let service: ServiceId = "node_exporter".parse().unwrap();
        assert_eq!(service.name(), "node_exporter");
        assert_eq!(service.host_label(), "node-exporter");
    }

    #[test]
    fn a_refused_name_says_what_would_be_right() {
        let error = "Web 1".parse::<NodeName>().unwrap_err().to_string();
        assert!(error.contains("`Web 1` is not a node name") && error.contains("`web-1`"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_parses_to_a_name_that_prints_back_or_is_refused(text in ".{0,80}") {
            if let Ok(name) = text.parse::<NodeName>() { prop_assert_eq!(name.as_str(), &text); }
            if let Ok(name) = text.parse::<DomainName>() { prop_assert_eq!(name.as_str(), &text); }
            if let Ok(id) = text.parse::<ServiceId>() {
                prop_assert_eq!(id.to_string(), text);
                prop_assert!(id.host_label().len() <= 63);
            }
        }
    }
}
