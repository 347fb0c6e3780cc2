//! How faults begin and end, and how everything is mended.

use std::time::Duration;

use constellation_consensus::{Event, Mutation, raft::RaftId};
use constellation_core::{LeaseKind, LeaseStatus};

use super::{
    checks::Violation,
    coverage::Hit,
    fault::{Deed, Fault, Return, Target},
    machine::{Ambush, Frozen, SimMachine, Snare},
    world::{Happening, LEASES, World},
};

/// Too short to matter.
const MOMENT: Duration = Duration::from_millis(1);

impl World<'_> {
    pub(super) fn begin(&mut self, fault: usize) -> Result<(), Violation> {
        if self.mended.is_some() {
            return Ok(());
        }
        let planned = &self.scenario.faults[fault];
        self.tell(|| format!("== {:?}", planned.fault));
        let mark = fault as u64;
        let lasts = match &planned.fault {
            Fault::Crash { target, back } => {
                if let Some(node) = self.aim(*target) {
                    self.crash(node, *back);
                }
                None
            }
            Fault::CrashAll { back } => {
                self.coverage.hit(Hit::CrashedTogether);
                for (node, back) in back.iter().enumerate() {
                    self.crash(node, *back);
                }
                None
            }
            Fault::CrashOn { nodes, deed, back } => {
                for node in nodes {
                    self.machines[*node].doomed = Some((*deed, *back));
                }
                None
            }
            Fault::FailDisk { target, back } => {
                if let Some(node) = self.aim(*target) {
                    self.machines[node].disk_fails = Some(*back);
                }
                None
            }
            Fault::LoseDisk { node, down } => {
                self.lose_disk(*node, *down)?;
                None
            }
            Fault::Drift { node, parts_per_million } => {
                self.set_drift(*node, *parts_per_million);
                None
            }
            Fault::Transfer { node } => {
                let to = self.machines[*node].raft;
                self.on_leaders(&Event::Transfer(to))?;
                None
            }
            Fault::Voters { nodes } => {
                self.desired_voters = nodes.iter().copied().collect();
                None
            }
            Fault::Pause { target, time } => self.freeze(*target, mark, Frozen::Paused, *time),
            Fault::Suspend { target, time } => self.freeze(*target, mark, Frozen::Asleep, *time),
            Fault::Cut { links, how, time } => {
                let back = links.iter().any(|(from, to)| links.contains(&(*to, *from)));
                self.coverage.hit(if back { Hit::CutBothWays } else { Hit::CutOneWay });
                for (from, to) in links {
                    self.network.cut(mark, *from, *to, *how);
                }
                Some(*time)
            }
            Fault::Starve { lease, before_end, held_back, then_alone } => {
                let snare = Snare::Muted { held_back: *held_back };
                let ambush = Ambush { mark, lease: *lease, snare, then_alone: *then_alone };
                self.lie_in_wait(ambush, Hit::Starved).map(|left| left.saturating_sub(*before_end))
            }
            Fault::Flinch { lease, after, time, late, then_alone } => {
                let snare = Snare::Flinch { after: *after, time: *time, late: *late };
                let ambush = Ambush { mark, lease: *lease, snare, then_alone: *then_alone };
                self.lie_in_wait(ambush, Hit::Flinched);
                None
            }
            Fault::Weather { weather, time } => {
                self.coverage.hit(Hit::BadWeather);
                self.network.set_weather(*weather);
                Some(*time)
            }
            Fault::SlowDisk { target, latency, time } => self.aim(*target).map(|node| {
                self.machines[node].slow.push((mark, *latency));
                *time
            }),
            Fault::Drain { node, time } => {
                self.coverage.hit(Hit::Drained);
                self.drain(*node, true)?;
                Some(*time)
            }
        };
        if let Some(time) = lasts {
            self.after(time, Happening::End { fault });
        }
        Ok(())
    }

    pub(super) fn end(&mut self, fault: usize) -> Result<(), Violation> {
        if self.mended.is_some() {
            return Ok(());
        }
        let mark = fault as u64;
        match &self.scenario.faults[fault].fault {
            Fault::Pause { .. } | Fault::Suspend { .. } => {
                for node in 0..self.machines.len() {
                    self.unfreeze(node, Some(mark))?;
                }
            }
            Fault::Cut { .. } => self.network.mend(mark),
            Fault::Starve { lease, before_end, .. } => {
                // An answer that was on its way when it began gave the holder more time.
                let left = self.believer(*lease).map_or(Duration::ZERO, |(_, left)| left);
                if left > *before_end + MOMENT {
                    self.after(left - *before_end, Happening::End { fault });
                    return Ok(());
                }
                self.hear(mark);
            }
            Fault::Weather { .. } => self.network.set_weather(self.scenario.setting.weather),
            Fault::SlowDisk { .. } => {
                for machine in &mut self.machines {
                    machine.slow.retain(|(of, _)| *of != mark);
                }
            }
            Fault::Drain { node, .. } => self.drain(*node, false)?,
            _ => {}
        }
        Ok(())
    }

    /// Which node a fault strikes now.
    fn aim(&self, target: Target) -> Option<usize> {
        match target {
            Target::Node(node) => Some(node),
            Target::Leader => self.leader(),
            Target::Holder(lease) => self.believer(lease).map(|(node, _)| node),
        }
    }

    /// Who believes to hold a lease, and for how much longer, in true time.
    pub(super) fn believer(&self, lease: LeaseKind) -> Option<(usize, Duration)> {
        self.machines.iter().enumerate().find_map(|(node, machine)| {
            let replica = machine.replica.as_ref()?;
            replica.may_act(lease, machine.now())?;
            let LeaseStatus::Held { until, .. } = replica.status(lease) else { return None };
            let left = until.since(machine.now().holder.0);
            Some((node, Duration::from_nanos(machine.clock.true_span(left))))
        })
    }

    pub(super) fn holds_something(&self, node: usize) -> bool {
        let machine = &self.machines[node];
        let acts = |replica: &constellation_consensus::Replica| {
            LEASES.iter().any(|lease| replica.may_act(*lease, machine.now()).is_some())
        };
        machine.replica.as_ref().is_some_and(acts)
    }

    fn freeze(&mut self, target: Target, mark: u64, how: Frozen, time: Duration) -> Option<Duration> {
        let node = self.aim(target)?;
        let hits = match how {
            Frozen::Paused => [Hit::Paused, Hit::PausedLong, Hit::PausedLongHolding],
            Frozen::Asleep => [Hit::Slept, Hit::SleptLong, Hit::SleptLongHolding],
        };
        if self.machines[node].replica.is_some() {
            let long = time > self.scenario.setting.lease.ttl;
            self.coverage.hit(hits[0]);
            self.coverage.add(hits[1], long.into());
            self.coverage.add(hits[2], (long && self.holds_something(node)).into());
        }
        let machine = &mut self.machines[node];
        machine.frozen.push((mark, how));
        if how == Frozen::Asleep {
            machine.clock.sleep(true);
        }
        Some(time)
    }

    /// Ends one reason for standing still, or all of them.
    fn unfreeze(&mut self, node: usize, mark: Option<u64>) -> Result<(), Violation> {
        let machine = &mut self.machines[node];
        if machine.frozen.is_empty() {
            return Ok(());
        }
        machine.frozen.retain(|(of, _)| mark.is_some_and(|mark| *of != mark));
        let asleep = machine.how_frozen() == Some(Frozen::Asleep);
        machine.clock.sleep(asleep);
        if machine.frozen.is_empty() { self.thaw(node) } else { Ok(()) }
    }

    fn set_drift(&mut self, node: usize, parts_per_million: i64) {
        let bound = i64::from(self.scenario.setting.lease.drift.parts_per_million());
        self.coverage.hit(Hit::DriftChanged);
        self.coverage.add(Hit::DriftAtBound, (parts_per_million.abs() == bound).into());
        self.machines[node].clock.set_drift(parts_per_million);
    }

    /// What was waiting for this node to do just what it did: it dies, or is cut off.
    pub(super) fn meets_its_fate(&mut self, node: usize, deed: Deed) {
        match self.machines[node].doomed {
            Some((fatal, back)) if fatal == deed => {
                self.machines[node].doomed = None;
                self.coverage.hit(Hit::CrashedAfterDeed);
                self.crash(node, back);
            }
            _ => {}
        }
    }

    pub(super) fn drain(&mut self, node: usize, begins: bool) -> Result<(), Violation> {
        if self.mended.is_some() {
            return Ok(());
        }
        let SimMachine { drains, ambush, .. } = &mut self.machines[node];
        *drains = if begins { *drains + 1 } else { drains.saturating_sub(1) };
        // Its release is on its way; that it wants the lease back is not heard.
        if let Some(ambush) =
            ambush.as_mut().filter(|ambush| matches!(ambush.snare, Snare::Late(_)) && !begins)
        {
            ambush.snare = Snare::Sprung;
        }
        self.look_of(node)
    }

    pub(super) fn crash(&mut self, node: usize, back: Return) {
        if self.machines[node].replica.is_none() {
            return;
        }
        let (holder, member) = (self.machines[node].holder(), self.machines[node].raft);
        let leads = self.leader() == Some(node);
        self.coverage.hit(Hit::Crashed);
        self.coverage.add(Hit::CrashedLeading, leads.into());
        self.coverage.add(Hit::CrashedHolding, self.holds_something(node).into());
        if leads {
            self.leaderless = Some((self.now, false));
        }
        self.kill(node);
        if !back.same_boot {
            self.machines[node].boot = 0;
        }
        if let Some(wait) = back.obituary {
            for to in 0..self.machines.len() {
                // Whoever saw the exit tells everybody, over the same network, and as late as that may be.
                if to == node || self.network.is_cut(node, to).is_none() {
                    let late = self.chance.between(Duration::ZERO, wait + Duration::from_millis(5));
                    self.after(wait + late, Happening::Obituary { to, holder: holder.clone(), member });
                }
            }
        }
        let life = self.machines[node].life;
        self.after(back.down, Happening::Restart { node, life });
    }

    /// Only where the group can bear it: one lost disk at a time, and two other voters.
    fn lose_disk(&mut self, node: usize, down: Duration) -> Result<(), Violation> {
        if self.machines[node].replica.is_none() || !self.members_are_as_desired() {
            return Ok(());
        }
        self.coverage.hit(Hit::DiskLost);
        self.kill(node);
        self.machines[node].boot = 0;
        if self.mutation != Some(Mutation::ReturnsWithoutDisk) {
            self.machines[node].raft = RaftId(self.next_raft);
            self.next_raft += 1;
        }
        let member = self.machines[node].raft;
        let wiped = self.machines[node].disk.wipe(member);
        wiped.map_err(|why| Violation::Stopped { member, why })?;
        let life = self.machines[node].life;
        self.after(down, Happening::Restart { node, life });
        Ok(())
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn mend(&mut self) -> Result<(), Violation> {
        self.tell(|| "== mended".to_owned());
        self.mended = Some(self.now);
        self.network.mend_all();
        for node in 0..self.machines.len() {
            self.machines[node].mend();
            self.unfreeze(node, None)?;
            self.start(node)?;
        }
        Ok(())
    }

    fn on_leaders(&mut self, event: &Event) -> Result<(), Violation> {
        for node in 0..self.machines.len() {
            let leads =
                self.machines[node].replica.as_ref().is_some_and(|replica| replica.raft().role().leads);
            if leads {
                self.coverage.hit(Hit::Transferred);
                self.give(node, event.clone())?;
            }
        }
        Ok(())
    }
}
