//! A backend that answers as it is told, and remembers every byte that it was sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// What a backend does with a request whose head has come.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, after the whole request was read.
    Bytes(Vec<u8>),
    /// These bytes as soon as the head is there; the connection stays open.
    Early(Vec<u8>),
    /// These bytes, and the end of the connection.
    Last(Vec<u8>),
    /// Nothing, and the end of the connection.
    Close,
    /// Nothing, for ever.
    Silence,
    /// These bytes, then whatever comes is sent back.
    Echo(Vec<u8>),
    /// These pieces, with so long between them; the connection stays open.
    Pieces(Vec<Vec<u8>>, Duration),
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} Text\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self::Bytes(head.into_bytes())
    }

    pub(crate) fn raw(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A listening backend.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    reply: Arc<Mutex<Reply>>,
    dead: CancellationToken,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Backend {
    pub(crate) async fn new(reply: Reply) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), reply).await
    }

    /// A backend at an address that another had.
    pub(crate) async fn at(address: SocketAddr, reply: Reply) -> Self {
        Self::speaking(address, None, reply).await
    }

    /// A backend that speaks TLS alone. Connections are counted before the handshake.
    pub(crate) async fn over_tls(tls: Arc<rustls::ServerConfig>, reply: Reply) -> Self {
        Self::speaking(([127, 0, 0, 1], 0).into(), Some(tls), reply).await
    }

    async fn speaking(address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>, reply: Reply) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Self {
            address,
            seen: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
            dead: CancellationToken::new(),
        };
        let (seen, reply, dead) =
            (Arc::clone(&backend.seen), Arc::clone(&backend.reply), backend.dead.clone());
        let mut own = JoinSet::new();
        own.spawn(async move {
            tokio::select! {
                () = dead.cancelled() => {}
                () = accept(listener, tls, seen, reply) => {}
            }
        });
        own.detach_all();
        backend
    }

    pub(crate) fn behave(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// Every request so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().requests.len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Ends it as `kill -9` does: nobody listens, and every connection is reset or closed.
    pub(crate) fn kill(&self) {
        self.dead.cancel();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.dead.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    seen: Arc<Mutex<Seen>>,
    reply: Arc<Mutex<Reply>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        seen.lock().unwrap().connections += 1;
        let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
        match tls.clone() {
            None => connections.spawn(serve(stream, seen, reply)),
            Some(tls) => connections.spawn(async move {
                if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                    serve(stream, seen, reply).await;
                }
            }),
        };
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<Mutex<Seen>>,
    reply: Arc<Mutex<Reply>>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = read_head(&mut stream, &mut buffer).await else { return };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let place = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(head.clone());
            seen.requests.len() - 1
        };
        let reply = reply.lock().unwrap().clone();
        match reply {
            Reply::Early(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                std::future::pending::<()>().await;
            }
            Reply::Pieces(pieces, pause) => {
                for piece in pieces {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
                std::future::pending::<()>().await;
            }
            Reply::Echo(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let (mut from, mut to) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut from, &mut to).await;
                return;
            }
            Reply::Close => return,
            Reply::Silence => std::future::pending().await,
            Reply::Bytes(bytes) | Reply::Last(bytes) => {
                let Some(whole) = read_body(&mut stream, &mut buffer, end, &head).await else { return };
                let body = String::from_utf8_lossy(&buffer[..whole]).into_owned();
                seen.lock().unwrap().requests[place] = body;
                buffer.drain(..whole);
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                if matches!(reply_kind(&bytes), Kind::Closes) {
                    return;
                }
            }
        }
    }
}

enum Kind {
    Stays,
    Closes,
}

/// An answer that says so, or says no length, ends its connection.
fn reply_kind(bytes: &[u8]) -> Kind {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let closes = text.contains("connection: close")
        || !(text.contains("content-length:")
            || text.contains("transfer-encoding:")
            || text.contains(" 204 ")
            || text.contains(" 304 "));
    if closes { Kind::Closes } else { Kind::Stays }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    head: usize,
    text: &str,
) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        loop {
            if let Some(at) = buffer[head..].windows(5).position(|it| it == b"0\r\n\r\n") {
                return Some(head + at + 5);
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(head + length)
}
