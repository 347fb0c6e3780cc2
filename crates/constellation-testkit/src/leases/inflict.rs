//! How faults begin and end, and how everything is mended.

use std::time::Duration;

use constellation_consensus::{Event, Mutation, raft::RaftId};
use constellation_core::{LeaseKind, LeaseStatus};

use super::{
    checks::Violation,
    fault::{Deed, Fault},
    machine::Frozen,
    network::Cut,
    world::{Happening, World},
};

/// What every disk is like once all is mended.
const GOOD_DISK: Duration = Duration::from_millis(3);

/// Marks of cuts that a fault makes later.
const LATER: u64 = 1 << 32;

impl World<'_> {
    pub(super) fn begin(&mut self, fault: usize) -> Result<(), Violation> {
        if self.mended.is_some() {
            return Ok(());
        }
        let planned = &self.scenario.faults[fault];
        self.tell(|| format!("== {:?}", planned.fault));
        let mark = fault as u64;
        let time = match &planned.fault {
            Fault::Crash { node, down, same_boot, obituary } => {
                self.crash(*node, *down, *same_boot, *obituary);
                return Ok(());
            }
            Fault::CrashOn { node, deed, .. } => {
                self.machines[*node].doomed = Some((*deed, fault));
                return Ok(());
            }
            Fault::LoseDisk { node, down } => {
                return self.lose_disk(*node, *down);
            }
            Fault::Drift { node, parts_per_million } => {
                self.machines[*node].clock.set_drift(*parts_per_million);
                return Ok(());
            }
            Fault::Transfer { node } => {
                let to = self.machines[*node].raft;
                return self.on_leaders(&Event::Transfer(to));
            }
            Fault::Voters { nodes } => {
                self.desired_voters = nodes.iter().copied().collect();
                return Ok(());
            }
            Fault::Pause { node, time } => {
                self.machines[*node].frozen.push((mark, Frozen::Paused));
                *time
            }
            Fault::Suspend { node, time } => {
                self.machines[*node].frozen.push((mark, Frozen::Asleep));
                self.machines[*node].clock.sleep(true);
                *time
            }
            Fault::Cut { links, how, time } => {
                for (from, to) in links {
                    self.network.cut(mark, *from, *to, *how);
                }
                *time
            }
            Fault::Starve { lease, before_end, then_alone } => {
                let Some((holder, left)) = self.believer(*lease) else { return Ok(()) };
                self.machines[holder].alone_once_held = Some((mark, *then_alone));
                for to in 0..self.machines.len() {
                    self.network.cut(mark, holder, to, Cut::Silent);
                }
                left.saturating_sub(*before_end)
            }
            Fault::Weather { weather, time } => {
                self.network.set_weather(*weather);
                *time
            }
            Fault::SlowDisk { node, latency, time } => {
                self.machines[*node].disk_latency = *latency;
                *time
            }
            Fault::Drain { node, time } => {
                self.machines[*node].drains += 1;
                self.look_of(*node)?;
                *time
            }
        };
        self.after(time, Happening::End { fault });
        Ok(())
    }

    pub(super) fn end(&mut self, fault: usize) -> Result<(), Violation> {
        if self.mended.is_some() {
            return Ok(());
        }
        let mark = fault as u64;
        match &self.scenario.faults[fault].fault {
            Fault::Pause { node, .. } | Fault::Suspend { node, .. } => self.unfreeze(*node, Some(mark))?,
            Fault::Cut { .. } | Fault::Starve { .. } => self.network.mend(mark),
            Fault::Weather { .. } => self.network.set_weather(self.scenario.setting.weather),
            Fault::SlowDisk { node, .. } => {
                self.machines[*node].disk_latency = self.scenario.setting.disk;
            }
            Fault::Drain { node, .. } => {
                self.machines[*node].drains = self.machines[*node].drains.saturating_sub(1);
                self.look_of(*node)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Who believes to hold a lease, and for how much longer, in true time.
    fn believer(&self, lease: LeaseKind) -> Option<(usize, Duration)> {
        self.machines.iter().enumerate().find_map(|(node, machine)| {
            let replica = machine.replica.as_ref()?;
            replica.may_act(lease, machine.now())?;
            let LeaseStatus::Held { until, .. } = replica.status(lease) else { return None };
            let left = until.since(machine.now().holder.0);
            Some((node, Duration::from_nanos(machine.clock.true_span(left))))
        })
    }

    /// Ends one reason for standing still, or all of them.
    fn unfreeze(&mut self, node: usize, mark: Option<u64>) -> Result<(), Violation> {
        let machine = &mut self.machines[node];
        machine.frozen.retain(|(of, _)| mark.is_some_and(|mark| *of != mark));
        let asleep = machine.how_frozen() == Some(Frozen::Asleep);
        machine.clock.sleep(asleep);
        if machine.frozen.is_empty() { self.thaw(node) } else { Ok(()) }
    }

    /// What was waiting for this node to do just what it did: it dies, or is cut off.
    pub(super) fn meets_its_fate(&mut self, node: usize, deed: Deed) {
        if deed == Deed::Held
            && let Some((mark, time)) = self.machines[node].alone_once_held.take()
        {
            self.tell(|| format!("n{node} is alone"));
            let mark = mark + LATER;
            for other in 0..self.machines.len() {
                self.network.cut(mark, node, other, Cut::Silent);
                self.network.cut(mark, other, node, Cut::Silent);
            }
            self.after(time, Happening::Mend { mark });
        }
        let Some((fatal, fault)) = self.machines[node].doomed else { return };
        if fatal != deed {
            return;
        }
        self.machines[node].doomed = None;
        if let Fault::CrashOn { down, same_boot, obituary, .. } = &self.scenario.faults[fault].fault {
            self.crash(node, *down, *same_boot, *obituary);
        }
    }

    fn crash(&mut self, node: usize, down: Duration, same_boot: bool, obituary: Option<Duration>) {
        if self.machines[node].replica.is_none() {
            return;
        }
        let holder = self.machines[node].holder();
        self.kill(node);
        if !same_boot {
            self.machines[node].boot = 0;
        }
        if let Some(wait) = obituary {
            for to in 0..self.machines.len() {
                // Whoever saw the exit tells everybody, over the same network, and as late as that may be.
                if to == node || self.network.is_cut(node, to).is_none() {
                    let late = self.chance.between(Duration::ZERO, wait + Duration::from_millis(5));
                    self.after(wait + late, Happening::Obituary { to, holder: holder.clone() });
                }
            }
        }
        let life = self.machines[node].life;
        self.after(down, Happening::Restart { node, life });
    }

    /// Only where the group can bear it: one lost disk at a time, and two other voters.
    fn lose_disk(&mut self, node: usize, down: Duration) -> Result<(), Violation> {
        if self.machines[node].replica.is_none() || !self.members_are_as_desired() {
            return Ok(());
        }
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
            self.machines[node].drains = 0;
            self.machines[node].doomed = None;
            self.machines[node].alone_once_held = None;
            self.machines[node].disk_latency = GOOD_DISK;
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
                self.give(node, event.clone())?;
            }
        }
        Ok(())
    }
}
