//! Connections of clients that say nothing: they hold no buffers, and nothing is lost over it.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use constellation_proxy::http::Policy;
use support::{Backend, Client, Proxy, Reply, backend, table};
use tokio::io::AsyncWriteExt;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Longer than a connection has to be silent for.
const SILENCE: Duration = Duration::from_millis(200);

/// A client that has asked once, and whose connection rests.
async fn resting(proxy: &Proxy) -> Client {
    let mut client = proxy.client().await;
    client.send(GET).await;
    client.answer().await;
    proxy.until("it rests", |status| status.resting == 1).await;
    client
}

#[tokio::test]
async fn a_silent_connection_rests_and_its_next_request_is_answered_time_and_again() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    for round in 1..=3 {
        client.send(GET).await;
        assert_eq!(client.answer().await.body, "hello");
        proxy.until("it rests", |status| status.resting == 1 && status.connections == 1).await;
        assert_eq!(web.count(), round);
    }
    drop(client);
    proxy.until("it is gone", |status| status.connections == 0 && status.resting == 0).await;
}

#[tokio::test]
async fn a_request_of_any_length_wakes_a_connection_that_rests() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = resting(&proxy).await;
    for length in [1, 1000, 1024, 5000, 100_000] {
        let body = "x".repeat(length);
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        assert_eq!(client.answer().await.status, 200);
        assert!(web.requests().last().unwrap().ends_with(&format!("\r\n\r\n{body}")), "{length}");
        proxy.until("it rests", |status| status.resting == 1).await;
    }
}

#[tokio::test]
async fn a_request_that_comes_slowly_over_a_connection_that_rested_is_read_whole() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = resting(&proxy).await;
    client.stream.set_nodelay(true).unwrap();
    client.send("GET /slow").await;
    proxy.until("it woke", |status| status.resting == 0).await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(proxy.handle.status().resting, 0, "half a head is no silence");
    client.send("ly HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(web.requests()[1].starts_with("GET /slowly "));
}

#[tokio::test]
async fn what_came_of_the_next_request_together_with_the_last_is_not_lost() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send(format!("{GET}GET /second HT")).await;
    client.answer().await;
    tokio::time::sleep(SILENCE).await;
    client.send("TP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(web.requests()[1].starts_with("GET /second "));
}

#[tokio::test]
async fn half_a_head_ends_in_time_also_after_a_rest() {
    for first in ["", GET] {
        let web = Backend::new(Reply::ok("hello")).await;
        let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
            config.limits.head_timeout = Duration::from_secs(2);
        });
        let mut client = resting(&proxy).await;
        client.send(format!("{first}GET / HT")).await;
        assert!(client.ends().await, "{first:?}");
        assert_eq!(web.count(), 1 + usize::from(!first.is_empty()));
    }
}

#[tokio::test]
async fn a_connection_that_rests_for_too_long_ends() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::with(table(vec![backend(web.address, 0)], Policy::default()), |config| {
        config.limits.head_timeout = Duration::from_secs(1);
    });
    let mut client = resting(&proxy).await;
    assert!(client.ends().await);
    proxy.until("it is gone", |status| status.connections == 0).await;
}

#[tokio::test]
async fn a_connection_that_is_being_closed_does_not_rest_instead() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    client.answer().await;
    assert!(client.ends().await);
    // Our side stays open: the proxy waits for it for a second, and no longer.
    proxy.until("it is gone", |status| status.connections == 0 && status.resting == 0).await;
}

#[tokio::test]
async fn a_body_on_its_way_or_an_answer_on_its_way_is_no_silence() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(proxy.handle.status().resting, 0);
    client.send("cd").await;
    assert_eq!(client.answer().await.body, "hello");
    assert!(web.requests()[0].ends_with("abcd"));
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    web.behave(Reply::Pieces(vec![head, b"1\r\na\r\n".to_vec(), b"1\r\nb\r\n0\r\n\r\n".to_vec()], SILENCE));
    client.send(GET).await;
    assert_eq!(client.answer().await.body, "ab");
}

#[tokio::test]
async fn a_request_that_came_together_with_the_last_is_under_way_until_it_is_answered_whole() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n".to_vec();
    let web = Backend::new(Reply::Pieces(vec![head, b"a".to_vec(), b"b".to_vec()], SILENCE)).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send(format!("{GET}{GET}")).await;
    assert_eq!(client.answer().await.body, "ab");
    assert_eq!(client.answer().await.body, "ab");
}

#[tokio::test]
async fn an_answer_that_its_client_does_not_take_yet_arrives_whole_in_the_end() {
    // Of some of these the last part is with hyper, and the body is over, when the kernel takes no more.
    let answers = (1..=24).map(|step| async move {
        let length = step * 256 * 1024;
        let web = Backend::new(Reply::ok(&"x".repeat(length))).await;
        let proxy = Proxy::of(&[&web]);
        let mut client = proxy.client().await;
        client.send(GET).await;
        tokio::time::sleep(SILENCE).await;
        assert_eq!(client.answer().await.body.len(), length);
    });
    futures::future::join_all(answers).await;
}

#[tokio::test]
async fn a_websocket_that_is_silent_stays_a_websocket() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n".to_vec();
    let web = Backend::new(Reply::Echo(head)).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 101);
    tokio::time::sleep(SILENCE).await;
    client.send("ping").await;
    assert_eq!(client.take(4).await, "ping");
}

#[tokio::test]
async fn a_drain_ends_connections_that_rest_at_once() {
    let web = Backend::new(Reply::ok("hello")).await;
    let proxy = Proxy::of(&[&web]);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client().await;
        client.send(GET).await;
        client.answer().await;
        clients.push(client);
    }
    proxy.until("all rest", |status| status.resting == 20).await;
    proxy.supervisor.shutdown().cancel();
    for client in &mut clients {
        assert!(client.ends().await);
        let _ = client.stream.shutdown().await;
    }
    proxy.until("all are gone", |status| status.connections == 0).await;
}
