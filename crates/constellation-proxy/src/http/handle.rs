//! One request: where it goes, how often it is tried, and what is answered.

use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use constellation_core::route::{Failover, Scheme};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::{Body, Incoming},
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, UPGRADE},
    http::request::Parts,
};
use tracing::debug;

use super::{
    access::Note,
    body::{BodyFault, ProxyBody, Recorder, RequestBody},
    breaker::Gate,
    choose::{Candidate, choose},
    compiled::{Asked, Compiled, CompiledService, Goal},
    config::Listen,
    head::{self, Head},
    headers::{self, Origin, SERVICE},
    live::OnTheWay,
    refusal::Refusal,
    repeat::{Sent, is_idempotent, may_repeat},
    sticky,
    table::Backend,
    tunnel::{self, Change},
    upstream::{Answer, Lease, Unanswered},
    worker::Worker,
};

/// A client, for all requests of its connection.
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    pub(super) origin: Origin,
    pub(super) listen: Rc<Listen>,
}

/// Answers a request, whatever comes of it.
pub(super) async fn answer(
    worker: Rc<Worker>,
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Response<ProxyBody> {
    let http1 = request.version() < Version::HTTP_2;
    let note = worker.shared.config.access_log.then(|| Note::of(&request, worker.now()));
    let response = match proxied(&worker, &client, request).await {
        Ok(response) => response,
        Err(refusal) => {
            worker.counters.refused.fetch_add(1, Ordering::Relaxed);
            debug!(peer = %client.peer, %refusal, "a request was answered here");
            refusal.response(http1)
        }
    };
    let class = usize::from(response.status().as_u16() / 100).wrapping_sub(1);
    if let Some(count) = worker.counters.answers.get(class) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(note) = note {
        note.write(&client, response.status(), worker.now());
    }
    response
}

async fn proxied(
    worker: &Rc<Worker>,
    client: &Client,
    mut request: Request<Incoming>,
) -> Result<Response<ProxyBody>, Refusal> {
    let limits = &worker.shared.config.limits;
    let head = Head::read(&request, limits)?;
    let table = worker.table();
    let service = find(&table, client, &request, &head)?;
    let from_h2 = request.version() >= Version::HTTP_2;
    let downstream = head.upgrades.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, incoming) = request.into_parts();
    let host = head::settle_host(&mut parts)?;
    let upgrade = headers::take_hop_by_hop(&mut parts.headers);
    headers::take_ours(&mut parts.headers);
    if from_h2 {
        headers::join_cookies(&mut parts.headers);
    }
    client.origin.tell(&mut parts.headers, host.as_ref());
    // With a body it is a request like any other: nobody knows which protocol the body is of.
    let change = downstream.zip(upgrade).filter(|_| incoming.is_end_stream());
    let change = change.map(|(downstream, protocol)| Change { protocol, downstream });
    let recorder = (!incoming.is_end_stream()).then(|| {
        let keep = service.policy.replay_bytes_max;
        Rc::new(RefCell::new(Recorder::new(incoming, keep, limits.body_bytes_max, limits.body_timeout)))
    });
    let mut exchange = Exchange::new(worker, &service, parts, recorder, change);
    let running = pin!(exchange.run());
    match service.policy.total_timeout {
        None => running.await,
        Some(total) => tokio::time::timeout(total, running).await.unwrap_or(Err(Refusal::Timeout)),
    }
}

/// The service that a request is for.
fn find(
    table: &Arc<Compiled>,
    client: &Client,
    request: &Request<Incoming>,
    head: &Head<'_>,
) -> Result<Arc<CompiledService>, Refusal> {
    if client.listen.by_header {
        let name = request.headers().get(SERVICE).and_then(|name| name.to_str().ok());
        let service = name.and_then(|name| table.service(name)).ok_or(Refusal::NoRouter)?;
        return Ok(Arc::clone(service));
    }
    let asked = Asked {
        method: request.method(),
        host: &head.host,
        path: request.uri().path(),
        query: request.uri().query(),
        headers: request.headers(),
        client: client.peer.ip().to_canonical(),
    };
    let router = table
        .route(&asked, &client.listen.entry_point, client.listen.tls.is_some())
        .ok_or(Refusal::NoRouter)?;
    match &router.goal {
        Goal::Service(Some(service)) => Ok(Arc::clone(service)),
        Goal::Service(None) => Err(Refusal::NoBackend),
        Goal::Refuse(reason) => {
            debug!(router = &*router.name, reason = &**reason, "a request is not let through");
            Err(Refusal::Guarded(Arc::clone(reason)))
        }
    }
}

/// A request on its way through backends.
struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    service: &'a CompiledService,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    recorder: Option<Rc<RefCell<Recorder>>>,
    /// The other protocol that the client asks for.
    change: Option<Change>,
    idempotent: bool,
    /// The backends that were asked already, by their place.
    tried: Vec<usize>,
    /// The backend that the client's cookie names.
    kept: Option<usize>,
}

impl<'a> Exchange<'a> {
    fn new(
        worker: &'a Rc<Worker>,
        service: &'a CompiledService,
        parts: Parts,
        recorder: Option<Rc<RefCell<Recorder>>>,
        change: Option<Change>,
    ) -> Self {
        let Parts { method, uri, headers, .. } = parts;
        let repeats = service.policy.failover == Failover::Safe;
        let idempotent = repeats && is_idempotent(&method, &headers);
        let kept = service.policy.sticky.as_deref().and_then(|name| sticky::kept(service, &headers, name));
        service.budget.deposit();
        Self { worker, service, method, uri, headers, recorder, change, idempotent, tried: Vec::new(), kept }
    }

    /// Tries backends until one answers, or none may be tried any more.
    async fn run(&mut self) -> Result<Response<ProxyBody>, Refusal> {
        let mut outcome = Refusal::NoBackend;
        while let Some(place) = self.next_backend() {
            let Some((backend, live)) = self.service.backends.get(place) else { break };
            let began = self.worker.now();
            let mut way = OnTheWay::to(live, began);
            self.tried.push(place);
            match self.ask(backend).await {
                Ok((mut response, lease)) => {
                    way.answered(began, self.worker.now());
                    let status = response.status();
                    if status == StatusCode::SWITCHING_PROTOCOLS
                        && let Some(change) = self.change.take()
                    {
                        return Ok(tunnel::open(self.worker, change, response, way));
                    }
                    if self.is_failure(status) && self.may_go_on(Sent::Perhaps) {
                        continue;
                    }
                    self.finish_head(&mut response, place, status);
                    let (parts, incoming) = response.into_parts();
                    // Also where there is no body: dropped, it gives the connection back.
                    let answer = Answer::new(incoming, lease, way, began);
                    let body =
                        if answer.is_end_stream() { ProxyBody::Empty } else { ProxyBody::Upstream(answer) };
                    return Ok(Response::from_parts(parts, body));
                }
                Err(unanswered) => {
                    if let Some(refusal) = self.clients_fault() {
                        return Err(refusal);
                    }
                    way.failed(self.worker.now());
                    debug!(
                        service = &*self.service.name,
                        backend = %backend.address,
                        why = unanswered.why,
                        "a backend did not answer"
                    );
                    outcome = if unanswered.timeout { Refusal::Timeout } else { Refusal::BadGateway };
                    if !self.may_go_on(unanswered.sent) {
                        break;
                    }
                }
            }
        }
        Err(outcome)
    }

    /// The backend to ask next.
    fn next_backend(&self) -> Option<usize> {
        let backends = &self.service.backends;
        let attempts = usize::try_from(self.service.policy.attempts.max(1)).unwrap_or(usize::MAX);
        if self.tried.len() >= attempts {
            return None;
        }
        let now = self.worker.now();
        // A client stays with its backend, and not with one that is known not to answer.
        let answers = |kept: &usize| {
            let gate = backends.get(*kept).map(|(_, live)| live.gate(now));
            !matches!(gate, None | Some(Gate::Open(_)))
        };
        if let Some(kept) = self.kept.filter(|kept| !self.tried.contains(kept)).filter(answers) {
            return Some(kept);
        }
        if backends.len() == 1 {
            return self.tried.is_empty().then_some(0);
        }
        let mut candidates = self.worker.scratch.borrow_mut();
        candidates.clear();
        candidates.extend(backends.iter().enumerate().map(|(place, (backend, live))| Candidate {
            rank: backend.rank,
            gate: live.gate(now),
            tried: self.tried.contains(&place),
            outstanding: live.outstanding(),
            latency: live.expected_latency(now),
        }));
        choose(&candidates, self.worker.chance())
    }

    fn is_failure(&self, status: StatusCode) -> bool {
        self.service.policy.retry_statuses.contains(&status.as_u16())
    }

    /// Whether another backend may be given the request, and is there to be. Takes a repetition from the budget.
    fn may_go_on(&self, sent: Sent) -> bool {
        let whole = self.recorder.as_ref().is_none_or(|recorder| recorder.borrow().is_whole());
        let may = self.service.policy.failover == Failover::Safe
            && may_repeat(self.idempotent, sent, whole)
            && self.next_backend().is_some()
            && self.service.budget.withdraw();
        if may {
            self.worker.counters.retries.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// Whether the request can be given to another backend whatever happened to it at one whose machine says nothing any more.
    fn may_be_cut(&self) -> bool {
        self.idempotent
            && self.recorder.is_none()
            && self.change.is_none()
            && self.service.policy.failover == Failover::Safe
            && self.service.backends.len() > 1
    }

    /// What the client did wrong with its body, if it did.
    fn clients_fault(&self) -> Option<Refusal> {
        let fault = self.recorder.as_ref()?.borrow().fault()?;
        Some(match fault {
            BodyFault::TooLarge => Refusal::TooLarge,
            BodyFault::Stalled => Refusal::BodyStalled,
            BodyFault::Broken => Refusal::BodyBroken,
        })
    }

    async fn ask(&mut self, backend: &Backend) -> Result<(Response<Incoming>, Option<Lease>), Unanswered> {
        let worker = self.worker;
        let connect = self.service.policy.connect_timeout;
        let peer = self.service.peer(backend, !self.may_be_cut());
        let request = self.request(backend.address);
        // What is rare is in memory of its own: every request has room for all that it might come to.
        let asking = pin!(async {
            match backend.scheme {
                Scheme::Http | Scheme::Https if self.change.is_some() => {
                    let asked = Box::pin(worker.upstream.ask_upgrade(&peer, connect, request)).await;
                    asked.map(|response| (response, None))
                }
                Scheme::Http => {
                    let asked = worker.upstream.ask_h1(&peer, connect, request, || worker.now()).await;
                    asked.map(|(response, lease)| (response, Some(lease)))
                }
                Scheme::Https => {
                    Box::pin(worker.upstream.ask_tls(&peer, connect, request, || worker.now())).await
                }
                Scheme::H2c => {
                    let asked = Box::pin(worker.upstream.ask_h2(&peer, connect, request)).await;
                    asked.map(|response| (response, None))
                }
            }
        });
        match self.service.policy.response_timeout {
            None => asking.await,
            Some(limit) => tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| {
                let why = "it did not begin to answer in time".to_owned();
                Err(Unanswered { sent: Sent::Perhaps, timeout: true, why, request: None })
            }),
        }
    }

    /// The request as a backend gets it.
    fn request(&mut self, address: SocketAddr) -> Request<RequestBody> {
        let body = self.recorder.as_ref().map_or(RequestBody::Empty, RequestBody::replay);
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        // Copied only where it may be needed again.
        let last = self.service.backends.len() <= self.tried.len();
        *request.headers_mut() = if last { std::mem::take(&mut self.headers) } else { self.headers.clone() };
        if !self.service.policy.pass_host_header
            && let Ok(host) = HeaderValue::from_str(&address.to_string())
        {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(change) = &self.change {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, change.protocol.clone());
        }
        *request.uri_mut() = head::origin_form(&self.uri);
        request
    }

    /// Makes an answer's head fit for the client.
    fn finish_head(&self, response: &mut Response<Incoming>, place: usize, status: StatusCode) {
        let headers = response.headers_mut();
        headers::take_hop_by_hop(headers);
        if status == StatusCode::SWITCHING_PROTOCOLS || status.is_informational() {
            // Nobody asked for another protocol.
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return;
        }
        if status == StatusCode::NO_CONTENT {
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(name) = &self.service.policy.sticky
            && self.kept != Some(place)
            && let Some(mark) = self.service.marks.get(place)
        {
            sticky::keep(headers, name, mark);
        }
        *response.version_mut() = Version::HTTP_11;
    }
}
