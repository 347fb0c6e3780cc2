//! Which datagrams of a sender were seen.

const WORDS: usize = 32;

/// How far behind its newest datagram a sender's older ones may arrive and still be taken. One round of gossip to
/// many peers takes some hundred counters, so this is several rounds of reordering.
pub(super) const WINDOW: u64 = (WORDS * 64) as u64;

/// A sliding window over a sender's counters.
#[derive(Debug)]
pub(super) struct ReplayWindow {
    newest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub(super) const fn new() -> Self {
        Self { newest: 0, seen: [0; WORDS] }
    }

    /// Notes a counter; whether it is seen for the first time. One that is too old to tell counts as seen.
    pub(super) fn admit(&mut self, counter: u64) -> bool {
        if counter > self.newest {
            let ahead = counter - self.newest;
            if ahead >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for passed in self.newest + 1..=counter {
                    let (word, bit) = place(passed);
                    self.seen[word] &= !bit;
                }
            }
            self.newest = counter;
        } else if self.newest - counter >= WINDOW {
            return false;
        }
        let (word, bit) = place(counter);
        let first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        first
    }
}

fn place(counter: u64) -> (usize, u64) {
    let slot = usize::try_from(counter % WINDOW).unwrap_or_default();
    (slot / 64, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_counter_is_admitted_once_and_never_when_it_is_too_old(
            counters in proptest::collection::vec(prop_oneof![0u64..5000, 0u64..100, 1_000_000u64..1_004_000], 0..400),
        ) {
            let mut window = ReplayWindow::new();
            let (mut newest, mut seen) = (0u64, BTreeSet::new());
            for counter in counters {
                let too_old = newest >= WINDOW && counter <= newest - WINDOW;
                let expected = !too_old && !seen.contains(&counter);
                prop_assert_eq!(window.admit(counter), expected, "counter {} newest {}", counter, newest);
                newest = newest.max(counter);
                seen.insert(counter);
            }
        }
    }
}
