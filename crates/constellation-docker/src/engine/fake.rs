//! An engine of cardboard on a unix socket: it says what a test tells it to, well or badly.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use super::{DockerEndpoint, DockerEngine, limits::Limits};

/// What it does with a request.
pub(super) enum Reply {
    /// Answers with a status and a document.
    Json(u16, Value),
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes and then nothing more, for ever.
    BytesAndSilence(Vec<u8>),
    /// Sends the first bytes, and then the second for as long as somebody reads.
    Endless(&'static [u8], &'static [u8]),
}

impl Reply {
    /// A status without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self::Bytes(format!("HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n").into_bytes())
    }

    /// A refusal in the engine's form.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::Json(status, json!({ "message": message }))
    }

    /// A stream that ends when the connection does.
    pub(super) fn stream(body: impl AsRef<[u8]>) -> Self {
        Self::Bytes(streamed(body))
    }
}

/// A response whose body ends with the connection.
pub(super) fn streamed(body: impl AsRef<[u8]>) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body.as_ref()].concat()
}

/// What an engine of these API versions answers when asked for them.
pub(super) fn version(newest: &str, oldest: &str) -> Reply {
    Reply::Json(200, json!({"Version": "99.0", "ApiVersion": newest, "MinAPIVersion": oldest}))
}

type Script = dyn Fn(&str) -> Reply + Send + Sync;

/// The engine. It ends with the value.
pub(super) struct FakeEngine {
    folder: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl FakeEngine {
    /// Starts one that speaks 1.24 to 1.44, and otherwise does what the script says to a line such as
    /// `GET /v1.44/containers/json?all=true`.
    pub(super) fn new(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::scripted(move |request| match request {
            "GET /version" => version("1.44", "1.24"),
            other => script(other),
        })
    }

    /// Starts one that does nothing but what the script says.
    pub(super) fn scripted(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let mut fake =
            Self { folder: tempfile::tempdir().unwrap(), requests: Arc::default(), tasks: JoinSet::new() };
        fake.listen(script);
        fake
    }

    fn listen(&mut self, script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (script, requests): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&self.requests));
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&requests)));
            }
        });
    }

    /// Exchanges it for another one on the same socket, as an upgrade does. Connections break.
    pub(super) async fn exchange(&mut self, script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        self.stop().await;
        std::fs::remove_file(self.socket()).unwrap();
        self.listen(script);
    }

    /// Stops listening; the socket's file stays, as after a crash.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    /// The request lines so far, oldest first.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// A client with more patience than a starved machine needs: no test of an answer is one of speed.
    pub(super) fn engine(&self) -> DockerEngine {
        self.engine_with_patience(Duration::from_secs(120))
    }

    /// A client that loses patience at once: for engines that never answer.
    pub(super) fn impatient_engine(&self) -> DockerEngine {
        self.engine_with_patience(Duration::from_millis(50))
    }

    fn engine_with_patience(&self, limit: Duration) -> DockerEngine {
        let limits =
            Limits { query: limit, change: limit, stop_margin: limit, logs: limit, transfer_silence: limit };
        DockerEngine::with_limits(DockerEndpoint::Unix(self.socket()), limits).unwrap()
    }
}

async fn serve(mut stream: UnixStream, script: Arc<Script>, requests: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&chunk[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    requests.lock().unwrap().push(line.clone());
    // What the client does not want to read any more is no concern of ours.
    let _ = answer(&mut stream, script(&line)).await;
}

async fn answer(stream: &mut UnixStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Json(status, document) => {
            let body = document.to_string();
            let head =
                format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await
        }
        Reply::Bytes(bytes) => stream.write_all(&bytes).await,
        Reply::BytesAndSilence(bytes) => {
            stream.write_all(&bytes).await?;
            std::future::pending().await
        }
        Reply::Endless(first, again) => {
            stream.write_all(first).await?;
            loop {
                stream.write_all(again).await?;
            }
        }
    }
}
