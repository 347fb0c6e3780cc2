//! Which backend gets a request. Pure.

use super::breaker::Gate;

/// What is known of a backend when a request comes.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Lower goes first.
    pub rank: u32,
    /// What its breaker lets through.
    pub gate: Gate,
    /// Whether this request was there already.
    pub tried: bool,
    /// Requests that it has not answered whole.
    pub outstanding: u32,
    /// How long it takes to begin an answer, in microseconds, recent ones counting most; 0 where nothing is known.
    pub latency: u32,
}

impl Candidate {
    /// Whether another request would have to wait less, about, than at the other. Where one is not known the requests alone count:
    /// else one that came a moment ago would be given all that comes before its first answer.
    fn is_freer_than(&self, other: &Self) -> bool {
        if self.latency == 0 || other.latency == 0 {
            return self.outstanding < other.outstanding;
        }
        let wait = |it: &Self| (u64::from(it.outstanding) + 1) * u64::from(it.latency);
        wait(self) < wait(other)
    }
}

/// Chooses among the backends of the lowest rank that may be asked: of two by chance the one with less to do, which spreads
/// load nearly as well as asking all and does not send everybody to the same one. A breaker that is due for a probe gets
/// it. Where no breaker lets anything through, the one that would first is asked all the same: a refused request helps nobody.
///
/// `None` where every backend was tried, or there is none. `chance` is any number; each of its halves chooses one.
pub fn choose(candidates: &[Candidate], chance: u64) -> Option<usize> {
    let untried = || candidates.iter().enumerate().filter(|(_, candidate)| !candidate.tried);
    let rank = untried().filter(|(_, it)| !matches!(it.gate, Gate::Open(_))).map(|(_, it)| it.rank).min();
    let Some(rank) = rank else {
        let opening = |candidate: &Candidate| match candidate.gate {
            Gate::Open(until) => Some(until),
            Gate::Closed | Gate::Probe => None,
        };
        return untried().min_by_key(|(_, it)| (opening(it), it.rank)).map(|(index, _)| index);
    };
    let group = || untried().filter(move |(_, it)| it.rank == rank && !matches!(it.gate, Gate::Open(_)));
    if let Some((probe, _)) = group().find(|(_, it)| it.gate == Gate::Probe) {
        return Some(probe);
    }
    let size = group().count();
    let nth = |bits: u64, of: usize| usize::try_from(bits % of.max(1) as u64).unwrap_or(0);
    let first = nth(chance & 0xffff_ffff, size);
    // Another than the first, where there is one.
    let second = (first + 1 + nth(chance >> 32, size.saturating_sub(1))) % size.max(1);
    let (one, other) = (group().nth(first)?, group().nth(second)?);
    Some(if other.1.is_freer_than(one.1) { other.0 } else { one.0 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use constellation_core::Moment;
    use proptest::prelude::*;

    use super::*;

    const FREE: Candidate =
        Candidate { rank: 0, gate: Gate::Closed, tried: false, outstanding: 0, latency: 0 };

    const fn open(millis: u64) -> Gate {
        Gate::Open(Moment::after_start(Duration::from_millis(millis)))
    }

    #[test]
    fn the_nearest_is_asked_and_the_next_rank_when_it_was_tried() {
        let far = Candidate { rank: 1, ..FREE };
        assert_eq!(choose(&[far, FREE], 7), Some(1));
        assert_eq!(choose(&[far, Candidate { tried: true, ..FREE }], 7), Some(0));
        assert_eq!(choose(&[Candidate { tried: true, ..FREE }], 7), None);
        assert_eq!(choose(&[], 7), None);
    }

    #[test]
    fn of_two_the_one_with_less_to_do_is_asked_whatever_chance_says() {
        let busy = Candidate { outstanding: 5, latency: 100, ..FREE };
        let idle = Candidate { outstanding: 4, latency: 100, ..FREE };
        let slow = Candidate { outstanding: 0, latency: 10_000, ..FREE };
        for chance in [0, 1, 1 << 32, u64::MAX] {
            assert_eq!(choose(&[busy, idle], chance), Some(1));
            assert_eq!(choose(&[slow, idle], chance), Some(1));
        }
    }

    #[test]
    fn one_that_is_not_known_yet_gets_its_share_and_not_everything() {
        let known = Candidate { outstanding: 4, latency: 500, ..FREE };
        let fresh = Candidate { outstanding: 5, ..FREE };
        for chance in [0, 1, 1 << 32, u64::MAX] {
            assert_eq!(choose(&[known, fresh], chance), Some(0));
            assert_eq!(choose(&[Candidate { outstanding: 6, ..known }, fresh], chance), Some(1));
        }
    }

    #[test]
    fn an_open_breaker_sends_requests_to_the_next_rank_and_a_due_one_gets_its_probe() {
        let far = Candidate { rank: 1, ..FREE };
        assert_eq!(choose(&[Candidate { gate: open(5), ..FREE }, far], 0), Some(1));
        assert_eq!(choose(&[FREE, Candidate { gate: Gate::Probe, ..FREE }], 0), Some(1));
    }

    #[test]
    fn where_all_are_open_the_first_to_close_is_asked() {
        let (soon, late) = (Candidate { gate: open(5), ..FREE }, Candidate { gate: open(9), ..FREE });
        assert_eq!(choose(&[late, soon], 3), Some(1));
        assert_eq!(choose(&[late, Candidate { tried: true, ..soon }], 3), Some(0));
    }

    fn candidate() -> impl Strategy<Value = Candidate> {
        let gate = prop_oneof![Just(Gate::Closed), Just(Gate::Probe), (0u64..9).prop_map(open)];
        (0u32..3, gate, any::<bool>(), 0u32..5, 0u32..5).prop_map(
            |(rank, gate, tried, outstanding, latency)| Candidate { rank, gate, tried, outstanding, latency },
        )
    }

    proptest! {
        #[test]
        fn whoever_was_not_tried_is_found_and_nobody_is_passed_over_for_a_higher_rank(
            candidates in proptest::collection::vec(candidate(), 0..8), chance: u64,
        ) {
            let chosen = choose(&candidates, chance);
            prop_assert_eq!(chosen.is_some(), candidates.iter().any(|it| !it.tried));
            let Some(chosen) = chosen.map(|index| candidates[index]) else { return Ok(()) };
            prop_assert!(!chosen.tried);
            let better = candidates.iter().any(|it| {
                !it.tried && !matches!(it.gate, Gate::Open(_))
                    && (it.rank < chosen.rank || matches!(chosen.gate, Gate::Open(_)))
            });
            prop_assert!(!better);
        }

        #[test]
        fn equals_share_the_requests(seeds in proptest::collection::vec(any::<u64>(), 400)) {
            let mut counts = [0usize; 4];
            for chance in seeds {
                counts[choose(&[FREE; 4], chance).unwrap()] += 1;
            }
            prop_assert!(counts.iter().all(|count| *count > 40), "{:?}", counts);
        }
    }
}
