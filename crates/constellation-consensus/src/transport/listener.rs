//! The way in: strangers get little room and little time, members get a reader each.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use constellation_core::error_chain;
use constellation_tasks::{Backoff, Schedule};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    carrier::Deliveries,
    codec::Packet,
    config::TransportConfig,
    error::LinkError,
    identity::PeerIdentity,
    link::{LinkReader, LinkWriter, linger},
    roster::Roster,
    status::StatusBoard,
    tls::{self, TlsIdentity},
};
use crate::{Frame, raft::RaftId};

/// A member has one connection to another, and a second while it makes a new one before it noticed the end of the old;
/// and its notary may have one.
const CONNECTIONS_PER_MEMBER: usize = 3;

/// Listens for the other members.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) config: TransportConfig,
    pub(super) identity: watch::Receiver<Arc<TlsIdentity>>,
    pub(super) roster: watch::Receiver<Arc<Roster>>,
    pub(super) deliveries: Deliveries,
    pub(super) status: StatusBoard,
}

impl Listener {
    /// Runs until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let strangers = Strangers::new(self.config.handshakes_max, self.config.handshakes_per_address_max);
        let door = Arc::new(Door {
            config: self.config,
            identity: self.identity,
            roster: self.roster,
            deliveries: self.deliveries,
            status: self.status,
            guests: Guests::default(),
        });
        // When descriptors run out accepting fails at once, again and again; waiting lets some be closed.
        let mut backoff = Backoff::new(Schedule::new(Duration::from_millis(5), Duration::from_millis(500)));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, from)) => {
                        backoff.succeeded();
                        let Some(place) = strangers.enter(from.ip()) else {
                            debug!(%from, "too many handshakes at once: turned away");
                            continue;
                        };
                        let (door, stop) = (Arc::clone(&door), stop.clone());
                        tasks.spawn(async move {
                            let served = Box::pin(door.serve(stream, from, place));
                            let _ = stop.run_until_cancelled(served).await;
                        });
                    }
                    Err(error) => {
                        let wait = backoff.failed();
                        warn!(%error, ?wait, "could not accept a connection");
                        tokio::time::sleep(wait).await;
                    }
                },
                Some(ended) = tasks.join_next() => if let Err(error) = ended {
                    warn!(%error, "a connection's task panicked");
                },
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// What every incoming connection needs.
struct Door {
    config: TransportConfig,
    identity: watch::Receiver<Arc<TlsIdentity>>,
    roster: watch::Receiver<Arc<Roster>>,
    deliveries: Deliveries,
    status: StatusBoard,
    guests: Guests,
}

impl Door {
    async fn serve(&self, stream: TcpStream, from: SocketAddr, place: Place) {
        match self.shake_hands(stream).await {
            Ok((stream, member)) => {
                drop(place);
                debug!(%member, %from, "let in");
                let error = self.receive(stream, &member).await;
                debug!(%member, %from, why = error_chain(&error), "a connection ended");
            }
            // Anybody may knock; only who has a certificate of ours and may not come in is worth a look.
            Err(error @ (LinkError::Unwelcome { .. } | LinkError::SomebodyElse { .. })) => {
                info!(%from, why = error_chain(&error), "turned a connection away");
            }
            Err(error) => debug!(%from, why = error_chain(&error), "no handshake came about"),
        }
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, PeerIdentity), LinkError> {
        let fail = |source| LinkError::Ended { source: Some(source) };
        stream.set_nodelay(true).map_err(fail)?;
        let identity = Arc::clone(&self.identity.borrow());
        let acceptor = TlsAcceptor::from(Arc::clone(&identity.server));
        let stream = timeout(self.config.handshake_timeout, acceptor.accept(stream))
            .await
            .map_err(|_| LinkError::Silent { what: "the TLS handshake" })?
            .map_err(|source| LinkError::Handshake { source })?;
        let found = tls::peer(stream.get_ref().1.peer_certificates(), stream.get_ref().1.alpn_protocol())?;
        let admitted = self.roster.borrow().admits(&found, &identity.identity);
        if let Err(error) = admitted {
            turn_away(stream, &error, self.config.handshake_timeout).await;
            return Err(error);
        }
        Ok((stream, found))
    }

    async fn receive(&self, stream: TlsStream<TcpStream>, member: &PeerIdentity) -> LinkError {
        let own = self.identity.borrow().identity.clone();
        let guest = self.guests.enter(member.id);
        self.status.update(member.id, |status| status.inbound += 1);
        let mut roster = self.roster.clone();
        let (reader, writer) = tokio::io::split(stream);
        let (mut reader, mut writer) = (LinkReader::new(reader), LinkWriter::new(writer));
        let error = tokio::select! {
            error = self.read(&mut reader, &mut writer, member, &own) => error,
            () = guest.replaced.cancelled() => {
                LinkError::Unwelcome { found: member.to_string(), why: "it has newer connections" }
            }
            error = not_admitted_any_more(&mut roster, member, &own) => error,
        };
        self.status.update(member.id, |status| status.inbound = status.inbound.saturating_sub(1));
        self.guests.leave(&guest);
        if !matches!(error, LinkError::Ended { .. } | LinkError::Silent { .. }) {
            let refusal = Packet::Refused(error.to_string());
            let _ = writer.packet(&refusal, self.config.dead_after).await;
            writer.close(self.config.dead_after).await;
            linger(reader.into_stream(), self.config.dead_after).await;
        }
        error
    }

    async fn read<R, W>(
        &self,
        reader: &mut LinkReader<R>,
        writer: &mut LinkWriter<W>,
        member: &PeerIdentity,
        own: &PeerIdentity,
    ) -> LinkError
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let done = match reader.next(self.config.dead_after).await {
                Ok(Packet::Frame(frame)) => self.deliver(frame, member, own).await,
                // It comes after all that was sent before it, so the answer says that that has arrived.
                Ok(Packet::Ping(number)) => {
                    writer.packet(&Packet::Pong(number), self.config.dead_after).await
                }
                Ok(Packet::Pong(_) | Packet::Refused(_)) => {
                    Err(LinkError::Garbled { why: "an answer to nothing".to_owned() })
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    async fn deliver(
        &self,
        frame: Frame,
        member: &PeerIdentity,
        own: &PeerIdentity,
    ) -> Result<(), LinkError> {
        let unwelcome = |why| Err(LinkError::Unwelcome { found: member.to_string(), why });
        if frame.from != member.id.0 {
            return unwelcome("it speaks for another member than its certificate is for");
        }
        if frame.to != own.id.0 {
            return unwelcome("it takes this member for another one");
        }
        if frame.epoch != self.config.epoch {
            let why = if frame.epoch < self.config.epoch {
                "the cluster has begun a new epoch without it; it has to join again"
            } else {
                "it speaks of an epoch that this member was not taken into; this one has to join again"
            };
            return unwelcome(why);
        }
        if frame.body.is_none() {
            return Err(LinkError::Garbled {
                why: "a frame says nothing that this version knows".to_owned(),
            });
        }
        self.status.update(member.id, |status| status.received = status.received.saturating_add(1));
        if self.deliveries.frame(member.clone(), frame).await {
            Ok(())
        } else {
            Err(LinkError::Ended { source: None })
        }
    }
}

async fn turn_away(stream: TlsStream<TcpStream>, error: &LinkError, patience: Duration) {
    let (reader, writer) = tokio::io::split(stream);
    let mut writer = LinkWriter::new(writer);
    let _ = writer.packet(&Packet::Refused(error.to_string()), patience).await;
    writer.close(patience).await;
    linger(reader, patience).await;
}

async fn not_admitted_any_more(
    roster: &mut watch::Receiver<Arc<Roster>>,
    member: &PeerIdentity,
    own: &PeerIdentity,
) -> LinkError {
    loop {
        if let Err(error) = roster.borrow_and_update().admits(member, own) {
            return error;
        }
        if roster.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Counts who is in the middle of a handshake.
#[derive(Clone, Debug)]
struct Strangers {
    inside: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    most: usize,
    most_of_one: usize,
}

/// A place in a handshake, until it is dropped.
struct Place {
    strangers: Strangers,
    address: IpAddr,
}

impl Strangers {
    fn new(most: usize, most_of_one: usize) -> Self {
        Self { inside: Arc::default(), most, most_of_one }
    }

    fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = inside.get(&address).copied().unwrap_or(0);
        if of_one >= self.most_of_one || inside.values().sum::<usize>() >= self.most {
            return None;
        }
        inside.insert(address, of_one + 1);
        Some(Place { strangers: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.strangers.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.get_mut(&self.address) {
            Some(of_one) if *of_one > 1 => *of_one -= 1,
            _ => drop(inside.remove(&self.address)),
        }
    }
}

/// The members that are connected, each with its few newest connections.
#[derive(Debug, Default)]
struct Guests {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    last_number: u64,
    connections: BTreeMap<RaftId, Vec<(u64, CancellationToken)>>,
}

struct Guest {
    id: RaftId,
    number: u64,
    /// Cancelled when the member has made so many newer connections that this one must go.
    replaced: CancellationToken,
}

impl Guests {
    fn enter(&self, id: RaftId) -> Guest {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.last_number += 1;
        let guest = Guest { id, number: inside.last_number, replaced: CancellationToken::new() };
        let connections = inside.connections.entry(id).or_default();
        connections.push((guest.number, guest.replaced.clone()));
        if connections.len() > CONNECTIONS_PER_MEMBER {
            connections.remove(0).1.cancel();
        }
        guest
    }

    fn leave(&self, guest: &Guest) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = inside.connections.get_mut(&guest.id) {
            connections.retain(|(number, _)| *number != guest.number);
            if connections.is_empty() {
                inside.connections.remove(&guest.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let strangers = Strangers::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let first = strangers.enter(a).unwrap();
        let _second = strangers.enter(a).unwrap();
        assert!(strangers.enter(a).is_none(), "two of one address");
        let _third = strangers.enter(b).unwrap();
        assert!(strangers.enter(b).is_none(), "three in all");
        drop(first);
        assert!(strangers.enter(b).is_some());
    }

    #[test]
    fn a_member_that_connects_again_and_again_loses_its_oldest_connection() {
        let guests = Guests::default();
        let all: Vec<_> = (0..=CONNECTIONS_PER_MEMBER).map(|_| guests.enter(RaftId(1))).collect();
        let other = guests.enter(RaftId(2));
        assert!(all[0].replaced.is_cancelled());
        assert!(!all[1].replaced.is_cancelled() && !other.replaced.is_cancelled());
        all.iter().chain([&other]).for_each(|guest| guests.leave(guest));
        assert!(guests.inside.lock().unwrap().connections.is_empty());
    }
}
