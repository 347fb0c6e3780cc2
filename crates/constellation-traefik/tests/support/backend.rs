//! A small HTTP server that fails on demand and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a backend does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers 200 with its name, or the status of a path such as `/status/500`.
    Answers,
    /// Reads it and closes the connection, as a gateway does whose container is gone.
    Resets,
    /// Reads it and says nothing.
    IsSilent,
}

/// A server on loopback.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Backend {
    /// Starts one with a name.
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::Answers));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let shared = (Arc::clone(&behaviour), Arc::clone(&asked));
        tasks.spawn(async move {
            // Dropped with the task, and with it every connection: that is how it is killed.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, name, shared.clone()));
            }
        });
        Self { address, behaviour, asked, tasks }
    }

    /// From now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Ends it as a kill would: connections are cut and new ones refused.
    pub(crate) async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    /// The requests that reached it with this method, by path and body.
    pub(crate) fn asked(&self, method: &str) -> Vec<String> {
        let prefix = format!("{method} ");
        self.asked.lock().unwrap().iter().filter(|line| line.starts_with(&prefix)).cloned().collect()
    }
}

type Shared = (Arc<Mutex<Behaviour>>, Arc<Mutex<Vec<String>>>);

async fn converse(stream: TcpStream, name: &'static str, (behaviour, asked): Shared) {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(Request { line, body, upgrade }) = read(&mut stream).await else { return };
        asked.lock().unwrap().push(format!("{line} {body}"));
        let now = *behaviour.lock().unwrap();
        match now {
            Behaviour::Resets => return,
            Behaviour::IsSilent => return std::future::pending().await,
            Behaviour::Answers => {}
        }
        if upgrade {
            return echo(stream).await;
        }
        let status =
            line.split("/status/").nth(1).map_or("200", |rest| rest.split(' ').next().unwrap_or("200"));
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", name.len());
        let body = if line.starts_with("HEAD") { "" } else { name };
        if stream.write_all(format!("{answer}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Speaks the protocol `echo`, in which the server says again what the client says.
async fn echo(mut stream: BufReader<TcpStream>) {
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n";
    if stream.write_all(accepted.as_bytes()).await.is_err() {
        return;
    }
    let (mut from, mut to) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

struct Request {
    /// The method and the path.
    line: String,
    body: String,
    /// Whether the client wants to speak another protocol from then on.
    upgrade: bool,
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let (mut length, mut upgrade) = (0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        upgrade |= lower.starts_with("upgrade:");
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, body: String::from_utf8_lossy(&body).into_owned(), upgrade })
}
