//! How long a lease is without a holder, by what happened to the last one.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{figures::Figure, first, peer::Peers};
use crate::{
    clock::{self, BootTime, millis},
    cluster::{LeasesAnswer, Node, commit},
    http::{Address, Client},
    leases::{Blow, Pace, Process, Stage, Witness, peace},
};

/// One asker, so that a figure is too long by 2 ms at most; more would take cores from what is measured.
const PACE: Pace = Pace { askers: 1, pause: Duration::from_millis(2), commits: None };
const HEIR_LIMIT: Duration = Duration::from_secs(20);
const PEACE_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);
/// After peace, so that one trial's echo is not part of the next.
const REST: Duration = Duration::from_millis(500);
/// Renewals come about once a second: the trials meet every phase of that.
const PHASES: u32 = 7;
const PHASE: Duration = Duration::from_millis(137);
/// A try of a commit.
const TRY_LIMIT: Duration = Duration::from_secs(1);

/// What is done to the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Blow(Blow),
    Cordon,
}

/// One hand-over.
struct Trial {
    /// From the deed until the next holder acted.
    took: Duration,
    /// From the last time that the old one may have acted to the first time that the new one did.
    gap: Duration,
}

/// Measures on a cluster at peace.
pub(super) struct Hands<'a> {
    stage: &'a mut Stage,
    witness: Witness,
    trials: u32,
}

impl<'a> Hands<'a> {
    /// Begins to look.
    pub(super) fn begin(stage: &'a mut Stage) -> Result<Self> {
        let witness = Witness::start(&stage.cluster.nodes, PACE)?;
        Ok(Self { stage, witness, trials: 0 })
    }

    /// (a) and (b): the holder is killed.
    pub(super) fn kills(&mut self, trials: u32, peers: &Peers) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let plans = [
            (Blow::KillWorker, false, "worker", "p50 < 150", trials),
            (Blow::KillWorker, true, "worker", "p50 < 400, p99 < 1200", trials),
            (Blow::KillNode, false, "process group", "< TTL + 1 s = 4000", trials.div_ceil(2)),
            (Blow::KillNode, true, "process group", "< TTL + 1 s = 4000", trials.div_ceil(2)),
        ];
        for (blow, leads, what, target, trials) in plans {
            let where_ = if leads { "leads Raft" } else { "does not lead Raft" };
            let name = format!("holder, {where_}: kill -9 of its {what}");
            let ours = self.several(&name, trials, Deed::Blow(blow), Some(leads))?;
            let ours = ours.iter().map(|trial| millis(trial.took)).collect();
            figures.push(Figure { name, unit: "ms", ours, etcd: peers.lock_killed.clone(), target });
        }
        Ok(figures)
    }

    /// (d): the holder lets go.
    pub(super) fn graceful(&mut self, trials: u32, peers: &Peers) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (deed, name) in [(Deed::Blow(Blow::Stop), "holder: SIGTERM"), (Deed::Cordon, "holder: cordon")] {
            let ours = self.several(name, trials, deed, None)?;
            let ours = ours.iter().map(|trial| millis(trial.took)).collect();
            let etcd = peers.lock_given_back.clone();
            figures.push(Figure { name: name.to_owned(), unit: "ms", ours, etcd, target: "< 50" });
        }
        Ok(figures)
    }

    /// (c): the holder is cut off.
    pub(super) fn partitions(&mut self, trials: u32) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for leads in [false, true] {
            let where_ = if leads { "leads Raft" } else { "does not lead Raft" };
            let name = format!("holder, {where_}: cut off");
            let trials = self.several(&name, trials, Deed::Blow(Blow::CutOff), Some(leads))?;
            let ours = trials.iter().map(|trial| millis(trial.took)).collect();
            let gaps = trials.iter().map(|trial| millis(trial.gap)).collect();
            let target = "< TTL + 1 s = 4000";
            figures.push(Figure { name: name.clone(), unit: "ms", ours, etcd: Vec::new(), target });
            let name = format!("{name}: the old one had stopped for");
            figures.push(Figure { name, unit: "ms", ours: gaps, etcd: Vec::new(), target: "> 0" });
        }
        Ok(figures)
    }

    /// (e): Raft's leader is killed.
    pub(super) fn leader(&mut self, trials: u32, peers: &Peers) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (blow, what) in [(Blow::KillWorker, "worker"), (Blow::KillNode, "process group")] {
            let name = format!("Raft's leader: kill -9 of its {what}, until the next commit");
            say!("  {name}: {trials} times");
            let mut ours = Vec::new();
            for _ in 0..trials {
                ours.push(millis(self.one_leader(blow)?));
            }
            let etcd = peers.leader_killed.clone();
            figures.push(Figure { name, unit: "ms", ours, etcd, target: "below etcd's" });
        }
        Ok(figures)
    }

    fn several(&mut self, name: &str, trials: u32, deed: Deed, leads: Option<bool>) -> Result<Vec<Trial>> {
        say!("  {name}: {trials} times");
        (0..trials).map(|_| self.one(deed, leads).with_context(|| name.to_owned())).collect()
    }

    /// Peace, and some time of a renewal's period.
    fn rest(&mut self, leads: Option<bool>) -> Result<()> {
        peace::wait(&self.stage.cluster, 0, PEACE_LIMIT, clock::now())?;
        if let Some(leads) = leads {
            ensure!(self.stage.cluster.make_holder_lead(leads)?, "Raft's lead did not move");
        }
        self.trials += 1;
        clock::pass(REST + PHASE * (self.trials % PHASES))
    }

    fn index(&self, node: &str) -> Result<usize> {
        let found = self.stage.cluster.nodes.iter().position(|each| each.name == node);
        found.with_context(|| format!("there is no node {node}"))
    }

    fn one(&mut self, deed: Deed, leads: Option<bool>) -> Result<Trial> {
        self.rest(leads)?;
        let answer = self.stage.cluster.nodes.first().context("no nodes")?.leases()?;
        let view = answer.leases.first().context("there are no leases")?.clone();
        let holder = view.holder.context("nobody holds the lease")?;
        let index = self.index(&holder)?;
        let old = Process { node: holder, boot: view.holder_boot.unwrap_or_default() };
        let worker = self.stage.cluster.nodes[index].leases()?.worker_pid;
        let at = BootTime::now();
        match deed {
            Deed::Blow(blow) => self.stage.strike(index, blow, worker)?,
            Deed::Cordon => self.stage.cluster.nodes[index].cordon(true)?,
        }
        let (heir, _) = clock::wait_for("another holder", HEIR_LIMIT, PAUSE, || {
            Ok(self.witness.history().next_holder(&view.lease, &old, at))
        })?;
        // A while longer, so that an old one that still acts would be seen.
        clock::pass(REST)?;
        let last = self.witness.history().last_acted(&view.lease, &old).unwrap_or(at);
        ensure!(last < heir, "{old} still acted when another one did: this is a violation, not a figure");
        match deed {
            Deed::Blow(Blow::KillWorker) => self.stage.start_over(index)?,
            Deed::Blow(_) => self.stage.heal()?,
            Deed::Cordon => self.stage.cluster.nodes[index].cordon(false)?,
        }
        Ok(Trial { took: heir.since(at), gap: heir.since(last) })
    }

    fn one_leader(&mut self, blow: Blow) -> Result<Duration> {
        self.rest(None)?;
        let answer: LeasesAnswer = self.stage.cluster.nodes.first().context("no nodes")?.leases()?;
        let index = self.index(&answer.leader.context("nobody leads Raft")?)?;
        let worker = self.stage.cluster.nodes[index].leases()?.worker_pid;
        let survivors: Vec<PathBuf> = (self.stage.cluster.nodes.iter().enumerate())
            .filter(|(other, _)| *other != index)
            .map(|(_, node): (usize, &Node)| node.socket().to_owned())
            .collect();
        let at = BootTime::now();
        self.stage.strike(index, blow, worker)?;
        let committed = first::success(&survivors, |socket| {
            commit(&mut Client::new(Address::Unix(socket.clone()), "agent", TRY_LIMIT), "x").is_ok()
        })?;
        if blow == Blow::KillWorker {
            self.stage.start_over(index)?;
        }
        self.stage.heal()?;
        Ok(committed.since(at))
    }
}
