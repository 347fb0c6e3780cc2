//! Connections that change to another protocol, as WebSocket does: bytes both ways until one side ends.

use std::{rc::Rc, sync::atomic::Ordering, time::Duration};

use constellation_core::route::Scheme;
use hyper::{
    Response, StatusCode,
    header::{CONNECTION, HeaderValue, UPGRADE},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tracing::debug;

use super::{
    body::ProxyBody, handle::Exchange, headers, live::OnTheWay, refusal::Refusal, upstream::Answer,
    worker::Worker,
};

/// Bytes that are on the way in each direction, at most.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long one side may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Asks backends for the other protocol. Nothing has been agreed on until one of them says yes, so whichever could not be reached
/// is followed by the next.
pub(super) async fn open(
    mut exchange: Exchange<'_>,
    protocol: HeaderValue,
    downstream: OnUpgrade,
) -> Result<Response<ProxyBody>, Refusal> {
    let worker = Rc::clone(exchange.worker);
    let mut outcome = Refusal::NoBackend;
    while let Some(place) = exchange.next_backend() {
        let Some((backend, live)) = exchange.service.backends.get(place) else { break };
        let began = worker.now();
        let mut way = OnTheWay::to(live, began);
        exchange.tried(place);
        let mut request = exchange.request(backend.address, Scheme::Http);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, protocol.clone());
        let connect = exchange.service.policy.connect_timeout;
        match worker.upstream.ask_upgrade(backend.address, connect, request).await {
            Err(unanswered) => {
                way.failed(worker.now());
                debug!(backend = %backend.address, why = unanswered.why, "a backend did not answer an upgrade");
                outcome = if unanswered.timeout { Refusal::Timeout } else { Refusal::BadGateway };
                if !exchange.may_go_on(unanswered.sent) {
                    break;
                }
            }
            Ok(mut response) => {
                way.answered(worker.now().since(began));
                let agreed = headers::take_hop_by_hop(response.headers_mut());
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let (parts, incoming) = response.into_parts();
                    let body = ProxyBody::Upstream(Answer::new(incoming, None, way, began));
                    return Ok(Response::from_parts(parts, body));
                }
                let upstream = hyper::upgrade::on(&mut response);
                let (mut parts, _) = response.into_parts();
                parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                parts.headers.insert(UPGRADE, agreed.unwrap_or(protocol));
                worker.executor.spawn(carry(Rc::clone(&worker), downstream, upstream, way));
                return Ok(Response::from_parts(parts, ProxyBody::Empty));
            }
        }
    }
    Err(outcome)
}

/// Carries bytes both ways. Tables may change meanwhile: what was opened stays until one of its ends closes it.
async fn carry(worker: Rc<Worker>, downstream: OnUpgrade, upstream: OnUpgrade, way: OnTheWay) {
    let (downstream, upstream) = match tokio::try_join!(downstream, upstream) {
        Ok(both) => both,
        Err(error) => return debug!(%error, "an upgrade was agreed on and did not come about"),
    };
    worker.counters.tunnels.fetch_add(1, Ordering::Relaxed);
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(downstream));
    let (mut from_backend, mut to_backend) = tokio::io::split(TokioIo::new(upstream));
    let mut there = std::pin::pin!(one_way(&mut from_client, &mut to_backend));
    let mut back = std::pin::pin!(one_way(&mut from_backend, &mut to_client));
    // Whoever has said all may still be answered, though not for ever: most protocols end with either side.
    tokio::select! {
        () = &mut there => drop(tokio::time::timeout(LINGER, back).await),
        () = &mut back => drop(tokio::time::timeout(LINGER, there).await),
    }
    worker.counters.tunnels.fetch_sub(1, Ordering::Relaxed);
    drop(way);
}

/// Carries what one side says, and its end.
async fn one_way(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, from);
    if let Err(error) = tokio::io::copy_buf(&mut buffered, to).await {
        debug!(%error, "a tunnel broke off");
    }
    // Gone already, perhaps.
    let _ = to.shutdown().await;
}
