//! Answers Traefik, from memory.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use constellation_core::Clock;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Served, status::Polls};
use crate::document::DynamicConfig;

/// Connections at once. Traefik keeps one; the rest is for people and their tools. Further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to send the head of a request, or stay idle between two. Traefik asks far more often.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be accepted, which is what a lack of file descriptors looks like.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Answers {
    served: watch::Receiver<Arc<Served>>,
    polls: Arc<Polls>,
    clock: Arc<dyn Clock>,
}

/// Serves until the drain.
pub(super) async fn serve(
    listener: TcpListener,
    served: watch::Receiver<Arc<Served>>,
    polls: Arc<Polls>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let router = router(Answers { served, polls, clock });
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Nobody closes the semaphore.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (router, shutdown) = (router.clone(), shutdown.clone());
                    connections.spawn(async move {
                        connection(stream, peer, router, shutdown).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "could not accept a connection of Traefik");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
        while connections.try_join_next().is_some() {}
    }
    // Each was told; an answer from memory is out in less than this.
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 * 1024);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a connection ended early");
    }
}

fn router(answers: Answers) -> Router {
    Router::new()
        .route("/", get(document))
        .route("/api/dynamic", get(document))
        .route("/api/http/routers", get(|state| part(state, |all| json(&all.http.routers))))
        .route("/api/http/services", get(|state| part(state, |all| json(&all.http.services))))
        .route("/api/http/middlewares", get(|state| part(state, |all| json(&all.http.middlewares))))
        .route("/api/tcp/routers", get(|state| part(state, |all| json(&all.tcp.routers))))
        .route("/api/tcp/services", get(|state| part(state, |all| json(&all.tcp.services))))
        .route("/api/udp/routers", get(|state| part(state, |all| json(&all.udp.routers))))
        .route("/api/udp/services", get(|state| part(state, |all| json(&all.udp.services))))
        .route("/health", get(|| async { "ok\n" }))
        .with_state(answers)
}

/// What Traefik polls.
async fn document(State(answers): State<Answers>) -> Response {
    answers.polls.note(answers.clock.wall());
    let served = Arc::clone(&answers.served.borrow());
    match served.document {
        Some(_) => ([(header::CONTENT_TYPE, "application/json")], served.body.clone()).into_response(),
        None => starting(),
    }
}

/// A part of the document, for people.
async fn part(State(answers): State<Answers>, of: fn(&DynamicConfig) -> Response) -> Response {
    let served = Arc::clone(&answers.served.borrow());
    served.document.as_ref().map_or_else(starting, |document| of(document))
}

/// Any other answer than 200 makes Traefik keep what it has.
fn starting() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "starting: nothing is known of the cluster yet\n").into_response()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
