//! Connections to backends, and answers on their way.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use constellation_core::Moment;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{
    body::RequestBody,
    h1::H1,
    head,
    live::OnTheWay,
    pool::{Idle, Pool},
    repeat::Sent,
    secure::{Dialer, Link, Offer, Peer},
    worker::LocalExecutor,
};

/// Streams of HTTP/2 that lie idle this long have their connection asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Why there is no answer.
pub(super) struct Unanswered {
    /// What the backend may have seen of the request.
    pub(super) sent: Sent,
    /// Whether it is a matter of time.
    pub(super) timeout: bool,
    pub(super) why: String,
    /// The request, where it never left and can be taken as it is.
    pub(super) request: Option<Box<Request<RequestBody>>>,
}

impl Unanswered {
    pub(super) fn unsent(why: &dyn std::error::Error, timeout: bool, request: Request<RequestBody>) -> Self {
        let (sent, request) = (Sent::Nothing, Some(Box::new(request)));
        Self { sent, timeout, why: constellation_core::error_chain(why), request }
    }

    fn unconnected(error: &std::io::Error, request: Request<RequestBody>) -> Self {
        Self::unsent(error, error.kind() == std::io::ErrorKind::TimedOut, request)
    }

    pub(super) fn broken(error: &hyper::Error) -> Self {
        let why = constellation_core::error_chain(error);
        Self { sent: Sent::Perhaps, timeout: false, why, request: None }
    }
}

/// Where one thread's connections come from and go back to.
pub(super) struct Upstream {
    pub(super) pool: Rc<RefCell<Pool>>,
    pub(super) dialer: Dialer,
    pub(super) executor: LocalExecutor,
    pub(super) idle_max: usize,
}

impl Upstream {
    /// Asks a backend over HTTP/1.1: over an idle connection, or over a new one where there is none. A connection that was closed
    /// before the request left is no failure of the backend, and the next one is taken.
    pub(super) async fn ask_h1(
        &self,
        peer: &Peer,
        connect_timeout: Duration,
        request: Request<RequestBody>,
        now: impl Fn() -> Moment,
    ) -> Result<(Response<Incoming>, Lease), Unanswered> {
        let request = match self.over_idle(peer, request).await? {
            Asked::Answered(answered) => return Ok(answered),
            Asked::Unsent(request) => request,
        };
        // Rare, so in memory of its own.
        let (mut connection, request) = Box::pin(async move {
            match self.dialer.connect(peer, Offer::Http1, connect_timeout).await {
                Ok(link) => opened(link, request, now()).await,
                Err(error) => Err(Unanswered::unconnected(&error, request)),
            }
        })
        .await?;
        let response = connection.ask(request).await?;
        Ok((response, self.lease(peer, connection)))
    }

    /// Asks a backend over HTTP/2 in the clear; one connection carries all requests of this thread that are alike patient.
    pub(super) async fn ask_h2(
        &self,
        peer: &Peer,
        connect_timeout: Duration,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let request = match self.over_known(peer, head::for_h2(request, peer)).await? {
            Asked::Answered(response) => return Ok(response),
            Asked::Unsent(request) => request,
        };
        match self.dialer.connect(peer, Offer::Any, connect_timeout).await {
            Ok(link) => self.over_new(peer, link, request).await,
            Err(error) => Err(Unanswered::unconnected(&error, request)),
        }
    }

    /// Asks a backend over TLS, by the protocol that it has chosen of the two.
    pub(super) async fn ask_tls(
        &self,
        peer: &Peer,
        connect_timeout: Duration,
        mut request: Request<RequestBody>,
        now: impl Fn() -> Moment,
    ) -> Result<(Response<Incoming>, Option<Lease>), Unanswered> {
        if self.pool.borrow().h2.contains_key(peer) {
            match self.over_known(peer, head::for_h2(request, peer)).await? {
                Asked::Answered(response) => return Ok((response, None)),
                // Nobody knows what it chooses the next time.
                Asked::Unsent(unsent) => request = head::for_h1(unsent),
            }
        }
        let request = match self.over_idle(peer, request).await? {
            Asked::Answered((response, lease)) => return Ok((response, Some(lease))),
            Asked::Unsent(request) => request,
        };
        let link = match self.dialer.connect(peer, Offer::Any, connect_timeout).await {
            Ok(link) => link,
            Err(error) => return Err(Unanswered::unconnected(&error, request)),
        };
        if link.chose_h2() {
            let response = self.over_new(peer, link, head::for_h2(request, peer)).await?;
            return Ok((response, None));
        }
        let (mut connection, request) = opened(link, request, now()).await?;
        let response = connection.ask(request).await?;
        Ok((response, Some(self.lease(peer, connection))))
    }

    /// Asks a backend for another protocol, over a connection of its own that ends with it.
    pub(super) async fn ask_upgrade(
        &self,
        peer: &Peer,
        connect_timeout: Duration,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let link = match self.dialer.connect(peer, Offer::Http1, connect_timeout).await {
            Ok(link) => link,
            Err(error) => return Err(Unanswered::unconnected(&error, request)),
        };
        let opened = http1::handshake::<_, RequestBody>(TokioIo::new(link)).await;
        let (mut sender, connection) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(Unanswered::unsent(&error, false, request)),
        };
        self.executor.spawn(async move {
            // How it ends is seen by whoever reads from it.
            let _ = connection.with_upgrades().await;
        });
        sender.send_request(request).await.map_err(|error| Unanswered::broken(&error))
    }

    /// Over idle connections of HTTP/1.1, until one takes the request. Whether its backend has closed one meanwhile is seen before
    /// anything is sent over it.
    async fn over_idle(
        &self,
        peer: &Peer,
        mut request: Request<RequestBody>,
    ) -> Result<Asked<(Response<Incoming>, Lease)>, Unanswered> {
        while let Some(mut connection) = self.checkout(peer) {
            match connection.ask(request).await {
                Ok(response) => return Ok(Asked::Answered((response, self.lease(peer, connection)))),
                Err(Unanswered { request: Some(unsent), .. }) => request = *unsent,
                Err(unanswered) => return Err(unanswered),
            }
        }
        Ok(Asked::Unsent(request))
    }

    /// Over the connection of HTTP/2 that there is, if there is one.
    async fn over_known(
        &self,
        peer: &Peer,
        request: Request<RequestBody>,
    ) -> Result<Asked<Response<Incoming>>, Unanswered> {
        let known = self.pool.borrow().h2.get(peer).filter(|sender| !sender.is_closed()).cloned();
        let Some(mut sender) = known else { return Ok(Asked::Unsent(request)) };
        match sender.try_send_request(request).await {
            Ok(response) => Ok(Asked::Answered(response)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => Ok(Asked::Unsent(unsent)),
                None => Err(Unanswered::broken(error.error())),
            },
        }
    }

    /// Over a new connection of HTTP/2, which is there for others from then on.
    async fn over_new(
        &self,
        peer: &Peer,
        link: Link,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let opened = http2::Builder::new(self.executor.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake::<_, RequestBody>(TokioIo::new(link))
            .await;
        let (mut sender, connection) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(Unanswered::unsent(&error, false, request)),
        };
        self.executor.spawn(async move {
            // Every request over it is told how it ends.
            let _ = connection.await;
        });
        self.pool.borrow_mut().h2.insert(peer.clone(), sender.clone());
        sender.send_request(request).await.map_err(|error| Unanswered::broken(&error))
    }

    fn checkout(&self, peer: &Peer) -> Option<H1> {
        self.pool.borrow_mut().h1.get_mut(peer).and_then(Idle::take)
    }

    fn lease(&self, peer: &Peer, connection: H1) -> Lease {
        let (pool, idle_max) = (Rc::clone(&self.pool), self.idle_max);
        Lease { connection: Some(connection), peer: peer.clone(), pool, idle_max }
    }
}

async fn opened(
    link: Link,
    request: Request<RequestBody>,
    now: Moment,
) -> Result<(H1, Request<RequestBody>), Unanswered> {
    match H1::open(link, now).await {
        Ok(connection) => Ok((connection, request)),
        Err(error) => Err(Unanswered::unsent(&error, false, request)),
    }
}

/// What came of connections that were there already.
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart at once; boxed, each request would cost an allocation"
)]
enum Asked<T> {
    Answered(T),
    /// None could take it.
    Unsent(Request<RequestBody>),
}

/// A connection whose answer is on its way.
pub(super) struct Lease {
    connection: Option<H1>,
    peer: Peer,
    pool: Rc<RefCell<Pool>>,
    idle_max: usize,
}

impl Lease {
    /// The answer is over: keeps the connection for the next request, if it will take one.
    fn give_back(&mut self, now: Moment) {
        let Some(mut connection) = self.connection.take() else { return };
        if !connection.takes_another() {
            return;
        }
        connection.since = now;
        let mut pool = self.pool.borrow_mut();
        let idle = pool.h1.entry(self.peer.clone()).or_default();
        if idle.connections.len() < self.idle_max {
            idle.connections.push(connection);
        }
    }
}

/// An answer on its way to the client. The backend counts as busy until it is over.
pub(super) struct Answer {
    incoming: Incoming,
    lease: Option<Lease>,
    /// When the answer began: near enough to its end for an idle timeout of many seconds.
    began: Moment,
    _way: OnTheWay,
}

impl Answer {
    pub(super) fn new(incoming: Incoming, lease: Option<Lease>, way: OnTheWay, began: Moment) -> Self {
        Self { incoming, lease, began, _way: way }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.lease {
            Some(Lease { connection: Some(connection), .. }) => connection.poll_frame(cx, &mut self.incoming),
            _ => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        if matches!(frame, Poll::Ready(None)) {
            self.end();
        }
        frame
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn end(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            lease.give_back(self.began);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Of a body whose length is known nobody asks for the end.
        if self.incoming.is_end_stream() {
            self.end();
        }
    }
}
