//! Rules for TCP: which connections a router takes, by the name in their TLS handshake for the most part.

use std::{fmt, net::IpAddr};

use regex::Regex;

use super::{
    AddressRange, Tree,
    error::RuleFault,
    expression,
    matcher::{client_ip, is_spelling, value},
    parser::Condition,
};

/// Which connections a router takes.
pub type TcpRule = Tree<TcpMatcher>;

/// What a matcher looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpKind {
    /// The name in the TLS handshake; `*` is any, also none.
    HostSni,
    /// The name, by a regular expression.
    HostSniRegexp,
    /// The address of the client, or a range of them.
    ClientIp,
    /// A protocol that the client offers in its TLS handshake.
    Alpn,
}

impl TcpKind {
    const ALL: [Self; 4] = [Self::HostSni, Self::HostSniRegexp, Self::ClientIp, Self::Alpn];

    /// Its name in a rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostSni => "HostSNI",
            Self::HostSniRegexp => "HostSNIRegexp",
            Self::ClientIp => "ClientIP",
            Self::Alpn => "ALPN",
        }
    }
}

/// One condition on a connection. Each takes one value; parsing checks its form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpMatcher {
    /// What it looks at.
    pub kind: TcpKind,
    /// What that must be. Names are in lower case.
    pub argument: String,
}

impl Condition for TcpMatcher {
    type Kind = TcpKind;
    const SUCH_AS: &'static str = "a matcher such as HostSNI(`db.example.org`)";

    fn kind(name: &str) -> Result<TcpKind, RuleFault> {
        let known = TcpKind::ALL.into_iter().find(|kind| is_spelling(name, kind.as_str()));
        known.ok_or_else(|| RuleFault::unknown(name, TcpKind::ALL.map(TcpKind::as_str)))
    }

    fn checked(kind: TcpKind, arguments: Vec<String>) -> Result<Self, RuleFault> {
        let matcher = kind.as_str();
        let found = arguments.len();
        let mut arguments = arguments.into_iter();
        let (Some(mut argument), None) = (arguments.next(), arguments.next()) else {
            return Err(RuleFault::Arity {
                matcher,
                expected: "one value (join several matchers by `||`)",
                found,
            });
        };
        let verdict = match kind {
            TcpKind::HostSni => {
                argument.make_ascii_lowercase();
                server_name(&argument)
            }
            TcpKind::HostSniRegexp => expression::check(&argument),
            TcpKind::ClientIp => client_ip(&argument),
            TcpKind::Alpn if argument == "acme-tls/1" => Err("Traefik keeps it to itself".to_owned()),
            TcpKind::Alpn => Ok(()),
        };
        match verdict {
            Ok(()) => Ok(Self { kind, argument }),
            Err(reason) => Err(RuleFault::value(matcher, &argument, reason)),
        }
    }
}

/// `*`, a name, or `*.` and a name.
fn server_name(text: &str) -> Result<(), String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text == "*" || (!name.is_empty() && name.chars().all(allowed)) {
        Ok(())
    } else {
        Err("a name is due, such as `db.example.org`, `*.example.org` or `*`".to_owned())
    }
}

impl fmt::Display for TcpMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        f.write_str("(")?;
        value(f, &self.argument)?;
        f.write_str(")")
    }
}

/// A connection, as far as rules look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The name in its TLS handshake. `None` where it has none, and where it is not TLS.
    pub server_name: Option<String>,
    /// Protocols that it offers in its TLS handshake.
    pub alpn: Vec<String>,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

impl TcpRule {
    /// Whether the rule takes a connection: for people who ask.
    pub fn takes(&self, connection: &Connection) -> bool {
        self.holds(&|matcher| matcher.takes(connection))
    }

    /// Whether it takes everything, so that Traefik asks it last where no priority is given.
    pub fn takes_all(&self) -> bool {
        matches!(self, Self::Matcher(TcpMatcher { kind: TcpKind::HostSni, argument }) if argument == "*")
    }

    /// Whether it asks for a name, which only TLS has: Traefik refuses such a router without TLS.
    pub fn needs_tls(&self) -> bool {
        self.first_name().is_some_and(|name| name != "*")
    }

    /// The first name that is asked for. What is not to be does not count, as with Traefik.
    fn first_name(&self) -> Option<&str> {
        match self {
            Self::Matcher(TcpMatcher { kind: TcpKind::HostSni, argument }) => Some(argument),
            Self::Matcher(_) | Self::Not(_) => None,
            Self::And(parts) | Self::Or(parts) => parts.iter().find_map(Self::first_name),
        }
    }
}

impl TcpMatcher {
    fn takes(&self, connection: &Connection) -> bool {
        let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let name = connection.server_name.as_deref().map(plain).unwrap_or_default();
        match self.kind {
            TcpKind::HostSni if self.argument == "*" => true,
            TcpKind::HostSni => match self.argument.strip_prefix("*.") {
                // One label in place of the star, and no more.
                Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == plain(parent)),
                None => name == plain(&self.argument),
            },
            TcpKind::HostSniRegexp => Regex::new(&self.argument).is_ok_and(|like| like.is_match(&name)),
            TcpKind::ClientIp => {
                let range = AddressRange::parse(&self.argument);
                range.zip(connection.client).is_some_and(|(range, client)| range.contains(client))
            }
            TcpKind::Alpn => connection.alpn.contains(&self.argument),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> TcpRule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_matcher_takes_what_it_says_and_nothing_else() {
        let connection = Connection {
            server_name: Some("a.Example.org".to_owned()),
            alpn: vec!["h2".to_owned()],
            client: Some("192.0.2.7".parse().unwrap()),
        };
        for (text, taken) in [
            ("HostSNI(`*`)", true),
            ("HostSNI(`A.example.org`)", true),
            ("HostSNI(`a.example.org.`)", true),
            ("HostSNI(`*.example.org`)", true),
            ("HostSNI(`*.org`)", false),
            ("HostSNI(`example.org`)", false),
            ("hostsni(`example.org`) || HOSTSNI(`a.example.org`)", true),
            ("HostSNIRegexp(`^.\\.example\\.org$`)", true),
            ("HostSNIRegexp(`^example`)", false),
            ("ClientIP(`192.0.2.0/24`) && !HostSNI(`b`)", true),
            ("ClientIP(`192.0.2.8`)", false),
            ("ALPN(`h2`)", true),
            ("ALPN(`http/1.1`)", false),
        ] {
            assert_eq!(rule(text).takes(&connection), taken, "{text}");
        }
    }

    #[test]
    fn a_connection_without_a_name_is_taken_by_the_star_alone() {
        let plain = Connection::default();
        assert!(rule("HostSNI(`*`)").takes(&plain));
        assert!(!rule("HostSNI(`a`) || HostSNI(`*.a`) || ALPN(`h2`) || ClientIP(`0.0.0.0/0`)").takes(&plain));
    }

    /// As Traefik 3.7.15 told of each by its API.
    #[test]
    fn what_traefik_refuses_is_refused() {
        for text in [
            "HostSNI(`a.b`, `c.d`)",
            "HostSNI(``)",
            "HostSNI(`a.*.org`)",
            "Host(`a.org`)",
            "HostSNIRegexp(`(`)",
            "ALPN(`acme-tls/1`)",
            "ClientIP(`10.0.0.0/33`)",
            "",
        ] {
            assert!(text.parse::<TcpRule>().is_err(), "{text}");
        }
    }

    /// As Traefik 3.7.15 told of each by its API.
    #[test]
    fn a_rule_that_asks_for_a_name_needs_tls() {
        for (text, needs) in [
            ("HostSNI(`db.example.org`)", true),
            ("HostSNI(`*`)", false),
            ("HostSNI(`*`) || HostSNI(`a.b`)", false),
            ("!HostSNI(`x.y`)", false),
            ("ClientIP(`10.0.0.0/8`)", false),
            ("HostSNIRegexp(`^.+\\.example\\.org$`)", false),
        ] {
            assert_eq!(rule(text).needs_tls(), needs, "{text}");
        }
        assert!(rule("(HostSNI(`*`))").takes_all() && !rule("HostSNI(`*`) && ALPN(`h2`)").takes_all());
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic_and_what_is_printed_is_read_as_the_same(
            text in "((!|\\(|\\)|&&|\\|\\||HostSNI\\(`[a-z*.]{0,4}`\\)|ALPN\\(`h2`\\)|[ -~]){0,6})",
        ) {
            if let Ok(rule) = text.parse::<TcpRule>() {
                prop_assert_eq!(rule.to_string().parse::<TcpRule>(), Ok(rule));
            }
        }
    }
}
