//! Joins fragments to messages, within bounds.

use std::{collections::BTreeMap, time::Duration};

use constellation_core::Moment;

use super::frame::{Fragment, Session};

/// How long a message may take to arrive. The sender sends it in one go, so what is missing after this is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many unfinished messages one sender may have: it sends one after the other, so more are lost ones.
const PER_SENDER: usize = 4;
/// How many unfinished messages of all senders there may be.
const PARTIALS_MAX: usize = 512;
/// How many bytes all unfinished messages may hold together.
const BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug)]
struct Partial {
    parts: Vec<Option<Vec<u8>>>,
    missing: usize,
    bytes: usize,
    begun: Moment,
}

/// Unfinished messages of all senders. Only what was opened and is fresh gets here, so what the bounds guard against is
/// loss and a peer gone wrong, not strangers.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    partials: BTreeMap<(Session, u32), Partial>,
    bytes: usize,
    incomplete: u64,
}

impl Reassembly {
    /// Takes a fragment; the message, when it was the last one missing.
    pub(super) fn take(&mut self, sender: Session, fragment: Fragment<'_>, now: Moment) -> Option<Vec<u8>> {
        if fragment.count == 1 {
            return Some(fragment.bytes.to_vec());
        }
        let key = (sender, fragment.message);
        if !self.partials.contains_key(&key) {
            self.make_room(sender, now);
        }
        let count = usize::from(fragment.count);
        let partial = self.partials.entry(key).or_insert_with(|| Partial {
            parts: vec![None; count],
            missing: count,
            bytes: 0,
            begun: now,
        });
        // A sender that speaks of one message with two counts is broken; what there is of it stays as it is.
        let slot = if partial.parts.len() == count {
            partial.parts.get_mut(usize::from(fragment.index))
        } else {
            None
        };
        if let Some(slot @ None) = slot {
            *slot = Some(fragment.bytes.to_vec());
            partial.missing -= 1;
            partial.bytes += fragment.bytes.len();
            self.bytes += fragment.bytes.len();
        }
        if partial.missing > 0 {
            return None;
        }
        let partial = self.remove(key)?;
        Some(partial.parts.into_iter().flatten().flatten().collect())
    }

    /// Forgets every unfinished message.
    pub(super) fn clear(&mut self) {
        self.incomplete += self.partials.len() as u64;
        self.partials.clear();
        self.bytes = 0;
    }

    /// How many messages were given up since the last call.
    pub(super) fn take_incomplete(&mut self) -> u64 {
        std::mem::take(&mut self.incomplete)
    }

    fn make_room(&mut self, sender: Session, now: Moment) {
        let late: Vec<_> = self
            .partials
            .iter()
            .filter(|(_, p)| now.since(p.begun) > PATIENCE)
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            self.give_up(key);
        }
        // A sender that has too much under way loses its own oldest, never somebody else's.
        while self.oldest_of(|key| key.0 == sender).is_some_and(|(count, _)| count >= PER_SENDER) {
            let Some((_, key)) = self.oldest_of(|key| key.0 == sender) else { break };
            self.give_up(key);
        }
        while self.bytes > BYTES_MAX || self.partials.len() >= PARTIALS_MAX {
            let Some((_, key)) = self.oldest_of(|_| true) else { break };
            self.give_up(key);
        }
    }

    /// How many unfinished messages match, and the oldest of them.
    fn oldest_of(&self, matches: impl Fn(&(Session, u32)) -> bool) -> Option<(usize, (Session, u32))> {
        let matching = || self.partials.iter().filter(|(key, _)| matches(key));
        let oldest = matching().min_by_key(|(_, partial)| partial.begun).map(|(key, _)| *key)?;
        Some((matching().count(), oldest))
    }

    fn give_up(&mut self, key: (Session, u32)) {
        if self.remove(key).is_some() {
            self.incomplete += 1;
        }
    }

    fn remove(&mut self, key: (Session, u32)) -> Option<Partial> {
        let partial = self.partials.remove(&key)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frame::FRAGMENT_BYTES, *};

    fn part(message: u32, index: u16, count: u16, bytes: &[u8]) -> Fragment<'_> {
        Fragment { message, index, count, bytes }
    }

    const A: Session = Session(1);
    const B: Session = Session(2);
    const T0: Moment = Moment::START;

    #[test]
    fn parts_in_any_order_make_the_message() {
        let mut joined = Reassembly::default();
        assert_eq!(joined.take(A, part(1, 2, 3, b"c"), T0), None);
        assert_eq!(joined.take(A, part(1, 0, 3, b"a"), T0), None);
        assert_eq!(joined.take(A, part(1, 0, 3, b"again"), T0), None);
        assert_eq!(joined.take(A, part(1, 1, 3, b"b"), T0), Some(b"abc".to_vec()));
        assert_eq!((joined.partials.len(), joined.bytes), (0, 0));
    }

    #[test]
    fn parts_of_two_senders_are_never_mixed() {
        let mut joined = Reassembly::default();
        assert_eq!(joined.take(A, part(1, 0, 2, b"a"), T0), None);
        assert_eq!(joined.take(B, part(1, 1, 2, b"b"), T0), None);
        assert_eq!(joined.partials.len(), 2);
    }

    #[test]
    fn a_sender_with_too_much_under_way_loses_its_own_oldest_only() {
        let mut joined = Reassembly::default();
        assert_eq!(joined.take(B, part(1, 0, 2, b"b"), T0), None);
        for message in 0..100 {
            let now = Moment::after_start(Duration::from_millis(u64::from(message)));
            assert_eq!(joined.take(A, part(message, 0, 2, b"a"), now), None);
        }
        assert_eq!(joined.partials.len(), 1 + PER_SENDER);
        assert_eq!(joined.take(B, part(1, 1, 2, b"b"), T0), Some(b"bb".to_vec()));
        assert_eq!(joined.take_incomplete(), 96);
    }

    #[test]
    fn what_stays_incomplete_is_given_up_and_counted() {
        let mut joined = Reassembly::default();
        assert_eq!(joined.take(A, part(1, 0, 2, b"a"), T0), None);
        let later = Moment::after_start(PATIENCE + Duration::from_millis(1));
        assert_eq!(joined.take(B, part(1, 0, 2, b"b"), later), None);
        assert_eq!((joined.partials.len(), joined.take_incomplete()), (1, 1));
    }

    #[test]
    fn all_senders_together_stay_within_the_bound() {
        let mut joined = Reassembly::default();
        let full = vec![0; FRAGMENT_BYTES];
        for sender in 1..1000u64 {
            for message in 0..4 {
                assert_eq!(joined.take(Session(sender), part(message, 0, 2, &full), T0), None);
            }
        }
        assert!(joined.bytes <= BYTES_MAX && joined.partials.len() <= PARTIALS_MAX);
    }
}
