//! One client's connection: which protocol it speaks, and its end.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
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
    kept,
    worker::{Open, Worker},
};

/// What a client that speaks HTTP/2 without being asked begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As many of its bytes as tell it from every request of HTTP/1.1.
const PREFACE_TELLS: usize = 4;
/// Between two looks at a client that has sent less than that.
const PEEK_AGAIN: Duration = Duration::from_millis(5);
/// The longest that all fields of one HTTP/2 request may be together, in bytes.
const H2_FIELDS_BYTES_MAX: u32 = 64 * 1024;
/// Streams that a client may break off before they were looked at; beyond it the connection ends (CVE-2023-44487).
const H2_RESETS_MAX: usize = 20;
/// How often an HTTP/2 client is asked whether it lives, and how long it may take to say so.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn connection(open: Open, stream: TcpStream, peer: SocketAddr, listen: Rc<Listen>) {
    if stream.set_nodelay(true).is_err() {
        // It was closed already.
        return;
    }
    let worker = open.worker();
    let trusted =
        listen.by_header || worker.shared.config.trusted.iter().any(|range| range.contains(peer.ip()));
    let origin = Origin::new(peer, listen.tls.is_some(), trusted);
    let tls = listen.tls.clone();
    let client = Rc::new(Client { peer, origin, listen });
    // What not every connection needs is in memory of its own.
    let ended = match tls {
        None => {
            let limits = &worker.shared.config.limits;
            let h2 =
                early(&worker.shared.closing, limits.head_timeout, pin!(begins_with_preface(&stream))).await;
            match h2 {
                Some(Ok(false)) => kept::speak(worker, stream, client).await,
                Some(Ok(true)) => multiplexed(Rc::clone(worker), stream, client).await,
                // It said nothing, or went away.
                Some(Err(_)) | None => return,
            }
        }
        Some(tls) => secured(Rc::clone(worker), stream, client, tls).await,
    };
    if let Err(error) = ended {
        debug!(%peer, error = constellation_core::error_chain(&error), "a client's connection broke off");
    }
}

/// A connection over TLS.
fn secured(
    worker: Rc<Worker>,
    stream: TcpStream,
    client: Rc<Client>,
    tls: Arc<rustls::ServerConfig>,
) -> Pin<Box<impl Future<Output = Result<(), hyper::Error>>>> {
    Box::pin(async move {
        let limits = &worker.shared.config.limits;
        let handshake = tokio_rustls::TlsAcceptor::from(tls).accept(stream);
        let secured = early(&worker.shared.closing, limits.handshake_timeout, pin!(handshake)).await;
        match secured {
            Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                multiplexed(worker, stream, client).await
            }
            Some(Ok(stream)) => kept::speak(&worker, stream, client).await,
            Some(Err(error)) => {
                debug!(peer = %client.peer, %error, "a TLS handshake failed");
                Ok(())
            }
            None => Ok(()),
        }
    })
}

/// What comes before a request: within its time, and not once the proxy is to end. By reference, because a future that is moved
/// has room twice in the one that it is moved into, and there are as many of these as there are clients.
pub(super) async fn early<T>(
    closing: &CancellationToken,
    patience: Duration,
    step: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = step => Some(done),
        () = closing.cancelled() => None,
        () = tokio::time::sleep(patience) => None,
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
        Box::pin(tokio::time::sleep(PEEK_AGAIN)).await;
    }
}

/// A connection over HTTP/2.
fn multiplexed<S>(
    worker: Rc<Worker>,
    stream: S,
    client: Rc<Client>,
) -> Pin<Box<impl Future<Output = Result<(), hyper::Error>>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Limits { write_timeout, streams_max, .. } = worker.shared.config.limits;
    let closing = worker.shared.closing.clone();
    let executor = worker.executor.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (worker, client) = (Rc::clone(&worker), Rc::clone(&client));
        Box::pin(async move { Ok::<_, Infallible>(handle::answer(worker, client, request).await) })
    });
    let connection = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams_max)
        .max_header_list_size(H2_FIELDS_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_RESETS_MAX)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .serve_connection(TokioIo::new(Guarded::new(stream, write_timeout)), service);
    Box::pin(async move {
        let ended =
            until_told(pin!(connection), &closing, http2::Connection::graceful_shutdown, |_| false).await;
        ended.unwrap_or(Ok(()))
    })
}

/// Serves a connection to its end, or to where `rests` says that it may rest: then there is no outcome. When the proxy is to end,
/// it ends after the request that it carries then.
pub(super) async fn until_told<C: Future>(
    mut connection: Pin<&mut C>,
    closing: &CancellationToken,
    finish: impl Fn(Pin<&mut C>),
    mut rests: impl FnMut(&mut Context<'_>) -> bool,
) -> Option<C::Output> {
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
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if !finishing && rests(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
