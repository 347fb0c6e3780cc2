//! Asks an agent over its socket.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use constellation_core::NodeName;
use constellation_dns::{DnsStatus, Found, Plan};
use constellation_docker::{Container, ContainerSpec, LogLine};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{
    cluster::{Leases, RaftStatus, TokenMade, TokenRequest, WhichNode},
    dns::{Force, WhichRecords},
    explain::{Explanation, Question},
    model::{Failure, MemberRow, ServiceRow, Status},
};

/// How long an answer may take: longer than stopping a process may.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer, in bytes: the logs of a process are the largest there is.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error(
        "no agent answers at {}: is it running (`systemctl status constellation-agent`), and is this its --socket?",
        socket.display()
    )]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the agent at {} broke off", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("the agent at {} did not answer within {TIMEOUT:?}: look at its log", socket.display())]
    TimedOut {
        /// The socket.
        socket: PathBuf,
    },
    /// The agent said no.
    #[error(transparent)]
    Refused(#[from] Failure),
}

/// Asks the agent behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the agent at this socket. Nothing is asked yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything about the agent.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status", None).await
    }

    /// The nodes that it sees.
    pub async fn members(&self) -> Result<Vec<MemberRow>, ClientError> {
        self.ask(Method::GET, "/v1/members", None).await
    }

    /// The instances that it sees.
    pub async fn services(&self) -> Result<Vec<ServiceRow>, ClientError> {
        self.ask(Method::GET, "/v1/services", None).await
    }

    /// Why a request goes where it goes.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, ClientError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("url", &question.url)
            .extend_pairs(question.method.iter().map(|method| ("method", method.as_str())))
            .extend_pairs(question.entry_point.iter().map(|name| ("entry_point", name)))
            .extend_pairs(question.alpn.iter().map(|protocols| ("alpn", protocols)))
            .extend_pairs(question.client.iter().map(|client| ("client", client.to_string())))
            .finish();
        self.ask(Method::GET, &format!("/v1/explain?{query}"), None).await
    }

    /// The leases; as the cluster has agreed on by now where `fresh`.
    pub async fn leases(&self, fresh: bool) -> Result<Leases, ClientError> {
        self.ask(Method::GET, &format!("/v1/leases?fresh={fresh}"), None).await
    }

    /// Its part in Raft.
    pub async fn raft(&self) -> Result<RaftStatus, ClientError> {
        self.ask(Method::GET, "/v1/raft", None).await
    }

    /// Has it hand Raft's lead to another voter.
    pub async fn transfer(&self, to: &NodeName) -> Result<(), ClientError> {
        self.post("/v1/raft/transfer", &WhichNode { node: to.clone() }).await.map(drop)
    }

    /// Has it take a node out of the cluster for good.
    pub async fn remove_member(&self, node: &NodeName) -> Result<(), ClientError> {
        self.post("/v1/raft/remove", &WhichNode { node: node.clone() }).await.map(drop)
    }

    /// Has it make a join token.
    pub async fn token(&self, request: TokenRequest) -> Result<TokenMade, ClientError> {
        let answer = self.post("/v1/tokens", &request).await?;
        serde_json::from_slice(&answer).map_err(|error| self.broken(error))
    }

    /// Everything that the cluster can be rebuilt from: a secret.
    pub async fn backup(&self) -> Result<Bytes, ClientError> {
        self.bytes(Method::POST, "/v1/backup", None).await
    }

    /// Cordons the node, or ends that.
    pub async fn cordon(&self, cordoned: bool) -> Result<(), ClientError> {
        let path = if cordoned { "/v1/cordon" } else { "/v1/uncordon" };
        self.bytes(Method::POST, path, None).await.map(drop)
    }

    /// What looks after the zone.
    pub async fn dns(&self) -> Result<DnsStatus, ClientError> {
        self.ask(Method::GET, "/v1/dns", None).await
    }

    /// What would be done to the zone now.
    pub async fn dns_plan(&self, force: bool) -> Result<Plan, ClientError> {
        self.ask(Method::GET, &format!("/v1/dns/plan?force={force}"), None).await
    }

    /// Has it done.
    pub async fn dns_apply(&self, force: bool) -> Result<Plan, ClientError> {
        let answer = self.post("/v1/dns/apply", &Force { force }).await?;
        serde_json::from_slice(&answer).map_err(|error| self.broken(error))
    }

    /// Makes records of others the cluster's, or lets go of the cluster's own; gives which.
    pub async fn dns_own(&self, adopt: bool, which: &WhichRecords) -> Result<Vec<Found>, ClientError> {
        let path = if adopt { "/v1/dns/adopt" } else { "/v1/dns/disown" };
        let answer = self.post(path, which).await?;
        serde_json::from_slice(&answer).map_err(|error| self.broken(error))
    }

    /// The whole zone as a zone file.
    pub async fn dns_export(&self) -> Result<String, ClientError> {
        let answer = self.bytes(Method::GET, "/v1/dns/export", None).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Bytes, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error))?;
        self.bytes(Method::POST, path, Some(body)).await
    }

    /// The processes that it runs.
    pub async fn processes(&self) -> Result<Vec<Container>, ClientError> {
        self.ask(Method::GET, "/v1/processes", None).await
    }

    /// Starts a process.
    pub async fn run_process(&self, spec: &ContainerSpec) -> Result<Container, ClientError> {
        let body = serde_json::to_vec(spec).map_err(|error| self.broken(error))?;
        self.ask(Method::POST, "/v1/processes", Some(body)).await
    }

    /// Does `start`, `stop` or `restart` to a process, by name or id.
    pub async fn act(&self, name: &str, deed: &str) -> Result<Container, ClientError> {
        self.ask(Method::POST, &format!("/v1/processes/{name}/{deed}"), None).await
    }

    /// Sends a signal to a process.
    pub async fn kill_process(&self, name: &str, signal: &str) -> Result<Container, ClientError> {
        self.ask(Method::POST, &format!("/v1/processes/{name}/kill?signal={signal}"), None).await
    }

    /// Removes a process; a running one only by force.
    pub async fn remove_process(&self, name: &str, force: bool) -> Result<(), ClientError> {
        let path = format!("/v1/processes/{name}?force={force}");
        self.bytes(Method::DELETE, &path, None).await.map(drop)
    }

    /// The last lines that a process printed.
    pub async fn process_logs(&self, name: &str, tail: usize) -> Result<Vec<LogLine>, ClientError> {
        self.ask(Method::GET, &format!("/v1/processes/{name}/logs?tail={tail}"), None).await
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), source: source.into() }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, ClientError> {
        let answer = self.bytes(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.broken(error))
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Bytes, ClientError> {
        tokio::time::timeout(TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|_| ClientError::TimedOut { socket: self.socket.clone() })?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Absent { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| self.broken(error))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| self.broken(error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
            let bytes = body.await.map_err(|error| self.broken(error))?.to_bytes();
            Ok::<_, ClientError>((status, bytes))
        };
        tokio::pin!(exchange);
        // The connection is driven here and not by a task of its own: when the answer is in, both are over.
        let (status, bytes) = tokio::select! {
            answered = &mut exchange => answered?,
            ended = connection => {
                ended.map_err(|error| self.broken(error))?;
                exchange.await?
            }
        };
        if status.is_success() {
            return Ok(bytes);
        }
        let failure =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Failure { error: refusal(status, &bytes) });
        Err(ClientError::Refused(failure))
    }
}

/// What the server's framework says in plain text, such as for a body that is no JSON.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(500).collect();
    format!("the agent answered {status}: {text}")
}
