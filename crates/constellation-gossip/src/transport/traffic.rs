//! Counts what came, what went, and what was dropped and why; says so once a minute at most.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use constellation_core::Moment;

/// Why a datagram or message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is not of our form at all.
    Garbage,
    /// It belongs to a cluster of another name.
    OtherCluster,
    /// It is sealed with a key that we do not hold.
    WrongKey,
    /// It is not sealed, and this cluster seals.
    Unsealed,
    /// It names a key of ours and does not open: it was changed on the way.
    Forged,
    /// It opened and makes no sense: a peer of another version, or with a fault.
    Malformed,
    /// It was made for an earlier run of this node, or by a peer that had not met this run yet.
    Stale,
    /// It came before.
    Replayed,
    /// Parts of it never came.
    Incomplete,
    /// It came from ourselves.
    Own,
    /// It was to be sent and is larger than any message may be.
    TooLarge,
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: [Self; 11] = [
        Self::Garbage,
        Self::OtherCluster,
        Self::WrongKey,
        Self::Unsealed,
        Self::Forged,
        Self::Malformed,
        Self::Stale,
        Self::Replayed,
        Self::Incomplete,
        Self::Own,
        Self::TooLarge,
    ];

    /// A short name, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::OtherCluster => "other_cluster",
            Self::WrongKey => "wrong_key",
            Self::Unsealed => "unsealed",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::Incomplete => "incomplete",
            Self::Own => "own",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether somebody should hear of it. The others are everyday: restarts, loss, ourselves.
    const fn is_notable(self) -> bool {
        !matches!(self, Self::Stale | Self::Replayed | Self::Incomplete | Self::Own)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Garbage => "they are not gossip of ours",
            Self::OtherCluster => "they belong to another cluster; compare the cluster names",
            Self::WrongKey => "none of our keys opens them; compare the key files",
            Self::Unsealed => "they are not sealed; that node runs without a key",
            Self::Forged => "they were changed on the way",
            Self::Malformed => "they are not understood; compare the versions",
            Self::Stale => "they were made for an earlier run of this node",
            Self::Replayed => "they came before",
            Self::Incomplete => "parts of them never came",
            Self::Own => "they are our own",
            Self::TooLarge => "they are larger than any message may be",
        })
    }
}

/// How many were dropped, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped(BTreeMap<Reason, u64>);

impl Dropped {
    /// How many were dropped for this reason.
    pub fn by(&self, reason: Reason) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().map(|reason| (reason, self.by(reason)))
    }
}

/// Somebody whose datagrams are not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Where they come from, as far as a datagram can be believed.
    pub from: SocketAddr,
    /// Why they are dropped.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// When the last one came.
    pub last: Moment,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams from {} were dropped: {}", self.count, self.from, self.reason)
    }
}

/// What came and went since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that arrived, good or not.
    pub datagrams_in: u64,
    /// Datagrams that were sent.
    pub datagrams_out: u64,
    /// Their bytes, without UDP's and IP's own.
    pub bytes_in: u64,
    /// Their bytes, without UDP's and IP's own.
    pub bytes_out: u64,
    /// Whole messages that reached chitchat.
    pub messages_in: u64,
    /// Messages that chitchat sent.
    pub messages_out: u64,
    /// What was dropped.
    pub dropped: Dropped,
    /// Datagrams that the system would not send.
    pub send_errors: u64,
    /// Failed attempts to receive.
    pub receive_errors: u64,
    /// The size of the last digest, in bytes: it holds an entry for each run of each node that is still remembered,
    /// and goes out with every handshake.
    pub digest_bytes: usize,
    /// Who sends what is not let in: the latest 16 sources.
    pub suspects: Vec<Suspect>,
}

/// How many sources of bad datagrams are remembered; addresses can be forged, so the number must be small.
const SUSPECTS_MAX: usize = 16;
/// How often one kind of trouble is worth a line in the log.
const LOG_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Trouble {
    dropped: BTreeMap<Reason, u64>,
    suspects: Vec<Suspect>,
    logged: BTreeMap<Reason, Moment>,
    send_logged: Option<Moment>,
}

/// The counters, shared by all runs of a node's gossip.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    datagrams_in: AtomicU64,
    datagrams_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
    digest_bytes: AtomicUsize,
    trouble: Mutex<Trouble>,
}

impl Meter {
    pub(super) fn received(&self, bytes: usize) {
        self.datagrams_in.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.datagrams_out.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn message_in(&self) {
        self.messages_in.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn message_out(&self) {
        self.messages_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn digest(&self, bytes: usize) {
        self.digest_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn receive_failed(&self) {
        self.receive_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn send_failed(&self, to: SocketAddr, error: &std::io::Error, now: Moment) {
        self.send_errors.fetch_add(1, Ordering::Relaxed);
        let log = {
            let mut trouble = self.lock();
            let due = trouble.send_logged.is_none_or(|last| now.since(last) >= LOG_EVERY);
            if due {
                trouble.send_logged = Some(now);
            }
            due
        };
        if log {
            tracing::warn!(%to, %error, "could not send gossip; further failures are counted and not logged for a minute");
        }
    }

    /// Counts messages whose parts never came; there is no single source to name.
    pub(super) fn incomplete(&self, count: u64) {
        if count > 0 {
            *self.lock().dropped.entry(Reason::Incomplete).or_default() += count;
        }
    }

    pub(super) fn dropped(&self, reason: Reason, from: SocketAddr, now: Moment) {
        let log = {
            let mut trouble = self.lock();
            *trouble.dropped.entry(reason).or_default() += 1;
            reason.is_notable() && trouble.suspect(reason, from, now)
        };
        if log {
            tracing::warn!(%from, reason = reason.as_str(), "datagrams from {from} are dropped: {reason}");
        }
    }

    pub(crate) fn read(&self) -> Traffic {
        let (dropped, suspects) = {
            let trouble = self.lock();
            (Dropped(trouble.dropped.clone()), trouble.suspects.clone())
        };
        Traffic {
            datagrams_in: self.datagrams_in.load(Ordering::Relaxed),
            datagrams_out: self.datagrams_out.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            messages_in: self.messages_in.load(Ordering::Relaxed),
            messages_out: self.messages_out.load(Ordering::Relaxed),
            dropped,
            send_errors: self.send_errors.load(Ordering::Relaxed),
            receive_errors: self.receive_errors.load(Ordering::Relaxed),
            digest_bytes: self.digest_bytes.load(Ordering::Relaxed),
            suspects,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    /// Notes a source; whether it is time for a line in the log.
    fn suspect(&mut self, reason: Reason, from: SocketAddr, now: Moment) -> bool {
        match self.suspects.iter_mut().find(|known| known.from == from && known.reason == reason) {
            Some(known) => {
                known.count += 1;
                known.last = now;
            }
            None => {
                if self.suspects.len() >= SUSPECTS_MAX {
                    let oldest = self.suspects.iter().enumerate().min_by_key(|(_, known)| known.last);
                    if let Some((oldest, _)) = oldest {
                        self.suspects.swap_remove(oldest);
                    }
                }
                self.suspects.push(Suspect { from, reason, count: 1, last: now });
            }
        }
        let due = self.logged.get(&reason).is_none_or(|last| now.since(*last) >= LOG_EVERY);
        if due {
            self.logged.insert(reason, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_flood_of_forged_addresses_is_counted_and_not_remembered() {
        let meter = Meter::default();
        for port in 1..1000 {
            meter.dropped(Reason::Garbage, source(port), Moment::START);
        }
        let traffic = meter.read();
        assert_eq!(traffic.dropped.by(Reason::Garbage), 999);
        assert_eq!(traffic.suspects.len(), SUSPECTS_MAX);
    }

    #[test]
    fn one_kind_of_trouble_is_logged_once_a_minute() {
        let mut trouble = Trouble::default();
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let logged: Vec<bool> =
            [0, 1, 59, 60, 61].iter().map(|s| trouble.suspect(Reason::Garbage, source(1), at(*s))).collect();
        assert_eq!(logged, [true, false, false, true, false]);
        assert!(trouble.suspect(Reason::WrongKey, source(1), at(61)), "another kind has its own minute");
    }

    #[test]
    fn a_suspect_is_described_with_what_to_do() {
        let meter = Meter::default();
        meter.dropped(Reason::WrongKey, source(7946), Moment::START);
        let text = meter.read().suspects[0].to_string();
        assert_eq!(
            text,
            "1 datagrams from 127.0.0.1:7946 were dropped: none of our keys opens them; compare the key files"
        );
    }
}
