//! Whether a request is one that a rule takes, as Traefik decides it.

use std::net::IpAddr;

use regex::Regex;

use super::{Matcher, MatcherKind, Rule};

/// A request, as far as rules look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The host without its port. Its case does not matter.
    pub host: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query's parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers. The case of their names does not matter.
    pub headers: Vec<(String, String)>,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

impl Rule {
    /// Whether the rule takes a request. An expression that cannot be compiled here takes none, and neither does a rule on
    /// the client's address where that is not known.
    ///
    /// Expressions are compiled anew for each call: this is for people who ask, and not for a proxy's every request.
    pub fn matches(&self, request: &Request) -> bool {
        match self {
            Self::Matcher(matcher) => matcher.matches(request),
            Self::Not(inner) => !inner.matches(request),
            Self::And(all) => all.iter().all(|rule| rule.matches(request)),
            Self::Or(any) => any.iter().any(|rule| rule.matches(request)),
        }
    }
}

impl Matcher {
    fn matches(&self, request: &Request) -> bool {
        let first = self.arguments.first().map_or("", String::as_str);
        let second = self.arguments.get(1).map(String::as_str);
        let like = |expression: &str, text: &str| Regex::new(expression).is_ok_and(|it| it.is_match(text));
        let mut headers = request
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(first))
            .map(|(_, value)| value.as_str());
        let mut query =
            request.query.iter().filter(|(name, _)| name == first).map(|(_, value)| value.as_str());
        let host = request.host.to_ascii_lowercase();
        match self.kind {
            MatcherKind::ClientIp => request.client.is_some_and(|client| within(client, first)),
            // A dot at the end of either is no difference.
            MatcherKind::Host => {
                host.strip_suffix('.').unwrap_or(&host) == first.strip_suffix('.').unwrap_or(first)
            }
            MatcherKind::HostRegexp => like(first, &host),
            MatcherKind::Header => headers.any(|value| Some(value) == second),
            MatcherKind::HeaderRegexp => headers.any(|value| second.is_some_and(|it| like(it, value))),
            MatcherKind::Method => request.method == first,
            MatcherKind::Path => request.path == first,
            MatcherKind::PathPrefix => request.path.starts_with(first),
            MatcherKind::PathRegexp => like(first, &request.path),
            // With a name alone the parameter must be there, and empty.
            MatcherKind::Query => query.any(|value| value == second.unwrap_or_default()),
            MatcherKind::QueryRegexp => query.any(|value| match second {
                Some(expression) => like(expression, value),
                None => value.is_empty(),
            }),
        }
    }
}

/// Whether an address is in a range such as `192.0.2.0/24`, or is the one address that it is.
fn within(address: IpAddr, range: &str) -> bool {
    let (network, length) = match range.split_once('/') {
        Some((network, length)) => (network, length.parse::<u32>().ok()),
        None => (range, None),
    };
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let shift = |bits: u32| bits - length.unwrap_or(bits).min(bits);
    match (address.to_canonical(), network.to_canonical()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn request() -> Request {
        Request {
            method: "GET".to_owned(),
            host: "App.example.org".to_owned(),
            path: "/api/v1".to_owned(),
            query: vec![pair("page", "2"), pair("debug", "")],
            headers: vec![pair("X-Team", "blue"), pair("x-team", "green")],
            client: Some("192.0.2.7".parse().unwrap()),
        }
    }

    #[test]
    fn each_matcher_takes_what_it_says_and_nothing_else() {
        for (rule, taken) in [
            ("Host(`app.example.org`)", true),
            ("Host(`app.example.org.`)", true),
            ("Host(`example.org`)", false),
            ("HostRegexp(`^[a-z]+\\.example\\.org$`)", true),
            ("HostRegexp(`^example`)", false),
            ("Path(`/api/v1`)", true),
            ("Path(`/api`)", false),
            ("PathPrefix(`/api`)", true),
            ("PathPrefix(`/ap`)", true),
            ("PathRegexp(`v[0-9]$`)", true),
            ("Method(`get`)", true),
            ("Method(`POST`)", false),
            ("Header(`x-team`, `green`)", true),
            ("Header(`X-Team`, `gre`)", false),
            ("HeaderRegexp(`X-Team`, `^gre`)", true),
            ("Query(`page`, `2`)", true),
            ("Query(`page`)", false),
            ("Query(`debug`)", true),
            ("QueryRegexp(`page`, `^[0-9]+$`)", true),
            ("QueryRegexp(`debug`)", true),
            ("ClientIP(`192.0.2.0/24`)", true),
            ("ClientIP(`192.0.2.7`)", true),
            ("ClientIP(`192.0.2.8`)", false),
            ("ClientIP(`0.0.0.0/0`)", true),
            ("ClientIP(`2001:db8::/32`)", false),
            ("Host(`app.example.org`) && !PathPrefix(`/api`)", false),
            ("Host(`other`) || (PathPrefix(`/api`) && Method(`GET`))", true),
        ] {
            assert_eq!(rule.parse::<Rule>().unwrap().matches(&request()), taken, "{rule}");
        }
    }

    #[test]
    fn a_rule_on_a_client_that_is_not_known_takes_nothing() {
        let request = Request { client: None, ..request() };
        assert!(!"ClientIP(`0.0.0.0/0`)".parse::<Rule>().unwrap().matches(&request));
    }
}
