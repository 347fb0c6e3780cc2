//! One step of one process, what comes of it, and the checks after it.

use std::{hash::Hash as _, rc::Rc, time::Duration};

use constellation_consensus::{
    ClusterCommand, Effect, Event,
    lease::{Command, Sign},
    raft::{Batch, Machine as _, RaftId, Role, Ticket, proto},
};
use constellation_core::{LeaseHolder, LeaseKind, LeaseStatus};
use prost::Message as _;

use super::{
    checks::Violation,
    coverage::Hit,
    fault::Deed,
    machine::{Frozen, chain},
    network::Cut,
    report::Succession,
    scenario::Theme,
    world::{Happening, LEASES, World, nanos},
};

/// The library's number of a proposal that is forwarded to the leader.
const PROPOSAL: i32 = 2;

/// From here on a write counts as slow.
const SLOW_WRITE: Duration = Duration::from_millis(100);

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
        self.history.tick();
        let before = replica.raft().applied();
        let effects =
            replica.step(event, now).map_err(|fault| Violation::Stopped { member, why: chain(&fault) })?;
        let after = replica.raft().applied();
        if after != before {
            let raft = replica.raft();
            let state = raft.machine().snapshot();
            for index in before + 1..=after {
                // An entry that is compacted already, or that came in a snapshot, was compared where it was applied.
                let Some(term) = raft.term_at(index) else { continue };
                self.checks.applied(member, index, term, (index == after).then_some(&state))?;
            }
            self.history.saw(replica.leases(), &mut self.coverage);
        }
        let life = self.machines[node].life;
        let deeds: Vec<Deed> = effects.iter().filter_map(deed).collect();
        let asked_or_got: Vec<_> = effects.iter().filter_map(asked_or_got).collect();
        for effect in effects {
            self.perform(node, effect)?;
            // Whoever died does nothing more.
            if self.machines[node].life != life {
                break;
            }
        }
        self.believers()?;
        for (lease, got) in asked_or_got {
            self.spring_ambush(node, lease, got);
        }
        for deed in deeds {
            self.meets_its_fate(node, deed);
        }
        Ok(())
    }

    fn perform(&mut self, node: usize, effect: Effect) -> Result<(), Violation> {
        let life = self.machines[node].life;
        match effect {
            Effect::Persist(batch) => self.persist(node, batch),
            Effect::Send(message) => self.send(node, &message),
            Effect::Publish(lease, status) => {
                self.tell(|| format!("n{node} {lease}: {status:?}"));
                if let LeaseStatus::Held { token, .. } = status {
                    let holder = self.machines[node].holder();
                    self.checks.held(lease, &holder, token)?;
                }
            }
            Effect::Asked(command) => {
                self.tell(|| format!("n{node} asks: {command:?}"));
                self.history.asked(&command);
            }
            Effect::Judged(command) => {
                self.history.judged(&command);
                self.tell(|| format!("n{node} judges: {command:?}"));
                if let Command::Expire { kind, .. } = command {
                    self.let_through(node, |held_back| held_back.lease == kind);
                }
            }
            Effect::Answered { index, command, outcome } => {
                self.tell(|| format!("n{node} is answered at {index}: {command:?}: {outcome:?}"));
                let member = self.machines[node].raft;
                self.history.answered(member, index, &command, &outcome, &mut self.coverage)?;
            }
            Effect::Role(role) => {
                self.tell(|| format!("n{node} {role:?}"));
                if role.leads {
                    self.leads(node, role)?;
                }
            }
            Effect::Readable(ticket) => {
                if let Some(wanted) = self.reads.remove(&(node, life, ticket)) {
                    self.coverage.hit(Hit::Read);
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
            // Only a note has a ticket of the simulation.
            Effect::Applied { .. } => self.coverage.hit(Hit::Noted),
            Effect::Members { ticket, .. } => self.coverage.add(Hit::MembersChanged, ticket.is_some().into()),
            Effect::Table | Effect::Roster | Effect::Failed(..) => {}
        }
        Ok(())
    }

    fn leads(&mut self, node: usize, role: Role) -> Result<(), Violation> {
        let machine = &self.machines[node];
        self.checks.leads(role.term, machine.raft)?;
        if let Some(replica) = &machine.replica {
            let raft = replica.raft();
            let first = raft.applied();
            self.checks.complete(machine.raft, role.term, |index| raft.term_at(index), first)?;
        }
        self.coverage.hit(Hit::Elected);
        if let Some((since, told)) = self.leaderless.take() {
            self.coverage.add(Hit::StoodIn, told.into());
            if self.scenario.setting.theme == Theme::Deaths {
                let ticks = (self.now - since) / nanos(self.scenario.setting.timing.tick).max(1);
                self.successions.push(Succession { told, ticks });
            }
        }
        Ok(())
    }

    fn persist(&mut self, node: usize, batch: Batch) {
        self.coverage.add(Hit::Installed, batch.install.is_some().into());
        self.coverage.add(Hit::Checkpoint, batch.checkpoint.is_some().into());
        if self.machines[node].disk.begin(batch) {
            self.write(node);
        }
    }

    /// The disk begins to write whatever waits for it.
    fn write(&mut self, node: usize) {
        let machine = &self.machines[node];
        let life = machine.life;
        let latency = self.disks.between(Duration::from_micros(100), machine.write_time());
        self.coverage.add(Hit::SlowWrite, (latency > SLOW_WRITE).into());
        self.after(latency, Happening::Written { node, life });
    }

    /// The disk has written, or has refused to.
    pub(super) fn written(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        if self.machines[node].life != life {
            return Ok(());
        }
        if let Some(back) = self.machines[node].disk_fails.take() {
            self.coverage.hit(Hit::DiskFailed);
            self.crash(node, back);
            return Ok(());
        }
        let member = self.machines[node].raft;
        let finished = self.machines[node].disk.finish();
        let (number, more) = finished.map_err(|why| Violation::Stopped { member, why })?;
        if more {
            self.write(node);
        }
        number.map_or(Ok(()), |number| self.give(node, Event::Persisted(number)))
    }

    /// A process hears that another one is dead.
    pub(super) fn tell_death(
        &mut self,
        to: usize,
        holder: LeaseHolder,
        member: RaftId,
    ) -> Result<(), Violation> {
        let successor = |boot: u128| boot != 0 && boot != holder.boot;
        let late = self.machines.iter().any(|machine| machine.name == holder.node && successor(machine.boot));
        if let Some(replica) = &self.machines[to].replica {
            let leads = replica.raft().role().leader == Some(member);
            self.coverage.hit(Hit::Told);
            self.coverage.add(Hit::ToldLate, late.into());
            self.coverage.add(Hit::ToldOfLeader, leads.into());
            if let Some((_, told)) = self.leaderless.as_mut().filter(|_| leads) {
                *told = true;
            }
        }
        self.give(to, Event::Died { holder, member: Some(member) })
    }

    fn send(&mut self, from: usize, message: &proto::Message) {
        let Some(to) = self.machines.iter().position(|machine| machine.raft.0 == message.to) else { return };
        let ambush = self.machines[from].ambush.filter(|_| message.kind == PROPOSAL);
        if ambush.is_some_and(|ambush| ambush.mutes()) {
            return;
        }
        let late = nanos(ambush.map(|ambush| ambush.delays()).unwrap_or_default());
        let down = self.machines[to].replica.is_none();
        let sign = match self.network.is_cut(from, to) {
            Some(Cut::Silent | Cut::Unnoticed) => Some(Sign::TimedOut),
            Some(Cut::Rejecting) => Some(Sign::Refused),
            // The machine is there, and nobody listens.
            None if down => Some(Sign::Refused),
            None => None,
        };
        if let Some(sign) = sign {
            let cut = self.network.is_cut(from, to);
            let rejected = cut == Some(Cut::Rejecting);
            self.coverage.add(Hit::Vanished, (cut.is_some() && !rejected).into());
            self.coverage.add(Hit::Rejected, rejected.into());
            if self.chance.percent(20) {
                self.coverage.add(Hit::RefusedAlive, (!down && sign == Sign::Refused).into());
                self.coverage.add(Hit::SilentAlive, (!down && sign == Sign::TimedOut).into());
                let life = self.machines[from].life;
                let wait = self.chance.between(Duration::from_millis(1), Duration::from_millis(200));
                self.after(wait, Happening::Hint { node: from, life, about: to, sign });
            }
            return;
        }
        let bytes: Rc<[u8]> = message.encode_to_vec().into();
        if let Some(held_back) = &mut self.machines[to].held_back {
            self.coverage.hit(Hit::HeldBack);
            held_back.messages.push(bytes);
            return;
        }
        for time in self.network.arrivals(from, to, self.now, &mut self.coverage) {
            self.at(time + late, Happening::Arrive { to, bytes: Rc::clone(&bytes) });
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

    /// A client has the cluster commit something.
    pub(super) fn note(&mut self, node: usize) -> Result<(), Violation> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let note = ticket.0.to_be_bytes().to_vec();
        self.give(node, Event::Propose(ticket, ClusterCommand::Note(note)))
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

/// Whether a holder asked for more of a lease, or got it.
fn asked_or_got(effect: &Effect) -> Option<(LeaseKind, bool)> {
    match effect {
        Effect::Asked(Command::Renew { kind, .. }) => Some((*kind, false)),
        Effect::Publish(kind, LeaseStatus::Held { .. }) => Some((*kind, true)),
        _ => None,
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
        Effect::Asked(Command::Release { .. }) => Some(Deed::LetGo),
        Effect::Asked(_) => Some(Deed::Asked),
        Effect::Persist(_) => Some(Deed::Wrote),
        _ => None,
    }
}
