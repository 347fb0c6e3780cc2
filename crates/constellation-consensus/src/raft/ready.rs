//! The work on one `Ready`: what is kept, what waits for the disk, what is applied.

use raft::{StateRole, eraftpb};

use super::{
    convert::{self, Unsound},
    event::{Fault, Output},
    log::{Batch, Checkpoint},
    machine::Machine,
    node::{RaftNode, Unwritten},
    proto::{EntryKind, Snapshot},
    tickets::{Lost, Ticket},
};
use crate::mutation::Mutation;

impl<M: Machine> RaftNode<M> {
    pub(super) fn handle_ready(&mut self, outputs: &mut Vec<Output<M::Reply>>) -> Result<(), Fault> {
        let mut ready = self.raw.ready();
        outputs.extend(ready.take_messages().into_iter().map(|m| Output::Send(convert::message_from(m))));
        self.note_role(outputs);
        for state in ready.take_read_states() {
            if let Some(ticket) = self.own_ticket(&state.request_ctx) {
                self.tickets.read_at(ticket, state.index);
            }
        }
        self.keep(&mut ready, outputs);
        let committed = ready.take_committed_entries();
        self.raw.advance_append_async(ready);
        self.apply(committed, outputs)?;
        self.release_written(outputs)
    }

    /// Puts what the ready wants kept into memory and on its way to the disk.
    fn keep(&mut self, ready: &mut raft::Ready, outputs: &mut Vec<Output<M::Reply>>) {
        let number = ready.number();
        let sync = ready.must_sync() && !self.broken.is(Mutation::AsksForNoSync);
        let mut batch = Batch { sync, ..Batch::default() };
        if !ready.snapshot().is_empty() {
            batch.install = Some(convert::snapshot_from(ready.snapshot()));
            self.raw.mut_store().install(ready.snapshot().clone());
        }
        let entries = ready.take_entries();
        batch.entries = entries.iter().map(convert::entry_from).collect();
        self.raw.mut_store().append(&entries);
        if let Some(state) = ready.hs() {
            let mut kept = convert::hard_state_from(state);
            self.raw.mut_store().set_hard_state(state.clone());
            if self.broken.is(Mutation::ForgetsVote) {
                kept.vote = 0;
            }
            batch.hard_state = Some(kept);
        }
        let messages = ready.take_persisted_messages();
        let install = batch.install.clone();
        let nothing = batch.install.is_none() && batch.entries.is_empty() && batch.hard_state.is_none();
        if nothing {
            // It waits behind what is under way, because the disk is asked in order.
            let batch = self.batches;
            self.unwritten.push_back(Unwritten { batch, ready: number, messages, install, age: 0 });
            return;
        }
        self.batches += 1;
        batch.number = self.batches;
        outputs.push(Output::Persist(batch));
        let batch = if self.broken.is(Mutation::AcksBeforeSync) { 0 } else { self.batches };
        self.unwritten.push_back(Unwritten { batch, ready: number, messages, install, age: 0 });
    }

    /// Lets go what waited for the disk and has it now.
    pub(super) fn release_written(&mut self, outputs: &mut Vec<Output<M::Reply>>) -> Result<(), Fault> {
        while self.unwritten.front().is_some_and(|first| first.batch <= self.written) {
            let Some(first) = self.unwritten.pop_front() else { break };
            outputs.extend(first.messages.into_iter().map(|m| Output::Send(convert::message_from(m))));
            self.raw.on_persist_ready(first.ready);
            if let Some(snapshot) = first.install {
                self.restore(snapshot, outputs)?;
            }
        }
        Ok(())
    }

    fn restore(&mut self, snapshot: Snapshot, outputs: &mut Vec<Output<M::Reply>>) -> Result<(), Fault> {
        let index = snapshot.index();
        self.members = snapshot.meta.and_then(|meta| meta.conf_state).unwrap_or_default();
        self.machine
            .restore(&snapshot.data, &self.members)
            .map_err(|source| Fault::Follow { index, source })?;
        self.applied = index;
        self.raw.advance_apply_to(index);
        outputs.push(Output::Restored);
        outputs.push(Output::Members { members: self.members.clone(), ticket: None });
        Ok(())
    }

    fn apply(
        &mut self,
        committed: Vec<eraftpb::Entry>,
        outputs: &mut Vec<Output<M::Reply>>,
    ) -> Result<(), Fault> {
        if committed.is_empty() {
            return Ok(());
        }
        let mut changed = false;
        for entry in committed {
            let (index, term) = (entry.index, entry.term);
            let ticket = self.own_ticket(&entry.context);
            if let Some(ticket) = ticket {
                self.tickets.settle(ticket);
            }
            match convert::entry_from(&entry).kind() {
                // The leader's first entry of a term, and proposals that it emptied.
                EntryKind::Command if entry.data.is_empty() => {}
                EntryKind::Command => {
                    let reply = self
                        .machine
                        .apply(index, &entry.data)
                        .map_err(|source| Fault::Follow { index, source })?;
                    outputs.push(Output::Applied { index, ticket, reply });
                }
                EntryKind::Change => return Err(Unsound("an entry of a kind that nobody writes").into()),
                EntryKind::Changes => {
                    changed = true;
                    self.change_members(index, &entry.data, ticket, outputs)?;
                }
            }
            self.applied = index;
            if self.raw.raft.state == StateRole::Leader && term == self.raw.raft.term && !self.led {
                self.led = true;
                outputs.push(Output::Leads);
            }
        }
        self.raw.advance_apply_to(self.applied);
        // Who joins is caught up by a snapshot in which it is a member, so every change makes one.
        if changed || self.checkpoint_is_due() {
            self.checkpoint(outputs);
        }
        Ok(())
    }

    fn change_members(
        &mut self,
        index: u64,
        data: &[u8],
        ticket: Option<Ticket>,
        outputs: &mut Vec<Output<M::Reply>>,
    ) -> Result<(), Fault> {
        let change = convert::read_changes(data)?;
        match self.raw.apply_conf_change(&change) {
            Ok(members) => {
                self.members = convert::conf_state_from(&members);
                self.machine.members(index, &self.members);
                outputs.push(Output::Members { members: self.members.clone(), ticket });
            }
            // Every member refuses the same changes, since each has the same members before.
            Err(error) => {
                tracing::warn!(%error, index, "a change of members was refused");
                outputs.extend(ticket.map(|ticket| Output::Failed(ticket, Lost::Refused)));
            }
        }
        Ok(())
    }

    fn checkpoint_is_due(&self) -> bool {
        if self.broken.is(Mutation::NeverCheckpoints) {
            return false;
        }
        let store = self.raw.store();
        self.applied - store.snapshot_index() >= self.config.checkpoint_entries
            || store.bytes() >= self.config.checkpoint_bytes
    }

    fn checkpoint(&mut self, outputs: &mut Vec<Output<M::Reply>>) {
        let (data, members) = (self.machine.snapshot(), self.members.clone());
        // Entries that are too many bytes go at once, whoever might still want them: the bound on the disk comes first.
        let full = self.raw.store().bytes() >= self.config.checkpoint_bytes;
        let keep = if full { 0 } else { self.config.keep_entries };
        let made = self.raw.mut_store().checkpoint(data, self.applied, members, keep);
        if let Some((snapshot, keep_from)) = made {
            self.batches += 1;
            let checkpoint = Some(Checkpoint { snapshot, keep_from });
            outputs.push(Output::Persist(Batch {
                number: self.batches,
                checkpoint,
                sync: true,
                ..Batch::default()
            }));
        }
    }
}
