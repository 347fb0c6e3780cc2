//! Where a server is, by its URL.

use std::net::SocketAddr;

use constellation_core::route::Scheme;
use url::{Host, Url};

/// A server's URL, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// What it speaks.
    pub scheme: Scheme,
    /// Its address; `None` where it has a name that is to be looked up.
    pub address: Option<SocketAddr>,
    /// Whether the URL has a path.
    pub has_path: bool,
}

impl ServerUrl {
    /// Takes a URL apart; `None` where it is none that a server may be reached at.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = [Scheme::Http, Scheme::Https, Scheme::H2c]
            .into_iter()
            .find_map(|scheme| Some((scheme, url.strip_prefix(scheme.as_str())?.strip_prefix("://")?)))?;
        // Nearly all are plain addresses, and there are many.
        match rest.parse::<SocketAddr>() {
            Ok(address) => {
                (address.port() != 0).then_some(Self { scheme, address: Some(address), has_path: false })
            }
            Err(_) => Self::with_host(scheme, rest),
        }
    }

    /// `host[:port][/path]`. Strict: what the parser would mend in its way, Traefik would read in another.
    fn with_host(scheme: Scheme, rest: &str) -> Option<Self> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let in_authority =
            |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b':' | b'[' | b']');
        let in_path = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b'?' | b'#');
        // An empty host or port would be filled in.
        let empty = authority.is_empty() || authority.ends_with(':');
        if empty || !authority.bytes().all(in_authority) || !path.bytes().all(in_path) {
            return None;
        }
        // The parser knows the first two of the three schemes.
        let (known, port) = if scheme == Scheme::Https { (Scheme::Https, 443) } else { (Scheme::Http, 80) };
        let url = Url::parse(&format!("{}://{rest}", known.as_str())).ok()?;
        let port = url.port().unwrap_or(port);
        let address = match url.host()? {
            Host::Ipv4(ip) if authority.starts_with(&ip.to_string()) => Some((ip, port).into()),
            // A number in some other form.
            Host::Ipv4(_) => return None,
            Host::Ipv6(ip) => Some((ip, port).into()),
            Host::Domain(_) => None,
        };
        (port != 0).then_some(Self { scheme, address, has_path: !path.is_empty() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Option<(Option<String>, bool)> {
        let url = ServerUrl::parse(url)?;
        Some((url.address.map(|address| address.to_string()), url.has_path))
    }

    #[test]
    fn an_address_is_read_with_and_without_port_and_path() {
        for (url, address, has_path) in [
            ("http://10.0.0.1:8080", "10.0.0.1:8080", false),
            ("http://10.0.0.1:8080/", "10.0.0.1:8080", false),
            ("h2c://10.0.0.1:80", "10.0.0.1:80", false),
            ("h2c://10.0.0.1", "10.0.0.1:80", false),
            ("https://10.0.0.1/base", "10.0.0.1:443", true),
            ("http://[fd00::1]:8080", "[fd00::1]:8080", false),
            ("http://[fd00::1]:8080/base/", "[fd00::1]:8080", true),
            ("https://[fd00::1]", "[fd00::1]:443", false),
        ] {
            assert_eq!(read(url), Some((Some(address.to_owned()), has_path)), "{url}");
        }
    }

    #[test]
    fn a_name_has_no_address() {
        for (url, has_path) in
            [("http://web", false), ("https://a_b.example.org:8443/", false), ("h2c://web:81/x%20y", true)]
        {
            assert_eq!(read(url), Some((None, has_path)), "{url}");
        }
    }

    #[test]
    fn what_traefik_would_read_otherwise_or_not_at_all_is_none() {
        for url in [
            "",
            "10.0.0.1:80",
            "ftp://10.0.0.1",
            "HTTP://10.0.0.1",
            "http:/10.0.0.1",
            "http://",
            "http:///path",
            "http://:80",
            "http://10.0.0.1:0",
            "http://10.0.0.1:0/x",
            "http://web:",
            "http://web:0",
            "http://web:+80",
            "http://web:65536",
            "http://[fd00::1",
            "http://fd00::1/x",
            "http://[fd00::1%25eth0]:80",
            "http://me@web",
            "http://a b",
            "http://0x7f.1",
            "http://256.1.1.1",
            "http://web/?q",
            "http://web/#part",
            "http://web/\"",
            "http://web/a\\b",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
    }
}
