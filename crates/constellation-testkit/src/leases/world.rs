//! The simulated world: one queue of happenings in true time, and the machines that they happen to.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use constellation_consensus::{
    Effect, Event, Mutation,
    lease::Sign,
    raft::{RaftId, Ticket, birth, proto},
};
use constellation_core::{LeaseHolder, LeaseKind, LeaseStatus};
use prost::Message as _;

use super::{
    checks::{Checks, Violation},
    clock::True,
    fault::Deed,
    machine::{Frozen, SimMachine, chain},
    network::{Cut, Network},
    scenario::Scenario,
};
use crate::Chance;

pub(super) const LEASES: [LeaseKind; 2] = [LeaseKind::LbLeader, LeaseKind::DnsWriter];

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// When, in true time.
    pub at: Duration,
    /// How many steps nodes took.
    pub steps: u64,
    /// How many tenures began.
    pub tenures: u64,
    /// How long it took from mending to the best holders.
    pub settled_after: Option<Duration>,
    /// A digest of everything that happened, to compare two runs of one seed.
    pub digest: u64,
}

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Tick { node: usize, life: u64 },
    Arrive { to: usize, bytes: Rc<[u8]> },
    Written { node: usize, life: u64 },
    Begin { fault: usize },
    End { fault: usize },
    Restart { node: usize, life: u64 },
    Obituary { to: usize, holder: LeaseHolder },
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
    disks: Chance,
    pub(super) checks: Checks,
    pub(super) next_boot: u128,
    pub(super) next_raft: u64,
    pub(super) desired_voters: BTreeSet<usize>,
    pub(super) mended: Option<True>,
    pub(super) next_ticket: u64,
    reads: BTreeMap<(usize, u64, Ticket), u64>,
    steps: u64,
    tenures: u64,
    digest: DefaultHasher,
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
    let mut world = World::new(scenario, mutation, trace);
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
        tenures: world.tenures,
        settled_after,
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
    ) -> Self {
        let mut chance = Chance::new(scenario.seed ^ 0x5eed);
        let setting = &scenario.setting;
        let founders: Vec<RaftId> = (0..setting.voters).map(|voter| RaftId(voter as u64 + 1)).collect();
        let born = birth(&founders, &constellation_consensus::ClusterMachine::new());
        let machine = |index: usize| {
            let birth = (index < setting.voters).then_some(&born);
            let uptime = Duration::from_secs(60 + chance.below(1_000_000));
            SimMachine::new(index, setting, uptime, birth)
        };
        let machines = (0..setting.nodes).map(machine).collect();
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
            next_boot: 1,
            next_raft: setting.nodes as u64 + 1,
            desired_voters: (0..setting.voters).collect(),
            mended: None,
            next_ticket: 1,
            reads: BTreeMap::new(),
            steps: 0,
            tenures: 0,
            digest: DefaultHasher::new(),
            trace,
        };
        for (index, planned) in scenario.faults.iter().enumerate() {
            world.at(nanos(planned.at), Happening::Begin { fault: index });
        }
        world.after(Duration::from_millis(1), Happening::Look);
        world.after(Duration::from_millis(1), Happening::Operate);
        world
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
            Happening::Arrive { to, bytes } => match proto::Message::decode(&*bytes) {
                Ok(message) => self.give(to, Event::Message(message)),
                Err(_) => Ok(()),
            },
            Happening::Written { node, life } => {
                if self.machines[node].life != life {
                    return Ok(());
                }
                let (number, more) = self.machines[node].disk.finish();
                if more {
                    self.write(node);
                }
                number.map_or(Ok(()), |number| self.give(node, Event::Persisted(number)))
            }
            Happening::Begin { fault } => self.begin(fault),
            Happening::End { fault } => self.end(fault),
            Happening::Restart { node, life } if self.machines[node].life == life => self.start(node),
            Happening::Restart { .. } => Ok(()),
            Happening::Obituary { to, holder } => self.give(to, Event::Died(holder)),
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
        if machine.boot == 0 {
            machine.boot = self.next_boot;
            self.next_boot += 1;
        }
        let (member, life) = (machine.raft, machine.life);
        machine.start(setting, seed, mutation).map_err(|why| Violation::Stopped { member, why })?;
        let boot = machine.boot;
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
        machine.disk.crash(&mut self.disks);
        self.tell(|| format!("n{node} dies"));
    }

    /// Hands something to a process: now, later if it stands still, or never.
    pub(super) fn give(&mut self, node: usize, event: Event) -> Result<(), Violation> {
        let machine = &mut self.machines[node];
        match (machine.replica.is_some(), machine.how_frozen()) {
            (false, _) => Ok(()),
            (true, None) => self.step(node, event),
            // A sleeping machine's disk finishes with its writes once it is awake; its network has lost what came.
            (true, Some(Frozen::Asleep)) if !matches!(event, Event::Persisted(_)) => Ok(()),
            (true, Some(_)) => {
                machine.wait(event);
                Ok(())
            }
        }
    }

    /// The process runs again: it finds what waited.
    pub(super) fn thaw(&mut self, node: usize) -> Result<(), Violation> {
        for event in std::mem::take(&mut self.machines[node].waiting) {
            self.give(node, event)?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self, node: usize, event: Event) -> Result<(), Violation> {
        self.steps += 1;
        let machine = &mut self.machines[node];
        let (now, member) = (machine.now(), machine.raft);
        let Some(replica) = &mut machine.replica else { return Ok(()) };
        (self.now, node, std::mem::discriminant(&event)).hash(&mut self.digest);
        let before = replica.raft().applied();
        let effects =
            replica.step(event, now).map_err(|fault| Violation::Stopped { member, why: chain(&fault) })?;
        let after = replica.raft().applied();
        if after != before {
            let state = constellation_consensus::raft::Machine::snapshot(replica.raft().machine());
            let term = replica.raft().term_at(after);
            self.checks.applied(member, after, term, &state)?;
        }
        let life = self.machines[node].life;
        let deeds: Vec<Deed> = effects.iter().filter_map(deed).collect();
        for effect in effects {
            self.perform(node, effect)?;
            // Whoever died does nothing more.
            if self.machines[node].life != life {
                break;
            }
        }
        self.believers()?;
        for deed in deeds {
            self.meets_its_end(node, deed);
        }
        Ok(())
    }

    fn perform(&mut self, node: usize, effect: Effect) -> Result<(), Violation> {
        let life = self.machines[node].life;
        match effect {
            Effect::Persist(batch) => {
                if self.machines[node].disk.begin(batch) {
                    self.write(node);
                }
            }
            Effect::Send(message) => self.send(node, &message),
            Effect::Publish(lease, status) => {
                self.tell(|| format!("n{node} {lease}: {status:?}"));
                if let LeaseStatus::Held { token, .. } = status {
                    let holder = self.machines[node].holder();
                    self.tenures += 1;
                    self.checks.held(lease, &holder, token)?;
                }
            }
            Effect::Asked(lease, ask) => {
                let holder = self.machines[node].holder();
                self.checks.asked(&holder, lease, ask);
            }
            Effect::Answered { lease, index, answer } => {
                let machine = &self.machines[node];
                self.checks.answered(machine.raft, &machine.holder(), lease, answer.ask, index)?;
            }
            Effect::Role(role) => {
                self.tell(|| format!("n{node} {role:?}"));
                if role.leads {
                    let machine = &self.machines[node];
                    self.checks.leads(role.term, machine.raft)?;
                    if let Some(replica) = &machine.replica {
                        let raft = replica.raft();
                        let first = raft.applied();
                        self.checks.complete(machine.raft, role.term, |index| raft.term_at(index), first)?;
                    }
                }
            }
            Effect::Readable(ticket) => {
                if let Some(wanted) = self.reads.remove(&(node, life, ticket)) {
                    let member = self.machines[node].raft;
                    let replica = self.machines[node].replica.as_ref();
                    let applied = replica.map_or(0, |replica| replica.raft().applied());
                    if applied < wanted {
                        return Err(Violation::StaleRead { member, wanted, applied });
                    }
                }
            }
            Effect::Dead => {
                self.tell(|| format!("n{node} hears that it is dead"));
                self.kill(node);
                self.machines[node].boot = 0;
                let life = self.machines[node].life;
                self.after(Duration::from_millis(50), Happening::Restart { node, life });
            }
            Effect::Table | Effect::Members { .. } | Effect::Failed(..) | Effect::LetGo(_) => {}
        }
        Ok(())
    }

    /// The disk begins to write whatever waits for it.
    fn write(&mut self, node: usize) {
        let machine = &self.machines[node];
        let life = machine.life;
        let latency = self.disks.between(Duration::from_micros(100), machine.disk_latency);
        self.after(latency, Happening::Written { node, life });
    }

    fn send(&mut self, from: usize, message: &proto::Message) {
        let Some(to) = self.machines.iter().position(|machine| machine.raft.0 == message.to) else { return };
        let down = self.machines[to].replica.is_none();
        let sign = match self.network.is_cut(from, to) {
            Some(Cut::Silent) => Some(Sign::TimedOut),
            Some(Cut::Rejecting) => Some(Sign::Refused),
            // The machine is there, and nobody listens.
            None if down => Some(Sign::Refused),
            None => None,
        };
        if let Some(sign) = sign {
            if self.chance.percent(20) {
                let life = self.machines[from].life;
                let wait = self.chance.between(Duration::from_millis(1), Duration::from_millis(200));
                self.after(wait, Happening::Hint { node: from, life, about: to, sign });
            }
            return;
        }
        let bytes: Rc<[u8]> = message.encode_to_vec().into();
        for time in self.network.arrivals(self.now) {
            self.at(time, Happening::Arrive { to, bytes: Rc::clone(&bytes) });
        }
    }

    /// Asks a node for a moment at which it knows all, and remembers what all is now.
    pub(super) fn ask_to_read(&mut self, node: usize) -> Result<(), Violation> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let life = self.machines[node].life;
        self.reads.insert((node, life, ticket), self.checks.highest_applied());
        self.give(node, Event::Read(ticket))
    }

    /// The promise: at this very moment at most one process believes that it may act.
    fn believers(&self) -> Result<(), Violation> {
        for lease in LEASES {
            let mut holders = Vec::new();
            for machine in &self.machines {
                let token =
                    machine.replica.as_ref().and_then(|replica| replica.may_act(lease, machine.now()));
                holders.extend(token.map(|token| (machine.holder(), token)));
            }
            if holders.len() > 1 {
                return Err(Violation::TwoHolders { lease, holders });
            }
        }
        Ok(())
    }
}

/// What a process may die right after, if this is such a thing.
fn deed(effect: &Effect) -> Option<Deed> {
    /// The library's number of a vote, not of a pre-vote.
    const VOTE: i32 = 6;
    match effect {
        Effect::Send(message) if message.kind == VOTE && !message.reject => Some(Deed::Voted),
        Effect::Role(role) if role.leads => Some(Deed::Elected),
        Effect::Publish(_, LeaseStatus::Held { .. }) => Some(Deed::Held),
        Effect::LetGo(_) => Some(Deed::LetGo),
        _ => None,
    }
}
