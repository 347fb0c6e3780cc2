//! What the API says of DNS, and what it takes. The values are those of `constellation-dns`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use constellation_core::error_chain;
use constellation_dns::{DnsError, DnsHandle, DnsStatus, Found, Plan, RecordKind, RecordName, WriteError};
use serde::{Deserialize, Serialize};

use crate::server::{Agent, Refusal};

/// Whether a person has seen what the guards hold back, and wants it all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Force {
    /// Whether.
    pub force: bool,
}

/// Which records to adopt or to let go of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichRecords {
    /// Their name.
    pub name: RecordName,
    /// Their kind; all addresses where it is not given.
    #[serde(default)]
    pub kind: Option<RecordKind>,
    /// Also those of another cluster.
    #[serde(default)]
    pub take_over: bool,
}

type Shared = State<Arc<dyn Agent>>;

pub(crate) fn routes() -> Router<Arc<dyn Agent>> {
    Router::new()
        .route("/v1/dns", get(status))
        .route("/v1/dns/plan", get(plan))
        .route("/v1/dns/apply", post(apply))
        .route("/v1/dns/adopt", post(adopt))
        .route("/v1/dns/disown", post(disown))
        .route("/v1/dns/export", get(export))
}

fn handle(agent: &Arc<dyn Agent>) -> Result<DnsHandle, Refusal> {
    let advice = "this agent looks after no zone: give it a domain (--domain) and, for Cloudflare, a token";
    agent.dns().ok_or_else(|| Refusal::new(StatusCode::CONFLICT, advice))
}

fn unread(error: &DnsError) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, error_chain(error))
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        let status = match &error {
            WriteError::Dns(_) => StatusCode::BAD_GATEWAY,
            WriteError::NotWriter { .. }
            | WriteError::DryRun
            | WriteError::Nothing { .. }
            | WriteError::OtherCluster { .. } => StatusCode::CONFLICT,
        };
        Self::new(status, error_chain(&error))
    }
}

async fn status(State(agent): Shared) -> Result<Json<DnsStatus>, Refusal> {
    let status = handle(&agent)?.status();
    let status = DnsStatus::clone(&status.borrow());
    Ok(Json(status))
}

async fn plan(State(agent): Shared, Query(asked): Query<Force>) -> Result<Json<Plan>, Refusal> {
    handle(&agent)?.plan(asked.force).await.map(Json).map_err(|error| unread(&error))
}

async fn apply(State(agent): Shared, Json(asked): Json<Force>) -> Result<Json<Plan>, Refusal> {
    Ok(Json(handle(&agent)?.apply(asked.force).await?))
}

async fn adopt(State(agent): Shared, Json(which): Json<WhichRecords>) -> Result<Json<Vec<Found>>, Refusal> {
    Ok(Json(handle(&agent)?.adopt(&which.name, which.kind, which.take_over).await?))
}

async fn disown(State(agent): Shared, Json(which): Json<WhichRecords>) -> Result<Json<Vec<Found>>, Refusal> {
    Ok(Json(handle(&agent)?.disown(&which.name, which.kind).await?))
}

async fn export(State(agent): Shared) -> Result<String, Refusal> {
    handle(&agent)?.export().await.map_err(|error| unread(&error))
}
