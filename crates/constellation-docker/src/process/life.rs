//! The life of one container, decided without touching a process, a file or a clock.
//!
//! [`Life::step`] takes what happened and says what to do. The owner of the container does it and reports back:
//! after [`Effect::Spawn`] it says [`Event::Spawned`] or [`Event::SpawnFailed`] before anything else.
//!
//! Acting and telling come before writing down, as neither routing nor a stop should wait for a disk. Whoever asked is
//! answered after the write, so what was answered is on the disk; what was not may be undone by a crash.

use std::time::Duration;

use super::{
    clock::Now,
    health::Verdict,
    policy::{self, RestartBackoff},
    record::Record,
};
use crate::{
    container::{HealthReport, RunState},
    event::EventKind,
    spec::{ContainerSpec, RestartPolicy},
};

/// Something that happened to the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody wants it to run.
    Start,
    /// The process that was asked for runs.
    Spawned,
    /// It could not be started; the code is the shell's word for why (126, 127).
    SpawnFailed { code: i64 },
    /// Its main process ended. `None`: nobody saw how.
    Ended { code: Option<i64> },
    /// Somebody wants it to end, and to be killed when it has not ended after `grace`.
    Stop { grace: Duration },
    /// The health check that was asked for came back.
    Checked { passed: bool },
    /// [`Life::next_deadline`] was reached.
    Tick,
    /// The runtime was opened, and this is what it found.
    Found(Found),
    /// Its files could not be removed.
    RemovalFailed,
}

/// What became of a container's process while no runtime watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It runs: the same process as before.
    Alive,
    /// It does not.
    Gone,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Start the process and say how that went. Where somebody asked for it, write the record first, and do not start
    /// it if that fails: they are promised that it will be there after a crash. A restart by the policy does not wait
    /// for the disk: that it shall run is written down already.
    Spawn { by_hand: bool },
    /// Send the stop signal to its process group.
    AskToEnd,
    /// Send SIGKILL to its process group.
    Kill,
    /// Run the health check and say how that went.
    Check,
    /// Tell subscribers.
    Tell(EventKind),
    /// Write the record.
    Persist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Created,
    /// Asked to spawn, no answer yet.
    Spawning {
        by_hand: bool,
    },
    Running,
    /// Asked to end; killed at that moment, or killed already.
    Ending {
        kill_at: Option<Duration>,
    },
    /// Waiting to be started again.
    Waiting {
        until: Duration,
    },
    Exited,
    Dead,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    policy: RestartPolicy,
    stop_grace: Duration,
    phase: Phase,
    stopped_by_hand: bool,
    verdict: Verdict,
    backoff: RestartBackoff,
    running_since: Duration,
    restarts: u32,
    exit_code: Option<i64>,
    started_at_ms: Option<u64>,
    finished_at_ms: Option<u64>,
}

/// Docker's default for a container that names none.
const STOP_GRACE: Duration = Duration::from_secs(10);

impl Life {
    /// A container that was just made.
    pub(super) fn new(spec: &ContainerSpec) -> Self {
        Self {
            policy: spec.restart,
            stop_grace: spec.stop_grace.unwrap_or(STOP_GRACE),
            phase: Phase::Created,
            stopped_by_hand: false,
            verdict: Verdict::new(spec.health.clone()),
            backoff: RestartBackoff::default(),
            running_since: Duration::ZERO,
            restarts: 0,
            exit_code: None,
            started_at_ms: None,
            finished_at_ms: None,
        }
    }

    /// A container as an earlier runtime left it. The next event must be [`Event::Found`].
    pub(super) fn restored(spec: &ContainerSpec, record: &Record, now: Now) -> Self {
        let phase = match record.run {
            RunState::Created => Phase::Created,
            RunState::Running | RunState::Paused => Phase::Running,
            RunState::Restarting => Phase::Waiting { until: now.since_open },
            RunState::Exited | RunState::Removing | RunState::Dead => Phase::Exited,
        };
        let mut life = Self {
            phase,
            stopped_by_hand: record.stopped_by_hand,
            restarts: record.restarts,
            exit_code: record.exit_code,
            started_at_ms: record.started_at_ms,
            finished_at_ms: record.finished_at_ms,
            running_since: now.since_open,
            ..Self::new(spec)
        };
        if phase == Phase::Running {
            life.verdict.resume(record.health, now.since_open);
        }
        life
    }

    /// The record of it; the owner adds the process.
    pub(super) fn record(&self) -> Record {
        Record {
            run: self.run_state(),
            stopped_by_hand: self.stopped_by_hand,
            health: self.health(),
            restarts: self.restarts,
            exit_code: self.exit_code,
            started_at_ms: self.started_at_ms,
            finished_at_ms: self.finished_at_ms,
            process: None,
        }
    }

    pub(super) fn run_state(&self) -> RunState {
        match self.phase {
            Phase::Created => RunState::Created,
            Phase::Running | Phase::Ending { .. } => RunState::Running,
            Phase::Spawning { .. } | Phase::Waiting { .. } => RunState::Restarting,
            Phase::Exited => RunState::Exited,
            Phase::Dead => RunState::Dead,
        }
    }

    pub(super) fn health(&self) -> HealthReport {
        self.verdict.report()
    }

    /// Whether it has a main process.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Ending { .. })
    }

    /// Whether it was asked to end and has not yet.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    /// When [`Event::Tick`] is wanted next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running => self.verdict.next_check(),
            Phase::Ending { kill_at } => kill_at,
            Phase::Waiting { until } => Some(until),
            Phase::Created | Phase::Spawning { .. } | Phase::Exited | Phase::Dead => None,
        }
    }

    /// Takes what happened and says what to do. What does not fit the phase is late news, and ignored.
    pub(super) fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match (self.phase, event) {
            (Phase::Created | Phase::Exited | Phase::Waiting { .. } | Phase::Dead, Event::Start) => {
                // A start by hand is a fresh row: neither old restarts nor old waits count.
                self.stopped_by_hand = false;
                self.restarts = 0;
                self.backoff = RestartBackoff::default();
                self.phase = Phase::Spawning { by_hand: true };
                vec![Effect::Spawn { by_hand: true }]
            }
            (Phase::Spawning { .. }, Event::Spawned) => {
                self.phase = Phase::Running;
                self.running_since = now.since_open;
                self.exit_code = None;
                self.started_at_ms = Some(now.wall_ms);
                self.verdict.begin(now.since_open);
                vec![Effect::Tell(EventKind::Started), Effect::Persist]
            }
            // Whoever asked is told, and asks again if they like: a policy is for what ran once.
            (Phase::Spawning { by_hand: true }, Event::SpawnFailed { code }) => {
                self.phase = Phase::Exited;
                self.exit_code = Some(code);
                self.finished_at_ms = Some(now.wall_ms);
                vec![Effect::Tell(EventKind::Changed), Effect::Persist]
            }
            (Phase::Spawning { by_hand: false }, Event::SpawnFailed { code }) => {
                self.ended(Some(code), Duration::ZERO, now);
                vec![Effect::Tell(EventKind::Changed), Effect::Persist]
            }
            (Phase::Running | Phase::Ending { .. }, Event::Ended { code }) => {
                self.ended(code, now.since_open.saturating_sub(self.running_since), now);
                vec![Effect::Tell(EventKind::Died), Effect::Persist]
            }
            (Phase::Running, Event::Stop { grace }) => self.begin_end(grace, now),
            (Phase::Ending { kill_at: Some(kill_at) }, Event::Stop { grace }) => {
                // The most impatient one wins.
                self.phase =
                    Phase::Ending { kill_at: Some(kill_at.min(now.since_open.saturating_add(grace))) };
                self.step(Event::Tick, now)
            }
            (Phase::Waiting { .. }, Event::Stop { .. }) => {
                self.phase = Phase::Exited;
                self.stopped_by_hand = true;
                vec![Effect::Tell(EventKind::Changed), Effect::Persist]
            }
            (Phase::Exited | Phase::Dead, Event::Stop { .. }) if !self.stopped_by_hand => {
                self.stopped_by_hand = true;
                vec![Effect::Persist]
            }
            (Phase::Running, Event::Tick) if self.verdict.due(now.since_open) => vec![Effect::Check],
            (Phase::Ending { kill_at: Some(kill_at) }, Event::Tick) if kill_at <= now.since_open => {
                self.phase = Phase::Ending { kill_at: None };
                vec![Effect::Kill]
            }
            (Phase::Waiting { until }, Event::Tick) if until <= now.since_open => {
                self.restarts = self.restarts.saturating_add(1);
                self.phase = Phase::Spawning { by_hand: false };
                vec![Effect::Spawn { by_hand: false }]
            }
            (Phase::Running, Event::Checked { passed }) if self.verdict.checked(passed, now.since_open) => {
                vec![Effect::Tell(EventKind::Health), Effect::Persist]
            }
            (phase, Event::Found(found)) => self.found(phase, found, now),
            (_, Event::RemovalFailed) => {
                self.phase = Phase::Dead;
                vec![Effect::Tell(EventKind::Changed), Effect::Persist]
            }
            _ => vec![],
        }
    }

    fn begin_end(&mut self, grace: Duration, now: Now) -> Vec<Effect> {
        self.stopped_by_hand = true;
        if grace.is_zero() {
            self.phase = Phase::Ending { kill_at: None };
            return vec![Effect::Kill, Effect::Persist];
        }
        self.phase = Phase::Ending { kill_at: Some(now.since_open.saturating_add(grace)) };
        vec![Effect::AskToEnd, Effect::Persist]
    }

    fn ended(&mut self, code: Option<i64>, ran: Duration, now: Now) {
        self.exit_code = code;
        self.finished_at_ms = Some(now.wall_ms);
        self.verdict.end();
        self.phase = if !self.stopped_by_hand && policy::wants_restart(self.policy, code, self.restarts) {
            Phase::Waiting { until: now.since_open.saturating_add(self.backoff.next(ran)) }
        } else {
            Phase::Exited
        };
    }

    fn found(&mut self, phase: Phase, found: Found, now: Now) -> Vec<Effect> {
        match (phase, found) {
            // Somebody's stop was under way when the runtime went.
            (Phase::Running, Found::Alive) if self.stopped_by_hand => self.begin_end(self.stop_grace, now),
            (Phase::Running, Found::Gone) => {
                self.ended(None, Duration::ZERO, now);
                if self.phase == Phase::Exited {
                    self.revive(now);
                }
                vec![Effect::Tell(EventKind::Died), Effect::Persist]
            }
            (Phase::Exited, Found::Gone) if self.revive(now) => vec![Effect::Persist],
            _ => vec![],
        }
    }

    /// Applies what the policy says of the runtime's own return.
    fn revive(&mut self, now: Now) -> bool {
        let wanted = policy::wants_start_on_open(self.policy, self.stopped_by_hand);
        if wanted {
            self.stopped_by_hand = false;
            self.phase =
                Phase::Waiting { until: now.since_open.saturating_add(self.backoff.next(Duration::ZERO)) };
        }
        wanted
    }
}
