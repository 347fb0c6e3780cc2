//! The service that says who answered.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::Context;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    routing::get,
};

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(listen: SocketAddr, name: String) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("could not listen on {listen}: give another address with --listen"))?;
    let router = Router::new().route("/health", get(|| async { "OK\n" })).fallback(answer).with_state(name);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(super::asked_to_end())
        .await
        .context("the service broke off")
}

async fn answer(
    State(name): State<String>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Request,
) -> String {
    let mut text = format!("Name: {name}\n");
    let hostname = rustix::system::uname();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Hostname: {}", hostname.nodename().to_string_lossy());
    let _ = writeln!(text, "RemoteAddr: {remote}");
    let _ = writeln!(text, "{} {} {:?}", request.method(), request.uri(), request.version());
    for (key, value) in request.headers() {
        let _ = writeln!(text, "{key}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}
