//! A few members in one process, with disks that write at once or when they are told to.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    Malformed,
    raft::{
        Batch, Fault, Input, Lost, Machine, Output, RaftConfig, RaftId, RaftNode, Recovered, Ticket, birth,
        proto::{ConfState, Message},
    },
};

/// Remembers every command in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger(pub(super) Vec<u8>);

impl Machine for Ledger {
    type Reply = usize;

    fn apply(&mut self, _: u64, command: &[u8]) -> Result<usize, Malformed> {
        match command {
            [b'!'] => Err(Malformed::new("a command", "it is of a later version")),
            _ => {
                self.0.extend_from_slice(command);
                Ok(self.0.len())
            }
        }
    }

    fn members(&mut self, _: u64, _: &ConfState) {}

    fn snapshot(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn restore(&mut self, bytes: &[u8], _: &ConfState) -> Result<(), Malformed> {
        self.0 = bytes.to_vec();
        Ok(())
    }
}

/// What a log holds that keeps its promises.
#[derive(Clone, Debug, Default)]
pub(in crate::raft) struct Kept(pub(in crate::raft) Recovered);

impl Kept {
    pub(in crate::raft) fn write(&mut self, batch: &Batch) {
        let Recovered { hard_state, snapshot, entries } = &mut self.0;
        if let Some(install) = &batch.install {
            *snapshot = install.clone();
            entries.clear();
        }
        if let Some(first) = batch.entries.first() {
            entries.retain(|entry| entry.index < first.index);
            entries.extend(batch.entries.iter().cloned());
        }
        *hard_state = batch.hard_state.unwrap_or(*hard_state);
        if let Some(checkpoint) = &batch.checkpoint {
            *snapshot = checkpoint.snapshot.clone();
            entries.retain(|entry| entry.index >= checkpoint.keep_from);
        }
    }
}

pub(super) struct Member {
    pub(super) node: RaftNode<Ledger>,
    pub(super) disk: Kept,
    /// Batches that the disk has not written yet.
    pub(super) unwritten: VecDeque<Batch>,
    pub(super) disk_works: bool,
    pub(super) done: Vec<(Ticket, usize)>,
    pub(super) lost: Vec<(Ticket, Lost)>,
    pub(super) readable: Vec<Ticket>,
    pub(super) leads: usize,
    pub(super) members: Vec<ConfState>,
}

pub(super) struct Group {
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) mail: VecDeque<Message>,
    /// Members that nothing reaches and nothing leaves.
    pub(super) cut_off: Vec<u64>,
    pub(super) faults: Vec<(u64, Fault)>,
    /// Everything that was ever sent.
    pub(super) sent: Vec<Message>,
}

pub(super) fn config(id: u64) -> RaftConfig {
    RaftConfig { seed: id, checkpoint_entries: 50, keep_entries: 10, ..RaftConfig::default() }
}

impl Group {
    /// Founders 1 to `count`.
    pub(super) fn of(count: u64) -> Self {
        let founders: Vec<RaftId> = (1..=count).map(RaftId).collect();
        let born = birth(&founders, &Ledger::default());
        let mut group = Self {
            members: BTreeMap::new(),
            mail: VecDeque::new(),
            cut_off: vec![],
            faults: vec![],
            sent: vec![],
        };
        for id in 1..=count {
            let mut disk = Kept::default();
            disk.write(&born);
            group.start(id, disk);
        }
        group
    }

    pub(super) fn start(&mut self, id: u64, disk: Kept) {
        let node =
            RaftNode::new(RaftId(id), config(id), Ledger::default(), disk.0.clone()).expect("a sound log");
        let member = Member {
            node,
            disk,
            unwritten: VecDeque::new(),
            disk_works: true,
            done: vec![],
            lost: vec![],
            readable: vec![],
            leads: 0,
            members: vec![],
        };
        self.members.insert(id, member);
    }

    /// Ends a member's process, and starts it from what its disk holds.
    pub(super) fn restart(&mut self, id: u64) {
        let disk = self.members.remove(&id).expect("a member").disk;
        self.start(id, disk);
    }

    pub(super) fn tell(&mut self, id: u64, input: Input) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let outputs = match member.node.step(input) {
            Ok(outputs) => outputs,
            Err(fault) => {
                self.faults.push((id, fault));
                self.members.remove(&id);
                return;
            }
        };
        for output in outputs {
            match output {
                Output::Persist(batch) => member.unwritten.push_back(batch),
                Output::Send(message) => {
                    self.sent.push(message.clone());
                    self.mail.push_back(message);
                }
                Output::Leads => member.leads += 1,
                Output::Applied { ticket, reply, .. } => {
                    member.done.extend(ticket.map(|ticket| (ticket, reply)));
                }
                Output::Members { members, .. } => member.members.push(members),
                Output::Readable(ticket) => member.readable.push(ticket),
                Output::Failed(ticket, lost) => member.lost.push((ticket, lost)),
                Output::Role(_) | Output::Restored => {}
            }
        }
        if member.disk_works {
            self.write(id);
        }
    }

    /// Lets a member's disk write all that waits.
    pub(super) fn write(&mut self, id: u64) {
        while let Some(member) = self.members.get_mut(&id) {
            let Some(batch) = member.unwritten.pop_front() else { return };
            member.disk.write(&batch);
            self.tell(id, Input::Persisted(batch.number));
        }
    }

    /// Delivers until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        while let Some(message) = self.mail.pop_front() {
            if !self.cut_off.contains(&message.from) && !self.cut_off.contains(&message.to) {
                self.tell(message.to, Input::Message(message));
            }
        }
    }

    pub(super) fn tick(&mut self) {
        let ids: Vec<u64> = self.members.keys().copied().collect();
        for id in ids {
            self.tell(id, Input::Tick);
        }
        self.settle();
    }

    /// Ticks until it is so; a group that needs ten elections is broken.
    pub(super) fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..400 {
            if so(self) {
                return;
            }
            self.tick();
        }
        panic!("never: {what}");
    }

    /// The leader that a majority follows, if there is one.
    pub(super) fn leader(&self) -> Option<u64> {
        let reachable = |id: &u64| !self.cut_off.contains(id);
        let leads = |member: &Member| member.node.role().leads && member.leads > 0;
        let term = |member: &Member| member.node.role().term;
        let candidates = self.members.iter().filter(|(id, member)| reachable(id) && leads(member));
        candidates.max_by_key(|(_, member)| term(member)).map(|(id, _)| *id)
    }

    pub(super) fn elect(&mut self) -> u64 {
        self.until("a leader", |group| group.leader().is_some());
        self.leader().expect("a leader")
    }

    pub(super) fn propose(&mut self, id: u64, ticket: u64, command: &[u8]) {
        self.tell(id, Input::Propose(Ticket(ticket), command.to_vec()));
        self.settle();
    }

    pub(super) fn ledger(&self, id: u64) -> String {
        String::from_utf8_lossy(&self.members[&id].node.machine().0).into_owned()
    }

    pub(super) fn follower(&self) -> u64 {
        let leader = self.leader();
        *self.members.keys().find(|id| Some(**id) != leader).expect("a follower")
    }
}
