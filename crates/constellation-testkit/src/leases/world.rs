//! The simulated world: one queue of happenings in true time, and the machines that they happen to.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, hash_map::DefaultHasher},
    hash::Hasher as _,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use constellation_consensus::{
    Event, Mutation,
    lease::Sign,
    raft::{RaftId, Ticket, birth, proto},
};
use constellation_core::{LeaseHolder, LeaseKind};
use prost::Message as _;

use super::{
    checks::{Checks, Violation},
    clock::True,
    coverage::{Coverage, Hit},
    history::History,
    machine::SimMachine,
    network::Network,
    report::{Report, Succession},
    scenario::Scenario,
};
use crate::Chance;

pub(super) const LEASES: [LeaseKind; 2] = [LeaseKind::LbLeader, LeaseKind::DnsWriter];

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Tick { node: usize, life: u64 },
    Arrive { to: usize, bytes: Rc<[u8]> },
    LetThrough { to: usize, mark: u64 },
    Drain { node: usize, begins: bool },
    Forget { node: usize, mark: u64 },
    Written { node: usize, life: u64 },
    Begin { fault: usize },
    End { fault: usize },
    Mend { mark: u64 },
    Restart { node: usize, life: u64 },
    Obituary { to: usize, holder: LeaseHolder, member: RaftId },
    Hint { node: usize, life: u64, about: usize, sign: Sign },
    Look,
    Operate,
}

pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) mutation: Option<Mutation>,
    pub(super) now: True,
    queue: BinaryHeap<Reverse<(True, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    sequence: u64,
    pub(super) machines: Vec<SimMachine>,
    pub(super) network: Network,
    pub(super) chance: Chance,
    pub(super) disks: Chance,
    pub(super) checks: Checks,
    pub(super) history: History,
    pub(super) coverage: Coverage,
    /// Since when Raft's leader is dead, and whether some follower was told.
    pub(super) leaderless: Option<(True, bool)>,
    pub(super) successions: Vec<Succession>,
    pub(super) next_boot: u128,
    pub(super) next_raft: u64,
    pub(super) desired_voters: BTreeSet<usize>,
    pub(super) mended: Option<True>,
    pub(super) next_ticket: u64,
    pub(super) reads: BTreeMap<(usize, u64, Ticket), u64>,
    pub(super) steps: u64,
    pub(super) digest: DefaultHasher,
    trace: Option<&'a mut dyn FnMut(String)>,
}

/// Plays a scenario with the code as it is, or with one rule broken.
pub fn run(scenario: &Scenario, mutation: Option<Mutation>) -> Report {
    play(scenario, mutation, None)
}

/// Plays a scenario and tells what happens, line by line.
pub fn run_traced(scenario: &Scenario, mutation: Option<Mutation>, trace: &mut dyn FnMut(String)) -> Report {
    play(scenario, mutation, Some(trace))
}

fn play<'a>(
    scenario: &'a Scenario,
    mutation: Option<Mutation>,
    trace: Option<&'a mut dyn FnMut(String)>,
) -> Report {
    let mut world = match World::new(scenario, mutation, trace) {
        Ok(world) => world,
        Err(why) => return Report::stillborn(why),
    };
    // The library panics where it finds its own rules broken; that is a finding like any other.
    let ended = catch_unwind(AssertUnwindSafe(|| world.live()));
    let (violation, settled_after) = match ended {
        Ok(Ok(settled_after)) => (None, Some(settled_after)),
        Ok(Err(violation)) => (Some(violation), None),
        Err(panic) => (Some(Violation::Panicked { message: panic_message(&*panic) }), None),
    };
    Report {
        violation,
        at: Duration::from_nanos(world.now),
        steps: world.steps,
        settled_after,
        coverage: world.coverage,
        successions: world.successions,
        digest: world.digest.finish(),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

pub(super) fn nanos(duration: Duration) -> True {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> World<'a> {
    fn new(
        scenario: &'a Scenario,
        mutation: Option<Mutation>,
        trace: Option<&'a mut dyn FnMut(String)>,
    ) -> Result<Self, String> {
        let mut chance = Chance::new(scenario.seed ^ 0x5eed);
        let setting = &scenario.setting;
        let founders: Vec<RaftId> = (0..setting.voters).map(|voter| RaftId(voter as u64 + 1)).collect();
        let born = birth(&founders, &constellation_consensus::ClusterMachine::new());
        let machine = |index: usize| {
            let birth = (index < setting.voters).then_some(&born);
            let uptime = Duration::from_secs(60 + chance.below(1_000_000));
            SimMachine::new(index, setting, uptime, birth)
        };
        let machines = (0..setting.nodes).map(machine).collect::<Result<_, String>>()?;
        let mut world = Self {
            scenario,
            mutation,
            now: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            machines,
            network: Network::new(setting.weather, chance.fork(1)),
            disks: chance.fork(2),
            chance,
            checks: Checks::default(),
            history: History::default(),
            coverage: Coverage::default(),
            leaderless: None,
            successions: Vec::new(),
            next_boot: 1,
            next_raft: setting.nodes as u64 + 1,
            desired_voters: (0..setting.voters).collect(),
            mended: None,
            next_ticket: 1,
            reads: BTreeMap::new(),
            steps: 0,
            digest: DefaultHasher::new(),
            trace,
        };
        let sizes = [Hit::Nodes3, Hit::Nodes4, Hit::Nodes5, Hit::Nodes6, Hit::Nodes7];
        sizes.get(setting.nodes.wrapping_sub(3)).into_iter().for_each(|size| world.coverage.hit(*size));
        world.coverage.add(Hit::ProductionLog, setting.production_log.into());
        for (index, planned) in scenario.faults.iter().enumerate() {
            world.at(nanos(planned.at), Happening::Begin { fault: index });
        }
        world.after(Duration::from_millis(1), Happening::Look);
        world.after(Duration::from_millis(1), Happening::Operate);
        Ok(world)
    }

    fn live(&mut self) -> Result<Duration, Violation> {
        for node in 0..self.machines.len() {
            self.start(node)?;
        }
        let length = nanos(self.scenario.length);
        let deadline = length + nanos(self.scenario.settles_within);
        while let Some(Reverse((time, sequence))) = self.queue.pop() {
            let Some(happening) = self.happenings.remove(&sequence) else { continue };
            if time >= length && self.mended.is_none() {
                self.advance(length);
                self.mend()?;
            }
            self.advance(time);
            if time > deadline {
                return Err(Violation::NotSettled { what: self.missing() });
            }
            let looked = matches!(happening, Happening::Look);
            self.happen(happening)?;
            if looked && self.mended.is_some() && self.is_settled() {
                self.history.check(&mut self.coverage)?;
                return Ok(Duration::from_nanos(time - length));
            }
        }
        Err(Violation::NotSettled { what: "nothing happens any more".to_owned() })
    }

    fn advance(&mut self, to: True) {
        self.now = self.now.max(to);
        for machine in &mut self.machines {
            machine.clock.advance(self.now);
        }
    }

    pub(super) fn at(&mut self, time: True, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert(self.sequence, happening);
        self.queue.push(Reverse((time, self.sequence)));
    }

    pub(super) fn after(&mut self, wait: Duration, happening: Happening) {
        self.at(self.now + nanos(wait), happening);
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace(format!("{:>10.4} {}", Duration::from_nanos(self.now).as_secs_f64(), line()));
        }
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Tick { node, life } => self.tick(node, life),
            Happening::LetThrough { to, mark } => {
                self.let_through(to, |held_back| held_back.mark == mark);
                Ok(())
            }
            Happening::Drain { node, begins } => self.drain(node, begins),
            Happening::Forget { node, mark } => {
                self.forget(node, mark);
                Ok(())
            }
            Happening::Arrive { to, bytes } => match proto::Message::decode(&*bytes) {
                Ok(message) => self.give(to, Event::Message(message)),
                Err(_) => Ok(()),
            },
            Happening::Written { node, life } => self.written(node, life),
            Happening::Begin { fault } => self.begin(fault),
            Happening::End { fault } => self.end(fault),
            Happening::Mend { mark } => {
                self.network.mend(mark);
                Ok(())
            }
            Happening::Restart { node, life } if self.machines[node].life == life => self.start(node),
            Happening::Restart { .. } => Ok(()),
            Happening::Obituary { to, holder, member } => self.tell_death(to, holder, member),
            Happening::Hint { node, life, about, sign } if self.machines[node].life == life => {
                let about = self.machines[about].name.clone();
                self.give(node, Event::Hint(about, sign))
            }
            Happening::Hint { .. } => Ok(()),
            Happening::Look => self.look(),
            Happening::Operate => self.operate(),
        }
    }

    fn tick(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        if self.machines[node].life != life {
            return Ok(());
        }
        let span = self.machines[node].clock.true_span(self.scenario.setting.timing.tick);
        self.at(self.now + span, Happening::Tick { node, life });
        // A process that stands still misses its ticks; it does not make up for them.
        if self.machines[node].runs() { self.step(node, Event::Tick) } else { Ok(()) }
    }

    /// Starts a process on a machine.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Violation> {
        if self.machines[node].replica.is_some() {
            return Ok(());
        }
        let seed = self.chance.bits();
        let (setting, mutation) = (&self.scenario.setting, self.mutation);
        let machine = &mut self.machines[node];
        let new_boot = machine.boot == 0;
        if new_boot {
            machine.boot = self.next_boot;
            self.next_boot += 1;
        }
        let (member, life) = (machine.raft, machine.life);
        let same_boot = life > 0 && !new_boot;
        machine.start(setting, seed, mutation).map_err(|why| Violation::Stopped { member, why })?;
        let boot = machine.boot;
        self.coverage.add(Hit::SameBoot, same_boot.into());
        self.coverage.add(Hit::NewBoot, (life > 0 && new_boot).into());
        self.tell(|| format!("n{node} starts as {member}, boot {boot}"));
        let phase = self.chance.between(Duration::ZERO, setting.timing.tick);
        self.after(phase, Happening::Tick { node, life });
        self.look_of(node)
    }

    /// Ends a process, and what was meant for it.
    pub(super) fn kill(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        machine.replica = None;
        machine.life += 1;
        machine.waiting.clear();
        let wreck = machine.disk.crash(&mut self.disks);
        for (hit, times) in [(Hit::WritesLost, wreck.lost), (Hit::WritesSurvived, wreck.survived)] {
            self.coverage.add(hit, u64::try_from(times).unwrap_or(0));
        }
        self.coverage.add(Hit::WritesTorn, wreck.torn.into());
        self.tell(|| format!("n{node} dies"));
    }
}
