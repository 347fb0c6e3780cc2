//! A rule made ready for many requests: expressions and ranges are read once.

use std::net::IpAddr;

use regex::Regex;

use super::{Matcher, MatcherKind, Rule};

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
pub struct CompiledRule(Node);

#[derive(Clone, Debug)]
enum Node {
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
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    /// What could not be read, or asks for what is not given: it takes nothing.
    Never,
}

impl CompiledRule {
    /// Makes a rule ready. An expression that cannot be compiled here takes no request.
    pub fn new(rule: &Rule) -> Self {
        Self(node(rule))
    }

    /// Whether the rule takes a request. A rule on the client's address takes none whose client is not known.
    pub fn matches(&self, subject: &impl Subject) -> bool {
        matches(&self.0, subject)
    }
}

fn node(rule: &Rule) -> Node {
    match rule {
        Rule::Matcher(matcher) => matcher_node(matcher).unwrap_or(Node::Never),
        Rule::Not(inner) => Node::Not(Box::new(node(inner))),
        Rule::And(all) => Node::All(all.iter().map(node).collect()),
        Rule::Or(any) => Node::Any(any.iter().map(node).collect()),
    }
}

fn matcher_node(matcher: &Matcher) -> Option<Node> {
    let first = matcher.arguments.first()?.clone();
    let second = matcher.arguments.get(1).cloned();
    let like = |text: &str| Regex::new(text).ok();
    Some(match matcher.kind {
        MatcherKind::ClientIp => Node::Client(AddressRange::parse(&first)?),
        // A dot at the end of either is no difference.
        MatcherKind::Host => Node::Host(first.strip_suffix('.').unwrap_or(&first).to_owned()),
        MatcherKind::HostRegexp => Node::HostLike(like(&first)?),
        MatcherKind::Header => Node::Header(first, second?),
        MatcherKind::HeaderRegexp => Node::HeaderLike(first, like(&second?)?),
        MatcherKind::Method => Node::Method(first),
        MatcherKind::Path => Node::Path(first),
        MatcherKind::PathPrefix => Node::PathPrefix(first),
        MatcherKind::PathRegexp => Node::PathLike(like(&first)?),
        // With a name alone the parameter must be there, and empty.
        MatcherKind::Query => Node::Query(first, second.unwrap_or_default()),
        MatcherKind::QueryRegexp => match second {
            Some(expression) => Node::QueryLike(first, like(&expression)?),
            None => Node::Query(first, String::new()),
        },
    })
}

fn matches(node: &Node, subject: &impl Subject) -> bool {
    match node {
        Node::Host(host) => subject.host() == host,
        Node::HostLike(like) => like.is_match(subject.host()),
        Node::Path(path) => subject.path() == path,
        Node::PathPrefix(prefix) => subject.path().starts_with(prefix.as_str()),
        Node::PathLike(like) => like.is_match(subject.path()),
        Node::Method(method) => subject.method() == method,
        Node::Client(range) => subject.client().is_some_and(|client| range.contains(client)),
        Node::Header(name, value) => subject.any_header(name, &mut |found| found == value),
        Node::HeaderLike(name, like) => subject.any_header(name, &mut |found| like.is_match(found)),
        Node::Query(name, value) => subject.any_query(name, &mut |found| found == value),
        Node::QueryLike(name, like) => subject.any_query(name, &mut |found| like.is_match(found)),
        Node::Not(inner) => !matches(inner, subject),
        Node::All(all) => all.iter().all(|node| matches(node, subject)),
        Node::Any(any) => any.iter().any(|node| matches(node, subject)),
        Node::Never => false,
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
