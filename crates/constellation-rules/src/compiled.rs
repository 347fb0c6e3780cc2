//! A rule made ready for many requests: expressions and ranges are read once.

use std::net::IpAddr;

use regex::Regex;

use super::{Matcher, MatcherKind, Rule, Tree};

/// A request, as a rule asks about it. A proxy answers from the request that it has, without copying it.
pub trait Subject {
    /// The method, in upper case.
    fn method(&self) -> &str;
    /// The host in lower case, without its port and without a dot at its end.
    fn host(&self) -> &str;
    /// The path, as it was sent.
    fn path(&self) -> &str;
    /// The client's address, where it is known.
    fn client(&self) -> Option<IpAddr>;
    /// Whether a header of this name (in any case) has a value that suits.
    fn any_header(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool;
    /// Whether a query parameter of this name has a value, decoded, that suits.
    fn any_query(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool;
}

/// A rule, ready to be asked.
#[derive(Clone, Debug)]
pub struct CompiledRule(Tree<Ready>);

#[derive(Clone, Debug)]
enum Ready {
    Host(String),
    HostLike(Regex),
    Path(String),
    PathPrefix(String),
    PathLike(Regex),
    Method(String),
    Client(AddressRange),
    Header(String, String),
    HeaderLike(String, Regex),
    Query(String, String),
    QueryLike(String, Regex),
    /// What could not be read, or asks for what is not given: it takes nothing.
    Never,
}

impl CompiledRule {
    /// Makes a rule ready. An expression that cannot be compiled here takes no request.
    pub fn new(rule: &Rule) -> Self {
        Self(rule.map(&|matcher| ready(matcher).unwrap_or(Ready::Never)))
    }

    /// Whether the rule takes a request. A rule on the client's address takes none whose client is not known.
    pub fn matches(&self, subject: &impl Subject) -> bool {
        self.0.holds(&|ready| matches(ready, subject))
    }
}

fn ready(matcher: &Matcher) -> Option<Ready> {
    let first = matcher.arguments.first()?.clone();
    let second = matcher.arguments.get(1).cloned();
    let like = |text: &str| Regex::new(text).ok();
    Some(match matcher.kind {
        MatcherKind::ClientIp => Ready::Client(AddressRange::parse(&first)?),
        // A dot at the end of either is no difference.
        MatcherKind::Host => Ready::Host(first.strip_suffix('.').unwrap_or(&first).to_owned()),
        MatcherKind::HostRegexp => Ready::HostLike(like(&first)?),
        MatcherKind::Header => Ready::Header(first, second?),
        MatcherKind::HeaderRegexp => Ready::HeaderLike(first, like(&second?)?),
        MatcherKind::Method => Ready::Method(first),
        MatcherKind::Path => Ready::Path(first),
        MatcherKind::PathPrefix => Ready::PathPrefix(first),
        MatcherKind::PathRegexp => Ready::PathLike(like(&first)?),
        // With a name alone the parameter must be there, and empty.
        MatcherKind::Query => Ready::Query(first, second.unwrap_or_default()),
        MatcherKind::QueryRegexp => match second {
            Some(expression) => Ready::QueryLike(first, like(&expression)?),
            None => Ready::Query(first, String::new()),
        },
    })
}

fn matches(ready: &Ready, subject: &impl Subject) -> bool {
    match ready {
        Ready::Host(host) => subject.host() == host,
        Ready::HostLike(like) => like.is_match(subject.host()),
        Ready::Path(path) => subject.path() == path,
        Ready::PathPrefix(prefix) => subject.path().starts_with(prefix.as_str()),
        Ready::PathLike(like) => like.is_match(subject.path()),
        Ready::Method(method) => subject.method() == method,
        Ready::Client(range) => subject.client().is_some_and(|client| range.contains(client)),
        Ready::Header(name, value) => subject.any_header(name, &mut |found| found == value),
        Ready::HeaderLike(name, like) => subject.any_header(name, &mut |found| like.is_match(found)),
        Ready::Query(name, value) => subject.any_query(name, &mut |found| found == value),
        Ready::QueryLike(name, like) => subject.any_query(name, &mut |found| like.is_match(found)),
        Ready::Never => false,
    }
}

/// A range of addresses such as `192.0.2.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    length: Option<u32>,
}

impl AddressRange {
    /// Reads a range; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (network, length) = match text.split_once('/') {
            Some((network, length)) => (network, Some(length.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { network: network.parse::<IpAddr>().ok()?.to_canonical(), length })
    }

    /// Whether an address is in it. An IPv4 address that was written as IPv6 is itself.
    pub fn contains(self, address: IpAddr) -> bool {
        let shift = |bits: u32| bits - self.length.unwrap_or(bits).min(bits);
        match (address.to_canonical(), self.network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let shift = shift(u32::BITS);
                u32::from(address).checked_shr(shift) == u32::from(network).checked_shr(shift)
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let shift = shift(u128::BITS);
                u128::from(address).checked_shr(shift) == u128::from(network).checked_shr(shift)
            }
            _ => false,
        }
    }
}
