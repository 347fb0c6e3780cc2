use constellation_core::Moment;

use super::*;
use crate::clock::DriftBound;

const LB: LeaseKind = LeaseKind::LbLeader;

fn at(millis: u64) -> HolderMoment {
    HolderMoment(Moment::after_start(Duration::from_millis(millis)))
}

fn me() -> LeaseHolder {
    LeaseHolder { node: "a".parse().unwrap(), boot: 1 }
}

fn other() -> LeaseHolder {
    LeaseHolder { node: "b".parse().unwrap(), boot: 1 }
}

/// TTL 10 s of which 8 s may be used.
fn config() -> LeaseConfig {
    LeaseConfig {
        ttl: Duration::from_secs(10),
        drift: DriftBound::from_parts_per_million(111_111),
        ask_again: Duration::from_secs(1),
        takeover_after: Duration::from_secs(30),
        reserve: Duration::from_secs(1),
    }
}

fn keeper() -> LeaseKeeper {
    LeaseKeeper::new(LB, me(), AskId(1), config())
}

fn wants() -> KeeperEvent {
    KeeperEvent::Wish(Wish::Yes { patience: Duration::ZERO, better: None })
}

fn wants_but(better: &str) -> KeeperEvent {
    let better = Some(better.parse().unwrap());
    KeeperEvent::Wish(Wish::Yes { patience: Duration::ZERO, better })
}

fn acquire(ask: u64) -> KeeperEffect {
    KeeperEffect::Propose(Command::Acquire { kind: LB, holder: me(), ask: AskId(ask) })
}

fn renew(ask: u64, token: u64) -> KeeperEffect {
    let (ask, token) = (AskId(ask), FencingToken(token));
    KeeperEffect::Propose(Command::Renew { kind: LB, holder: me(), ask, token })
}

fn release(token: u64, heir: Option<&str>) -> KeeperEffect {
    let (token, heir) = (FencingToken(token), heir.map(|heir| heir.parse().unwrap()));
    KeeperEffect::Propose(Command::Release { kind: LB, holder: me(), token, heir })
}

fn held(token: u64, until: HolderMoment) -> KeeperEffect {
    KeeperEffect::Publish(LeaseStatus::Held { token: FencingToken(token), until: until.0 })
}

fn unheld() -> KeeperEffect {
    KeeperEffect::Publish(LeaseStatus::Unheld)
}

fn record(holder: &LeaseHolder, token: u64, changed: u64) -> Record {
    let tenure = Tenure::Held { holder: holder.clone(), ask: AskId(0) };
    Record { tenure, token: FencingToken(token), changed }
}

fn granted(ask: u64, token: u64) -> KeeperEvent {
    let outcome = Outcome::Granted { token: FencingToken(token) };
    KeeperEvent::Applied(record(&me(), token, token), Some(Answer { ask: AskId(ask), outcome }))
}

fn renewed(ask: u64, token: u64, changed: u64) -> KeeperEvent {
    let outcome = Outcome::Renewed { token: FencingToken(token) };
    KeeperEvent::Applied(record(&me(), token, changed), Some(Answer { ask: AskId(ask), outcome }))
}

fn free(changed: u64) -> KeeperEvent {
    KeeperEvent::Applied(Record { tenure: Tenure::Free, token: FencingToken(0), changed }, None)
}

/// A keeper that asked at 0 and was granted token 7 at 1 s.
fn holding() -> LeaseKeeper {
    let mut keeper = keeper();
    assert_eq!(keeper.step(wants(), at(0)), [acquire(1)]);
    let until = HolderMoment(Moment::START) + config().usable();
    assert_eq!(keeper.step(granted(1, 7), at(1000)), [held(7, until)]);
    keeper
}

#[test]
fn a_slow_grant_shortens_the_lease_instead_of_extending_it() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    let until = at(0) + config().usable();
    assert_eq!(keeper.step(granted(1, 7), at(5000)), [held(7, until), renew(2, 7)]);
    assert_eq!(keeper.status().may_act(at(7999).0), Some(FencingToken(7)));
    assert_eq!(keeper.status().may_act(until.0), None);
}

#[test]
fn a_grant_that_comes_after_its_own_end_is_not_held_but_asked_for_again() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    assert_eq!(keeper.step(granted(1, 7), at(9000)), [acquire(2)]);
    assert_eq!(*keeper.status(), LeaseStatus::Unheld);
}

#[test]
fn an_answer_counts_from_its_own_question_and_not_from_a_newer_one() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    assert_eq!(keeper.step(KeeperEvent::Tick, at(1000)), [acquire(2)]);
    assert_eq!(keeper.step(granted(1, 7), at(1500)), [held(7, at(0) + config().usable())]);
}

#[test]
fn an_answer_to_nobody_s_question_is_not_believed() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    assert_eq!(keeper.step(granted(99, 7), at(100)), []);
    assert_eq!(*keeper.status(), LeaseStatus::Unheld);
}

#[test]
fn a_holder_renews_long_before_the_end_and_again_if_nobody_answers() {
    let mut keeper = holding();
    assert_eq!(keeper.step(KeeperEvent::Tick, at(2600)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(2700)), [renew(2, 7)]);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(3600)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(3700)), [renew(3, 7)]);
    let until = at(2700) + config().usable();
    assert_eq!(keeper.step(renewed(2, 7, 9), at(3800)), [held(7, until)]);
}

#[test]
fn a_holder_that_hears_nothing_stops_by_itself() {
    let mut keeper = holding();
    let until = at(0) + config().usable();
    let effects = keeper.step(KeeperEvent::Tick, until);
    assert_eq!(effects.first(), Some(&unheld()));
    assert_eq!(keeper.status().may_act(until.0), None);
}

#[test]
fn a_holder_that_was_overruled_stops_at_once() {
    let mut keeper = holding();
    let effects = keeper.step(KeeperEvent::Applied(record(&other(), 9, 9), None), at(1100));
    let status = LeaseStatus::HeldBy { holder: other(), token: FencingToken(9) };
    assert_eq!(effects, [KeeperEffect::Publish(status)]);
}

#[test]
fn who_stops_wanting_stops_acting_before_it_says_so() {
    let mut keeper = holding();
    assert_eq!(keeper.step(KeeperEvent::Wish(Wish::No), at(1100)), [unheld(), release(7, None)]);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(1200)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(2100)), [release(7, None)], "until the table agrees");
    assert_eq!(keeper.step(free(9), at(2200)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(9000)), []);
}

#[test]
fn a_renewal_that_is_answered_after_the_release_was_sent_brings_nothing_back() {
    let mut keeper = holding();
    keeper.step(KeeperEvent::Tick, at(2700));
    keeper.step(KeeperEvent::Wish(Wish::No), at(2800));
    keeper.step(wants(), at(2900));
    assert_eq!(keeper.step(renewed(2, 7, 9), at(3000)), []);
    assert_eq!(keeper.status().may_act(at(3001).0), None);
}

#[test]
fn a_grant_that_is_not_wanted_any_more_is_given_back() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    assert_eq!(keeper.step(KeeperEvent::Wish(Wish::No), at(10)), []);
    assert_eq!(keeper.step(granted(1, 7), at(20)), [release(7, None)]);
}

#[test]
fn a_node_that_is_second_choice_lets_the_first_go_first() {
    let mut keeper = keeper();
    let second = Wish::Yes { patience: Duration::from_millis(400), better: None };
    assert_eq!(keeper.step(KeeperEvent::Wish(second), at(0)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(399)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(400)), [acquire(1)]);
}

#[test]
fn the_patience_begins_anew_with_every_time_the_lease_is_free() {
    let mut keeper = keeper();
    let second = Wish::Yes { patience: Duration::from_millis(400), better: None };
    keeper.step(KeeperEvent::Wish(second), at(0));
    keeper.step(KeeperEvent::Applied(record(&other(), 5, 5), None), at(100));
    keeper.step(free(6), at(10_000));
    assert_eq!(keeper.step(KeeperEvent::Tick, at(10_399)), []);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(10_400)), [acquire(1)]);
}

#[test]
fn a_better_node_gets_the_lease_once_it_was_there_for_long_enough_without_a_break() {
    let mut keeper = holding();
    let mut token = 8;
    let mut keep = |keeper: &mut LeaseKeeper, from: u64, to: u64| {
        for second in from..to {
            for effect in keeper.step(KeeperEvent::Tick, at(second * 1000)) {
                match effect {
                    KeeperEffect::Propose(Command::Renew { ask, .. }) => {
                        token += 1;
                        keeper.step(renewed(ask.0, 7, token), at(second * 1000));
                    }
                    KeeperEffect::Publish(LeaseStatus::Held { .. }) => {}
                    surprise => panic!("{surprise:?} at {second} s"),
                }
            }
        }
    };
    keeper.step(wants_but("c"), at(1000));
    keep(&mut keeper, 2, 25);
    keeper.step(wants(), at(25_000));
    keeper.step(wants_but("c"), at(26_000));
    keep(&mut keeper, 27, 56);
    let effects = keeper.step(KeeperEvent::Tick, at(56_000));
    assert_eq!(effects, [unheld(), release(7, Some("c"))]);
}

#[test]
fn the_heir_asks_at_once_and_counts_from_its_own_question() {
    let mut keeper = keeper();
    let last = Wish::Yes { patience: Duration::from_secs(60), better: None };
    keeper.step(KeeperEvent::Wish(last), at(0));
    let reserved = Record { tenure: Tenure::Reserved(me().node), token: FencingToken(3), changed: 4 };
    assert_eq!(keeper.step(KeeperEvent::Applied(reserved, None), at(500)), [acquire(1)]);
    assert_eq!(keeper.step(granted(1, 5), at(600)), [held(5, at(500) + config().usable())]);
}

#[test]
fn a_process_that_was_declared_dead_says_so_once_and_asks_no_more() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    let answer = Answer { ask: AskId(1), outcome: Outcome::Refused(Refusal::Dead) };
    let free = Record::default();
    assert_eq!(keeper.step(KeeperEvent::Applied(free, Some(answer)), at(10)), [KeeperEffect::Dead]);
    assert_eq!(keeper.step(KeeperEvent::Tick, at(60_000)), []);
}

#[test]
fn a_node_that_hears_nothing_in_time_asks_less_and_less_so_that_it_does_not_sit_on_the_lease_by_name() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    let mut asked = vec![0];
    for tenth in 1..1200 {
        if !keeper.step(KeeperEvent::Tick, at(tenth * 100)).is_empty() {
            asked.push(tenth / 10);
        }
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn an_heir_that_asked_in_vain_for_long_asks_at_once_when_the_lease_is_kept_for_it() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    let mut asks = 0;
    for second in 0..60 {
        asks += keeper.step(KeeperEvent::Tick, at(1000 * second)).len();
    }
    assert!(asks < 10, "it has become patient");
    let reserved = Record { tenure: Tenure::Reserved(me().node), token: FencingToken(3), changed: 4 };
    let effects = keeper.step(KeeperEvent::Applied(reserved, None), at(60_000));
    assert!(matches!(effects[..], [KeeperEffect::Propose(Command::Acquire { .. })]), "{effects:?}");
}

#[test]
fn a_new_leader_is_asked_at_once_whatever_was_asked_of_the_last_one() {
    let mut keeper = keeper();
    keeper.step(wants(), at(0));
    assert_eq!(keeper.step(KeeperEvent::Leader, at(10)), [acquire(2)]);
    let mut holder = holding();
    assert_eq!(holder.step(KeeperEvent::Leader, at(1200)), [renew(2, 7)]);
}
