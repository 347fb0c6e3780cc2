//! Messages to datagrams and back: the whole transport as one plain value, without a socket.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use constellation_core::{ClusterId, Moment};

use super::{
    directory::Directory,
    envelope::{Envelope, GossipSecurity},
    frame::{Body, FRAGMENT_BYTES, Fragment, Frame, MESSAGE_BYTES_MAX, Session},
    reassembly::Reassembly,
    replay::ReplayWindow,
    traffic::Reason,
};

/// How many senders are remembered. When there are more, a new session is begun, which makes all that was recorded so
/// far worthless at once; the peers learn of it in one round trip each.
const SENDERS_MAX: usize = 4096;
/// How often one sender at one address is told our session.
const HELLO_EVERY: Duration = Duration::from_millis(50);
/// How many addresses may be told within [`HELLO_EVERY`]. Recorded datagrams with forged addresses earn no flood.
const HELLOS_MAX: usize = 256;

/// A datagram and where it goes.
pub(super) type Outgoing = (SocketAddr, Vec<u8>);

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// It completed a message.
    Message(Vec<u8>),
    /// It was fine, and there is nothing to do yet.
    Noted,
    /// It was not let in.
    Dropped(Reason),
}

/// Seals, fragments, remembers, opens and joins.
#[derive(Debug)]
pub(super) struct Codec {
    envelope: Envelope,
    session: Session,
    counter: u64,
    message: u32,
    senders: HashMap<Session, ReplayWindow>,
    directory: Directory,
    reassembly: Reassembly,
    hellos: HashMap<(SocketAddr, Session), Moment>,
}

impl Codec {
    pub(super) fn new(cluster: &ClusterId, security: GossipSecurity) -> Self {
        Self {
            envelope: Envelope::new(cluster, security),
            session: Session::random(),
            counter: 0,
            message: 0,
            senders: HashMap::new(),
            directory: Directory::default(),
            reassembly: Reassembly::default(),
            hellos: HashMap::new(),
        }
    }

    /// The datagrams that carry a message, or, to a peer that was not met yet, the one that asks who is there; the message
    /// then goes out with the answer.
    pub(super) fn outgoing(&mut self, to: SocketAddr, message: &[u8]) -> Result<Vec<Outgoing>, Reason> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        if let Some(session) = self.directory.session_at(to) {
            return Ok(self.fragments(to, session, message));
        }
        self.directory.wait(to, message);
        let probe = self.seal(Session::UNKNOWN, Body::Probe);
        self.directory.sent(self.counter..=self.counter, to);
        Ok(vec![(to, probe)])
    }

    /// Takes a datagram in; what is to be sent in answer goes to `send`.
    pub(super) fn incoming(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Moment,
        send: &mut Vec<Outgoing>,
    ) -> Incoming {
        let content = match self.envelope.open(datagram) {
            Ok(content) => content,
            Err(reason) => return Incoming::Dropped(reason),
        };
        let Some(frame) = Frame::decode(&content) else { return Incoming::Dropped(Reason::Malformed) };
        if frame.sender == self.session {
            return Incoming::Dropped(Reason::Own);
        }
        if frame.receiver != self.session {
            return self.answer_a_stranger(from, &frame, now, send);
        }
        // From here on it was made for this run of ours: the sender has seen our session, which is random.
        if !self.admit(frame.sender, frame.counter) {
            return Incoming::Dropped(Reason::Replayed);
        }
        self.directory.learn(from, frame.sender);
        match frame.body {
            Body::Probe => Incoming::Noted,
            Body::Hello { answers } => {
                let asked = self.directory.sent_to(answers).unwrap_or(from);
                self.directory.learn(asked, frame.sender);
                if let Some(message) = self.directory.take_waiting(asked) {
                    send.extend(self.fragments(asked, frame.sender, &message));
                }
                Incoming::Noted
            }
            Body::Data(fragment) => {
                self.reassembly.take(frame.sender, fragment, now).map_or(Incoming::Noted, Incoming::Message)
            }
        }
    }

    /// How many messages were given up for missing parts since the last call.
    pub(super) fn take_incomplete(&mut self) -> u64 {
        self.reassembly.take_incomplete()
    }

    /// Tells a sender that means somebody else, an earlier run of ours or nobody yet, who we are. It is not believed
    /// in anything: it may be a recording.
    fn answer_a_stranger(
        &mut self,
        from: SocketAddr,
        frame: &Frame<'_>,
        now: Moment,
        send: &mut Vec<Outgoing>,
    ) -> Incoming {
        // A hello is never answered with a hello, or two nodes could greet each other for ever.
        if matches!(frame.body, Body::Hello { .. }) {
            return Incoming::Dropped(Reason::Stale);
        }
        let asks = frame.body == Body::Probe;
        let dropped = || if asks { Incoming::Noted } else { Incoming::Dropped(Reason::Stale) };
        self.hellos.retain(|_, told| now.since(*told) < HELLO_EVERY);
        if self.hellos.len() >= HELLOS_MAX || self.hellos.contains_key(&(from, frame.sender)) {
            return dropped();
        }
        self.hellos.insert((from, frame.sender), now);
        let hello = self.seal(frame.sender, Body::Hello { answers: frame.counter });
        send.push((from, hello));
        dropped()
    }

    fn admit(&mut self, sender: Session, counter: u64) -> bool {
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(&sender) {
            self.senders.clear();
            self.reassembly.clear();
            self.session = Session::random();
        }
        self.senders.entry(sender).or_insert_with(ReplayWindow::new).admit(counter)
    }

    fn fragments(&mut self, to: SocketAddr, receiver: Session, message: &[u8]) -> Vec<Outgoing> {
        self.message = self.message.wrapping_add(1);
        let first = self.counter + 1;
        let count = u16::try_from(message.len().div_ceil(FRAGMENT_BYTES).max(1)).unwrap_or(u16::MAX);
        let mut parts = message.chunks(FRAGMENT_BYTES);
        let datagrams = (0..count)
            .map(|index| {
                let bytes = parts.next().unwrap_or_default();
                let fragment = Fragment { message: self.message, index, count, bytes };
                (to, self.seal(receiver, Body::Data(fragment)))
            })
            .collect();
        self.directory.sent(first..=self.counter, to);
        datagrams
    }

    fn seal(&mut self, receiver: Session, body: Body<'_>) -> Vec<u8> {
        self.counter += 1;
        let frame = Frame { sender: self.session, counter: self.counter, receiver, body };
        self.envelope.seal(&frame.encode())
    }
}

#[cfg(test)]
mod tests;
