//! One member of the group: the library's `RawNode` with the disk, the network and the clock taken out.
//!
//! What must be on disk before it is spoken of is kept back here until the shell says that it is
//! ([`Input::Persisted`]); a leader's own messages may leave before, as the library allows. The order of the work on one
//! `Ready` follows the library's documentation.

use std::collections::{BTreeMap, VecDeque};

use raft::{RawNode, SnapshotStatus, StateRole, eraftpb};

use super::{
    cache::Cache,
    config::RaftConfig,
    convert::{self, Seat},
    event::{Fault, Input, Output, Role},
    log::{Batch, Recovered},
    machine::Machine,
    proto::{ConfState, HardState, Message, RaftId, Snapshot, SnapshotMeta},
    tickets::{Lost, Origin, Ticket, Tickets},
};
use crate::mutation::{Broken, Mutation};

/// What waits for the disk.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) batch: u64,
    pub(super) ready: u64,
    pub(super) messages: Vec<eraftpb::Message>,
    pub(super) install: Option<Snapshot>,
    pub(super) age: usize,
}

/// One member, as a plain value.
pub struct RaftNode<M: Machine> {
    pub(super) raw: RawNode<Cache>,
    pub(super) machine: M,
    pub(super) config: RaftConfig,
    pub(super) id: RaftId,
    pub(super) members: ConfState,
    pub(super) applied: u64,
    pub(super) role: Role,
    pub(super) led: bool,
    pub(super) unwritten: VecDeque<Unwritten>,
    pub(super) batches: u64,
    pub(super) written: u64,
    pub(super) tickets: Tickets,
    /// For how many ticks a snapshot to a peer has been on its way.
    pub(super) snapshots: BTreeMap<u64, usize>,
    /// The leader is dead, and after so many ticks this member stands in its place.
    stands_in: Option<(RaftId, usize)>,
    pub(super) broken: Broken,
}

/// How many ticks after another each follower of a dead leader stands for election: long enough for one to be elected.
const STAND_APART: usize = 3;

/// The snapshot that a new group is born from: index 1, term 1, and its founders as voters.
///
/// All founders must be born from the same. A group that begins at term 0 instead panics on its first pre-vote.
pub fn birth(founders: &[RaftId], machine: &impl Machine) -> Batch {
    let mut voters: Vec<u64> = founders.iter().map(|id| id.0).collect();
    voters.sort_unstable();
    let conf_state = Some(ConfState { voters, ..ConfState::default() });
    let meta = Some(SnapshotMeta { conf_state, index: 1, term: 1 });
    let install = Some(Snapshot { data: machine.snapshot().into(), meta });
    let hard_state = Some(HardState { term: 1, vote: 0, commit: 1 });
    Batch { install, hard_state, sync: true, ..Batch::default() }
}

impl<M: Machine> RaftNode<M> {
    /// Takes over what the log held. `machine` is as it was before the first entry.
    pub fn new(id: RaftId, config: RaftConfig, machine: M, recovered: Recovered) -> Result<Self, Fault> {
        Self::with(id, config, machine, recovered, Broken::default())
    }

    pub(crate) fn with(
        id: RaftId,
        config: RaftConfig,
        mut machine: M,
        recovered: Recovered,
        broken: Broken,
    ) -> Result<Self, Fault> {
        let snapshot = recovered.snapshot.clone();
        let applied = snapshot.index();
        let members = snapshot.meta.and_then(|meta| meta.conf_state).unwrap_or_default();
        if applied > 0 {
            machine
                .restore(&snapshot.data, &members)
                .map_err(|source| Fault::Follow { index: applied, source })?;
        }
        let library = raft::Config {
            id: id.0,
            election_tick: config.timing.election,
            heartbeat_tick: config.timing.heartbeat,
            applied,
            // One message carries a megabyte, and a group that nobody acknowledges holds 16.
            max_size_per_msg: 1 << 20,
            max_uncommitted_size: 16 << 20,
            max_committed_size_per_ready: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: true,
            pre_vote: true,
            ..raft::Config::default()
        };
        let raw = RawNode::new(&library, Cache::new(recovered)?, &super::logger::to_tracing())?;
        let mut node = Self {
            raw,
            machine,
            config,
            id,
            members,
            applied,
            role: Role::default(),
            led: false,
            unwritten: VecDeque::new(),
            batches: 0,
            written: 0,
            tickets: Tickets::default(),
            snapshots: BTreeMap::new(),
            stands_in: None,
            broken,
        };
        node.role.term = node.raw.raft.term;
        node.draw_timeout();
        Ok(node)
    }

    /// The state machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Who leads.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The last entry that the machine has applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The members, as far as this member has applied the log.
    pub fn members(&self) -> &ConfState {
        &self.members
    }

    /// The term of the entry at `index`, if the log still holds it.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.raw.raft.raft_log.term(index).ok().filter(|term| *term > 0)
    }

    /// Where the log ends.
    pub fn last_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index()
    }

    /// What is committed, as far as this member knows.
    pub fn committed(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    /// How far each member's log agrees with this one's, where this member leads.
    pub fn progress(&self) -> BTreeMap<RaftId, u64> {
        if !self.role.leads {
            return BTreeMap::new();
        }
        self.raw.raft.prs().iter().map(|(id, progress)| (RaftId(*id), progress.matched)).collect()
    }

    /// Takes in one thing, and says what is to be done. After an error the member is of no more use.
    pub fn step(&mut self, input: Input) -> Result<Vec<Output<M::Reply>>, Fault> {
        let mut outputs = Vec::new();
        match input {
            Input::Tick => self.tick(&mut outputs)?,
            Input::Message(message) => self.receive(message)?,
            Input::Persisted(batch) => {
                self.written = self.written.max(batch);
                self.release_written(&mut outputs)?;
            }
            Input::Propose(ticket, data) => self.propose(ticket, data, &mut outputs),
            Input::Read(ticket) => self.read(ticket, &mut outputs),
            Input::Change(ticket, seats) => self.change(ticket, &seats, &mut outputs),
            Input::Transfer(to) if self.role.leads => self.raw.transfer_leader(to.0),
            Input::Transfer(_) => {}
            Input::Unreachable(peer) => self.raw.report_unreachable(peer.0),
            Input::Bereaved(peer) => self.bereaved(peer)?,
        }
        while self.raw.has_ready() {
            self.handle_ready(&mut outputs)?;
        }
        self.note_role(&mut outputs);
        outputs.extend(self.tickets.readable(self.applied).into_iter().map(Output::Readable));
        self.draw_timeout();
        Ok(outputs)
    }

    fn tick(&mut self, outputs: &mut Vec<Output<M::Reply>>) -> Result<(), Fault> {
        for unwritten in &mut self.unwritten {
            unwritten.age += 1;
        }
        // An answer needs an election at worst, and often a second one.
        let lost = self.tickets.tick(6 * self.config.timing.election);
        outputs.extend(lost.into_iter().map(|ticket| Output::Failed(ticket, Lost::Unknown)));
        // Whose disk is behind does not stand for election, and whose disk hangs does not keep others from one: a leader
        // that cannot write falls silent.
        let behind = self.unwritten.front().map(|unwritten| unwritten.age);
        let silent =
            if self.role.leads { behind > Some(self.config.timing.election) } else { behind.is_some() };
        if !silent {
            self.raw.tick();
            self.give_up_snapshots();
            self.stand_in_if_due()?;
        }
        Ok(())
    }

    /// The peer's process is proven dead. If it led, its followers stand for election one after another instead of waiting
    /// until they miss it. That costs no safety (it is an election like any other), and pre-vote would forbid it: who
    /// heard from a leader a moment ago grants none.
    fn bereaved(&mut self, peer: RaftId) -> Result<(), Fault> {
        let votes = |id: RaftId| self.members.voters.contains(&id.0);
        if self.role.leader != Some(peer) || peer == self.id || !votes(self.id) {
            return Ok(());
        }
        // Beginning with the one after the dead, so that it is not always the same one that takes over.
        let rank = |id: u64| (id <= peer.0, id);
        let before =
            self.members.voters.iter().filter(|id| **id != peer.0 && rank(**id) < rank(self.id.0)).count();
        self.stands_in = Some((peer, before * STAND_APART));
        if self.unwritten.is_empty() { self.stand_in_if_due() } else { Ok(()) }
    }

    fn stand_in_if_due(&mut self) -> Result<(), Fault> {
        let Some((dead, wait)) = self.stands_in else { return Ok(()) };
        if self.role.leader != Some(dead) || self.raw.raft.state != StateRole::Follower {
            self.stands_in = None;
        } else if wait > 0 {
            self.stands_in = Some((dead, wait - 1));
        } else {
            self.stands_in = None;
            // What a leader says that hands over: the election that comes of it skips pre-vote.
            let message = eraftpb::Message {
                msg_type: eraftpb::MessageType::MsgTimeoutNow,
                from: dead.0,
                to: self.id.0,
                term: self.raw.raft.term,
                ..Default::default()
            };
            self.raw.step(message)?;
        }
        Ok(())
    }

    /// A snapshot that got lost on its way would keep its receiver waiting for ever: the library waits to be told.
    fn give_up_snapshots(&mut self) {
        let tracker = self.raw.raft.prs();
        let under_way: Vec<u64> = tracker
            .iter()
            .filter(|(_, progress)| progress.state == raft::ProgressState::Snapshot)
            .map(|(id, _)| *id)
            .collect();
        self.snapshots.retain(|id, _| self.role.leads && under_way.contains(id));
        if !self.role.leads {
            return;
        }
        for id in under_way {
            let age = self.snapshots.entry(id).or_default();
            *age += 1;
            if *age > 4 * self.config.timing.election {
                *age = 0;
                self.raw.report_snapshot(id, SnapshotStatus::Failure);
            }
        }
    }

    fn receive(&mut self, message: Message) -> Result<(), Fault> {
        if message.to != self.id.0 {
            return Ok(());
        }
        let message = match convert::message_to(message) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "a peer's message was dropped");
                return Ok(());
            }
        };
        let last = self.raw.raft.raft_log.last_index();
        let heartbeat = message.get_msg_type() == eraftpb::MessageType::MsgHeartbeat;
        if heartbeat && message.term >= self.raw.raft.term && message.commit > last {
            return Err(Fault::Amnesia { last, commit: message.commit });
        }
        match self.raw.step(message) {
            Ok(()) | Err(raft::Error::ProposalDropped | raft::Error::StepPeerNotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn propose(&mut self, ticket: Ticket, data: Vec<u8>, outputs: &mut Vec<Output<M::Reply>>) {
        if self.role.leader.is_none() {
            outputs.push(Output::Failed(ticket, Lost::NoLeader));
        } else if !self.tickets.admit(ticket) {
            outputs.push(Output::Failed(ticket, Lost::Busy));
        } else if self.raw.propose(self.origin(ticket), data).is_err() {
            self.tickets.settle(ticket);
            outputs.push(Output::Failed(ticket, Lost::Busy));
        }
    }

    fn read(&mut self, ticket: Ticket, outputs: &mut Vec<Output<M::Reply>>) {
        if self.role.leader.is_none() {
            outputs.push(Output::Failed(ticket, Lost::NoLeader));
        } else if self.broken.is(Mutation::ReadsWithoutLeader) {
            outputs.push(Output::Readable(ticket));
        } else if !self.tickets.admit_read(ticket) {
            outputs.push(Output::Failed(ticket, Lost::Busy));
        } else {
            // The library drops it silently where the leader has committed nothing in its term; the ticket then times out.
            self.raw.read_index(self.origin(ticket));
        }
    }

    fn change(&mut self, ticket: Ticket, seats: &[(RaftId, Seat)], outputs: &mut Vec<Output<M::Reply>>) {
        let joint = !self.members.voters_outgoing.is_empty();
        let lost = if !self.role.leads {
            Some(Lost::NotLeading)
        } else if joint || self.raw.raft.has_pending_conf() || !self.tickets.admit(ticket) {
            Some(Lost::Busy)
        } else if self.raw.propose_conf_change(self.origin(ticket), convert::changes(seats)).is_err() {
            self.tickets.settle(ticket);
            Some(Lost::Busy)
        } else {
            None
        };
        outputs.extend(lost.map(|lost| Output::Failed(ticket, lost)));
    }

    fn origin(&self, ticket: Ticket) -> Vec<u8> {
        Origin { member: self.id, run: self.config.seed, ticket }.encode().to_vec()
    }

    pub(super) fn own_ticket(&self, context: &[u8]) -> Option<Ticket> {
        let origin = Origin::decode(context)?;
        (origin.member == self.id && origin.run == self.config.seed).then_some(origin.ticket)
    }

    pub(super) fn note_role(&mut self, outputs: &mut Vec<Output<M::Reply>>) {
        let raft = &self.raw.raft;
        let leader = (raft.leader_id != raft::INVALID_ID).then_some(RaftId(raft.leader_id));
        let role = Role { term: raft.term, leader, leads: raft.state == StateRole::Leader };
        if role == self.role {
            return;
        }
        self.role = role;
        self.led = false;
        // What was proposed to another leader, or in another term, may still be in somebody's log, or nowhere.
        let lost = self.tickets.drain();
        outputs.extend(lost.into_iter().map(|ticket| Output::Failed(ticket, Lost::Unknown)));
        outputs.push(Output::Role(role));
    }

    /// The library draws how long this member waits before it stands for election from a generator that no seed reaches.
    /// Ours depends on the seed, the term and the part that the member plays, and takes its place after every step.
    fn draw_timeout(&mut self) {
        let raft = &mut self.raw.raft;
        let mut bits = self.config.seed
            ^ raft.term.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (raft.state as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        for _ in 0..2 {
            bits = (bits ^ (bits >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
        }
        let election = self.config.timing.election;
        let spread = usize::try_from((bits >> 32) % u64::try_from(election).unwrap_or(1)).unwrap_or(0);
        raft.set_randomized_election_timeout(election + spread);
    }
}
