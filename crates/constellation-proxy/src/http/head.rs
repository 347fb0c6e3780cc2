//! The head of a request: what it asks for, and whether it says so properly.

use std::{borrow::Cow, net::SocketAddr};

use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    body::Incoming,
    header::{CONTENT_LENGTH, HOST, HeaderValue, UPGRADE},
    http::{request::Parts, uri::PathAndQuery},
};

use super::{config::Limits, refusal::Refusal, secure::Peer};

/// What was read of a head.
pub(super) struct Head<'a> {
    /// In lower case, without port and final dot; empty where an HTTP/1.0 client names none.
    pub(super) host: Cow<'a, str>,
    /// Whether it asks for another protocol, perhaps.
    pub(super) upgrades: bool,
}

impl Head<'_> {
    pub(super) fn read<'a>(request: &'a Request<Incoming>, limits: &Limits) -> Result<Head<'a>, Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Refusal::Method);
        }
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        if path.len() > limits.uri_bytes_max {
            return Err(Refusal::UriTooLong);
        }
        let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if path.len() + fields > limits.head_bytes_max {
            return Err(Refusal::HeadTooLong);
        }
        if let Some(length) = content_length(headers)?
            && limits.body_bytes_max.is_some_and(|most| length > most)
        {
            return Err(Refusal::TooLarge);
        }
        let mut named = headers.get_all(HOST).iter();
        let field = named.next();
        if named.next().is_some() {
            return Err(Refusal::Malformed("it has several hosts"));
        }
        let named = match (uri.authority(), field) {
            // RFC 9112, 3.2.2: what the target says counts, and whatever `Host` says is replaced by it.
            (Some(authority), _) => authority.as_str(),
            (None, Some(field)) => {
                field.to_str().map_err(|_| Refusal::Malformed("its host is no host name"))?
            }
            (None, None) if request.version() < Version::HTTP_11 => "",
            (None, None) => return Err(Refusal::Malformed("it names no host")),
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Refusal::Malformed("its target has a user name"));
        }
        let host = host_of(named).ok_or(Refusal::Malformed("its host is no host name"))?;
        let upgrades = request.version() == Version::HTTP_11 && headers.contains_key(UPGRADE);
        Ok(Head { host, upgrades })
    }
}

/// The length that a request says its body has. hyper has refused what contradicts itself; several equal ones are not worth
/// guessing about.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|c| c.is_ascii_digit()));
    match (digits.and_then(|text| text.parse().ok()), lengths.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(Refusal::Malformed("its content-length is no length")),
    }
}

/// The host of `host[:port]`, in lower case and without a final dot; `None` where it is none.
fn host_of(named: &str) -> Option<Cow<'_, str>> {
    let host = match named.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let is_port = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
            let valid = is_port && address.parse::<std::net::Ipv6Addr>().is_ok();
            return valid.then(|| Cow::Owned(format!("[{}]", address.to_ascii_lowercase())));
        }
        None => match named.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
            None => named,
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~' | b'!');
    if !host.bytes().all(allowed) {
        return None;
    }
    if host.bytes().any(|c| c.is_ascii_uppercase()) {
        return Some(Cow::Owned(host.to_ascii_lowercase()));
    }
    Some(Cow::Borrowed(host))
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit())
}

/// Makes `Host` say what the target says, and returns it. Two that differ are a request that two readers would give to
/// two services.
pub(super) fn settle_host(parts: &mut Parts) -> Result<Option<HeaderValue>, Refusal> {
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| Refusal::Malformed("its host is no host name"))?;
        let differs = parts.headers.get(HOST).is_some_and(|field| {
            !field.to_str().is_ok_and(|field| field.eq_ignore_ascii_case(authority.as_str()))
        });
        if differs && parts.version >= Version::HTTP_2 {
            return Err(Refusal::Malformed("it has several hosts"));
        }
        parts.headers.insert(HOST, host);
    }
    Ok(parts.headers.get(HOST).cloned())
}

/// The target as a server is asked.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    if uri.authority().is_none() {
        return uri.clone();
    }
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::from(path)
}

/// A request as HTTP/2 has it: with its host in the target.
pub(super) fn for_h2<B>(mut request: Request<B>, peer: &Peer) -> Request<B> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let scheme = if peer.tls.is_some() { "https" } else { "http" };
    *request.uri_mut() = absolute(request.uri(), scheme, host.as_ref(), peer.address);
    request
}

/// The same request as HTTP/1.1 has it.
pub(super) fn for_h1<B>(mut request: Request<B>) -> Request<B> {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = origin_form(request.uri());
    request
}

fn absolute(uri: &Uri, scheme: &str, host: Option<&HeaderValue>, address: SocketAddr) -> Uri {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let with = |authority: &[u8]| {
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path.clone()).build()
    };
    host.and_then(|host| with(host.as_bytes()).ok())
        .or_else(|| with(address.to_string().as_bytes()).ok())
        .unwrap_or_else(|| Uri::from(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        for (named, host) in [
            ("a.test", Some("a.test")),
            ("A.Test:8080", Some("a.test")),
            ("a.test.", Some("a.test")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:DB8::1]:443", Some("[2001:db8::1]")),
            ("", Some("")),
            ("a.test:80:90", None),
            ("a.test:http", None),
            ("a test", None),
            ("a.test/x", None),
            ("user@a.test", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[x]", None),
        ] {
            assert_eq!(host_of(named).as_deref(), host, "{named}");
        }
    }

    #[test]
    fn a_length_is_digits_and_there_is_one() {
        let lengths = |values: &[&'static str]| {
            let fields = values.iter().map(|value| (CONTENT_LENGTH, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, value);
            }
            content_length(&headers)
        };
        assert_eq!(lengths(&[]), Ok(None));
        assert_eq!(lengths(&["12"]), Ok(Some(12)));
        for bad in [&["+1"][..], &["1", "1"], &["1, 1"], &["-1"], &["99999999999999999999"]] {
            assert!(lengths(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_host_makes_the_reader_panic_and_what_it_takes_has_nothing_to_break_out_with(named in ".{0,40}") {
            if let Some(host) = host_of(&named) {
                prop_assert!(!host.contains(['/', '@', ' ', '\r', '\n', '"']));
            }
        }
    }
}
