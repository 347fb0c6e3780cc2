//! Connections that change to another protocol, as WebSocket does: bytes both ways until one side ends.

use std::{rc::Rc, sync::atomic::Ordering, time::Duration};

use hyper::{
    Response,
    body::Incoming,
    header::{CONNECTION, HeaderValue, UPGRADE},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tracing::debug;

use super::{body::ProxyBody, headers, live::OnTheWay, worker::Worker};

/// Bytes that are on the way in each direction, at most.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long one side may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(2);

/// The protocol that a client wants to change to, and its end of the connection once that is agreed on.
pub(super) struct Change {
    pub(super) protocol: HeaderValue,
    pub(super) downstream: OnUpgrade,
}

/// A backend has agreed: passes that on, and carries bytes from then on.
pub(super) fn open(
    worker: &Rc<Worker>,
    change: Change,
    mut response: Response<Incoming>,
    way: OnTheWay,
) -> Response<ProxyBody> {
    let agreed = headers::take_hop_by_hop(response.headers_mut());
    let upstream = hyper::upgrade::on(&mut response);
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, agreed.unwrap_or(change.protocol));
    worker.executor.spawn(carry(Rc::clone(worker), change.downstream, upstream, way));
    Response::from_parts(parts, ProxyBody::Empty)
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
