//! One simulated machine: its clocks, its disk, and the process that runs on it, if one does.

use std::time::Duration;

use constellation_consensus::{
    Event, Identity, Mutation, Replica,
    clock::Now,
    lease::AskId,
    raft::{Batch, RaftConfig, RaftId},
};
use constellation_core::{LeaseHolder, NodeName};

use super::{clock::MachineClock, disk::Disk, fault::Deed, scenario::Setting};

/// Why a process does not run although it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frozen {
    /// Stopped; what arrives waits in the kernel.
    Paused,
    /// Its machine sleeps; what arrives is lost.
    Asleep,
}

pub(super) struct SimMachine {
    pub(super) name: NodeName,
    pub(super) raft: RaftId,
    pub(super) boot: u128,
    pub(super) clock: MachineClock,
    pub(super) disk: Disk,
    pub(super) disk_latency: Duration,
    pub(super) replica: Option<Replica>,
    /// Rises whenever the process ends, so that what was meant for it does not reach the next one.
    pub(super) life: u64,
    pub(super) frozen: Vec<(u64, Frozen)>,
    pub(super) waiting: Vec<Event>,
    pub(super) drains: u32,
    /// What it will die right after, by which fault.
    pub(super) doomed: Option<(Deed, usize)>,
    /// That it is cut off once it holds a lease, by which mark and for how long.
    pub(super) alone_once_held: Option<(u64, Duration)>,
}

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
            replica: None,
            life: 0,
            frozen: Vec::new(),
            waiting: Vec::new(),
            drains: 0,
            doomed: None,
            alone_once_held: None,
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
        let identity = Identity {
            raft: self.raft,
            holder: self.holder(),
            first_ask: AskId(u64::try_from(uptime).unwrap_or(u64::MAX)),
        };
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
