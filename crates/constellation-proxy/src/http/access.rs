//! The access log: a line for each request.

use constellation_core::Moment;
use hyper::{Method, Request, StatusCode, body::Incoming, header::HOST};
use tracing::info;

use super::handle::Client;

/// A line of the access log.
pub(super) struct Note {
    method: Method,
    host: String,
    path: String,
    began: Moment,
}

/// The longest part of a request that is written down, in characters.
const NOTED_MAX: usize = 512;

impl Note {
    pub(super) fn of(request: &Request<Incoming>, began: Moment) -> Self {
        let short = |text: &str| text.chars().take(NOTED_MAX).collect::<String>();
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().host()).unwrap_or_default();
        // Without the query: that is where people put secrets.
        Self { method: request.method().clone(), host: short(host), path: short(request.uri().path()), began }
    }

    pub(super) fn write(&self, client: &Client, status: StatusCode, now: Moment) {
        info!(
            target: "constellation_proxy::access",
            client = %client.peer.ip(),
            method = %self.method,
            host = self.host,
            path = self.path,
            status = status.as_u16(),
            head_us = u64::try_from(now.since(self.began).as_micros()).unwrap_or(u64::MAX),
        );
    }
}
