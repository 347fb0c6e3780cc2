//! What surrounds the leases in a real agent, in its simplest form: each node's idea of who is there, which makes its
//! wishes; and the operator (or the automat) who sees to it that the right members vote.

use std::time::Duration;

use constellation_consensus::{
    Event,
    lease::Wish,
    raft::{RaftId, Role, Seat, Ticket},
};
use constellation_core::LeaseKind;

use super::{
    checks::Violation,
    world::{Happening, LEASES, World},
};

const LOOK_EVERY: Duration = Duration::from_millis(250);
const OPERATE_EVERY: Duration = Duration::from_millis(500);

/// A learner votes once it is at most so many entries behind.
const CAUGHT_UP: u64 = 20;

impl World<'_> {
    /// Every node looks around, and some ask for a read.
    pub(super) fn look(&mut self) -> Result<(), Violation> {
        for node in 0..self.machines.len() {
            self.look_of(node)?;
        }
        let reader = self.chance.place(self.machines.len());
        self.ask_to_read(reader)?;
        for _ in 0..self.chance.below(4) {
            let client = self.chance.place(self.machines.len());
            self.note(client)?;
        }
        self.log_is_bounded()?;
        self.after(LOOK_EVERY, Happening::Look);
        Ok(())
    }

    /// One node looks around: who is there and better than it. It is often wrong, as gossip is.
    pub(super) fn look_of(&mut self, node: usize) -> Result<(), Violation> {
        let nodes = self.machines.len();
        let mut seen = Vec::new();
        for other in 0..nodes {
            let there = self.machines[other].runs() && self.machines[other].drains == 0;
            let reached = !self.network.is_noticed(node, other) && !self.network.is_noticed(other, node);
            let mistaken = self.mended.is_none() && self.chance.percent(5);
            seen.push(other == node || ((there && reached) != mistaken));
        }
        let cut_off = seen.iter().filter(|seen| **seen).count() * 2 <= nodes;
        for lease in LEASES {
            let better: Vec<usize> = order(lease, nodes)
                .into_iter()
                .take_while(|other| *other != node)
                .filter(|other| seen[*other])
                .collect();
            let wish = if self.machines[node].drains > 0 || cut_off {
                Wish::No
            } else {
                Wish::Yes {
                    patience: Duration::from_millis(200) * u32::try_from(better.len()).unwrap_or(0),
                    better: better.first().map(|other| self.machines[*other].name.clone()),
                }
            };
            self.give(node, Event::Wish(lease, wish))?;
        }
        Ok(())
    }

    /// Compares the members with those that are wanted, and asks whoever leads for the next change.
    pub(super) fn operate(&mut self) -> Result<(), Violation> {
        self.after(OPERATE_EVERY, Happening::Operate);
        let Some(leader) = self.leader().filter(|node| self.machines[*node].runs()) else { return Ok(()) };
        let changes = self.changes_wanted(leader);
        if changes.is_empty() {
            return Ok(());
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tell(|| format!("operator asks n{leader} for {changes:?}"));
        self.give(leader, Event::Change(ticket, changes))
    }

    /// Whoever leads Raft, in the highest term that anybody leads in.
    pub(super) fn leader(&self) -> Option<usize> {
        let term = |node: &usize| self.role(*node).filter(|role| role.leads).map(|role| role.term);
        (0..self.machines.len()).filter(|node| term(node).is_some()).max_by_key(term)
    }

    fn role(&self, node: usize) -> Option<Role> {
        self.machines[node].replica.as_ref().map(|replica| replica.raft().role())
    }

    fn changes_wanted(&self, leader: usize) -> Vec<(RaftId, Seat)> {
        let Some(replica) = &self.machines[leader].replica else { return vec![] };
        let members = replica.raft().members();
        let mut changes = Vec::new();
        for (node, machine) in self.machines.iter().enumerate() {
            let id = machine.raft;
            let votes = members.voters.contains(&id.0);
            let learns = members.learners.contains(&id.0);
            let applied = machine.replica.as_ref().map_or(0, |replica| replica.raft().applied());
            let caught_up = applied + CAUGHT_UP >= replica.raft().applied();
            let desired = self.desired_voters.contains(&node);
            if desired && learns && caught_up {
                changes.push((id, Seat::Voter));
            } else if !desired && votes || !votes && !learns {
                changes.push((id, Seat::Learner));
            }
        }
        // Who is replaced goes last, when its successor votes.
        let ready = |node: &usize| members.voters.contains(&self.machines[*node].raft.0);
        let enough =
            self.desired_voters.iter().filter(|node| ready(node)).count() == self.desired_voters.len();
        let gone = |id: &&u64| !self.machines.iter().any(|machine| machine.raft.0 == **id);
        let departed: Vec<u64> =
            members.voters.iter().chain(&members.learners).filter(gone).copied().collect();
        if enough {
            changes.extend(departed.into_iter().map(|id| (RaftId(id), Seat::None)));
        } else {
            changes.retain(|(id, seat)| *seat != Seat::Learner || !members.voters.contains(&id.0));
        }
        changes
    }

    /// Whether the members are as wanted, as the member with the most knowledge sees it.
    pub(super) fn members_are_as_desired(&self) -> bool {
        let wisest = (0..self.machines.len())
            .filter(|node| self.machines[*node].replica.is_some())
            .max_by_key(|node| self.machines[*node].replica.as_ref().map(|replica| replica.raft().applied()));
        let Some(wisest) = wisest else { return false };
        let Some(replica) = &self.machines[wisest].replica else { return false };
        replica.raft().members().voters_outgoing.is_empty()
            && replica.raft().members().learners_next.is_empty()
            && self.changes_wanted(wisest).is_empty()
            && self
                .desired_voters
                .iter()
                .all(|node| replica.raft().members().voters.contains(&self.machines[*node].raft.0))
    }

    fn log_is_bounded(&self) -> Result<(), Violation> {
        let bound = self.scenario.setting.checkpoint_entries * 2 + 200;
        for machine in &self.machines {
            let Some(entries) = machine.disk.kept_entries() else { continue };
            if entries as u64 > bound {
                return Err(Violation::LogUnbounded { member: machine.raft, entries });
            }
        }
        Ok(())
    }

    /// Whether all is as it should be: the right members, and every lease with its best node.
    pub(super) fn is_settled(&self) -> bool {
        self.missing().is_empty()
    }

    pub(super) fn missing(&self) -> String {
        let mut missing = Vec::new();
        if !self.members_are_as_desired() {
            missing.push("the members are not those wanted".to_owned());
        }
        for lease in LEASES {
            let best = order(lease, self.machines.len())[0];
            let machine = &self.machines[best];
            let acts = machine.replica.as_ref().and_then(|replica| replica.may_act(lease, machine.now()));
            if acts.is_none() {
                missing.push(format!("n{best} does not hold {lease}"));
            }
        }
        missing.join(", ")
    }
}

/// The nodes from the best to the worst, for a lease.
fn order(lease: LeaseKind, nodes: usize) -> Vec<usize> {
    match lease {
        LeaseKind::LbLeader => (0..nodes).collect(),
        LeaseKind::DnsWriter => (0..nodes).rev().collect(),
    }
}
