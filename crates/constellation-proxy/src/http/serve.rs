//! One client's connection: which protocol it speaks, and its end.

use std::{future::poll_fn, io, net::SocketAddr, pin::Pin, pin::pin, rc::Rc, task::Poll, time::Duration};

use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    config::{Limits, Listen},
    guarded::Guarded,
    handle::{self, Client},
    headers::Origin,
    worker::Worker,
};

/// What a client that speaks HTTP/2 without being asked begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As many of its bytes as tell it from every request of HTTP/1.1.
const PREFACE_TELLS: usize = 4;
/// Between two looks at a client that has sent less than that.
const PEEK_AGAIN: Duration = Duration::from_millis(5);
/// Fields of a head that hyper keeps on its stack; asking for the same number by name would cost memory for each request.
const HEADERS_ON_STACK: usize = 100;
/// The longest that all fields of one HTTP/2 request may be together, in bytes.
const H2_FIELDS_BYTES_MAX: u32 = 64 * 1024;
/// Streams that a client may break off before they were looked at; beyond it the connection ends (CVE-2023-44487).
const H2_RESETS_MAX: usize = 20;
/// How often an HTTP/2 client is asked whether it lives, and how long it may take to say so.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn connection(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, listen: Rc<Listen>) {
    if stream.set_nodelay(true).is_err() {
        // It was closed already.
        return;
    }
    let limits = worker.shared.config.limits;
    let closing = worker.shared.closing.clone();
    let ended = match &listen.tls {
        None => match early(&closing, limits.head_timeout, begins_with_preface(&stream)).await {
            // In memory of their own, so that a plain connection has no room for what TLS needs.
            Some(Ok(h2)) => Box::pin(speak(worker, stream, peer, &listen, h2)).await,
            // It said nothing, or went away.
            Some(Err(_)) | None => return,
        },
        Some(tls) => {
            let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::clone(tls));
            match early(&closing, limits.handshake_timeout, acceptor.accept(stream)).await {
                Some(Ok(stream)) => {
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    Box::pin(speak(worker, stream, peer, &listen, h2)).await
                }
                Some(Err(error)) => {
                    debug!(%peer, %error, "a TLS handshake failed");
                    return;
                }
                None => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, error = constellation_core::error_chain(&error), "a client's connection broke off");
    }
}

/// What comes before the first request: within its time, and not once the proxy is to end.
async fn early<T>(
    closing: &CancellationToken,
    patience: Duration,
    step: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = tokio::time::timeout(patience, step) => done.ok(),
        () = closing.cancelled() => None,
    }
}

/// Looks at the first bytes and leaves them where they are.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE_TELLS];
    loop {
        let seen = stream.peek(&mut first).await?;
        let so_far = first.get(..seen).unwrap_or_default();
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(so_far) {
            return Ok(false);
        }
        if seen == PREFACE_TELLS {
            return Ok(true);
        }
        // What was seen stays there, so waiting for more would be over at once.
        tokio::time::sleep(PEEK_AGAIN).await;
    }
}

async fn speak<S>(
    worker: Rc<Worker>,
    stream: S,
    peer: SocketAddr,
    listen: &Rc<Listen>,
    h2: bool,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Limits { head_timeout, write_timeout, head_bytes_max, headers_max, streams_max, .. } =
        worker.shared.config.limits;
    let closing = worker.shared.closing.clone();
    let trusted =
        listen.by_header || worker.shared.config.trusted.iter().any(|range| range.contains(peer.ip()));
    let client = Rc::new(Client {
        peer,
        origin: Origin::new(peer, listen.tls.is_some(), trusted),
        listen: Rc::clone(listen),
    });
    let executor = worker.executor.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, client) = (Rc::clone(&worker), Rc::clone(&client));
        // An idle connection keeps room for a request's future; for a pointer it is little.
        Box::pin(
            async move { Ok::<_, std::convert::Infallible>(handle::answer(worker, client, request).await) },
        )
    });
    let io = TokioIo::new(Guarded::new(stream, write_timeout));
    if h2 {
        let connection = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams_max)
            .max_header_list_size(H2_FIELDS_BYTES_MAX)
            .max_pending_accept_reset_streams(H2_RESETS_MAX)
            .keep_alive_interval(H2_PING_EVERY)
            .keep_alive_timeout(H2_PING_TIMEOUT)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(2 << 20)
            .serve_connection(io, service);
        until_told(connection, &closing, http2::Connection::graceful_shutdown).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            // No flushing by pipeline: with it, an answer to what is malformed stays where it is.
            .max_buf_size(head_bytes_max.max(8192));
        if headers_max != HEADERS_ON_STACK {
            builder.max_headers(headers_max);
        }
        let connection = builder.serve_connection(io, service).with_upgrades();
        until_told(connection, &closing, http1::UpgradeableConnection::graceful_shutdown).await
    }
}

/// Serves a connection to its end; when the proxy is to end, after the request that it carries then.
async fn until_told<C: Future>(
    connection: C,
    closing: &CancellationToken,
    finish: impl Fn(Pin<&mut C>),
) -> C::Output {
    let mut connection = pin!(connection);
    let mut told = pin!(closing.cancelled());
    let (mut listening, mut finishing) = (false, false);
    poll_fn(|cx| {
        if !finishing {
            // Asked once, it wakes this task when the time has come; until then a flag is cheaper to look at.
            let now = if listening { closing.is_cancelled() } else { told.as_mut().poll(cx).is_ready() };
            listening = true;
            if now {
                finishing = true;
                finish(connection.as_mut());
            }
        }
        match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
