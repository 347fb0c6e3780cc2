//! Clients that lie, stall or ask for too much. In no case may a second request reach the backend.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use constellation_proxy::http::{Policy, ProxyConfig};
use support::{Backend, Client, Proxy, Reply, backend, table};

/// Sends bytes, and says how they were answered and what reached the backend.
async fn sent(bytes: impl AsRef<[u8]>, change: impl FnOnce(&mut ProxyConfig)) -> (Vec<u16>, Vec<String>) {
    let web = Backend::new(Reply::ok("reached")).await;
    let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
        config.limits.head_timeout = Duration::from_millis(300);
        config.limits.body_timeout = Duration::from_millis(300);
        change(config);
    });
    let mut client = proxy.client().await;
    client.send(bytes).await;
    let mut statuses = Vec::new();
    while let Some(answer) = client.try_answer().await {
        statuses.push(answer.status);
    }
    (statuses, web.requests())
}

/// The status of what must be refused, and is before anything of it reaches a backend.
async fn refused(bytes: impl AsRef<[u8]>) -> u16 {
    let (statuses, requests) = sent(bytes.as_ref(), |_| {}).await;
    let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
    assert!(requests.is_empty(), "{text:?} reached the backend: {requests:?}");
    assert_eq!(statuses.len(), 1, "{text:?} was answered {statuses:?}");
    statuses[0]
}

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_request_with_two_ideas_of_its_length_is_refused_or_has_one_and_nothing_hides_in_it() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: gzip",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{HIDDEN}");
        assert_eq!(refused(&request).await, 400, "{fields}");
    }
}

#[tokio::test]
async fn length_and_chunks_together_never_let_a_second_request_through_unframed() {
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        // By its length, the body would end in the middle of the chunks, and a hidden request would begin.
        let body = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
        let (statuses, requests) =
            sent(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}"), |_| {}).await;
        let hidden = requests.iter().any(|request| request.starts_with("GET /hidden"));
        assert!(!hidden && statuses.len() == 1, "{fields}: {statuses:?} {requests:?}");
        for request in requests {
            let head = request.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
            let framings =
                head.matches("content-length:").count() + head.matches("transfer-encoding:").count();
            assert_eq!(framings, 1, "the backend gets one idea of the length: {request}");
        }
    }
}

#[tokio::test]
async fn heads_that_two_readers_would_read_differently_are_refused() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Folded: one\r\n two\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Nul: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Cr: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(y): 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ] {
        assert_eq!(refused(request).await, status, "{request:?}");
    }
}

#[tokio::test]
async fn a_bare_line_feed_ends_a_line_and_what_the_backend_gets_has_none() {
    let (statuses, requests) = sent("GET / HTTP/1.1\nHost: a\nX-One: 1\n\n", |_| {}).await;
    assert_eq!(statuses, [200]);
    assert!(!requests[0].replace("\r\n", "").contains('\n'), "{:?}", requests[0]);
}

#[tokio::test]
async fn the_host_of_an_absolute_target_counts_and_the_backend_sees_no_other() {
    let (statuses, requests) =
        sent("GET http://real.test/x HTTP/1.1\r\nHost: fake.test\r\n\r\n", |_| {}).await;
    assert_eq!(statuses, [200]);
    let seen = requests[0].to_ascii_lowercase();
    assert!(seen.starts_with("get /x http/1.1") && seen.contains("\r\nhost: real.test\r\n"), "{seen}");
    assert!(!seen.contains("fake"), "{seen}");
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request() {
    for body in [
        "x\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3 4\r\nabc\r\n0\r\n\r\n",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}");
        let (statuses, requests) = sent(&request, |_| {}).await;
        assert!(statuses.iter().all(|status| *status == 400), "{body:?}: {statuses:?}");
        assert!(!requests.iter().any(|it| it.starts_with("GET /hidden")), "{body:?}: {requests:?}");
    }
}

#[tokio::test]
async fn extensions_of_chunks_without_end_are_cut_off() {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;{}\r\nabc\r\n0\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let (statuses, _) = sent(&request, |_| {}).await;
    assert!(statuses.iter().all(|status| *status == 400), "{statuses:?}");
}

#[tokio::test]
async fn trailers_cannot_bring_what_a_head_would_be_refused_for() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: b\r\nContent-Length: 3\r\n\r\n";
    let (statuses, requests) = sent(request, |_| {}).await;
    assert!(statuses.len() == 1, "{statuses:?}");
    for seen in requests {
        let seen = seen.to_ascii_lowercase();
        assert!(!seen.contains("host: b") && !seen.contains("content-length: 3"), "{seen}");
    }
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused_with_the_status_for_it() {
    let long = |length: usize| "x".repeat(length);
    let uri = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(9000));
    assert_eq!(refused(uri).await, 414);
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", long(80_000));
    assert_eq!(refused(field).await, 431);
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await, 431);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_its_word_or_when_it_comes() {
    let limit = |config: &mut ProxyConfig| config.limits.body_bytes_max = Some(1000);
    let (statuses, requests) =
        sent("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", limit).await;
    assert_eq!((statuses, requests.len()), (vec![413], 0));
    let chunks = "ff\r\n".to_owned() + &"x".repeat(255) + "\r\n";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunks.repeat(5)
    );
    let (statuses, _) = sent(request, limit).await;
    assert_eq!(statuses, [413]);
}

#[tokio::test]
async fn a_head_or_a_body_that_drips_is_given_up_in_time() {
    let (statuses, requests) = sent("GET / HTTP/1.1\r\nHost: a\r\nX-Slow", |_| {}).await;
    assert!(requests.is_empty() && statuses.iter().all(|status| *status == 408), "{statuses:?}");
    let (statuses, _) = sent("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", |_| {}).await;
    assert_eq!(statuses, [408]);
    let (statuses, _) = sent("", |_| {}).await;
    assert!(statuses.is_empty(), "who says nothing is answered nothing");
}

#[tokio::test]
async fn a_client_that_takes_none_of_an_answer_does_not_keep_its_backend() {
    let body = "x".repeat(32 * 1024 * 1024);
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let web = Backend::new(Reply::Bytes(reply.into_bytes())).await;
    let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
        config.limits.write_timeout = Duration::from_millis(300);
    });
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    proxy.until("the answer is on its way", |status| status.backends[0].outstanding == 1).await;
    proxy
        .until("it was given up", |status| status.backends[0].outstanding == 0 && status.connections == 0)
        .await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let web = Backend::new(Reply::Silence).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    proxy.until("it is asked", |status| status.backends[0].outstanding == 1).await;
    drop(client);
    proxy.until("nobody waits any more", |status| status.backends[0].outstanding == 0).await;
    assert_eq!(proxy.handle.status().backends[0].failures, 0, "that is no fault of the backend");
}

#[tokio::test]
async fn a_preface_of_http2_in_pieces_and_one_that_goes_on_as_rubbish_end() {
    let web = Backend::new(Reply::ok("x")).await;
    let proxy = Proxy::of(&[&web]);
    for rubbish in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all"[..],
        b"PRI \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut client = proxy.client().await;
        for byte in rubbish.chunks(3) {
            client.send(byte).await;
        }
        assert!(client.ends().await);
    }
    assert_eq!(proxy.get("/").await.body, "x");
}

#[tokio::test]
async fn a_head_of_http2_without_end_is_cut_off() {
    let web = Backend::new(Reply::ok("x")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // HEADERS without END_HEADERS, then CONTINUATION for ever (CVE-2024-27316 and its like): literals that are not indexed.
    let literal =
        |name: &str| [&[0u8, u8::try_from(name.len()).unwrap()], name.as_bytes(), &[1, b'v']].concat();
    let block: Vec<u8> = (0..1000).flat_map(|number| literal(&format!("x-{number:05}"))).collect();
    let frame = |kind: u8| {
        let length = u32::try_from(block.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0], &1u32.to_be_bytes(), &block].concat()
    };
    flood.extend(frame(1));
    client.send(&flood).await;
    for _ in 0..2000 {
        client.send(frame(9)).await;
    }
    assert!(client.ends().await);
    assert_eq!(web.count(), 0);
    assert_eq!(proxy.get("/").await.body, "x");
}

mod fuzz {
    use proptest::{prelude::*, test_runner::Config};

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("GET / HTTP/1.1\r\n".to_owned()),
            Just("POST /x HTTP/1.1\r\n".to_owned()),
            Just("Host: a\r\n".to_owned()),
            Just("Content-Length: 3\r\n".to_owned()),
            Just("Transfer-Encoding: chunked\r\n".to_owned()),
            Just("Connection: close\r\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("3\r\nabc\r\n".to_owned()),
            Just("0\r\n\r\n".to_owned()),
            "[ -~\r\n\t]{0,20}",
        ];
        let text = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
        prop_oneof![3 => text, 1 => proptest::collection::vec(any::<u8>(), 0..200)]
    }

    proptest! {
        #![proptest_config(Config { cases: 150, ..Config::default() })]
        #[test]
        fn whatever_a_client_sends_the_next_one_is_served_and_every_answer_has_a_status(input in bytes()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let web = Backend::new(Reply::ok("well")).await;
                let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
                    config.limits.head_timeout = Duration::from_millis(20);
                    config.limits.body_timeout = Duration::from_millis(20);
                });
                let mut client: Client = proxy.client().await;
                client.send(&input).await;
                while let Some(answer) = client.try_answer().await {
                    assert!((200..600).contains(&answer.status), "{answer:?}");
                }
                assert_eq!(proxy.get("/").await.body, "well");
            });
        }
    }
}
