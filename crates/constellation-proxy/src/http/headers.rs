//! Header fields on the way through: which stop here, and what the backend is told of the client.

use std::{cell::RefCell, net::SocketAddr};

use hyper::{
    HeaderMap,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};

/// What is between two neighbours by its name.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    TE,
    UPGRADE,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// Those that we do not set; a stranger's would be believed by whoever does.
static OTHERS_FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-prefix"),
];
/// Where a request goes that came in by header.
pub(super) const SERVICE: HeaderName = HeaderName::from_static("x-constellation-service");

/// What a client tells this proxy alone. That its body is wanted, it was told when that was first asked for.
static TO_US: [HeaderName; 2] = [SERVICE, EXPECT];

/// Takes out what was for this proxy.
pub(super) fn take_ours(headers: &mut HeaderMap) {
    take_out(headers, &TO_US);
}

/// Takes out those of these fields that are there. Most are not, and comparing names is cheaper than to hash each of them.
fn take_out(headers: &mut HeaderMap, names: &'static [HeaderName]) {
    for name in present(headers, names).into_iter().flatten() {
        headers.remove(name);
    }
}

/// Those of these fields that are there: in one walk through all fields, and nothing where there is none.
fn present(headers: &HeaderMap, names: &'static [HeaderName]) -> Option<Vec<&'static HeaderName>> {
    let mut found = None;
    for key in headers.keys() {
        if let Some(name) = names.iter().find(|name| *name == key) {
            found.get_or_insert_with(|| Vec::with_capacity(names.len())).push(name);
        }
    }
    found
}

/// Takes out what is between two neighbours alone (RFC 9110, 7.6.1): the fields that are so by name, and those that
/// `Connection` names. Returns the protocol that the sender wants to change to, where it said so properly.
pub(super) fn take_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let found = present(headers, &HOP_BY_HOP)?;
    let mut upgrade = None;
    if found.contains(&&CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            // What most say, and names no field that stays.
            .filter(|name| !name.eq_ignore_ascii_case("keep-alive"))
            .filter_map(|name| name.parse().ok())
            .collect();
        if named.contains(&UPGRADE) {
            upgrade = headers.get(UPGRADE).cloned();
        }
        for name in named {
            // Naming these would take away what says whose request it is and where it ends.
            if !matches!(name, HOST | CONTENT_LENGTH | TE) {
                headers.remove(name);
            }
        }
    }
    let trailers = found.contains(&&TE)
        && headers.get_all(TE).iter().any(|value| {
            let tokens = value.to_str().unwrap_or_default().split(',');
            tokens.into_iter().any(|token| token.trim().eq_ignore_ascii_case("trailers"))
        });
    for name in found {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// Joins a cookie that HTTP/2 has split (RFC 9113, 8.2.3): a backend with HTTP/1.1 expects one field.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// What every request over one connection is told to come from.
#[derive(Debug)]
pub(super) struct Origin {
    /// Whether the neighbour's word on others counts.
    trusted: bool,
    address: HeaderValue,
    /// As `Forwarded` has it: IPv6 in brackets and quotes.
    node: String,
    scheme: &'static str,
    /// The last host and what was made for it: most connections ask one host.
    last: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

impl Origin {
    pub(super) fn new(peer: SocketAddr, tls: bool, trusted: bool) -> Self {
        let ip = peer.ip().to_canonical();
        let node = if ip.is_ipv6() { format!("\"[{ip}]\"") } else { ip.to_string() };
        let address =
            HeaderValue::from_str(&ip.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { trusted, address, node, scheme: if tls { "https" } else { "http" }, last: RefCell::default() }
    }

    /// Tells the backend who asked, over what, and for which host.
    pub(super) fn tell(&self, headers: &mut HeaderMap, host: Option<&HeaderValue>) {
        let scheme = HeaderValue::from_static(self.scheme);
        if self.trusted {
            self.append(headers, &FORWARDED_FOR, self.address.clone());
            headers.entry(FORWARDED_PROTO).or_insert(scheme);
            headers.entry(REAL_IP).or_insert_with(|| self.address.clone());
            if let Some(host) = host {
                headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
                self.append(headers, &FORWARDED, self.forwarded(host));
            }
            return;
        }
        take_out(headers, &OTHERS_FORWARDED);
        headers.insert(FORWARDED_FOR, self.address.clone());
        headers.insert(REAL_IP, self.address.clone());
        headers.insert(FORWARDED_PROTO, scheme);
        match host {
            Some(host) => {
                headers.insert(FORWARDED_HOST, host.clone());
                headers.insert(FORWARDED, self.forwarded(host));
            }
            None => {
                headers.remove(FORWARDED_HOST);
                headers.remove(FORWARDED);
            }
        }
    }

    fn append(&self, headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
        let before: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        let joined = if before.is_empty() {
            value
        } else {
            let all: Vec<&[u8]> = before.into_iter().chain([value.as_bytes()]).collect();
            HeaderValue::from_bytes(&all.join(&b", "[..])).unwrap_or_else(|_| self.address.clone())
        };
        headers.insert(name, joined);
    }

    /// RFC 7239.
    fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        if let Some((known, made)) = &*self.last.borrow()
            && known == host
        {
            return made.clone();
        }
        let host_text = host.to_str().unwrap_or_default();
        let text = format!("for={};host=\"{host_text}\";proto={}", self.node, self.scheme);
        let made = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"));
        // A copy: the value itself is a part of the buffer that the head was read into, and would keep all of it.
        let host = HeaderValue::from_bytes(host.as_bytes()).unwrap_or_else(|_| host.clone());
        *self.last.borrow_mut() = Some((host, made.clone()));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_between_neighbours_stops_here_also_what_connection_names() {
        let mut map = headers(&[
            ("host", "a"),
            ("connection", "close, X-Secret"),
            ("connection", "host, content-length"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("keep-alive", "5"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "x"),
            ("upgrade", "websocket"),
            ("trailer", "grpc-status"),
        ]);
        assert_eq!(take_hop_by_hop(&mut map), None, "an upgrade that Connection does not name is none");
        assert_eq!(names(&map), ["content-length", "host", "trailer"]);
    }

    #[test]
    fn an_upgrade_and_the_wish_for_trailers_are_kept_in_mind() {
        let mut map = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("te", "deflate;q=0.5, trailers"),
        ]);
        assert_eq!(take_hop_by_hop(&mut map).unwrap(), "websocket");
        assert_eq!(map["te"], "trailers");
        assert_eq!(names(&map), ["te"]);
    }

    #[test]
    fn a_strangers_word_on_where_it_comes_from_is_replaced_and_a_neighbours_continued() {
        let claimed = [
            ("x-forwarded-for", "198.51.100.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=198.51.100.9"),
        ];
        let host = HeaderValue::from_static("app.test");
        let peer = "192.0.2.7:1234".parse().unwrap();
        let mut map = headers(&claimed);
        Origin::new(peer, false, false).tell(&mut map, Some(&host));
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(map["forwarded"], "for=192.0.2.7;host=\"app.test\";proto=http");
        assert!(!map.contains_key("x-forwarded-port"));

        let mut map = headers(&claimed);
        Origin::new(peer, false, true).tell(&mut map, Some(&host));
        assert_eq!(map["x-forwarded-for"], "198.51.100.9, 192.0.2.7");
        assert_eq!(map["x-forwarded-proto"], "https");
        let forwarded = "for=198.51.100.9, for=192.0.2.7;host=\"app.test\";proto=http";
        assert_eq!(map["forwarded"], forwarded);
    }

    #[test]
    fn an_ipv6_client_is_written_as_the_standard_wants_it() {
        let mut map = HeaderMap::new();
        Origin::new("[2001:db8::1]:9".parse().unwrap(), true, false)
            .tell(&mut map, Some(&HeaderValue::from_static("a")));
        assert_eq!(map["forwarded"], "for=\"[2001:db8::1]\";host=\"a\";proto=https");
        assert_eq!(map["x-forwarded-for"], "2001:db8::1");
    }

    #[test]
    fn the_crumbs_of_a_cookie_become_one_field() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
