//! Backends that lie, break off, or say what nobody asked.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use constellation_proxy::http::Policy;
use support::{Backend, Proxy, Reply, backend, table};

async fn answered(reply: Reply) -> (u16, String) {
    let web = Backend::new(reply).await;
    let policy = Policy { response_timeout: Some(Duration::from_secs(2)), ..Policy::default() };
    let answer = Proxy::start(table(vec![backend(web.address, 0)], policy)).get("/").await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn what_is_no_answer_is_a_bad_gateway() {
    for bytes in [
        "rubbish\r\n\r\n",
        "HTTP/1.1 xyz OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nX-Unfin",
    ] {
        let (status, _) = answered(Reply::Last(bytes.as_bytes().to_vec())).await;
        assert_eq!(status, 502, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_a_bad_gateway() {
    let endless = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(300_000));
    assert_eq!(answered(Reply::Early(endless.into_bytes())).await.0, 502);
    let many: String = (0..2000).map(|number| format!("X-{number}: 1\r\n")).collect();
    let many = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n");
    assert_eq!(answered(Reply::Early(many.into_bytes())).await.0, 502);
}

#[tokio::test]
async fn a_body_that_ends_before_its_length_breaks_the_clients_connection_off_and_is_never_filled_up() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc".to_vec();
    let web = Backend::new(Reply::Bytes(short)).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Whether the head was on its way when the body broke off is a matter of chance.
    let head = client.head().await;
    let body = client.rest().await;
    assert!(body == "abc" || (head.is_none() && body.is_empty()), "{head:?} {body:?}");
}

#[tokio::test]
async fn chunks_that_break_off_are_not_ended_as_if_they_were_whole() {
    let cut =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n".to_vec();
    let web = Backend::new(Reply::Bytes(cut)).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.try_answer().await;
    assert!(answer.as_ref().is_none_or(|answer| answer.body.ends_with("<broken>")), "{answer:?}");
}

#[tokio::test]
async fn what_follows_an_answer_unasked_is_not_taken_for_the_next() {
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
    let web =
        Backend::new(Reply::raw(&format!("{twice}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"))).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.body, "one");
    }
    assert_eq!(web.connections(), 5, "such a connection is not used again");
}

#[tokio::test]
async fn a_longer_body_than_was_said_is_cut_at_its_length() {
    let web = Backend::new(Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nonetwo")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.body, "one");
    }
}

#[tokio::test]
async fn another_protocol_that_nobody_asked_for_is_a_bad_gateway() {
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert_eq!(answered(Reply::Early(switched.into())).await.0, 502);
}

#[tokio::test]
async fn a_flood_of_interim_answers_is_passed_over_and_the_answer_arrives() {
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(200);
    let reply = format!("{flood}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(answered(Reply::raw(&reply)).await, (200, "ok".to_owned()));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_whole_request_is_passed_on() {
    let early = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let web = Backend::new(Reply::Early(early.into())).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "no"));
}

#[tokio::test]
async fn a_backend_that_never_answers_is_a_gateway_timeout_and_the_next_request_is_served() {
    let web = Backend::new(Reply::Silence).await;
    let policy = Policy { response_timeout: Some(Duration::from_millis(50)), ..Policy::default() };
    let proxy = Proxy::start(table(vec![backend(web.address, 0)], policy));
    assert_eq!(proxy.get("/").await.status, 504);
    web.behave(Reply::ok("awake"));
    assert_eq!(proxy.get("/").await.body, "awake");
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let (status, body) = answered(Reply::raw("HTTP/1.0 200 OK\r\n\r\nto the end")).await;
    assert_eq!((status, body.as_str()), (200, "to the end"));
}
