#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod corpus;
pub(super) mod group;

use self::group::{Group, Kept, Ledger, config};
use super::{Fault, Input, Lost, RaftId, RaftNode, Recovered, Seat, Ticket, birth};

/// The library's numbers of the messages that promise something.
const VOTE: i32 = 6;
const APPEND_RESPONSE: i32 = 4;

#[test]
fn a_group_elects_one_leader_and_all_apply_the_same() {
    let mut group = Group::of(3);
    let leader = group.elect();
    group.propose(leader, 1, b"a");
    group.propose(leader, 2, b"b");
    group.until("all have applied", |group| (1..=3).all(|id| group.ledger(id) == "ab"));
    assert_eq!(group.members[&leader].done, [(Ticket(1), 1), (Ticket(2), 2)]);
}

#[test]
fn a_follower_s_proposal_is_forwarded_and_its_answer_comes_with_its_own_replica() {
    let mut group = Group::of(3);
    group.elect();
    let follower = group.follower();
    group.propose(follower, 7, b"x");
    group.until("the follower has applied it", |group| group.ledger(follower) == "x");
    assert_eq!(group.members[&follower].done, [(Ticket(7), 1)]);
}

#[test]
fn a_member_without_a_leader_refuses_at_once() {
    let mut group = Group::of(3);
    group.propose(1, 1, b"a");
    assert_eq!(group.members[&1].lost, [(Ticket(1), Lost::NoLeader)]);
}

#[test]
fn a_vote_and_an_acknowledgement_leave_only_once_the_disk_has_them() {
    let mut group = Group::of(3);
    group.members.get_mut(&1).unwrap().disk_works = false;
    for _ in 0..100 {
        group.tick();
    }
    let promises = |group: &Group| {
        group
            .sent
            .iter()
            .filter(|m| m.from == 1 && !m.reject && [VOTE, APPEND_RESPONSE].contains(&m.kind))
            .count()
    };
    assert_eq!(promises(&group), 0);
    group.members.get_mut(&1).unwrap().disk_works = true;
    group.write(1);
    group.settle();
    assert!(promises(&group) > 0);
}

#[test]
fn a_leader_whose_disk_hangs_falls_silent_and_is_replaced() {
    let mut group = Group::of(3);
    let old = group.elect();
    group.members.get_mut(&old).unwrap().disk_works = false;
    group.propose(old, 1, b"a");
    group.until("another leads", |group| {
        group.members.iter().any(|(id, m)| *id != old && m.node.role().leads)
    });
}

#[test]
fn what_a_deposed_leader_had_taken_on_is_reported_as_unknown() {
    let mut group = Group::of(3);
    let old = group.elect();
    group.cut_off = vec![old];
    group.propose(old, 1, b"lost");
    group.until("another leads", |group| group.leader().is_some());
    group.until("it is told", |group| group.members[&old].lost == [(Ticket(1), Lost::Unknown)]);
    group.cut_off.clear();
    let new = group.leader().unwrap();
    group.propose(new, 1, b"kept");
    group.until("all agree", |group| (1..=3).all(|id| group.ledger(id) == "kept"));
}

#[test]
fn a_leader_that_is_cut_off_steps_down_by_itself() {
    let mut group = Group::of(3);
    let old = group.elect();
    group.cut_off = vec![old];
    group.until("it follows", |group| !group.members[&old].node.role().leads);
}

#[test]
fn a_restarted_member_has_what_it_acknowledged() {
    let mut group = Group::of(3);
    let leader = group.elect();
    group.propose(leader, 1, b"abc");
    for id in 1..=3 {
        group.restart(id);
    }
    group.elect();
    group.until("all have it again", |group| (1..=3).all(|id| group.ledger(id) == "abc"));
}

#[test]
fn the_log_is_cut_and_a_member_that_was_away_catches_up_by_a_snapshot() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let away = group.follower();
    group.cut_off = vec![away];
    for ticket in 0..500 {
        group.propose(leader, ticket, b".");
    }
    let kept = group.members[&leader].disk.0.entries.len();
    assert!(kept <= 70, "{kept} entries are kept, of a bound of 50 and 10 and what is in between");
    group.cut_off.clear();
    group.until("it has caught up", |group| group.ledger(away).len() == 500);
    group.restart(away);
    assert_eq!(group.ledger(away).len(), group.members[&away].disk.0.snapshot.data.len());
}

#[test]
fn a_snapshot_that_got_lost_on_its_way_is_sent_again() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let away = group.follower();
    group.cut_off = vec![away];
    for ticket in 0..200 {
        group.propose(leader, ticket, b".");
    }
    group.cut_off.clear();
    let mut lost = 0;
    for _ in 0..1000 {
        for id in 1..=3 {
            group.tell(id, Input::Tick);
        }
        while let Some(message) = group.mail.pop_front() {
            if message.snapshot.is_some() && lost < 3 {
                lost += 1;
            } else {
                group.tell(message.to, Input::Message(message));
            }
        }
    }
    assert_eq!(lost, 3);
    assert_eq!(group.ledger(away).len(), 200);
}

#[test]
fn a_new_member_learns_first_then_votes_and_the_one_that_it_replaces_is_gone() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let leaving = group.follower();
    for ticket in 0..100 {
        group.propose(leader, ticket, b".");
    }
    group.start(4, Kept::default());
    group.tell(leader, Input::Change(Ticket(900), vec![(RaftId(4), Seat::Learner)]));
    group.settle();
    group.until("it has learnt", |group| group.ledger(4).len() == 100);
    let swap = vec![(RaftId(4), Seat::Voter), (RaftId(leaving), Seat::None)];
    group.tell(leader, Input::Change(Ticket(901), swap));
    group.settle();
    let mut voters: Vec<u64> = (1..=4).filter(|id| *id != leaving).collect();
    voters.sort_unstable();
    let joined = |group: &Group, id: u64| {
        let members = group.members[&id].node.members();
        members.voters == voters && members.voters_outgoing.is_empty()
    };
    group.until("all know", |group| voters.iter().all(|id| joined(group, *id)));
    group.members.remove(&leaving);
    group.restart(4);
    group.propose(leader, 902, b"!?");
    group.until("the new member votes", |group| group.ledger(4).ends_with("!?"));
}

#[test]
fn only_the_leader_changes_members_and_one_change_at_a_time() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let follower = group.follower();
    group.tell(follower, Input::Change(Ticket(1), vec![(RaftId(9), Seat::Learner)]));
    assert_eq!(group.members[&follower].lost, [(Ticket(1), Lost::NotLeading)]);
    group.tell(leader, Input::Change(Ticket(2), vec![(RaftId(8), Seat::Learner)]));
    group.tell(leader, Input::Change(Ticket(3), vec![(RaftId(9), Seat::Learner)]));
    assert_eq!(group.members[&leader].lost, [(Ticket(3), Lost::Busy)]);
}

#[test]
fn the_lead_is_handed_over_without_waiting_for_an_election() {
    let mut group = Group::of(3);
    let old = group.elect();
    let heir = group.follower();
    group.tell(old, Input::Transfer(RaftId(heir)));
    group.settle();
    assert_eq!(group.leader(), Some(heir));
}

#[test]
fn a_read_waits_until_the_member_knows_what_was_committed_before_it() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let reader = group.follower();
    group.propose(leader, 1, b"a");
    group.tell(reader, Input::Read(Ticket(5)));
    group.until("the read is good", |group| group.members[&reader].readable == [Ticket(5)]);
    assert_eq!(group.ledger(reader), "a");
}

#[test]
fn a_read_that_a_cut_off_leader_cannot_answer_fails() {
    let mut group = Group::of(3);
    let old = group.elect();
    group.cut_off = vec![old];
    group.tell(old, Input::Read(Ticket(5)));
    group.until("it is given up", |group| group.members[&old].lost == [(Ticket(5), Lost::Unknown)]);
    assert_eq!(group.members[&old].readable, []);
}

#[test]
fn a_member_that_lost_its_log_stops_and_says_how_it_comes_back() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let forgetful = group.follower();
    group.propose(leader, 1, b"a");
    group.until("it is acknowledged", |group| group.ledger(forgetful) == "a");
    let mut blank = Kept::default();
    blank.write(&birth(&[RaftId(1), RaftId(2), RaftId(3)], &Ledger::default()));
    group.members.remove(&forgetful);
    group.start(forgetful, blank);
    group.until("it stops", |group| !group.faults.is_empty());
    let (who, fault) = &group.faults[0];
    assert_eq!(*who, forgetful);
    assert!(
        matches!(fault, Fault::Amnesia { .. }) && fault.to_string().contains("under a new id"),
        "{fault}"
    );
}

#[test]
fn a_member_that_does_not_understand_a_command_stops_instead_of_skipping_it() {
    let mut group = Group::of(3);
    let leader = group.elect();
    group.propose(leader, 1, b"!");
    group.until("somebody stops", |group| !group.faults.is_empty());
    assert!(matches!(group.faults[0].1, Fault::Follow { .. }));
}

#[test]
fn a_message_for_somebody_else_and_one_that_is_not_sound_change_nothing() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let role = group.members[&leader].node.role();
    let foreign = super::proto::Message { kind: 8, to: 99, from: 2, term: 50, ..Default::default() };
    group.tell(leader, Input::Message(foreign));
    for kind in [0, 1, 2, 7, 10, 11, 12, 15, 16, 77] {
        let unsound = super::proto::Message { kind, to: leader, from: 2, term: 50, ..Default::default() };
        group.tell(leader, Input::Message(unsound));
    }
    assert_eq!(group.members[&leader].node.role(), role);
}

#[test]
fn a_log_with_a_gap_or_without_what_it_says_is_committed_is_not_taken_over() {
    let mut group = Group::of(3);
    let leader = group.elect();
    for ticket in 0..10 {
        group.propose(leader, ticket, b".");
    }
    let sound = group.members[&leader].disk.0.clone();
    let start =
        |recovered: Recovered| RaftNode::new(RaftId(leader), config(leader), Ledger::default(), recovered);
    assert!(start(sound.clone()).is_ok());
    let mut gap = sound.clone();
    gap.entries.remove(3);
    assert!(matches!(start(gap), Err(Fault::Recover(_))));
    let mut short = sound;
    short.entries.clear();
    assert!(matches!(start(short), Err(Fault::Recover(_))));
}

#[test]
fn followers_of_a_leader_that_is_proven_dead_stand_at_once_and_one_after_the_other() {
    let mut group = Group::of(3);
    let dead = group.elect();
    group.members.remove(&dead);
    let followers: Vec<u64> = group.members.keys().copied().collect();
    for id in &followers {
        group.tell(*id, Input::Bereaved(RaftId(dead)));
    }
    group.settle();
    let leader = group.leader().expect("a leader without a tick");
    assert_ne!(leader, dead);
    let term = group.members[&leader].node.role().term;
    for _ in 0..10 {
        group.tick();
    }
    assert_eq!(group.leader(), Some(leader), "the other one does not stand any more");
    assert_eq!(group.members[&leader].node.role().term, term);
}

#[test]
fn the_death_of_a_follower_calls_no_election() {
    let mut group = Group::of(3);
    let leader = group.elect();
    let term = group.members[&leader].node.role().term;
    let follower = group.follower();
    for id in 1..=3 {
        group.tell(id, Input::Bereaved(RaftId(follower)));
    }
    for _ in 0..10 {
        group.tick();
    }
    assert_eq!(group.leader(), Some(leader));
    assert_eq!(group.members[&leader].node.role().term, term);
}
