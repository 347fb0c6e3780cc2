//! Whether a request is one that a rule takes, as Traefik decides it.

use std::net::IpAddr;

use super::{CompiledRule, Rule, Subject};

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
    /// Whether the rule takes a request: for people who ask. It is made ready for each call anew; whoever asks often keeps a
    /// [`CompiledRule`].
    pub fn matches(&self, request: &Request) -> bool {
        // Names of hosts are compared in lower case.
        let host = request.host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        CompiledRule::new(self).matches(&Request { host, ..request.clone() })
    }
}

impl Subject for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn any_header(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool {
        self.headers.iter().any(|(known, value)| known.eq_ignore_ascii_case(name) && suits(value))
    }

    fn any_query(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool {
        self.query.iter().any(|(known, value)| known == name && suits(value))
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
