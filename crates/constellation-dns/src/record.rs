//! What a record is: one name, one value, and how resolvers may treat it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The longest name that DNS carries.
const NAME_MAX: usize = 253;

/// A name was not one that DNS can carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name for a record: use labels of 1 to 63 letters, digits, `-` and `_`, joined by dots, 253 \
     characters in all; the first may be `*`"
)]
pub struct InvalidRecordName {
    /// What was given, cut at 80 characters.
    pub text: String,
}

/// A record's whole name in its one form: lower case, punycode, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordName(String);

impl RecordName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of every name below this one that has no records of its own; `None` where it would be too long.
    pub fn wildcard(&self) -> Option<Self> {
        format!("*.{}", self.0).parse().ok()
    }

    /// Whether it is `zone` or below it.
    pub fn is_within(&self, zone: &str) -> bool {
        self.0.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

fn label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl FromStr for RecordName {
    type Err = InvalidRecordName;

    fn from_str(text: &str) -> Result<Self, InvalidRecordName> {
        let refuse = || InvalidRecordName { text: text.chars().take(80).collect() };
        let bare = text.strip_suffix('.').unwrap_or(text);
        let ascii = idna::domain_to_ascii(bare).map_err(|_| refuse())?;
        let rest = ascii.strip_prefix("*.").unwrap_or(&ascii);
        if ascii.len() <= NAME_MAX && rest.split('.').all(label) { Ok(Self(ascii)) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for RecordName {
    type Error = InvalidRecordName;

    fn try_from(text: String) -> Result<Self, InvalidRecordName> {
        text.parse()
    }
}

impl From<RecordName> for String {
    fn from(name: RecordName) -> Self {
        name.0
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of records that are written. Every other kind is only ever looked at: NS, MX and SOA above all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// Where a service is.
    Srv,
    /// Text.
    Txt,
}

impl RecordKind {
    /// As zone files and APIs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }

    /// Which records of one name stand for each other.
    pub const fn class(self) -> Class {
        match self {
            Self::A | Self::Aaaa | Self::Cname => Class::Address,
            Self::Srv => Class::Srv,
            Self::Txt => Class::Txt,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RecordKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "A" => Ok(Self::A),
            "AAAA" => Ok(Self::Aaaa),
            "CNAME" => Ok(Self::Cname),
            "SRV" => Ok(Self::Srv),
            "TXT" => Ok(Self::Txt),
            _ => Err(format!(
                "records of kind `{text}` are never written here: A, AAAA, CNAME, SRV and TXT are"
            )),
        }
    }
}

/// Kinds of one name that are replaced by each other: a name is reached by its addresses or by another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A, AAAA and CNAME.
    Address,
    /// SRV.
    Srv,
    /// TXT.
    Txt,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(RecordName),
    /// Where a service is.
    Srv {
        /// Lower goes first.
        priority: u16,
        /// More of the equal ones.
        weight: u16,
        /// The port.
        port: u16,
        /// The name of the machine.
        target: RecordName,
    },
    /// Text, without the quotes of zone files.
    Txt(String),
}

impl Value {
    /// Its kind.
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::A(_) => RecordKind::A,
            Self::Aaaa(_) => RecordKind::Aaaa,
            Self::Cname(_) => RecordKind::Cname,
            Self::Srv { .. } => RecordKind::Srv,
            Self::Txt(_) => RecordKind::Txt,
        }
    }

    /// Reads what an API or a zone file says of a record of this kind; `None` where it is not of the kind's form.
    pub fn read(kind: RecordKind, content: &str) -> Option<Self> {
        match kind {
            RecordKind::A => content.parse().ok().map(Self::A),
            RecordKind::Aaaa => content.parse().ok().map(Self::Aaaa),
            RecordKind::Cname => content.parse().ok().map(Self::Cname),
            RecordKind::Srv => {
                let mut words = content.split_whitespace();
                let mut number = || words.next()?.parse().ok();
                let (priority, weight, port) = (number()?, number()?, number()?);
                let target = words.next()?.parse().ok()?;
                words.next().is_none().then_some(Self::Srv { priority, weight, port, target })
            }
            RecordKind::Txt => Some(Self::Txt(unquoted(content))),
        }
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

/// As an API takes it: text without quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(name) => write!(f, "{name}"),
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Txt(text) => f.write_str(text),
        }
    }
}

/// Text as one string: zone files and APIs may give it as several quoted ones.
fn unquoted(content: &str) -> String {
    let content = content.trim();
    if !content.starts_with('"') {
        return content.to_owned();
    }
    let (mut text, mut inside, mut escaped) = (String::new(), false, false);
    for c in content.chars() {
        match c {
            _ if escaped => {
                text.push(c);
                escaped = false;
            }
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            c if inside => text.push(c),
            _ => {}
        }
    }
    text
}

/// How long resolvers may keep an answer, in seconds; 1 leaves it to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(pub u32);

impl Ttl {
    /// The provider's choice.
    pub const AUTO: Self = Self(1);
    /// The shortest that every plan of Cloudflare takes: what a resolver learned of a dead address is over after it.
    pub const FAST: Self = Self(60);
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::AUTO { f.write_str("auto") } else { write!(f, "{}", self.0) }
    }
}

/// A record that should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: RecordName,
    /// What it says.
    pub value: Value,
    /// For how long.
    pub ttl: Ttl,
    /// Whether the provider answers with addresses of its own and forwards what comes.
    pub proxied: bool,
}

/// The provider's own handle of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub String);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The provider's handle.
    pub id: RecordId,
    /// Its name, in the one form where it has that.
    pub name: String,
    /// Its kind, as the provider says it.
    pub kind: String,
    /// What it says, where it is of a kind that is written here.
    pub value: Option<Value>,
    /// What it says, in the provider's words.
    pub content: String,
    /// For how long.
    pub ttl: Ttl,
    /// Whether it is proxied.
    pub proxied: bool,
    /// What stands beside it: whose it is.
    pub comment: Option<String>,
}

impl Found {
    /// Whether it says what `record` should say.
    pub fn says(&self, record: &Record) -> bool {
        self.value.as_ref() == Some(&record.value)
            && self.ttl == record.ttl
            && self.proxied == record.proxied
            && self.name == record.name.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        text.parse::<RecordName>().unwrap().to_string()
    }

    #[test]
    fn a_name_has_one_form() {
        assert_eq!(name("WWW.Example.org."), "www.example.org");
        assert_eq!(name("*.b\u{fc}cher.example"), "*.xn--bcher-kva.example");
        assert_eq!(name("_sip._tcp.example.org"), "_sip._tcp.example.org");
        for bad in ["", ".", "a..b", "*", "a.*.b", "-a.b", &format!("{}.org", "x".repeat(64)), "a b.org"] {
            assert!(bad.parse::<RecordName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_within_its_zone_and_not_within_one_that_only_ends_alike() {
        let name: RecordName = "a.example.org".parse().unwrap();
        assert!(name.is_within("example.org") && name.is_within("a.example.org"));
        assert!(!name.is_within("le.org") && !name.is_within("b.example.org"));
    }

    #[test]
    fn values_read_back_as_they_are_written() {
        for (kind, text) in [
            (RecordKind::A, "203.0.113.7"),
            (RecordKind::Aaaa, "2001:db8::7"),
            (RecordKind::Cname, "other.example.org"),
            (RecordKind::Srv, "5 10 8080 n1.example.org"),
            (RecordKind::Txt, "v=spf1 -all"),
        ] {
            let value = Value::read(kind, text).unwrap();
            assert_eq!((value.kind(), value.to_string().as_str()), (kind, text));
        }
        assert_eq!(Value::read(RecordKind::A, "2001:db8::7"), None);
        assert_eq!(Value::read(RecordKind::Srv, "5 10 8080"), None);
    }

    #[test]
    fn the_many_ways_to_write_one_value_are_one() {
        let same = |kind, a: &str, b: &str| assert_eq!(Value::read(kind, a), Value::read(kind, b));
        same(RecordKind::Aaaa, "2001:DB8:0:0::7", "2001:db8::7");
        same(RecordKind::Cname, "Other.Example.org.", "other.example.org");
        same(RecordKind::Txt, r#""two " "parts""#, "two parts");
        same(RecordKind::Txt, r#""a \" b""#, r#"a " b"#);
    }
}
