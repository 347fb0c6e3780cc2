//! A backend whose machine is gone says nothing, not even that it is; one that only takes its time is not to be confused with it.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::{net::SocketAddr, time::Duration};

use constellation_proxy::http::Policy;
use socket2::{SockFilter, SockRef};
use support::{Backend, PATIENCE, Proxy, Reply, backend, table};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How long a backend may acknowledge nothing, here.
const ACKNOWLEDGE: Duration = Duration::from_millis(300);
/// Clearly longer.
const LONG: Duration = Duration::from_millis(1500);
/// More than the windows take.
const BYTES: usize = 8 << 20;

/// A backend that does this with its first connection, once a request's head has come.
async fn backend_that<F: Future<Output = ()> + Send + 'static>(
    serves: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        serves(stream).await;
    });
    (address, tasks)
}

async fn answer(stream: &mut TcpStream, body: &str) {
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// A proxy that asks `first`, and `second` when that one is out.
fn ranked(first: SocketAddr, second: SocketAddr) -> Proxy {
    let table = table(vec![backend(first, 0), backend(second, 1)], Policy::default());
    Proxy::with(table, |config| config.acknowledge_timeout = ACKNOWLEDGE)
}

#[tokio::test]
async fn a_request_over_a_kept_connection_to_a_machine_that_is_gone_is_asked_elsewhere() {
    let (gone, _tasks) = backend_that(async |mut stream| {
        answer(&mut stream, "first").await;
        // From here on whatever comes for this connection is dropped before it is acknowledged (BPF: return 0).
        SockRef::from(&stream).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(gone, well.address);
    assert_eq!(proxy.get("/").await.body, "first");
    proxy.until("the connection is kept", |status| status.idle == 1).await;
    assert_eq!(proxy.get("/").await.body, "well");
    assert_eq!(proxy.handle.status().retries, 1);
}

#[tokio::test]
async fn an_answer_that_takes_long_to_begin_is_waited_for() {
    let (slow, _tasks) = backend_that(async |mut stream| {
        tokio::time::sleep(LONG).await;
        answer(&mut stream, "slow").await;
    })
    .await;
    let well = Backend::new(Reply::ok("well")).await;
    assert_eq!(ranked(slow, well.address).get("/").await.body, "slow");
}

#[tokio::test]
async fn a_tunnel_that_is_not_read_for_a_while_is_not_cut() {
    let (slow, _tasks) = backend_that(async |mut stream| {
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(agreed.as_bytes()).await.unwrap();
        tokio::time::sleep(LONG).await;
        stream.read_exact(&mut vec![0; BYTES]).await.unwrap();
        stream.write_all(b"all of it").await.unwrap();
    })
    .await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(slow, well.address);
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 101);
    client.send(vec![b'x'; BYTES]).await;
    assert_eq!(client.take(9).await, "all of it");
}

#[tokio::test]
async fn a_body_that_is_not_read_for_a_while_is_not_cut() {
    let (slow, _tasks) = backend_that(async |mut stream| {
        // The windows close meanwhile, and the kernel asks again and again whether there is room.
        tokio::time::sleep(LONG).await;
        let mut body = vec![0; BYTES];
        stream.read_exact(&mut body).await.unwrap();
        answer(&mut stream, "all of it").await;
    })
    .await;
    let well = Backend::new(Reply::ok("well")).await;
    let proxy = ranked(slow, well.address);
    let mut client = proxy.client().await;
    let head = format!("PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {BYTES}\r\n\r\n");
    client.send([head.into_bytes(), vec![b'x'; BYTES]].concat()).await;
    let answered = tokio::time::timeout(PATIENCE, client.answer()).await.unwrap();
    assert_eq!((answered.status, answered.body.as_str()), (200, "all of it"));
}
