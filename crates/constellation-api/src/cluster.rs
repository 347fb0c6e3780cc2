//! What the API says of leases and members, and what it takes. Fields are added and never change their meaning.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use constellation_core::{ClusterId, LeaseKind, NodeName};
use serde::{Deserialize, Serialize};

use crate::{
    model::Failure,
    server::{Agent, Refusal},
};

/// One lease, as this node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRow {
    /// Which lease.
    pub lease: LeaseKind,
    /// Who holds it.
    pub holder: Option<NodeName>,
    /// Which run of its process, as 32 hexadecimal digits.
    pub holder_boot: Option<String>,
    /// For whom it is kept for a moment.
    pub reserved_for: Option<NodeName>,
    /// The fencing token of the last grant.
    pub token: u64,
    /// Whether this process holds it.
    pub mine: bool,
    /// Whether this process might act under it at `as_of_boottime_ns`.
    pub may_act: bool,
    /// How much longer this process may act without a renewal, in milliseconds.
    pub remaining_ms: Option<u64>,
}

/// Something that happened to a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseChange {
    /// Where in the log.
    pub index: u64,
    /// To which lease.
    pub lease: LeaseKind,
    /// Under which token.
    pub token: u64,
    /// `granted`, `released`, `handed-over`, `expired` or `buried`.
    pub deed: String,
    /// To or by which node.
    pub node: NodeName,
}

/// All leases, as this node has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// The node that answers.
    pub node: NodeName,
    /// Whether it is a member: without that it knows no leases.
    pub member: bool,
    /// The cluster.
    pub cluster: ClusterId,
    /// The cluster's epoch; zero where the node is no member.
    pub epoch: u64,
    /// This run of its process, as 32 hexadecimal digits.
    pub boot: String,
    /// How far it has applied the log.
    pub applied: u64,
    /// Who leads Raft.
    pub leader: Option<NodeName>,
    /// The pid of the process that holds the node's leases.
    pub worker_pid: u32,
    /// When this was read, on the machine's clock that also runs while it sleeps (`CLOCK_BOOTTIME`), in nanoseconds.
    pub as_of_boottime_ns: u64,
    /// The leases.
    pub leases: Vec<LeaseRow>,
    /// What happened, the oldest first.
    pub history: Vec<LeaseChange>,
}

/// A member of the cluster, as this node has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaftMember {
    /// Its id.
    pub id: u64,
    /// Its name; `None` where only its seat is known yet.
    pub node: Option<NodeName>,
    /// Where its Raft listens.
    pub address: Option<String>,
    /// `voter`, `learner` or `none`.
    pub seat: String,
    /// Whether this node has a connection to it; its own is always there.
    pub connected: bool,
    /// The last round trip that was measured, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// How far its log agrees with the leader's; only on the leader.
    pub matched: Option<u64>,
    /// Why the last connection failed or ended.
    pub last_error: Option<String>,
}

/// This node's part in Raft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaftStatus {
    /// The node that answers.
    pub node: NodeName,
    /// Whether it is a member.
    pub member: bool,
    /// Its id; zero where it is no member.
    pub id: u64,
    /// The cluster.
    pub cluster: ClusterId,
    /// The cluster's epoch.
    pub epoch: u64,
    /// The term.
    pub term: u64,
    /// `leader`, `follower` or `learner`; `outsider` where it is no member, `waiting` until it is let in.
    pub role: String,
    /// Who leads.
    pub leader: Option<NodeName>,
    /// What is committed, as far as it knows.
    pub commit: u64,
    /// What it has applied.
    pub applied: u64,
    /// `lan` or `wan`.
    pub profile: String,
    /// How long a lease lasts without renewal, in milliseconds.
    pub ttl_ms: u64,
    /// Who votes.
    pub voters: Vec<NodeName>,
    /// Who follows without a vote.
    pub learners: Vec<NodeName>,
    /// How many members have the authority's key, as far as this node can tell: whether it has it itself.
    pub signs: bool,
    /// Until when the others believe this node's certificate, in milliseconds since the Unix epoch.
    pub certificate_expires: Option<u64>,
    /// Everybody.
    pub members: Vec<RaftMember>,
    /// Why the node is no member, and what would make it one.
    pub why_not: Option<String>,
}

/// Which node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichNode {
    /// Its name.
    pub node: NodeName,
}

/// What token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// For how long it is good.
    pub expires_seconds: u64,
    /// Whether whoever joins by it is given the authority's key, so that it can let others in.
    #[serde(default = "yes")]
    pub authority: bool,
}

fn yes() -> bool {
    true
}

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// Its text: a secret.
    pub token: String,
}

/// What is to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Any text of at most 4096 bytes.
    pub value: String,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its place in the log.
    pub index: u64,
}

/// Why the cluster did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterRefusal {
    /// It cannot be done, or not so.
    #[error("{0}")]
    Conflict(String),
    /// It cannot be done now; later it may.
    #[error("{0}")]
    Unavailable(String),
}

/// What of an agent answers for the cluster.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// The leases; those that the cluster has agreed on by now where `fresh`, which needs a majority in reach.
    async fn leases(&self, fresh: bool) -> Result<Leases, ClusterRefusal>;
    /// This node's part in Raft.
    async fn raft(&self) -> RaftStatus;
    /// Hands Raft's lead to another voter.
    async fn transfer(&self, to: &NodeName) -> Result<(), ClusterRefusal>;
    /// Takes a node out of the cluster for good.
    async fn remove(&self, node: &NodeName) -> Result<(), ClusterRefusal>;
    /// Makes a join token.
    async fn token(&self, request: TokenRequest) -> Result<TokenMade, ClusterRefusal>;
    /// Commits a note, and forgets it.
    async fn commit(&self, note: Note) -> Result<Committed, ClusterRefusal>;
    /// Everything that a cluster can be rebuilt from: a secret.
    async fn backup(&self) -> Result<Vec<u8>, ClusterRefusal>;
    /// Cordons the node, or ends that.
    async fn cordon(&self, cordoned: bool) -> Result<(), ClusterRefusal>;
}

impl From<ClusterRefusal> for Refusal {
    fn from(refusal: ClusterRefusal) -> Self {
        let status = match &refusal {
            ClusterRefusal::Conflict(_) => StatusCode::CONFLICT,
            ClusterRefusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.to_string())
    }
}

type Shared = State<Arc<dyn Agent>>;

pub(crate) fn routes() -> Router<Arc<dyn Agent>> {
    Router::new()
        .route("/v1/leases", get(leases))
        .route("/v1/raft", get(raft))
        .route("/v1/raft/transfer", post(transfer))
        .route("/v1/raft/remove", post(remove))
        .route("/v1/raft/commit", post(commit))
        .route("/v1/tokens", post(token))
        .route("/v1/backup", post(backup))
        .route("/v1/cordon", post(cordon))
        .route("/v1/uncordon", post(uncordon))
}

#[derive(Deserialize)]
struct Freshness {
    #[serde(default)]
    fresh: bool,
}

async fn leases(State(agent): Shared, Query(asked): Query<Freshness>) -> Result<Json<Leases>, Refusal> {
    Ok(Json(agent.cluster().leases(asked.fresh).await?))
}

async fn raft(State(agent): Shared) -> Json<RaftStatus> {
    Json(agent.cluster().raft().await)
}

async fn transfer(State(agent): Shared, Json(to): Json<WhichNode>) -> Result<StatusCode, Refusal> {
    agent.cluster().transfer(&to.node).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(agent): Shared, Json(which): Json<WhichNode>) -> Result<StatusCode, Refusal> {
    agent.cluster().remove(&which.node).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commit(State(agent): Shared, Json(note): Json<Note>) -> Result<Json<Committed>, Refusal> {
    Ok(Json(agent.cluster().commit(note).await?))
}

async fn token(State(agent): Shared, Json(asked): Json<TokenRequest>) -> Result<Json<TokenMade>, Refusal> {
    Ok(Json(agent.cluster().token(asked).await?))
}

async fn backup(State(agent): Shared) -> Result<Response, Refusal> {
    Ok(Bytes::from(agent.cluster().backup().await?).into_response())
}

async fn cordon(State(agent): Shared) -> Result<StatusCode, Refusal> {
    agent.cluster().cordon(true).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn uncordon(State(agent): Shared) -> Result<StatusCode, Refusal> {
    agent.cluster().cordon(false).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ClusterRefusal> for Failure {
    fn from(refusal: ClusterRefusal) -> Self {
        Self { error: refusal.to_string() }
    }
}
