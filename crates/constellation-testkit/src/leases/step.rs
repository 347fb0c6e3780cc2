//! One step of one process, what comes of it, and the checks after it.

use std::{hash::Hash as _, rc::Rc, time::Duration};

use constellation_consensus::{
    Effect, Event,
    lease::Sign,
    raft::{Machine as _, Ticket, proto},
};
use constellation_core::LeaseStatus;
use prost::Message as _;

use super::{
    checks::Violation,
    fault::Deed,
    machine::{Frozen, chain},
    network::Cut,
    world::{Happening, LEASES, World},
};

impl World<'_> {
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
            let state = replica.raft().machine().snapshot();
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
            self.meets_its_fate(node, deed);
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
            Effect::Table
            | Effect::Roster
            | Effect::Applied { .. }
            | Effect::Members { .. }
            | Effect::Failed(..)
            | Effect::LetGo(_) => {}
        }
        Ok(())
    }

    /// The disk begins to write whatever waits for it.
    pub(super) fn write(&mut self, node: usize) {
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
