//! Everything of one node that decides: its Raft member, its keepers and its judge, as one plain value.
//!
//! The service runs it on a real clock, disk and network, the simulation on simulated ones; neither decides anything.

mod event;

use std::collections::VecDeque;

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, LeaseStatus};

pub use self::event::{Effect, Event, Identity};
use crate::{
    clock::{HolderMoment, Now},
    lease::{
        Answer, Command, JudgeEvent, KeeperEffect, KeeperEvent, LeaseConfig, LeaseJudge, LeaseKeeper,
        LeaseTable, Verdict, Wish,
    },
    machine::{ClusterCommand, ClusterMachine, Reply},
    member::{MemberCommand, MemberTable},
    mutation::{Broken, Mutation},
    raft::{Fault, Input, Output, RaftConfig, RaftNode, Recovered, Ticket},
};

/// Tickets of a node's own leases begin here; those of its callers lie below.
const OWN_TICKETS: u64 = 1 << 63;

/// The leases that every node keeps.
const KINDS: [LeaseKind; 2] = [LeaseKind::LbLeader, LeaseKind::DnsWriter];

/// One node.
pub struct Replica {
    node: RaftNode<ClusterMachine>,
    keepers: Vec<LeaseKeeper>,
    judge: LeaseJudge,
    me: LeaseHolder,
    next_ticket: u64,
    broken: Broken,
}

impl Replica {
    /// A node that takes over what its log held.
    pub fn new(
        identity: Identity,
        raft: RaftConfig,
        lease: LeaseConfig,
        recovered: Recovered,
        now: Now,
    ) -> Result<Self, Fault> {
        Self::with(identity, raft, lease, recovered, now, Broken::default())
    }

    /// A node with one rule broken, for a simulation that must notice.
    #[cfg(feature = "mutations")]
    pub fn broken(
        identity: Identity,
        raft: RaftConfig,
        lease: LeaseConfig,
        recovered: Recovered,
        now: Now,
        mutation: Option<Mutation>,
    ) -> Result<Self, Fault> {
        Self::with(identity, raft, lease, recovered, now, Broken(mutation))
    }

    fn with(
        identity: Identity,
        raft: RaftConfig,
        lease: LeaseConfig,
        recovered: Recovered,
        now: Now,
        broken: Broken,
    ) -> Result<Self, Fault> {
        let Identity { raft: id, holder: me, first_ask } = identity;
        let node = RaftNode::with(id, raft, ClusterMachine::with(broken), recovered, broken)?;
        let keeper = |kind| LeaseKeeper::with(kind, me.clone(), first_ask, lease, broken);
        let keepers = KINDS.into_iter().map(keeper).collect();
        let judge = LeaseJudge::with(lease, broken);
        let mut replica = Self { node, keepers, judge, me, next_ticket: OWN_TICKETS, broken };
        // What the log's snapshot says is known from the first step on; nobody wants anything yet.
        let mut work = VecDeque::new();
        replica.tell_table(None, now, &mut work, &mut Vec::new());
        Ok(replica)
    }

    /// The lease table as this node has it. It may be older than the leader's.
    pub fn leases(&self) -> &LeaseTable {
        self.node.machine().leases()
    }

    /// Who belongs to the cluster, as this node has it.
    pub fn table_of_members(&self) -> &MemberTable {
        self.node.machine().members()
    }

    /// The Raft member.
    pub fn raft(&self) -> &RaftNode<ClusterMachine> {
        &self.node
    }

    /// What this node published last of a lease.
    pub fn status(&self, kind: LeaseKind) -> LeaseStatus {
        let keeper = self.keepers.iter().find(|keeper| keeper.kind() == kind);
        keeper.map(|keeper| keeper.status().clone()).unwrap_or_default()
    }

    /// The token under which this process may act now. This is the question to ask right before each effect.
    pub fn may_act(&self, kind: LeaseKind, now: Now) -> Option<FencingToken> {
        self.status(kind).may_act(self.holder_now(now).0)
    }

    fn holder_now(&self, now: Now) -> HolderMoment {
        if self.broken.is(Mutation::HolderClockStandsStill) { HolderMoment(now.judge.0) } else { now.holder }
    }

    /// Takes in what happened, and says what is to be done.
    pub fn step(&mut self, event: Event, now: Now) -> Result<Vec<Effect>, Fault> {
        let mut effects = Vec::new();
        let mut work = VecDeque::new();
        match event {
            Event::Tick => {
                work.push_back(Input::Tick);
                self.run(&mut work, now, &mut effects)?;
                self.judge(JudgeEvent::Tick, now, &mut work, &mut effects);
                self.tell_keepers(&KeeperEvent::Tick, now, &mut work, &mut effects);
            }
            Event::Message(message) => work.push_back(Input::Message(message)),
            Event::Persisted(batch) => work.push_back(Input::Persisted(batch)),
            Event::Wish(kind, wish) => self.wish(kind, wish, now, &mut work, &mut effects),
            Event::Died { holder, member } => {
                work.extend(member.map(Input::Bereaved));
                self.judge(JudgeEvent::Died(holder), now, &mut work, &mut effects);
            }
            Event::Hint(node, sign) => {
                self.judge(JudgeEvent::Hint(node, sign), now, &mut work, &mut effects);
            }
            Event::Unreachable(peer) => work.push_back(Input::Unreachable(peer)),
            Event::Read(ticket) => work.push_back(Input::Read(ticket)),
            Event::Propose(ticket, command) => work.push_back(Input::Propose(ticket, command.encode())),
            Event::Change(ticket, seats) => work.push_back(Input::Change(ticket, seats)),
            Event::Transfer(to) => work.push_back(Input::Transfer(to)),
        }
        self.run(&mut work, now, &mut effects)?;
        Ok(effects)
    }

    /// Feeds Raft, and hears it out, until nothing is left to say.
    fn run(&mut self, work: &mut VecDeque<Input>, now: Now, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        while let Some(input) = work.pop_front() {
            for output in self.node.step(input)? {
                self.hear(output, now, work, effects);
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        output: Output<Reply>,
        now: Now,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        match output {
            Output::Persist(batch) => effects.push(Effect::Persist(batch)),
            Output::Send(message) => effects.push(Effect::Send(message)),
            Output::Role(role) => {
                if !role.leads {
                    self.judge(JudgeEvent::Follows, now, work, effects);
                }
                effects.push(Effect::Role(role));
                if role.leader.is_some() {
                    self.tell_keepers(&KeeperEvent::Leader, now, work, effects);
                }
            }
            Output::Leads => self.judge(JudgeEvent::Leads, now, work, effects),
            Output::Applied { reply, index, ticket } => {
                match &reply {
                    Reply::Lease { command, outcome } => {
                        if command.asker() == Some(&self.me) {
                            let (command, outcome) = (command.clone(), outcome.clone());
                            effects.push(Effect::Answered { index, command, outcome });
                        }
                        self.tell_table(Some(&reply), now, work, effects);
                        effects.push(Effect::Table);
                    }
                    Reply::Member { command: MemberCommand::Lead { id }, .. } => {
                        // Whoever leads now hands over; the others leave it.
                        work.push_back(Input::Transfer(*id));
                    }
                    Reply::Member { .. } => effects.push(Effect::Roster),
                    Reply::Noted => {}
                }
                let asked = ticket.filter(|ticket| ticket.0 < OWN_TICKETS);
                effects.extend(asked.map(|ticket| Effect::Applied { ticket, index, reply }));
            }
            Output::Restored => {
                self.tell_table(None, now, work, effects);
                effects.extend([Effect::Table, Effect::Roster]);
            }
            Output::Members { members, ticket } => effects.push(Effect::Members { members, ticket }),
            Output::Readable(ticket) => effects.push(Effect::Readable(ticket)),
            // A keeper or the judge says again what was lost, so nobody waits for their tickets.
            Output::Failed(ticket, _) if ticket.0 >= OWN_TICKETS => {}
            Output::Failed(ticket, lost) => effects.push(Effect::Failed(ticket, lost)),
        }
    }

    fn tell_table(
        &mut self,
        reply: Option<&Reply>,
        now: Now,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        let holder_now = self.holder_now(now);
        let table = self.node.machine().leases();
        let verdicts = self.judge.step(JudgeEvent::Table(table), now.judge);
        let mut said = Vec::new();
        for keeper in &mut self.keepers {
            let kind = keeper.kind();
            let answer = reply.and_then(|reply| own_answer(reply, kind, &self.me));
            let event = KeeperEvent::Applied(table.record(kind), answer);
            said.extend(keeper.step(event, holder_now).into_iter().map(|effect| (kind, effect)));
        }
        self.propose_verdicts(verdicts, work, effects);
        self.perform(said, work, effects);
    }

    fn tell_keepers(
        &mut self,
        event: &KeeperEvent,
        now: Now,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.holder_now(now);
        let mut said = Vec::new();
        for keeper in &mut self.keepers {
            let kind = keeper.kind();
            said.extend(keeper.step(event.clone(), now).into_iter().map(|effect| (kind, effect)));
        }
        self.perform(said, work, effects);
    }

    fn wish(
        &mut self,
        kind: LeaseKind,
        wish: Wish,
        now: Now,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.holder_now(now);
        let Some(keeper) = self.keepers.iter_mut().find(|keeper| keeper.kind() == kind) else { return };
        let said =
            keeper.step(KeeperEvent::Wish(wish), now).into_iter().map(|effect| (kind, effect)).collect();
        self.perform(said, work, effects);
    }

    fn judge(
        &mut self,
        event: JudgeEvent<'_>,
        now: Now,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        let verdicts = self.judge.step(event, now.judge);
        self.propose_verdicts(verdicts, work, effects);
    }

    fn propose_verdicts(
        &mut self,
        verdicts: Vec<Verdict>,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        for Verdict(command) in verdicts {
            let input = self.proposal(&command);
            work.push_back(input);
            effects.push(Effect::Judged(command));
        }
    }

    fn perform(
        &mut self,
        said: Vec<(LeaseKind, KeeperEffect)>,
        work: &mut VecDeque<Input>,
        effects: &mut Vec<Effect>,
    ) {
        for (kind, effect) in said {
            match effect {
                KeeperEffect::Publish(status) => effects.push(Effect::Publish(kind, status)),
                KeeperEffect::Propose(command) => {
                    let input = self.proposal(&command);
                    work.push_back(input);
                    effects.push(Effect::Asked(command));
                }
                KeeperEffect::Dead => effects.push(Effect::Dead),
            }
        }
    }

    fn proposal(&mut self, command: &Command) -> Input {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        Input::Propose(ticket, ClusterCommand::Lease(command.clone()).encode())
    }
}

/// The answer to a question that this very process asked of this lease.
fn own_answer(reply: &Reply, lease: LeaseKind, me: &LeaseHolder) -> Option<Answer> {
    let Reply::Lease { command, outcome } = reply else { return None };
    let ask = match command {
        Command::Acquire { kind, holder, ask } | Command::Renew { kind, holder, ask, .. }
            if *kind == lease && holder == me =>
        {
            *ask
        }
        _ => return None,
    };
    Some(Answer { ask, outcome: outcome.clone() })
}
