//! The way out to one peer: connects, sends what waits, asks whether anybody is there, and begins again.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{Clock, Moment, error_chain};
use constellation_tasks::Backoff;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    carrier::{Deliveries, Incoming},
    codec::Packet,
    config::TransportConfig,
    error::LinkError,
    identity::PeerIdentity,
    link::{LinkReader, LinkWriter},
    queue::Outbox,
    roster::Peer,
    status::StatusBoard,
    tls::{self, TlsIdentity},
};
use crate::raft::RaftId;

/// Keeps the connection to one peer.
pub(super) struct Dialer {
    pub(super) id: RaftId,
    pub(super) peer: watch::Receiver<Peer>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) config: TransportConfig,
    pub(super) identity: watch::Receiver<Arc<TlsIdentity>>,
    pub(super) deliveries: Deliveries,
    pub(super) status: StatusBoard,
    pub(super) clock: Arc<dyn Clock>,
}

impl Dialer {
    /// Runs until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let _ = stop.clone().run_until_cancelled_owned(self.keep_connected()).await;
        self.status.update(self.id, |status| status.connected = false);
    }

    async fn keep_connected(&self) {
        let mut backoff = Backoff::new(self.config.reconnect);
        let mut watched = self.peer.clone();
        loop {
            let peer = watched.borrow_and_update().clone();
            let Some(address) = peer.address else {
                // Until somebody knows where it is, there is nothing to try.
                if watched.changed().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            };
            let identity = Arc::clone(&self.identity.borrow());
            let expected = PeerIdentity {
                cluster: identity.identity.cluster.clone(),
                node: peer.node.clone(),
                id: self.id,
            };
            let error = match connect(&self.config, &identity, address, &expected).await {
                Ok(stream) => {
                    // Only once the other end has answered: it may yet turn this one away, and a connection that comes to
                    // nothing again and again must not be tried as if it were a good one.
                    let welcome = || {
                        backoff.succeeded();
                        info!(peer = %expected, %address, "connected");
                        self.status.update(self.id, |status| {
                            status.connected = true;
                            status.failures = 0;
                            status.last_error = None;
                        });
                    };
                    tokio::select! {
                        error = self.talk(stream, welcome) => error,
                        () = moved(&mut watched, &peer) => {
                            info!(peer = %expected, "the peer has moved: connecting anew");
                            continue;
                        }
                    }
                }
                Err(error) => error,
            };
            let wait = backoff.failed();
            let why = error_chain(&error);
            if backoff.failures() == 1 {
                warn!(peer = %expected, %address, why, "no connection to a member; trying again and again");
            } else {
                debug!(peer = %expected, %address, why, ?wait, "still no connection");
            }
            self.status.update(self.id, |status| {
                status.connected = false;
                status.failures = backoff.failures();
                status.last_error = Some(why);
            });
            let refused = refused(&error);
            self.deliveries.tell(Incoming::Unreachable { peer: self.id, refused }).await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A new address is worth a try at once.
                () = moved(&mut watched, &peer) => backoff.succeeded(),
            }
        }
    }

    /// Sends and listens until something is wrong.
    async fn talk(&self, stream: TlsStream<TcpStream>, welcome: impl FnOnce() + Send) -> LinkError {
        let (reader, writer) = tokio::io::split(stream);
        match self.exchange(LinkReader::new(reader), LinkWriter::new(writer), welcome).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn exchange<R, W>(
        &self,
        mut reader: LinkReader<R>,
        mut writer: LinkWriter<W>,
        welcome: impl FnOnce() + Send,
    ) -> Result<std::convert::Infallible, LinkError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let dead_after = self.config.dead_after;
        let mut asks = tokio::time::interval(self.config.keepalive);
        asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The ask that is open, with its number: one at a time, so that silence is measured from the first.
        let mut open: Option<(u64, Moment)> = None;
        let mut number = 0;
        let mut welcome = Some(welcome);
        loop {
            tokio::select! {
                packet = reader.next(Duration::MAX) => match packet? {
                    Packet::Pong(answered) => if let Some((asked, at)) = open && asked == answered {
                        open = None;
                        let round_trip = self.clock.now().since(at);
                        if let Some(welcome) = welcome.take() {
                            welcome();
                        }
                        self.status.update(self.id, |status| status.round_trip = Some(round_trip));
                    },
                    Packet::Refused(why) => return Err(LinkError::TurnedAway { why }),
                    Packet::Ping(_) | Packet::Frame(_) => {
                        return Err(LinkError::Garbled { why: "frames come on the other connection".to_owned() });
                    }
                },
                frame = self.outbox.pop() => {
                    let snapshot = frame.snapshot;
                    if let Err(error) = writer.write(&frame.bytes, dead_after).await {
                        debug!(peer = %self.id, snapshot, "a frame was lost with its connection");
                        return Err(error);
                    }
                    self.status.update(self.id, |status| status.sent = status.sent.saturating_add(1));
                },
                _ = asks.tick() => {
                    let now = self.clock.now();
                    match open {
                        Some((_, at)) if now.since(at) >= dead_after => {
                            return Err(LinkError::Silent { what: "an answer to whether it is there" });
                        }
                        Some(_) => {}
                        None => {
                            number += 1;
                            open = Some((number, now));
                            writer.packet(&Packet::Ping(number), dead_after).await?;
                        }
                    }
                },
            }
        }
    }
}

/// Waits until the peer is not what it was.
async fn moved(peer: &mut watch::Receiver<Peer>, from: &Peer) {
    if peer.wait_for(|peer| peer != from).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn refused(error: &LinkError) -> bool {
    let source = match error {
        LinkError::Connect { source, .. } => source,
        LinkError::Ended { source: Some(source) } => source,
        _ => return false,
    };
    matches!(source.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Connects to a member, and makes sure that it is the one that was meant.
pub(super) async fn connect(
    config: &TransportConfig,
    identity: &TlsIdentity,
    address: SocketAddr,
    expected: &PeerIdentity,
) -> Result<TlsStream<TcpStream>, LinkError> {
    let stream = timeout(config.connect_timeout, TcpStream::connect(address))
        .await
        .map_err(|_| LinkError::Silent { what: "the connection" })?
        .map_err(|source| LinkError::Connect { address, source })?;
    // Raft's messages are small and each is waited for.
    stream.set_nodelay(true).map_err(|source| LinkError::Connect { address, source })?;
    let connector = TlsConnector::from(Arc::clone(&identity.client));
    let stream = timeout(config.handshake_timeout, connector.connect(tls::server_name(expected)?, stream))
        .await
        .map_err(|_| LinkError::Silent { what: "the TLS handshake" })?
        .map_err(|source| LinkError::Handshake { source })?;
    let found = tls::peer(stream.get_ref().1.peer_certificates(), stream.get_ref().1.alpn_protocol())?;
    if found != *expected {
        return Err(LinkError::SomebodyElse { found: found.to_string(), expected: expected.clone() });
    }
    Ok(stream)
}
