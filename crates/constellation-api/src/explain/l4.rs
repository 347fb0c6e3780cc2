//! The same for connections and datagrams.

use constellation_rules::Connection;
use constellation_traefik::explain::{L4Explained, L4Taker, L4Traffic};

use super::{Explanation, Led, Question, RouterRow, texts};

/// The longest name in a TLS handshake, in bytes.
const NAME_BYTES_MAX: usize = 253;
/// The longest name of a protocol in ALPN, in bytes (RFC 7301).
const PROTOCOL_BYTES_MAX: usize = 255;

/// What is asked about, if it is not HTTP.
pub(super) fn traffic(question: &Question) -> Result<Option<L4Traffic>, String> {
    let Some((scheme, rest)) = question.url.split_once("://") else { return Ok(None) };
    let name = name(rest)?;
    let scheme = scheme.to_ascii_lowercase();
    let alpn = alpn(question)?;
    if !alpn.is_empty() && ["tcp", "udp"].contains(&scheme.as_str()) {
        return Err("only a connection with TLS (tls://NAME) offers protocols by ALPN".to_owned());
    }
    let connection = |server_name| Connection { server_name, alpn, client: question.client };
    Ok(match scheme.as_str() {
        "tls" => Some(L4Traffic::Tls(connection(name))),
        // Nobody sees which name it is for.
        "tcp" => Some(L4Traffic::Plain(connection(None))),
        "udp" => Some(L4Traffic::Datagrams),
        _ => None,
    })
}

/// The protocols that the client offers, as they are written in a handshake: Traefik compares them letter by letter.
fn alpn(question: &Question) -> Result<Vec<String>, String> {
    let Some(list) = &question.alpn else { return Ok(Vec::new()) };
    let protocols: Vec<String> = list.split(',').map(|protocol| protocol.trim().to_owned()).collect();
    if protocols.iter().any(|protocol| protocol.is_empty() || protocol.len() > PROTOCOL_BYTES_MAX) {
        return Err(format!("a protocol of ALPN has 1 to {PROTOCOL_BYTES_MAX} bytes, such as `h2,http/1.1`"));
    }
    Ok(protocols)
}

/// The name in `name:port/path`, if there is one. The port is some entry point's; which one's is not known here.
fn name(rest: &str) -> Result<Option<String>, String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("a name has at most {NAME_BYTES_MAX} bytes"));
    }
    Ok(Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty()))
}

pub(super) fn explanation(explained: &L4Explained, traffic: &L4Traffic) -> Explanation {
    let row = |router: &L4Taker| RouterRow {
        name: router.name.to_string(),
        rule: router.rule.clone().unwrap_or_else(|| "(every datagram of its entry points)".to_owned()),
        priority: router.priority,
        entry_points: texts(&router.entry_points),
        middlewares: texts(&router.middlewares),
        service: router.service.to_string(),
    };
    let without_server = match traffic {
        L4Traffic::Datagrams => "Traefik drops it",
        L4Traffic::Plain(_) | L4Traffic::Tls(_) => "Traefik closes the connection",
    };
    let led = Led {
        backends: &explained.backends,
        servers: &explained.servers,
        elsewhere: explained.elsewhere.as_ref(),
    };
    led.explanation(explained.routers.iter().map(row).collect(), nobody(traffic), without_server)
}

const fn nobody(traffic: &L4Traffic) -> &'static str {
    match traffic {
        L4Traffic::Datagrams => "no router takes it: nothing listens there",
        L4Traffic::Plain(_) => {
            "no TCP router takes a connection in the clear (ask tls://NAME about one with TLS): where the entry point has HTTP \
             routers, they get it, else Traefik closes it"
        }
        L4Traffic::Tls(_) => {
            "no TCP router takes it: where the entry point has HTTP routers, they get it, else Traefik closes the connection"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Result<Option<L4Traffic>, String> {
        traffic(&Question::about(url))
    }

    fn offering(url: &str, alpn: &str) -> Result<Option<L4Traffic>, String> {
        traffic(&Question { alpn: Some(alpn.to_owned()), ..Question::about(url) })
    }

    #[test]
    fn a_connection_with_tls_alone_offers_protocols() {
        let offered = L4Traffic::Tls(Connection {
            server_name: Some("db".to_owned()),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            client: None,
        });
        assert_eq!(offering("tls://db", "h2, http/1.1"), Ok(Some(offered)));
        for (url, alpn) in [("tcp://", "h2"), ("udp://", "h2"), ("tls://db", ""), ("tls://db", "h2,")] {
            assert!(offering(url, alpn).is_err(), "{url} {alpn}");
        }
    }

    #[test]
    fn a_connection_with_tls_has_a_name_and_one_in_the_clear_none() {
        let named = |name: &str| {
            let server_name = Some(name.to_owned());
            Ok(Some(L4Traffic::Tls(Connection { server_name, ..Connection::default() })))
        };
        assert_eq!(asked("tls://DB.example.org:5432"), named("db.example.org"));
        assert_eq!(asked("TLS://db.example.org/x"), named("db.example.org"));
        for url in ["tcp://db.example.org:5432", "tcp://", "tcp://:6379"] {
            assert_eq!(asked(url), Ok(Some(L4Traffic::Plain(Connection::default()))), "{url}");
        }
        assert_eq!(
            asked("tls://"),
            Ok(Some(L4Traffic::Tls(Connection::default()))),
            "a handshake may have none"
        );
        assert_eq!(asked("udp://dns.example.org"), Ok(Some(L4Traffic::Datagrams)));
    }

    #[test]
    fn what_is_http_is_not_ours_and_a_name_that_is_none_is_refused() {
        for url in ["https://a.example.org", "a.example.org/tls://b"] {
            assert_eq!(asked(url), Ok(None), "{url}");
        }
        assert!(asked(&format!("tls://{}", "x".repeat(300))).is_err());
    }
}
