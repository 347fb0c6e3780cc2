//! HTTP/2 and TLS on either side.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

mod support;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use constellation_core::route::Scheme;
use constellation_proxy::http::Policy;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Backend, Proxy, Reply, backend, certificate, table};
use tokio::net::{TcpListener, TcpStream};

type Ask = SendRequest<Full<Bytes>>;

async fn h2_client<S>(stream: S) -> Ask
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let uri = format!("http://app.test{path}");
    Request::post(uri).header("te", "trailers").body(Full::from(body)).unwrap()
}

async fn whole(response: Response<Incoming>) -> (StatusCode, String, Option<HeaderMap>) {
    let status = response.status();
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (status, String::from_utf8(collected.to_bytes().to_vec()).unwrap(), trailers)
}

/// A backend that speaks HTTP/2 in the clear and answers as a gRPC server does: a message, and its status behind it.
async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |request: Request<Incoming>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let te = request.headers().get("te").cloned();
        let said = request.into_body().collect().await.unwrap().to_bytes();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let text = format!("{host} {te:?} {}", String::from_utf8_lossy(&said));
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(text))), Ok(Frame::trailers(trailers))];
        Ok::<_, Infallible>(Response::new(StreamBody::new(futures::stream::iter(frames))))
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(serving);
        }
    });
    address
}

fn to_h2c(address: SocketAddr) -> constellation_proxy::http::Table {
    let mut target = backend(address, 0);
    target.scheme = Scheme::H2c;
    table(vec![target], Policy::default())
}

#[tokio::test]
async fn a_grpc_call_passes_whole_with_its_status_in_the_trailers() {
    let proxy = Proxy::start(to_h2c(grpc().await));
    let mut client = h2_client(TcpStream::connect(proxy.address()).await.unwrap()).await;
    for _ in 0..3 {
        let response = client.send_request(request("/pkg.Service/Call", "message")).await.unwrap();
        let (status, body, trailers) = whole(response).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, "app.test Some(\"trailers\") message"));
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    }
}

#[tokio::test]
async fn a_client_with_http1_reaches_a_backend_with_http2_and_the_other_way_round() {
    let proxy = Proxy::start(to_h2c(grpc().await));
    let answer = proxy.ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "app.test None hi"));

    let web = Backend::new(Reply::ok("one")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = h2_client(TcpStream::connect(proxy.address()).await.unwrap()).await;
    let mut crumbs = request("/x?y=z", "body");
    crumbs.headers_mut().append("cookie", "a=1".parse().unwrap());
    crumbs.headers_mut().append("cookie", "b=2".parse().unwrap());
    let (status, body, _) = whole(client.send_request(crumbs).await.unwrap()).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "one"));
    let seen = web.requests()[0].to_ascii_lowercase();
    assert!(seen.starts_with("post /x?y=z http/1.1\r\n"), "{seen}");
    assert!(seen.contains("host: app.test\r\n") && seen.contains("cookie: a=1; b=2\r\n"), "{seen}");
    assert!(seen.ends_with("body"), "{seen}");
}

#[tokio::test]
async fn two_hosts_in_one_request_over_http2_are_refused() {
    let web = Backend::new(Reply::ok("one")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = h2_client(TcpStream::connect(proxy.address()).await.unwrap()).await;
    let mut twice = request("/", "");
    twice.headers_mut().insert("host", "other.test".parse().unwrap());
    assert_eq!(client.send_request(twice).await.unwrap().status(), 400);
    assert_eq!(web.count(), 0);
}

async fn tls(
    address: SocketAddr,
    trusted: rustls::pki_types::CertificateDer<'static>,
    protocols: &[&[u8]],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "app.test".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn tls_ends_at_the_proxy_and_the_client_chooses_the_protocol() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let web = Backend::new(Reply::ok("secure")).await;
    let mut secure = table(vec![backend(web.address, 0)], Policy::default());
    let routers = secure.routers().iter().cloned().map(|mut router| {
        router.tls = true;
        router
    });
    secure = constellation_proxy::http::Table::new(routers.collect(), secure.services().to_vec());
    let (server, trusted) = certificate("app.test", &["h2", "http/1.1"]);
    let proxy = Proxy::with(secure, |config| {
        let plain = config.listeners[0].clone();
        config.listeners[0].tls = Some(server);
        config.listeners.push(plain);
    });
    let mut h1 = tls(proxy.address(), trusted.clone(), &[b"http/1.1"]).await;
    h1.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // A close without the notice that TLS has for it is no fault here.
    let _ = h1.read_to_string(&mut answer).await;
    assert!(answer.ends_with("secure"), "{answer}");
    let mut h2 = h2_client(tls(proxy.address(), trusted, &[b"h2"]).await).await;
    let (status, body, _) = whole(h2.send_request(request("/", "")).await.unwrap()).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "secure"));
    assert!(web.requests().iter().all(|it| it.to_ascii_lowercase().contains("x-forwarded-proto: https")));
    let mut plain = support::Client::connect(proxy.handle.addresses()[1]).await;
    plain.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await;
    assert_eq!(plain.answer().await.status, 404, "a router with TLS takes nothing in the clear");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_connection_that_breaks_off_streams_as_fast_as_it_opens_them_is_ended_and_others_are_served() {
    let web = Backend::new(Reply::ok("well")).await;
    let proxy = Proxy::of(&[&web]);
    let mut client = proxy.client().await;
    // CVE-2023-44487: GET / of http://a, each with its reset behind it, all in one piece.
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    for stream in (1..4001).step_by(2) {
        flood.extend(frame(1, 5, stream, &[0x82, 0x84, 0x86, 0x41, 1, b'a']));
        flood.extend(frame(3, 0, stream, &8u32.to_be_bytes()));
    }
    client.send(&flood).await;
    assert!(client.ends().await, "it goes on");
    assert!(web.count() < 200, "{} of 2000 reached the backend", web.count());
    assert_eq!(proxy.get("/").await.body, "well");
    proxy.until("what was broken off is not kept", |status| status.backends[0].outstanding == 0).await;
}
