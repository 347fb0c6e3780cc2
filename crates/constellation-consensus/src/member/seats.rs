//! Which members vote. Pure: the leader asks every moment, and makes the one change that comes next.
//!
//! - A node that was let in follows as a learner first, and votes once it has caught up and was there for a while.
//! - The number of voters is odd: two voters are worse than one, because each of them can stop the cluster.
//! - A voter that is gone for long gives its seat to a learner in one joint change, if majorities of the voters before and
//!   after are in sight. Where no learner is ready it keeps its seat: fewer voters would not bear more losses.
//! - Voters are spread over zones, where nodes say in which they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::raft::{RaftId, Seat, proto::ConfState};

/// How many members vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatPolicy {
    /// The most voters: 1, 3, 5 or 7.
    pub voters: usize,
}

impl Default for SeatPolicy {
    /// Five: two may be lost at once.
    fn default() -> Self {
        Self { voters: 5 }
    }
}

impl SeatPolicy {
    /// How many of so many members should vote.
    fn wanted(self, members: usize) -> usize {
        let most = self.voters.min(members).max(1);
        most - (1 - most % 2)
    }
}

/// How a member is, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: RaftId,
    /// Whether it is in sight now.
    pub live: bool,
    /// Whether it has been there, without a break, for long enough to be relied on.
    pub stable: bool,
    /// Whether it has been away for so long that it is not waited for.
    pub lost: bool,
    /// Whether its log is close to the leader's.
    pub caught_up: bool,
    /// Where it is, if it says so: voters are spread over these.
    pub zone: Option<String>,
}

/// The change that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatMove {
    /// Change these seats, in one step.
    Change(Vec<(RaftId, Seat)>),
    /// Hand the lead over first: the leader is about to lose its seat.
    Transfer(RaftId),
}

/// What the leader `me` is to do next; `None` where all is as it should be, or must wait.
///
/// `standings` are the members of the table; whoever has a seat and no standing was removed.
pub fn plan(me: RaftId, standings: &[Standing], conf: &ConfState, policy: SeatPolicy) -> Option<SeatMove> {
    // A change is under way.
    if !conf.voters_outgoing.is_empty() || !conf.learners_next.is_empty() {
        return None;
    }
    let known: BTreeMap<RaftId, &Standing> =
        standings.iter().map(|standing| (standing.id, standing)).collect();
    let voters: BTreeSet<RaftId> = conf.voters.iter().copied().map(RaftId).collect();
    let learners: BTreeSet<RaftId> = conf.learners.iter().copied().map(RaftId).collect();

    let mut seats: Vec<(RaftId, Seat)> = known
        .keys()
        .filter(|id| !voters.contains(id) && !learners.contains(id))
        .map(|id| (*id, Seat::Learner))
        .collect();
    seats.extend(learners.iter().filter(|id| !known.contains_key(id)).map(|id| (*id, Seat::None)));
    if !seats.is_empty() {
        return Some(SeatMove::Change(seats));
    }

    let next = next_voters(me, &voters, &learners, &known, policy)?;
    let live = |id: &RaftId| *id == me || known.get(id).is_some_and(|standing| standing.live);
    if !majority(&voters, live) || !majority(&next, live) {
        return None;
    }
    if !next.contains(&me)
        && let Some(heir) = next.iter().find(|id| voters.contains(id) && live(id))
    {
        return Some(SeatMove::Transfer(*heir));
    }
    let unseated = voters.difference(&next).map(|id| {
        let seat = if known.contains_key(id) { Seat::Learner } else { Seat::None };
        (*id, seat)
    });
    let seated = next.difference(&voters).map(|id| (*id, Seat::Voter));
    Some(SeatMove::Change(unseated.chain(seated).collect()))
}

/// Who should vote next, if that is not as it is.
fn next_voters(
    me: RaftId,
    voters: &BTreeSet<RaftId>,
    learners: &BTreeSet<RaftId>,
    known: &BTreeMap<RaftId, &Standing>,
    policy: SeatPolicy,
) -> Option<BTreeSet<RaftId>> {
    let wanted = policy.wanted(known.len());
    let mut ready: Vec<RaftId> = learners
        .iter()
        .copied()
        .filter(|id| known.get(id).is_some_and(|one| one.live && one.stable && one.caught_up))
        .collect();
    // Those that were removed go in any case; those that are lost go where somebody can take their place.
    let mut next: BTreeSet<RaftId> = voters.iter().copied().filter(|id| known.contains_key(id)).collect();
    let lost: Vec<RaftId> = next
        .iter()
        .copied()
        .filter(|id| *id != me && known.get(id).is_some_and(|standing| standing.lost))
        .collect();
    for id in lost {
        let Some(heir) = best(&ready, &next, known) else { break };
        next.remove(&id);
        next.insert(heir);
        ready.retain(|ready| *ready != heir);
    }
    while next.len() < wanted {
        let Some(heir) = best(&ready, &next, known) else { break };
        next.insert(heir);
        ready.retain(|ready| *ready != heir);
    }
    // Never an even number: the last one in waits for company, and the one too many steps back.
    while next.len() > wanted || (next.len().is_multiple_of(2) && next.len() > 1) {
        let spare = spare(me, voters, &next, known)?;
        next.remove(&spare);
    }
    (next != *voters && !next.is_empty()).then_some(next)
}

/// The learner whose zone has the fewest voters so far; of those alike the one that was let in first.
fn best(ready: &[RaftId], voters: &BTreeSet<RaftId>, known: &BTreeMap<RaftId, &Standing>) -> Option<RaftId> {
    ready.iter().copied().min_by_key(|id| (neighbours(*id, voters, known), *id))
}

/// The voter that can be spared: one that is not there, then one that was not a voter yet, then one of the fullest zone.
fn spare(
    me: RaftId,
    before: &BTreeSet<RaftId>,
    next: &BTreeSet<RaftId>,
    known: &BTreeMap<RaftId, &Standing>,
) -> Option<RaftId> {
    next.iter().copied().filter(|id| *id != me).max_by_key(|id| {
        let live = known.get(id).is_some_and(|standing| standing.live);
        (!live, !before.contains(id), neighbours(*id, next, known), *id)
    })
}

fn neighbours(id: RaftId, voters: &BTreeSet<RaftId>, known: &BTreeMap<RaftId, &Standing>) -> usize {
    let zone = |id: &RaftId| known.get(id).and_then(|standing| standing.zone.as_deref());
    let Some(own) = zone(&id) else { return 0 };
    voters.iter().filter(|other| **other != id && zone(other) == Some(own)).count()
}

fn majority(voters: &BTreeSet<RaftId>, live: impl Fn(&RaftId) -> bool) -> bool {
    voters.iter().filter(|id| live(id)).count() * 2 > voters.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ME: RaftId = RaftId(1);

    fn good(id: u64) -> Standing {
        Standing { id: RaftId(id), live: true, stable: true, lost: false, caught_up: true, zone: None }
    }

    fn gone(id: u64) -> Standing {
        Standing { live: false, stable: false, lost: true, caught_up: false, ..good(id) }
    }

    fn conf(voters: &[u64], learners: &[u64]) -> ConfState {
        ConfState { voters: voters.to_vec(), learners: learners.to_vec(), ..ConfState::default() }
    }

    fn next(standings: &[Standing], conf: &ConfState) -> Option<SeatMove> {
        plan(ME, standings, conf, SeatPolicy::default())
    }

    fn change(seats: &[(u64, Seat)]) -> Option<SeatMove> {
        Some(SeatMove::Change(seats.iter().map(|(id, seat)| (RaftId(*id), *seat)).collect()))
    }

    #[test]
    fn whoever_is_let_in_learns_first_and_votes_when_the_number_is_odd() {
        let all = [good(1), good(2)];
        assert_eq!(next(&all, &conf(&[1], &[])), change(&[(2, Seat::Learner)]));
        assert_eq!(next(&all, &conf(&[1], &[2])), None, "two voters would be worse than one");
        let all = [good(1), good(2), good(3)];
        assert_eq!(next(&all, &conf(&[1], &[2, 3])), change(&[(2, Seat::Voter), (3, Seat::Voter)]));
        let late = Standing { caught_up: false, ..good(3) };
        assert_eq!(next(&[good(1), good(2), late], &conf(&[1], &[2, 3])), None);
    }

    #[test]
    fn a_voter_that_is_gone_is_replaced_in_one_step_and_only_by_somebody_ready() {
        let seated = conf(&[1, 2, 3], &[4]);
        let all = [good(1), good(2), gone(3), good(4)];
        assert_eq!(next(&all, &seated), change(&[(3, Seat::Learner), (4, Seat::Voter)]));
        assert_eq!(next(&[good(1), good(2), gone(3), gone(4)], &seated), None);
        let away_for_a_moment = Standing { lost: false, ..gone(3) };
        assert_eq!(next(&[good(1), good(2), away_for_a_moment, good(4)], &seated), None);
    }

    #[test]
    fn without_a_majority_in_sight_nothing_changes() {
        let all = [good(1), gone(2), gone(3), good(4), good(5)];
        assert_eq!(next(&all, &conf(&[1, 2, 3], &[4, 5])), None);
    }

    #[test]
    fn whoever_was_removed_loses_its_seat_and_the_rest_stays_odd() {
        assert_eq!(
            next(&[good(1), good(2)], &conf(&[1, 2, 3], &[])),
            change(&[(2, Seat::Learner), (3, Seat::None)])
        );
        assert_eq!(next(&[good(1), good(2), good(3)], &conf(&[1, 2, 3], &[9])), change(&[(9, Seat::None)]));
    }

    #[test]
    fn a_leader_that_was_removed_hands_over_first() {
        let all = [good(2), good(3), good(4)];
        assert_eq!(next(&all, &conf(&[1, 2, 3], &[4])), Some(SeatMove::Transfer(RaftId(2))));
    }

    #[test]
    fn no_more_vote_than_are_wanted_and_they_are_spread() {
        let zoned = |id, zone: &str| Standing { zone: Some(zone.to_owned()), ..good(id) };
        let all = [zoned(1, "a"), zoned(2, "a"), zoned(3, "a"), zoned(4, "b"), zoned(5, "c")];
        let three = SeatPolicy { voters: 3 };
        let first = plan(ME, &all, &conf(&[1], &[2, 3, 4, 5]), three);
        assert_eq!(first, change(&[(4, Seat::Voter), (5, Seat::Voter)]));
        let fewer = plan(ME, &all, &conf(&[1, 2, 3, 4, 5], &[]), three);
        assert_eq!(fewer, change(&[(2, Seat::Learner), (3, Seat::Learner)]));
    }

    proptest! {
        /// Whatever the members are like: the change keeps majorities, is odd, and is the last one needed.
        #[test]
        fn every_change_keeps_majorities_and_comes_to_an_end(
            states in prop::collection::vec((0_u8..4, any::<bool>(), 0_u8..3), 1..9), voters in 1_usize..8,
        ) {
            let standings: Vec<Standing> = states
                .iter()
                .zip(1..)
                .map(|((_, live, zone), id)| Standing {
                    live: *live || id == 1,
                    zone: (*zone > 0).then(|| zone.to_string()),
                    ..if *live || id == 1 { good(id) } else { gone(id) }
                })
                .collect();
            let mut seats: BTreeMap<u64, u8> =
                states.iter().zip(1..).map(|((seat, ..), id)| (id, *seat)).collect();
            seats.insert(1, 0);
            let of = |seats: &BTreeMap<u64, u8>, wanted: &[u8]| -> Vec<u64> {
                seats.iter().filter(|(_, seat)| wanted.contains(seat)).map(|(id, _)| *id).collect()
            };
            let policy = SeatPolicy { voters };
            for _ in 0..6 {
                let now = conf(&of(&seats, &[0, 1]), &of(&seats, &[2]));
                let live = |id: &RaftId| standings.iter().any(|one| one.id == *id && one.live);
                match plan(ME, &standings, &now, policy) {
                    None => return Ok(()),
                    Some(SeatMove::Transfer(_)) => prop_assert!(false, "the leader keeps its seat here"),
                    Some(SeatMove::Change(changes)) => {
                        for (id, seat) in changes {
                            let seat = match seat { Seat::Voter => 0, Seat::Learner => 2, Seat::None => 3 };
                            seats.insert(id.0, seat);
                        }
                        let after: BTreeSet<RaftId> = of(&seats, &[0, 1]).into_iter().map(RaftId).collect();
                        let before: BTreeSet<RaftId> = now.voters.iter().copied().map(RaftId).collect();
                        if after != before {
                            prop_assert!(majority(&after, live) && majority(&before, live));
                            prop_assert!(after.len() % 2 == 1 && after.contains(&ME));
                        }
                    }
                }
            }
            prop_assert!(false, "it never comes to rest: {seats:?}");
        }
    }
}
