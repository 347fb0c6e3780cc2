//! The pure core, without a process.

use std::time::Duration;

use proptest::prelude::*;

use crate::{
    container::{HealthReport, RunState},
    event::EventKind::{Changed, Died, Health, Started},
    process::{
        clock::Now,
        life::{
            Effect::{self, AskToEnd, Check, Kill, Persist, Tell},
            Event, Found, Life,
        },
        record::Record,
    },
    spec::{ContainerSpec, HealthCheck, RestartPolicy},
};

const SPAWN: Effect = Effect::Spawn { by_hand: true };
const SPAWN_AGAIN: Effect = Effect::Spawn { by_hand: false };

fn at(ms: u64) -> Now {
    Now { since_open: Duration::from_millis(ms), wall_ms: 1_000_000 + ms }
}

fn spec(restart: RestartPolicy) -> ContainerSpec {
    ContainerSpec { restart, ..ContainerSpec::new("web", "image").command(["run"]) }
}

fn running(restart: RestartPolicy) -> Life {
    let mut life = Life::new(&spec(restart));
    assert_eq!(life.step(Event::Start, at(0)), [SPAWN]);
    assert_eq!(life.step(Event::Spawned, at(0)), [Tell(Started), Persist]);
    life
}

fn ended(life: &mut Life, code: i64, ms: u64) -> RunState {
    assert_eq!(life.step(Event::Ended { code: Some(code) }, at(ms)), [Tell(Died), Persist]);
    life.run_state()
}

const GRACE: Duration = Duration::from_secs(1);

#[test]
fn the_policy_brings_it_back_after_its_wait_and_counts() {
    let mut life = running(RestartPolicy::Always);
    assert_eq!(ended(&mut life, 1, 50), RunState::Restarting);
    assert_eq!(life.next_deadline(), Some(Duration::from_millis(150)));
    assert_eq!(life.step(Event::Tick, at(149)), []);
    assert_eq!(life.step(Event::Tick, at(150)), [SPAWN_AGAIN]);
    life.step(Event::Spawned, at(150));
    assert_eq!((life.run_state(), life.record().restarts), (RunState::Running, 1));
}

#[test]
fn on_failure_gives_up_after_its_count_until_somebody_starts_it() {
    let mut life = running(RestartPolicy::OnFailure(1));
    assert_eq!(ended(&mut life, 1, 10), RunState::Restarting);
    assert_eq!(life.step(Event::Tick, at(1000)), [SPAWN_AGAIN]);
    life.step(Event::Spawned, at(1000));
    assert_eq!(ended(&mut life, 1, 1010), RunState::Exited);
    assert_eq!(life.step(Event::Start, at(2000)), [SPAWN]);
    life.step(Event::Spawned, at(2000));
    assert_eq!(ended(&mut life, 1, 2010), RunState::Restarting);
}

#[test]
fn a_stop_beats_the_policy_while_running_and_while_waiting() {
    let mut life = running(RestartPolicy::Always);
    assert_eq!(life.step(Event::Stop { grace: GRACE }, at(10)), [AskToEnd, Persist]);
    assert_eq!(ended(&mut life, 143, 20), RunState::Exited);

    let mut life = running(RestartPolicy::Always);
    assert_eq!(ended(&mut life, 1, 10), RunState::Restarting);
    assert_eq!(life.step(Event::Stop { grace: GRACE }, at(20)), [Tell(Changed), Persist]);
    assert_eq!((life.run_state(), life.next_deadline()), (RunState::Exited, None));
    assert_eq!(life.step(Event::Tick, at(10_000)), []);
}

#[test]
fn it_is_killed_once_when_its_grace_is_over() {
    let mut life = running(RestartPolicy::No);
    life.step(Event::Stop { grace: GRACE }, at(0));
    assert_eq!(life.step(Event::Tick, at(999)), []);
    assert_eq!(life.step(Event::Tick, at(1000)), [Kill]);
    assert_eq!((life.step(Event::Tick, at(9000)), life.next_deadline()), (vec![], None));
    assert_eq!(ended(&mut life, 137, 9001), RunState::Exited);
}

#[test]
fn of_two_stops_the_impatient_one_wins() {
    let mut life = running(RestartPolicy::No);
    life.step(Event::Stop { grace: Duration::from_secs(60) }, at(0));
    assert_eq!(life.step(Event::Stop { grace: Duration::from_secs(600) }, at(10)), []);
    assert_eq!(life.next_deadline(), Some(Duration::from_secs(60)));
    assert_eq!(life.step(Event::Stop { grace: Duration::ZERO }, at(20)), [Kill]);
}

#[test]
fn without_grace_it_is_killed_at_once() {
    let mut life = running(RestartPolicy::No);
    assert_eq!(life.step(Event::Stop { grace: Duration::ZERO }, at(0)), [Kill, Persist]);
}

#[test]
fn a_start_by_hand_that_fails_is_not_repeated_but_one_by_the_policy_is() {
    let mut life = Life::new(&spec(RestartPolicy::Always));
    life.step(Event::Start, at(0));
    assert_eq!(life.step(Event::SpawnFailed { code: 127 }, at(0)), [Tell(Changed), Persist]);
    assert_eq!((life.run_state(), life.record().exit_code), (RunState::Exited, Some(127)));

    let mut life = running(RestartPolicy::Always);
    ended(&mut life, 1, 10);
    life.step(Event::Tick, at(110));
    life.step(Event::SpawnFailed { code: 127 }, at(110));
    assert_eq!(
        (life.run_state(), life.next_deadline()),
        (RunState::Restarting, Some(Duration::from_millis(310)))
    );
}

#[test]
fn a_start_while_waiting_does_not_wait() {
    let mut life = running(RestartPolicy::Always);
    ended(&mut life, 1, 10);
    assert_eq!(life.step(Event::Start, at(11)), [SPAWN]);
    assert_eq!(life.record().restarts, 0);
}

#[test]
fn a_health_verdict_is_told_when_it_changes_and_starts_anew_with_the_process() {
    let check =
        HealthCheck { interval: Duration::from_secs(1), retries: 1, ..HealthCheck::command(["true"]) };
    let spec = ContainerSpec { health: Some(check), ..spec(RestartPolicy::Always) };
    let mut life = Life::new(&spec);
    life.step(Event::Start, at(0));
    life.step(Event::Spawned, at(0));
    assert_eq!(life.health(), HealthReport::Starting);
    assert_eq!(life.step(Event::Tick, at(1000)), [Check]);
    assert_eq!(life.step(Event::Checked { passed: true }, at(1100)), [Tell(Health), Persist]);
    assert_eq!(life.step(Event::Tick, at(2100)), [Check]);
    assert_eq!(life.step(Event::Checked { passed: true }, at(2200)), []);
    assert_eq!(life.step(Event::Tick, at(3200)), [Check]);
    assert_eq!(life.step(Event::Checked { passed: false }, at(3300)), [Tell(Health), Persist]);
    assert_eq!(life.health(), HealthReport::Unhealthy);
    ended(&mut life, 1, 3400);
    assert_eq!(life.health(), HealthReport::Starting);
    assert_eq!(life.step(Event::Checked { passed: true }, at(3500)), [], "late news of a dead process");
}

/// Restores a container that was recorded so, and lets it be found so.
fn reopened(policy: RestartPolicy, run: RunState, by_hand: bool, found: Found) -> (RunState, Vec<Effect>) {
    let spec = spec(policy);
    let record = Record { run, stopped_by_hand: by_hand, exit_code: Some(0), ..Life::new(&spec).record() };
    let mut life = Life::restored(&spec, &record, at(0));
    let effects = life.step(Event::Found(found), at(0));
    (life.run_state(), effects)
}

#[test]
fn on_reopening_each_policy_does_its_part() {
    use RunState::{Created, Exited, Restarting, Running};
    const POLICIES: [RestartPolicy; 4] =
        [RestartPolicy::No, RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure(0)];
    for (recorded, by_hand, expected) in [
        (Created, false, [Created; 4]),
        // It ran, and died while nobody watched.
        (Running, false, [Exited, Restarting, Restarting, Restarting]),
        // It was being stopped.
        (Running, true, [Exited, Restarting, Exited, Exited]),
        (Restarting, false, [Restarting; 4]),
        (Exited, false, [Exited, Restarting, Restarting, Exited]),
        (Exited, true, [Exited, Restarting, Exited, Exited]),
    ] {
        let states = POLICIES.map(|policy| reopened(policy, recorded, by_hand, Found::Gone).0);
        assert_eq!(states, expected, "recorded {recorded:?}, stopped by hand: {by_hand}");
    }
    for policy in POLICIES {
        assert_eq!(reopened(policy, Running, false, Found::Alive), (Running, vec![]));
        assert_eq!(reopened(policy, Running, true, Found::Alive), (Running, vec![AskToEnd, Persist]));
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Start),
        Just(Event::Spawned),
        Just(Event::SpawnFailed { code: 127 }),
        prop::option::of(0i64..3).prop_map(|code| Event::Ended { code }),
        (0u64..2000).prop_map(|ms| Event::Stop { grace: Duration::from_millis(ms) }),
        any::<bool>().prop_map(|passed| Event::Checked { passed }),
        Just(Event::Tick),
        Just(Event::RemovalFailed),
    ]
}

fn any_policy() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![
        Just(RestartPolicy::No),
        Just(RestartPolicy::Always),
        Just(RestartPolicy::UnlessStopped),
        (0u32..3).prop_map(RestartPolicy::OnFailure),
    ]
}

proptest! {
    /// Whatever comes in whatever order: there is never a second process beside a living one, a stopped container
    /// stays stopped until somebody starts it, and the count of restarts keeps its bound.
    #[test]
    fn no_order_of_events_breaks_the_promises(
        policy in any_policy(),
        events in prop::collection::vec((any_event(), 0u64..3000), 0..80),
    ) {
        let mut life = Life::new(&spec(policy));
        let (mut now, mut process, mut spawning, mut stopped) = (0, false, false, false);
        for (event, later) in events {
            now += later;
            // The owner keeps its part: news of a process only where there is one, and an answer to each spawn.
            let fits = match event {
                Event::Spawned | Event::SpawnFailed { .. } => spawning,
                Event::Ended { .. } => process && !spawning,
                // Held back until a process that is asked to end has ended; removal is for what does not run.
                Event::Start => !spawning && !life.is_ending(),
                Event::RemovalFailed => !spawning && !process,
                _ => !spawning,
            };
            if !fits {
                continue;
            }
            match event {
                Event::Spawned => (process, spawning) = (true, false),
                Event::SpawnFailed { .. } => spawning = false,
                Event::Ended { .. } => process = false,
                Event::Stop { .. } if life.run_state() != RunState::Created => stopped = true,
                Event::Start => stopped = false,
                _ => {}
            }
            for effect in life.step(event, at(now)) {
                if matches!(effect, Effect::Spawn { .. }) {
                    prop_assert!(!process, "a second process");
                    prop_assert!(!stopped, "started what somebody had stopped");
                    spawning = true;
                }
                if matches!(effect, Kill | AskToEnd | Check) {
                    prop_assert!(process, "{effect:?} without a process");
                }
            }
            prop_assert_eq!(life.is_running(), process);
            if let RestartPolicy::OnFailure(most @ 1..) = policy {
                prop_assert!(life.record().restarts <= most);
            }
        }
    }
}
