//! The connection to one daemon: which version it speaks, requests as plain data, answers within bounds.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use containers_api::conn::{
    self, AUTH_HEADER, Headers, Payload, RequestClient, Transport, get_unix_connector,
    hyper::{Body, Client, Response},
};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::{
    fault::{self, Failure},
    limits::{ANSWER_BYTES_MAX, Limits},
    version::{self, ApiVersion, DaemonVersion},
};
use crate::error::RuntimeError;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Load {
    Nothing,
    Json(Bytes),
    Tar(Bytes),
}

/// One request, as data, so that it can be sent again when the daemon turns out to have been exchanged.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Path and query without the version. Whoever writes it vouches that it is a URI (see `text`).
    pub(super) path: String,
    pub(super) load: Load,
    /// Value of `X-Registry-Auth`.
    pub(super) registry_auth: Option<&'a str>,
    /// What is asked, for error messages.
    pub(super) deed: &'a str,
    pub(super) limit: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: String, deed: &'a str, limit: Duration) -> Self {
        Self { method: Method::Get, path, load: Load::Nothing, registry_auth: None, deed, limit }
    }

    pub(super) fn post(path: String, load: Load, deed: &'a str, limit: Duration) -> Self {
        Self { method: Method::Post, path, load, registry_auth: None, deed, limit }
    }

    pub(super) fn delete(path: String, deed: &'a str, limit: Duration) -> Self {
        Self { method: Method::Delete, path, load: Load::Nothing, registry_auth: None, deed, limit }
    }
}

/// What was agreed with the daemon. It holds until the daemon goes away or refuses the version.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) docker: docker_api::Docker,
    pub(super) api: ApiVersion,
    pub(super) engine: String,
}

/// The way to one daemon. Cheap to keep: each request has a connection of its own, as the daemon may be restarted
/// between any two.
#[derive(Debug)]
pub(super) struct Link {
    socket: PathBuf,
    endpoint: String,
    client: RequestClient<conn::Error>,
    pub(super) limits: Limits,
    session: Mutex<Option<Arc<Session>>>,
}

impl Link {
    pub(super) fn new(socket: PathBuf, endpoint: String, limits: Limits) -> Self {
        let transport = Transport::Unix {
            client: Client::builder().pool_max_idle_per_host(0).build(get_unix_connector()),
            path: socket.clone(),
        };
        // Statuses are judged in `send`, where the body can be read within bounds.
        let client = RequestClient::new(
            transport,
            Box::new(|response: Response<Body>| Box::pin(std::future::ready(Ok(response)))),
        );
        Self { socket, endpoint, client, limits, session: Mutex::new(None) }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn call(&self, request: Request<'_>) -> Result<Bytes, Failure> {
        self.within(request.deed, request.limit, async {
            let response = self.send(&request).await?;
            self.read(request.deed, response.into_body()).await
        })
        .await
    }

    /// Sends a request and decodes the answer.
    pub(super) async fn call_json<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Failure> {
        let deed = request.deed;
        let answer = self.call(request).await?;
        serde_json::from_slice(&answer).map_err(|error| fault::nonsense(deed, error).into())
    }

    /// Sends a request and hands over its body as it comes. Only the wait for the head is bounded here.
    pub(super) async fn open(&self, request: Request<'_>) -> Result<Body, Failure> {
        self.within(request.deed, request.limit, async { Ok(self.send(&request).await?.into_body()) }).await
    }

    /// The session that is, or a new one.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Failure> {
        let known = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(session) => Ok(session),
            None => self.negotiate().await,
        }
    }

    /// Asks the daemon for its version. Two callers may do so at once; they come to the same answer.
    pub(super) async fn negotiate(&self) -> Result<Arc<Session>, Failure> {
        const DEED: &str = "tell its version";
        let request = Request::get("/version".to_owned(), DEED, self.limits.query);
        let response = self.exchange(request.path.clone(), &request).await?;
        let response = self.judge(DEED, response).await?;
        let answer = self.read(DEED, response.into_body()).await?;
        let daemon: DaemonVersion =
            serde_json::from_slice(&answer).map_err(|error| fault::nonsense(DEED, error))?;
        let api = version::choose(&self.endpoint, &daemon)?;
        let spoken = docker_api::ApiVersion::new(api.major, Some(api.minor), None);
        let docker = docker_api::Docker::unix_versioned(&self.socket, spoken);
        let session = Arc::new(Session { docker, api, engine: daemon.version });
        tracing::debug!(endpoint = %self.endpoint, engine = %session.engine, %api, "speaking with the Docker Engine");
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets what was agreed: the daemon went away, and another may come.
    pub(super) fn forget(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bounds a deed in time, and forgets the session where the outcome puts it in doubt.
    pub(super) async fn within<T>(
        &self,
        deed: &str,
        limit: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let outcome = match tokio::time::timeout(limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RuntimeError::TimedOut { deed: deed.to_owned(), limit }.into()),
        };
        if outcome.as_ref().is_err_and(Failure::puts_session_in_doubt) {
            self.forget();
        }
        outcome
    }

    /// Sends with the version agreed; agrees anew, once, where the daemon does not speak that version any more.
    async fn send(&self, request: &Request<'_>) -> Result<Response<Body>, Failure> {
        match self.send_once(request).await {
            Err(failure) if failure.is_version_refusal() => {
                self.forget();
                self.send_once(request).await
            }
            outcome => outcome,
        }
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Response<Body>, Failure> {
        let session = self.session().await?;
        let path = format!("/v{}{}", session.api, request.path);
        let response = self.exchange(path, request).await?;
        self.judge(request.deed, response).await
    }

    async fn exchange(&self, path: String, request: &Request<'_>) -> Result<Response<Body>, Failure> {
        let payload = match &request.load {
            Load::Nothing => Payload::None,
            Load::Json(bytes) => Payload::Json(Body::from(bytes.clone())),
            Load::Tar(bytes) => Payload::Tar(Body::from(bytes.clone())),
        };
        let headers = request.registry_auth.map(|auth| Headers::single(AUTH_HEADER, auth));
        let response = match request.method {
            Method::Get => self.client.get(path).await,
            Method::Delete => self.client.delete(path).await,
            Method::Post => self.client.post(path, payload, headers).await,
        };
        response.map_err(|error| fault::transport(&self.endpoint, request.deed, error).into())
    }

    async fn judge(&self, deed: &str, response: Response<Body>) -> Result<Response<Body>, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let words = self.read(deed, response.into_body()).await?;
        Err(fault::fault(deed, status.as_u16(), &words))
    }

    async fn read(&self, deed: &str, mut body: Body) -> Result<Bytes, Failure> {
        let mut answer = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk =
                chunk.map_err(|error| fault::transport(&self.endpoint, deed, conn::Error::Hyper(error)))?;
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(fault::nonsense(
                    deed,
                    format!("an answer of more than {ANSWER_BYTES_MAX} bytes"),
                )
                .into());
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(answer))
    }
}
