//! What becomes of a request when a backend fails it.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{net::SocketAddr, time::Duration};

use constellation_core::route::Failover;
use constellation_proxy::http::Policy;
use support::{Backend, Proxy, Reply, backend, table};

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let gone = Backend::new(Reply::Close).await;
    let address = gone.address;
    gone.kill();
    // Until the kernel has closed it.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    address
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A proxy that asks `first`, and `second` when that one is out.
fn ranked(first: SocketAddr, second: SocketAddr, policy: Policy) -> Proxy {
    Proxy::start(table(vec![backend(first, 0), backend(second, 1)], policy))
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_costs_no_request_whatever_its_method() {
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(nobody().await, well.address, Policy::default());
    assert_eq!(proxy.get("/").await.body, "well");
    assert_eq!(proxy.ask(&post("once")).await.body, "well");
    assert!(well.requests()[1].ends_with("\r\n\r\nonce"), "with its body: {:?}", well.requests());
}

#[tokio::test]
async fn a_get_that_a_backend_may_have_read_is_asked_elsewhere_and_a_post_is_not() {
    let (breaks, well) = (Backend::new(Reply::Close).await, Backend::new(Reply::ok("well")).await);
    let proxy = ranked(breaks.address, well.address, Policy::default());
    assert_eq!(proxy.get("/").await.status, 200);
    let answer = proxy.ask(&post("once")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(well.count(), 1, "only the GET");
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_repeated_with_its_whole_body() {
    let failing = Backend::new(Reply::status(503, "no")).await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(failing.address, well.address, Policy::default());
    let request = post("the body").replacen("Host:", "Idempotency-Key: 1\r\nHost:", 1);
    assert_eq!(proxy.ask(&request).await.body, "well");
    assert!(failing.requests()[0].ends_with("the body") && well.requests()[0].ends_with("the body"));
}

#[tokio::test]
async fn an_answer_that_says_unavailable_is_passed_on_for_a_post_and_tried_elsewhere_for_a_get() {
    let failing = Backend::new(Reply::status(502, "bad")).await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(failing.address, well.address, Policy::default());
    assert_eq!(proxy.get("/").await.body, "well");
    let answer = proxy.ask(&post("x")).await;
    assert_eq!((answer.status, answer.body.as_str()), (502, "bad"));
}

#[tokio::test]
async fn an_applications_own_500_is_passed_on_and_opens_no_breaker() {
    let failing = Backend::new(Reply::status(500, "mine")).await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(failing.address, well.address, Policy::default());
    for _ in 0..5 {
        assert_eq!(proxy.get("/").await.body, "mine");
    }
    assert_eq!(proxy.handle.status().backends[0].breaker, "closed");
}

#[tokio::test]
async fn where_every_backend_says_unavailable_the_last_answer_is_passed_on() {
    let (one, other) =
        (Backend::new(Reply::status(503, "one")).await, Backend::new(Reply::status(503, "other")).await);
    let answer = ranked(one.address, other.address, Policy::default()).get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "other"));
}

#[tokio::test]
async fn a_service_that_declines_failover_sends_each_request_once() {
    let (breaks, well) = (Backend::new(Reply::Close).await, Backend::new(Reply::ok("well")).await);
    let policy = Policy { failover: Failover::Off, ..Policy::default() };
    assert_eq!(ranked(breaks.address, well.address, policy).get("/").await.status, 502);
    assert_eq!(well.count(), 0);
}

#[tokio::test]
async fn a_body_too_long_to_be_kept_is_streamed_and_never_sent_again() {
    let failing = Backend::new(Reply::status(503, "no")).await;
    let well = Backend::new(Reply::ok("well")).await;
    let policy = Policy { replay_bytes_max: 1000, ..Policy::default() };
    let proxy = ranked(failing.address, well.address, policy);
    let put = |length: usize| post(&"#".repeat(length)).replacen("POST", "PUT", 1);
    assert_eq!(proxy.ask(&put(900)).await.status, 200);
    assert_eq!(proxy.ask(&put(90_000)).await.status, 503);
    assert_eq!(failing.requests()[1].matches('#').count(), 90_000, "whole");
    assert_eq!(well.count(), 1);
}

#[tokio::test]
async fn a_backend_that_does_not_begin_to_answer_is_followed_by_another_in_time() {
    let (silent, well) = (Backend::new(Reply::Silence).await, Backend::new(Reply::ok("well")).await);
    let policy = Policy { response_timeout: Some(Duration::from_millis(100)), ..Policy::default() };
    let proxy = ranked(silent.address, well.address, policy.clone());
    assert_eq!(proxy.get("/").await.body, "well");
    assert_eq!(proxy.ask(&post("x")).await.status, 504, "it may have been carried out");
    let alone = Proxy::start(table(vec![backend(silent.address, 0)], policy));
    assert_eq!(alone.get("/").await.status, 504);
}

#[tokio::test]
async fn all_attempts_together_end_in_the_total_time() {
    let (one, other) = (Backend::new(Reply::Silence).await, Backend::new(Reply::Silence).await);
    let policy = Policy { total_timeout: Some(Duration::from_millis(100)), ..Policy::default() };
    assert_eq!(ranked(one.address, other.address, policy).get("/").await.status, 504);
}

#[tokio::test]
async fn a_connection_that_the_backend_closed_meanwhile_costs_no_request_not_even_a_post() {
    let backend = Backend::new(Reply::ok("a")).await;
    let proxy = Proxy::of(&[&backend]);
    let mut client = proxy.client().await;
    for round in 0..20 {
        // Each answer says that the connection stays, and then it is closed.
        let bytes = b"HTTP/1.1 200 OK\r\nX-Note: connection: close\r\nContent-Length: 1\r\n\r\na".to_vec();
        backend.behave(Reply::Last(bytes));
        client.send(post("x")).await;
        let answer = client.answer().await;
        assert!(matches!(answer.status, 200), "round {round}: {answer:?}");
        // Seen closed before the next request: then it is not even tried.
        proxy.until("no connection lies idle", |status| status.idle == 0).await;
    }
}

#[tokio::test]
async fn nobody_to_ask_is_unavailable_and_nobody_reached_a_bad_gateway() {
    assert_eq!(Proxy::start(table(vec![], Policy::default())).get("/").await.status, 503);
    let gone = nobody().await;
    let proxy = Proxy::start(table(vec![backend(gone, 0)], Policy::default()));
    for _ in 0..10 {
        assert_eq!(proxy.get("/").await.status, 502, "also when its breaker is open");
    }
}

#[tokio::test]
async fn a_breaker_opens_lets_one_probe_through_and_closes_when_it_is_answered() {
    let (local, far) = (Backend::new(Reply::Close).await, Backend::new(Reply::ok("far")).await);
    let backends = vec![backend(local.address, 0), backend(far.address, 1)];
    let proxy = Proxy::with(table(backends, Policy::default()), |config| {
        config.breaker.open_for = Duration::from_millis(300);
    });
    for _ in 0..6 {
        assert_eq!(proxy.get("/").await.body, "far");
    }
    assert_eq!(local.count(), 3, "after three failures it is left alone");
    assert_eq!(proxy.handle.status().backends[0].breaker, "open");
    proxy.until("half-open", |status| status.backends[0].breaker == "half-open").await;
    // The probe hangs; nobody else is sent after it.
    local.behave(Reply::Silence);
    let mut probe = proxy.client().await;
    probe.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    proxy.until("the probe is on its way", |status| status.backends[0].outstanding == 1).await;
    for _ in 0..5 {
        assert_eq!(proxy.get("/").await.body, "far");
    }
    assert_eq!(local.count(), 4, "one probe at a time");
    // Its client goes away; the next probe is answered, and all goes there again.
    drop(probe);
    local.behave(Reply::ok("local"));
    proxy.until("the probe is over", |status| status.backends[0].outstanding == 0).await;
    assert_eq!(proxy.get("/").await.body, "local");
    assert_eq!(proxy.handle.status().backends[0].breaker, "closed");
    assert_eq!(proxy.get("/").await.body, "local");
}

#[tokio::test]
async fn a_service_that_is_down_whole_is_not_asked_several_times_as_often() {
    let (one, other) =
        (Backend::new(Reply::status(503, "")).await, Backend::new(Reply::status(503, "")).await);
    let proxy = Proxy::of(&[&one, &other]);
    let mut client = proxy.client().await;
    for _ in 0..600 {
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 503);
    }
    let asked = one.count() + other.count();
    assert!((780..=850).contains(&asked), "600 requests, a hundred repetitions and a fifth: {asked}");
}

#[tokio::test]
async fn a_client_stays_with_its_backend_by_a_cookie_until_that_is_gone() {
    let (one, other) = (Backend::new(Reply::ok("one")).await, Backend::new(Reply::ok("other")).await);
    let policy = Policy { sticky: Some("stay".into()), ..Policy::default() };
    let backends = vec![backend(one.address, 0), backend(other.address, 0)];
    let proxy = Proxy::start(table(backends, policy));
    let first = proxy.get("/").await;
    let cookie = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let again = format!("GET / HTTP/1.1\r\nHost: app.test\r\nCookie: a=b; {cookie}\r\n\r\n");
    for _ in 0..10 {
        let answer = proxy.ask(&again).await;
        assert_eq!(answer.body, first.body);
        assert!(answer.field("set-cookie").is_none(), "it has one");
    }
    if first.body == "one" {
        one.kill();
    } else {
        other.kill();
    }
    let moved = proxy.ask(&again).await;
    assert_ne!(moved.body, first.body);
    assert!(moved.field("set-cookie").is_some(), "and stays with that one now");

    // Until it is known not to answer: then its clients are not sent there first any more.
    for _ in 0..5 {
        assert_eq!(proxy.ask(&again).await.body, moved.body);
    }
    let gone = proxy.handle.status();
    let gone = gone.backends.iter().find(|it| it.failures > 0).unwrap();
    assert_eq!((gone.breaker.as_str(), gone.requests - gone.failures), ("open", 11), "{gone:?}");
    assert_eq!(gone.failures, 3);
}
