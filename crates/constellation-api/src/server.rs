//! The HTTP service.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{self, DefaultBodyLimit, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use constellation_core::error_chain;
use constellation_docker::{
    Container, ContainerId, ContainerRuntime, ContainerSpec, ListFilter, LogLine, RuntimeError,
};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{self, Cluster},
    dns, explain, metrics,
    model::{Failure, MemberRow, ServiceRow, Status},
};

/// The largest request, in bytes: a container specification with a long environment.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a process may take to end when the API is asked to stop it and no other grace is given.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What answers behind the API.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// Everything about the agent.
    async fn status(&self) -> Status;
    /// The nodes that it sees.
    fn members(&self) -> Vec<MemberRow>;
    /// The instances that it sees.
    fn services(&self) -> Vec<ServiceRow>;
    /// The runtime whose processes are started through the agent; `None` on a node with an engine of its own, where
    /// that engine is asked instead.
    fn processes(&self) -> Option<Arc<dyn ContainerRuntime>>;
    /// Its part in the cluster's leases; there is one also on a node that is no member, which then says so.
    fn cluster(&self) -> Arc<dyn Cluster>;
    /// What becomes of a request by what Traefik is told now; `None` where nothing is known yet.
    fn explain(
        &self,
        request: &constellation_rules::Request,
    ) -> Option<constellation_traefik::explain::Explained> {
        let _ = request;
        None
    }
    /// What becomes of a connection or of datagrams by what Traefik is told now, on one entry point or on any.
    fn explain_l4(
        &self,
        traffic: &constellation_traefik::explain::L4Traffic,
        entry_point: Option<&str>,
    ) -> Option<constellation_traefik::explain::L4Explained> {
        let _ = (traffic, entry_point);
        None
    }
    /// How the failover proxy stands, on a node that serves HTTP with it.
    fn ingress(&self) -> Option<constellation_proxy::http::ProxyStatus> {
        None
    }
    /// What looks after the zone; `None` on an agent that looks after none.
    fn dns(&self) -> Option<constellation_dns::DnsHandle> {
        None
    }
}

/// The API could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another agent answers there.
    #[error("another agent is listening on {socket}: stop it first, or give this one another --socket")]
    InUse {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket could not be made.
    #[error("could not open the API socket {socket}")]
    Open {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Opens the socket (mode 0600) and returns the service that answers there until it is told to end.
///
/// A socket that a dead agent left behind is replaced; one on which somebody answers is not.
pub async fn serve(
    socket: &Path,
    agent: Arc<dyn Agent>,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, ServeError> {
    let failed = |source| ServeError::Open { socket: socket.to_owned(), source };
    if tokio::net::UnixStream::connect(socket).await.is_ok() {
        return Err(ServeError::InUse { socket: socket.to_owned() });
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let path = socket.to_owned();
    Ok(async move {
        let served =
            axum::serve(listener, router(agent)).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the API broke off");
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, "the API socket could not be removed");
        }
    })
}

/// The service itself, for whoever listens elsewhere.
pub fn router(agent: Arc<dyn Agent>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/members", get(members))
        .route("/v1/services", get(services))
        .route("/metrics", get(metrics::answer))
        .merge(cluster::routes())
        .merge(dns::routes())
        .merge(explain::routes())
        .route("/v1/processes", get(list).post(create))
        .route("/v1/processes/{name}", get(inspect).delete(remove))
        .route("/v1/processes/{name}/logs", get(logs))
        .route("/v1/processes/{name}/{deed}", post(act))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(agent)
}

type Shared = State<Arc<dyn Agent>>;

async fn status(State(agent): Shared) -> Json<Status> {
    Json(agent.status().await)
}

async fn members(State(agent): Shared) -> Json<Vec<MemberRow>> {
    Json(agent.members())
}

async fn services(State(agent): Shared) -> Json<Vec<ServiceRow>> {
    Json(agent.services())
}

/// What keeps a request about processes from being answered.
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Failure { error: self.error })).into_response()
    }
}

impl From<RuntimeError> for Refusal {
    fn from(error: RuntimeError) -> Self {
        let status = match &error {
            RuntimeError::NotFound { .. } | RuntimeError::ImageNotFound { .. } => StatusCode::NOT_FOUND,
            RuntimeError::NameTaken { .. } | RuntimeError::Running { .. } => StatusCode::CONFLICT,
            RuntimeError::InvalidSpec { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            RuntimeError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error_chain(&error))
    }
}

fn processes(agent: &Arc<dyn Agent>) -> Result<Arc<dyn ContainerRuntime>, Refusal> {
    let advice = "this agent watches a container engine: start and stop containers there; an agent that runs \
                  processes is started with --runtime process";
    agent.processes().ok_or_else(|| Refusal::new(StatusCode::CONFLICT, advice))
}

/// Finds a process by its name or by the beginning of its id.
async fn find(runtime: &dyn ContainerRuntime, name: &str) -> Result<ContainerId, Refusal> {
    let all = runtime.list(&ListFilter::default()).await?;
    let by_name = all.iter().find(|summary| summary.name == name);
    let mut by_id = all.iter().filter(|summary| name.len() >= 4 && summary.id.as_str().starts_with(name));
    match (by_name, by_id.next(), by_id.next()) {
        (Some(found), ..) | (None, Some(found), None) => Ok(found.id.clone()),
        (None, Some(_), Some(_)) => Err(Refusal::new(
            StatusCode::CONFLICT,
            format!("`{name}` is the beginning of several ids: write more of it"),
        )),
        (None, None, _) => Err(RuntimeError::NotFound { id: name.to_owned() }.into()),
    }
}

async fn list(State(agent): Shared) -> Result<Json<Vec<Container>>, Refusal> {
    let runtime = processes(&agent)?;
    let mut containers = Vec::new();
    for summary in runtime.list(&ListFilter::default()).await? {
        match runtime.inspect(&summary.id).await {
            Ok(container) => containers.push(container),
            // It went between the two questions.
            Err(RuntimeError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(containers))
}

async fn inspect(
    State(agent): Shared,
    extract::Path(name): extract::Path<String>,
) -> Result<Json<Container>, Refusal> {
    let runtime = processes(&agent)?;
    let id = find(&*runtime, &name).await?;
    Ok(Json(runtime.inspect(&id).await?))
}

async fn create(State(agent): Shared, Json(spec): Json<ContainerSpec>) -> Result<Json<Container>, Refusal> {
    let runtime = processes(&agent)?;
    let id = runtime.create(&spec).await?;
    if let Err(error) = runtime.start(&id).await {
        // What could not be started leaves nothing behind, so that the same request can be made again.
        if let Err(cleanup) = runtime.remove(&id, true).await {
            tracing::warn!(container = id.short(), error = %cleanup, "a process that did not start could not be removed");
        }
        return Err(error.into());
    }
    Ok(Json(runtime.inspect(&id).await?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RemoveOptions {
    force: bool,
}

async fn remove(
    State(agent): Shared,
    extract::Path(name): extract::Path<String>,
    Query(options): Query<RemoveOptions>,
) -> Result<StatusCode, Refusal> {
    let runtime = processes(&agent)?;
    let id = find(&*runtime, &name).await?;
    runtime.remove(&id, options.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(default)]
struct LogOptions {
    tail: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { tail: 100 }
    }
}

async fn logs(
    State(agent): Shared,
    extract::Path(name): extract::Path<String>,
    Query(options): Query<LogOptions>,
) -> Result<Json<Vec<LogLine>>, Refusal> {
    let runtime = processes(&agent)?;
    let id = find(&*runtime, &name).await?;
    Ok(Json(runtime.logs(&id, options.tail).await?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActOptions {
    signal: Option<String>,
}

async fn act(
    State(agent): Shared,
    extract::Path((name, deed)): extract::Path<(String, String)>,
    Query(options): Query<ActOptions>,
) -> Result<Json<Container>, Refusal> {
    let runtime = processes(&agent)?;
    let id = find(&*runtime, &name).await?;
    match deed.as_str() {
        "start" => runtime.start(&id).await?,
        "stop" => drop(runtime.stop(&id, STOP_GRACE).await?),
        "restart" => runtime.restart(&id, STOP_GRACE).await?,
        "kill" => runtime.kill(&id, options.signal.as_deref().unwrap_or("SIGKILL")).await?,
        _ => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "a process can be started, stopped, restarted or killed",
            ));
        }
    }
    Ok(Json(runtime.inspect(&id).await?))
}
