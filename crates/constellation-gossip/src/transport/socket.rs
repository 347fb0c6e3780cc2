//! chitchat's socket on ours.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chitchat::{
    ChitchatMessage, Deserializable, Serializable,
    transport::{Socket, Transport},
};
use constellation_core::{Clock, ClusterId};
use tokio::sync::Notify;

use super::{
    codec::{Codec, Incoming, Outgoing},
    envelope::GossipSecurity,
    network::DatagramSocket,
    traffic::{Meter, Reason},
};

/// One byte more than the largest datagram that UDP can carry would ever need: what is cut here is not ours anyway.
const BUFFER: usize = 2048;
/// How long to wait for room in the system's send buffer before a datagram is given up.
const SEND_PATIENCE: Duration = Duration::from_millis(50);
/// After how many failures to receive in a row the socket counts as broken, and how long to wait after each.
const FAILURES_MAX: u32 = 50;
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// Who still has to get what was changed last: see [`Farewell::reached`].
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// Whom we wait for, and whether a handshake with them was begun since.
    awaited: Mutex<HashMap<SocketAddr, bool>>,
    all_reached: Notify,
}

impl Farewell {
    /// Begins to wait for these peers. Call it after the change and before the handshakes.
    pub(crate) fn await_peers(&self, peers: impl IntoIterator<Item = SocketAddr>) {
        *self.awaited() = peers.into_iter().map(|peer| (peer, false)).collect();
    }

    /// Waits until each awaited peer has been sent the last message of a handshake that was begun since: it carries all
    /// that the peer lacked. The caller bounds the wait.
    pub(crate) async fn reached(&self) {
        loop {
            let told = self.all_reached.notified();
            if self.awaited().is_empty() {
                return;
            }
            told.await;
        }
    }

    fn sent(&self, peer: SocketAddr, message: &ChitchatMessage) {
        let mut awaited = self.awaited();
        match (message, awaited.get_mut(&peer)) {
            (ChitchatMessage::Syn { .. }, Some(begun)) => *begun = true,
            (ChitchatMessage::Ack { .. }, Some(true)) => {
                awaited.remove(&peer);
                if awaited.is_empty() {
                    self.all_reached.notify_one();
                }
            }
            _ => {}
        }
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, bool>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What chitchat opens: a socket that is bound already, so that the reason why it could not be is ours to tell.
pub(crate) struct SealedTransport {
    pub(crate) socket: Mutex<Option<Box<dyn DatagramSocket>>>,
    pub(crate) cluster: ClusterId,
    pub(crate) security: GossipSecurity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) farewell: Arc<Farewell>,
}

#[async_trait]
impl Transport for SealedTransport {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let socket = socket.ok_or_else(|| anyhow::anyhow!("the socket was opened before"))?;
        Ok(Box::new(SealedSocket {
            socket,
            codec: Codec::new(&self.cluster, self.security.clone()),
            clock: Arc::clone(&self.clock),
            meter: Arc::clone(&self.meter),
            farewell: Arc::clone(&self.farewell),
            buffer: vec![0; BUFFER],
            failures: 0,
        }))
    }
}

struct SealedSocket {
    socket: Box<dyn DatagramSocket>,
    codec: Codec,
    clock: Arc<dyn Clock>,
    meter: Arc<Meter>,
    farewell: Arc<Farewell>,
    buffer: Vec<u8>,
    failures: u32,
}

#[async_trait]
impl Socket for SealedSocket {
    /// Never fails: what cannot be sent is counted, and chitchat tries again in its next round.
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let bytes = message.serialize_to_vec();
        if matches!(message, ChitchatMessage::Syn { .. }) {
            self.meter.digest(bytes.len());
        }
        let datagrams = match self.codec.outgoing(to, &bytes) {
            Ok(datagrams) => datagrams,
            Err(reason) => {
                self.meter.dropped(reason, to, self.clock.now());
                return Ok(());
            }
        };
        self.meter.message_out();
        for (to, datagram) in datagrams {
            self.send_patiently(to, &datagram).await;
        }
        self.farewell.sent(to, &message);
        Ok(())
    }

    /// Fails only where the socket itself is broken; no datagram makes it fail. Cancelling it loses none: between the
    /// one await and the answer nothing waits.
    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            if self.failures > 0 {
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            match self.socket.receive(&mut self.buffer).await {
                Ok((length, from)) => {
                    self.failures = 0;
                    if let Some(message) = self.take(from, length) {
                        return Ok((from, message));
                    }
                }
                Err(error) => {
                    self.meter.receive_failed();
                    self.failures += 1;
                    if self.failures >= FAILURES_MAX {
                        return Err(
                            anyhow::Error::new(error).context("the gossip socket receives nothing any more")
                        );
                    }
                }
            }
        }
    }
}

impl SealedSocket {
    fn take(&mut self, from: SocketAddr, length: usize) -> Option<ChitchatMessage> {
        self.meter.received(length);
        let now = self.clock.now();
        let mut answers: Vec<Outgoing> = Vec::new();
        let datagram = self.buffer.get(..length)?;
        let incoming = self.codec.incoming(from, datagram, now, &mut answers);
        self.meter.incomplete(self.codec.take_incomplete());
        for (to, datagram) in answers {
            // Not awaited, so that receiving stays cancel-safe; what finds no room is lost like any other datagram.
            self.count(to, datagram.len(), self.socket.try_send(to, &datagram));
        }
        match incoming {
            Incoming::Message(message) => match ChitchatMessage::deserialize(&mut message.as_slice()) {
                Ok(message) => {
                    self.meter.message_in();
                    return Some(message);
                }
                Err(_) => self.meter.dropped(Reason::Malformed, from, now),
            },
            Incoming::Noted => {}
            Incoming::Dropped(reason) => self.meter.dropped(reason, from, now),
        }
        None
    }

    async fn send_patiently(&self, to: SocketAddr, datagram: &[u8]) {
        let mut result = self.socket.try_send(to, datagram);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            && tokio::time::timeout(SEND_PATIENCE, self.socket.sendable()).await.is_ok()
        {
            result = self.socket.try_send(to, datagram);
        }
        self.count(to, datagram.len(), result);
    }

    fn count(&self, to: SocketAddr, bytes: usize, result: io::Result<()>) {
        match result {
            Ok(()) => self.meter.sent(bytes),
            Err(error) => self.meter.send_failed(to, &error, self.clock.now()),
        }
    }
}
