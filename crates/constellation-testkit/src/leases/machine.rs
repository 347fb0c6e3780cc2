//! One simulated machine: its clocks, its disk, and the process that runs on it, if one does.

use std::{rc::Rc, time::Duration};

use constellation_consensus::{
    Event, Identity, Mutation, Replica,
    clock::Now,
    lease::AskId,
    raft::{Batch, RaftConfig, RaftId},
};
use constellation_core::{LeaseHolder, LeaseKind, NodeName};

use super::{
    clock::MachineClock,
    disk::Disk,
    fault::{Deed, Return},
    scenario::Setting,
};

/// Why a process does not run although it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frozen {
    /// Stopped; what arrives waits in the kernel.
    Paused,
    /// Its machine sleeps; what arrives is lost.
    Asleep,
}

/// What waits for a holder that asks for more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ambush {
    pub(super) mark: u64,
    pub(super) lease: LeaseKind,
    pub(super) snare: Snare,
    /// For how long it is alone once it got more.
    pub(super) then_alone: Duration,
}

/// What happens when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Snare {
    /// It cannot ask yet.
    Muted {
        /// What comes then.
        held_back: Duration,
    },
    /// Everything to Raft's leader is held back, for so long at most.
    HoldBack(Duration),
    /// It wants the lease no more.
    Flinch {
        /// So long after it asked.
        after: Duration,
        /// For so long.
        time: Duration,
        /// By how much what it says then is late.
        late: Duration,
    },
    /// It asked, and what it says to the leader now is late by so much.
    Late(Duration),
    /// It asked, and is not heard any more.
    Sprung,
    /// It asked, and is heard as before.
    Open,
}

/// Messages that do not reach a leader until it has judged.
#[derive(Clone, Debug)]
pub(super) struct HeldBack {
    pub(super) mark: u64,
    pub(super) lease: LeaseKind,
    pub(super) messages: Vec<Rc<[u8]>>,
}

impl Ambush {
    /// Whether what its node asks of the leader is lost.
    pub(super) fn mutes(&self) -> bool {
        matches!(self.snare, Snare::Muted { .. } | Snare::Sprung)
    }

    /// By how much what its node asks of the leader is late.
    pub(super) fn delays(&self) -> Duration {
        if let Snare::Late(late) = self.snare { late } else { Duration::ZERO }
    }
}

pub(super) struct SimMachine {
    pub(super) name: NodeName,
    pub(super) raft: RaftId,
    pub(super) boot: u128,
    pub(super) clock: MachineClock,
    pub(super) disk: Disk,
    /// How long a write takes at most where nothing makes it slower.
    pub(super) disk_latency: Duration,
    /// What makes it slower, by which mark.
    pub(super) slow: Vec<(u64, Duration)>,
    /// That its next write fails, and how its process then comes back.
    pub(super) disk_fails: Option<Return>,
    pub(super) replica: Option<Replica>,
    /// Rises whenever the process ends, so that what was meant for it does not reach the next one.
    pub(super) life: u64,
    pub(super) frozen: Vec<(u64, Frozen)>,
    pub(super) waiting: Vec<Event>,
    /// What is held back from it, until this lease is judged, and by which mark.
    pub(super) held_back: Option<HeldBack>,
    pub(super) drains: u32,
    /// What it will die right after, and how it comes back.
    pub(super) doomed: Option<(Deed, Return)>,
    pub(super) ambush: Option<Ambush>,
}

/// What every disk is like once all is mended.
const GOOD_DISK: Duration = Duration::from_millis(3);

/// Sockets' buffers: what arrives beyond is lost.
const WAITING_BOUND: usize = 2000;

impl SimMachine {
    pub(super) fn new(
        index: usize,
        setting: &Setting,
        uptime: Duration,
        birth: Option<&Batch>,
    ) -> Result<Self, String> {
        let raft = RaftId(u64::try_from(index).unwrap_or(0) + 1);
        Ok(Self {
            name: name(index),
            raft,
            boot: 0,
            clock: MachineClock::new(setting.drifts[index], uptime),
            disk: Disk::new(setting.production_log, raft, birth)?,
            disk_latency: setting.disk,
            slow: Vec::new(),
            disk_fails: None,
            replica: None,
            life: 0,
            frozen: Vec::new(),
            waiting: Vec::new(),
            held_back: None,
            drains: 0,
            doomed: None,
            ambush: None,
        })
    }

    pub(super) fn holder(&self) -> LeaseHolder {
        LeaseHolder { node: self.name.clone(), boot: self.boot }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(super) fn how_frozen(&self) -> Option<Frozen> {
        let asleep = self.frozen.iter().any(|(_, how)| *how == Frozen::Asleep);
        if asleep { Some(Frozen::Asleep) } else { self.frozen.first().map(|(_, how)| *how) }
    }

    pub(super) fn runs(&self) -> bool {
        self.replica.is_some() && self.frozen.is_empty()
    }

    /// Starts a process from what the disk holds.
    pub(super) fn start(
        &mut self,
        setting: &Setting,
        seed: u64,
        mutation: Option<Mutation>,
    ) -> Result<(), String> {
        let now = self.now();
        let uptime = now.holder.0.since_start().as_nanos();
        let first_ask = match mutation {
            Some(Mutation::RestartRepeatsAsks) => 1,
            _ => u64::try_from(uptime).unwrap_or(u64::MAX),
        };
        let identity = Identity { raft: self.raft, holder: self.holder(), first_ask: AskId(first_ask) };
        let raft = RaftConfig {
            timing: setting.timing,
            seed,
            checkpoint_entries: setting.checkpoint_entries,
            checkpoint_bytes: 1 << 20,
            keep_entries: setting.checkpoint_entries / 2,
        };
        let recovered = self.disk.recover()?;
        let replica = Replica::broken(identity, raft, setting.lease, recovered, now, mutation)
            .map_err(|fault| chain(&fault))?;
        self.replica = Some(replica);
        Ok(())
    }

    /// How long a write takes now, at most.
    pub(super) fn write_time(&self) -> Duration {
        self.slow.iter().map(|(_, latency)| *latency).chain([self.disk_latency]).max().unwrap_or_default()
    }

    /// Nothing is wrong with it any more, and nothing waits for it.
    pub(super) fn mend(&mut self) {
        self.drains = 0;
        self.doomed = None;
        self.ambush = None;
        self.held_back = None;
        self.disk_fails = None;
        self.slow.clear();
        self.disk_latency = GOOD_DISK;
    }

    pub(super) fn wait(&mut self, event: Event) {
        if self.waiting.len() < WAITING_BOUND {
            self.waiting.push(event);
        }
    }
}

/// A node's name: `n0` and so on.
pub(super) fn name(index: usize) -> NodeName {
    let text = format!("n{index}");
    match text.parse() {
        Ok(name) => name,
        Err(_) => unreachable!("`{text}` is a node name"),
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    constellation_core::error_chain(error)
}
