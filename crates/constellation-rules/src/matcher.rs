//! The matchers of Traefik's version 3 rules, and which values each takes.

use std::{fmt, net::IpAddr};

use super::{error::RuleFault, expression};

/// What a matcher looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatcherKind {
    /// The address of the client, or a range of them.
    ClientIp,
    /// The host name, exactly.
    Host,
    /// The host name, by a regular expression.
    HostRegexp,
    /// A header's value, exactly.
    Header,
    /// A header's value, by a regular expression.
    HeaderRegexp,
    /// The method.
    Method,
    /// The path, exactly.
    Path,
    /// The beginning of the path.
    PathPrefix,
    /// The path, by a regular expression.
    PathRegexp,
    /// A query parameter.
    Query,
    /// A query parameter's value, by a regular expression.
    QueryRegexp,
}

impl MatcherKind {
    const ALL: [Self; 11] = [
        Self::ClientIp,
        Self::Host,
        Self::HostRegexp,
        Self::Header,
        Self::HeaderRegexp,
        Self::Method,
        Self::Path,
        Self::PathPrefix,
        Self::PathRegexp,
        Self::Query,
        Self::QueryRegexp,
    ];

    /// Its name in a rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientIp => "ClientIP",
            Self::Host => "Host",
            Self::HostRegexp => "HostRegexp",
            Self::Header => "Header",
            Self::HeaderRegexp => "HeaderRegexp",
            Self::Method => "Method",
            Self::Path => "Path",
            Self::PathPrefix => "PathPrefix",
            Self::PathRegexp => "PathRegexp",
            Self::Query => "Query",
            Self::QueryRegexp => "QueryRegexp",
        }
    }

    /// The matcher of this name. Traefik knows each in four spellings: as documented, lower case, upper case, and lower
    /// case with an initial capital.
    pub(super) fn named(name: &str) -> Result<Self, RuleFault> {
        let known = Self::ALL.into_iter().find(|kind| is_spelling(name, kind.as_str()));
        known.ok_or_else(|| RuleFault::unknown(name, Self::ALL.map(Self::as_str)))
    }

    const fn arity(self) -> (&'static [usize], &'static str) {
        match self {
            Self::Header | Self::HeaderRegexp => (&[2], "two values, a header and what it must be"),
            Self::Query | Self::QueryRegexp => {
                (&[1, 2], "one or two values, a parameter and what it must be")
            }
            _ => (&[1], "one value (join several matchers by `||`)"),
        }
    }
}

/// Whether it is a name of a matcher: as documented, or all in small letters, all in capitals, or with one capital first.
pub(super) fn is_spelling(text: &str, name: &str) -> bool {
    let Some((first, rest)) = text.split_at_checked(1) else { return false };
    let lower = |text: &str| !text.bytes().any(|c| c.is_ascii_uppercase());
    let upper = |text: &str| !text.bytes().any(|c| c.is_ascii_lowercase());
    let folded = lower(text) || upper(text) || (upper(first) && lower(rest));
    text == name || (folded && text.eq_ignore_ascii_case(name))
}

/// One condition on a request. Parsing checks the number and the form of the values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matcher {
    /// What it looks at.
    pub kind: MatcherKind,
    /// What that must be.
    pub arguments: Vec<String>,
}

impl Matcher {
    /// A matcher with values that Traefik takes. Host names are in lower case and methods in upper case, as Traefik
    /// compares them.
    pub(super) fn checked(kind: MatcherKind, mut arguments: Vec<String>) -> Result<Self, RuleFault> {
        let (allowed, expected) = kind.arity();
        if !allowed.contains(&arguments.len()) {
            return Err(RuleFault::Arity { matcher: kind.as_str(), expected, found: arguments.len() });
        }
        for argument in arguments.iter_mut().take(1) {
            match kind {
                MatcherKind::Host => argument.make_ascii_lowercase(),
                MatcherKind::Method => argument.make_ascii_uppercase(),
                _ => {}
            }
        }
        let judged = arguments.last().map_or("", String::as_str);
        let verdict = match kind {
            MatcherKind::ClientIp => client_ip(judged),
            MatcherKind::Host => host(judged),
            MatcherKind::HostRegexp => ascii(judged).and_then(|()| expression::check(judged)),
            MatcherKind::HeaderRegexp | MatcherKind::PathRegexp => expression::check(judged),
            MatcherKind::QueryRegexp if arguments.len() == 2 => expression::check(judged),
            MatcherKind::Path | MatcherKind::PathPrefix => path(judged),
            MatcherKind::Header | MatcherKind::Method | MatcherKind::Query | MatcherKind::QueryRegexp => {
                Ok(())
            }
        };
        let named = match kind {
            MatcherKind::Method | MatcherKind::Header | MatcherKind::HeaderRegexp => {
                token(arguments.first().map_or("", String::as_str))
            }
            _ => Ok(()),
        };
        match verdict.and(named) {
            Ok(()) => Ok(Self { kind, arguments }),
            Err(reason) => Err(RuleFault::value(kind.as_str(), judged, reason)),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        f.write_str("(")?;
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            value(f, argument)?;
        }
        f.write_str(")")
    }
}

/// In backticks, which escape nothing; in quotes where the value has what backticks cannot hold.
pub(super) fn value(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if !text.chars().any(|c| c == '`' || c.is_control()) {
        f.write_str("`")?;
        f.write_str(text)?;
        return f.write_str("`");
    }
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn host(text: &str) -> Result<(), String> {
    ascii(text)?;
    if text.is_empty() || text.chars().any(|c| c.is_ascii_whitespace() || c.is_ascii_control() || c == '/') {
        return Err("a host name is due, such as `app.example.org`, without scheme and path".to_owned());
    }
    Ok(())
}

fn ascii(text: &str) -> Result<(), String> {
    if text.is_ascii() {
        Ok(())
    } else {
        Err("only ASCII is allowed; write an international name in its xn-- form".to_owned())
    }
}

fn path(text: &str) -> Result<(), String> {
    if text.starts_with('/') { Ok(()) } else { Err("a path begins with `/`".to_owned()) }
}

fn token(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(format!("`{text}` is no name of a header or method"))
    }
}

pub(super) fn client_ip(text: &str) -> Result<(), String> {
    let valid = match text.split_once('/') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, length)) => match (address.parse::<IpAddr>(), length.parse::<u8>()) {
            (Ok(IpAddr::V4(_)), Ok(length)) => length <= 32,
            (Ok(IpAddr::V6(_)), Ok(length)) => length <= 128,
            _ => false,
        },
    };
    if valid { Ok(()) } else { Err("an address or a range is due, such as `192.0.2.0/24`".to_owned()) }
}
