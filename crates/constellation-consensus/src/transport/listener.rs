//! The way in: strangers get little room and little time, members get a reader each.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::error_chain;
use constellation_tasks::{Backoff, Schedule};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    carrier::Deliveries,
    codec::Packet,
    config::TransportConfig,
    error::LinkError,
    guests::Guests,
    identity::PeerIdentity,
    join::{Admission, JoinDoor},
    link::{LinkReader, LinkWriter, linger},
    places::{Place, Places},
    roster::Roster,
    status::StatusBoard,
    tls::{self, TlsIdentity},
};
use crate::Frame;

/// Listens for the other members.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) config: TransportConfig,
    pub(super) identity: watch::Receiver<Arc<TlsIdentity>>,
    pub(super) roster: watch::Receiver<Arc<Roster>>,
    pub(super) admission: Option<Arc<dyn Admission>>,
    pub(super) deliveries: Deliveries,
    pub(super) status: StatusBoard,
}

impl Listener {
    /// Runs until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let strangers = Places::new(self.config.handshakes_max, self.config.handshakes_per_address_max);
        let door = Arc::new(Door {
            joining: self.admission.map(|admission| JoinDoor::new(admission, &self.config)),
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
    /// Where those go that want to join; `None` where nobody can.
    joining: Option<JoinDoor>,
    config: TransportConfig,
    identity: watch::Receiver<Arc<TlsIdentity>>,
    roster: watch::Receiver<Arc<Roster>>,
    deliveries: Deliveries,
    status: StatusBoard,
    guests: Guests,
}

impl Door {
    async fn serve(&self, stream: TcpStream, from: SocketAddr, place: Place) {
        let met = timeout(self.config.handshake_timeout, self.shake_hands(stream)).await;
        let received = match met.unwrap_or(Err(LinkError::Silent { what: "the TLS handshake" })) {
            Ok(Met::Newcomer(stream, joining, own)) => {
                return joining.serve(stream, from, &own, place).await;
            }
            Ok(Met::Member(stream)) => self.let_in(stream).await,
            Err(error) => Err(error),
        };
        match received {
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

    async fn shake_hands(&self, stream: TcpStream) -> Result<Met<'_>, LinkError> {
        let handshake = |source| LinkError::Handshake { source };
        stream.set_nodelay(true).map_err(|source| LinkError::Ended { source: Some(source) })?;
        let identity = Arc::clone(&self.identity.borrow());
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(handshake)?;
        let joining = self.joining.as_ref().filter(|_| tls::wants_to_join(&start.client_hello()));
        match joining {
            Some(joining) => {
                let stream = start.into_stream(Arc::clone(&identity.join)).await.map_err(handshake)?;
                Ok(Met::Newcomer(stream, joining, identity.identity.clone()))
            }
            None => {
                let stream = start.into_stream(Arc::clone(&identity.server)).await.map_err(handshake)?;
                Ok(Met::Member(stream))
            }
        }
    }

    async fn let_in(
        &self,
        stream: TlsStream<TcpStream>,
    ) -> Result<(TlsStream<TcpStream>, PeerIdentity), LinkError> {
        let (_, connection) = stream.get_ref();
        let found = tls::peer(connection.peer_certificates(), connection.alpn_protocol()).and_then(|found| {
            self.roster.borrow().admits(&found, &self.identity.borrow().identity)?;
            Ok(found)
        });
        match found {
            Ok(found) => Ok((stream, found)),
            Err(error) => {
                turn_away(stream, &error, self.config.handshake_timeout).await;
                Err(error)
            }
        }
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

/// Who is at the other end of a handshake.
enum Met<'d> {
    /// Somebody whose certificate is of an authority that this node believes.
    Member(TlsStream<TcpStream>),
    /// Anybody, who has seen the certificate of this member.
    Newcomer(TlsStream<TcpStream>, &'d JoinDoor, PeerIdentity),
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
