//! Backends over TLS: whose certificates are believed, and which connections are used for whom.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

mod support;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use constellation_core::route::{Failover, Scheme};
use constellation_proxy::http::{BackendTls, Policy, Router, Service, Table, Target};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{RootCertStore, pki_types::CertificateDer};
use support::{Backend, Proxy, Reply, backend, certificate};

/// One backend of the table, over TLS.
fn secure(address: std::net::SocketAddr, rank: u32) -> constellation_proxy::http::Backend {
    constellation_proxy::http::Backend { scheme: Scheme::Https, ..backend(address, rank) }
}

fn named(name: &str) -> Policy {
    // Handshakes of a debug build beside many others take their time.
    let tls = BackendTls { server_name: Some(name.into()), insecure: false };
    Policy { tls, connect_timeout: support::PATIENCE, ..Policy::default() }
}

fn start(table: Table, trusted: &[&CertificateDer<'static>]) -> Proxy {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|der| roots.add((*der).clone()).unwrap());
    Proxy::with(table, |config| config.backend_roots = Arc::new(roots))
}

/// A table with a service for each path.
fn by_path(services: Vec<(&str, constellation_proxy::http::Backend, Policy)>) -> Table {
    let router = |path: &str| Router {
        name: path.into(),
        rule: format!("Path(`/{path}`)").parse().unwrap(),
        priority: 1,
        entry_points: vec![],
        tls: false,
        target: Target::Service(path.into()),
    };
    let routers = services.iter().map(|(path, ..)| router(path)).collect();
    let service = |(path, backend, policy): (&str, _, _)| Service {
        name: path.into(),
        backends: vec![backend],
        policy,
    };
    Table::new(routers, services.into_iter().map(service).collect())
}

#[tokio::test]
async fn a_backend_over_tls_is_asked_over_one_connection_that_is_kept() {
    let (server, der) = certificate("127.0.0.1", &["http/1.1"]);
    let web = Backend::over_tls(server, Reply::ok("secure")).await;
    let policy = Policy { connect_timeout: support::PATIENCE, ..Policy::default() };
    let proxy = start(support::table(vec![secure(web.address, 0)], policy), &[&der]);
    for _ in 0..3 {
        let answer = proxy.get("/x?y").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "secure"));
    }
    let seen = web.requests()[0].to_ascii_lowercase();
    assert!(seen.starts_with("get /x?y http/1.1\r\n") && seen.contains("host: app.test\r\n"), "{seen}");
    assert_eq!((web.connections(), web.count()), (1, 3));
}

#[tokio::test]
async fn a_backend_that_chooses_http2_is_asked_by_it_and_is_told_the_host() {
    let (server, der) = certificate("web.test", &["h2", "http/1.1"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // One connection, so a second would not be answered.
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tokio_rustls::TlsAcceptor::from(server).accept(stream).await.unwrap();
        let answer = |request: Request<Incoming>| async move {
            let text = format!("{:?} {}", request.version(), request.uri());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        };
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await.unwrap();
    });
    let proxy = start(support::table(vec![secure(address, 0)], named("web.test")), &[&der]);
    for _ in 0..3 {
        assert_eq!(proxy.get("/a").await.body, "HTTP/2.0 https://app.test/a");
    }
}

#[tokio::test]
async fn a_websocket_passes_over_tls_also_to_a_backend_that_would_choose_http2() {
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (server, der) = certificate("web.test", &["h2", "http/1.1"]);
    let web = Backend::over_tls(server, Reply::Echo(agreed.into())).await;
    let proxy = start(support::table(vec![secure(web.address, 0)], named("web.test")), &[&der]);
    let mut client = proxy.client().await;
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 101);
    client.send("ping").await;
    assert_eq!(client.take(4).await, "ping");
}

#[tokio::test]
async fn a_backend_with_another_name_or_an_unknown_authority_is_sent_nothing_and_the_next_one_is_asked() {
    let (right, trusted) = certificate("web.test", &["http/1.1"]);
    let (other, trusted_too) = certificate("other.test", &["http/1.1"]);
    let (unknown, _) = certificate("web.test", &["http/1.1"]);
    let other = Backend::over_tls(other, Reply::ok("other")).await;
    let unknown = Backend::over_tls(unknown, Reply::ok("unknown")).await;
    let right = Backend::over_tls(right, Reply::ok("right")).await;
    let trust = [&trusted, &trusted_too];
    let ranked = [&other, &unknown, &right].into_iter().zip(0..).map(|(it, rank)| secure(it.address, rank));
    let proxy = start(support::table(ranked.collect(), named("web.test")), &trust);
    // Nothing was sent, so a POST may go on as well.
    let answer = proxy.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "right"));
    assert_eq!((other.count(), unknown.count()), (0, 0));
    assert_eq!((other.connections(), unknown.connections()), (1, 1));
    let failures = proxy.handle.status().backends.iter().map(|it| it.failures).collect::<Vec<_>>();
    assert_eq!(failures, [1, 1, 0]);

    let alone = start(support::table(vec![secure(other.address, 0)], named("web.test")), &trust);
    assert_eq!(alone.get("/").await.status, 502);
    let insecure = BackendTls { server_name: None, insecure: true };
    let policy = Policy { tls: insecure, ..named("") };
    let believing = start(support::table(vec![secure(other.address, 0)], policy), &[]);
    assert_eq!(believing.get("/").await.body, "other");
}

#[tokio::test]
async fn a_connection_to_one_name_is_never_used_for_another_nor_for_plain_http() {
    let (server, der) = certificate("web.test", &["http/1.1"]);
    let web = Backend::over_tls(server, Reply::ok("secure")).await;
    let insecure = Policy { tls: BackendTls { server_name: None, insecure: true }, ..named("") };
    let proxy = start(
        by_path(vec![
            ("any", secure(web.address, 0), insecure),
            ("right", secure(web.address, 0), named("web.test")),
            ("wrong", secure(web.address, 0), named("other.test")),
            ("plain", backend(web.address, 0), named("web.test")),
        ]),
        &[&der],
    );
    for (path, status) in [("any", 200), ("right", 200), ("wrong", 502), ("plain", 502), ("any", 200)] {
        assert_eq!(proxy.get(&format!("/{path}")).await.status, status, "{path}");
    }
    assert_eq!((web.connections(), web.count()), (4, 3));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_after_the_time_for_a_connection() {
    let silent = Backend::new(Reply::Silence).await;
    let policy =
        Policy { connect_timeout: Duration::from_millis(50), failover: Failover::Off, ..Policy::default() };
    let proxy = start(support::table(vec![secure(silent.address, 0)], policy), &[]);
    assert_eq!(proxy.get("/").await.status, 504);
    assert_eq!((silent.connections(), silent.count()), (1, 0));
}
