//! The one task that owns the replica.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use constellation_core::{LeaseHolder, LeaseKind, LeaseStatus};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    LeaseHandle, ServiceConfig, ServiceError,
    clocks::LeaseClocks,
    disk::Disk,
    handle::{Ask, Proposed, Standing},
};
use crate::{
    Body, Frame, Transport,
    lease::{LeaseTable, Sign},
    member::MemberTable,
    raft::{Lost, Machine as _, RaftId, Role, Ticket, proto::ConfState},
    replica::{Effect, Event, Replica},
    transport::{Delivery, Incoming, PeerIdentity},
};

/// The other parts of an agent that ask: each waits for its answer.
const ASKS_BOUND: usize = 16;

/// The leases that a handle can follow.
const LEASES: [LeaseKind; 2] = [LeaseKind::LbLeader, LeaseKind::DnsWriter];

pub(super) struct Task<T> {
    replica: Replica,
    transport: T,
    disk: Disk,
    clocks: Arc<dyn LeaseClocks>,
    asks: mpsc::Receiver<Ask>,
    /// How long a tick is; it follows the round trips to the others.
    tick: watch::Receiver<Duration>,
    epoch: u64,
    id: RaftId,
    statuses: BTreeMap<LeaseKind, watch::Sender<LeaseStatus>>,
    role: watch::Sender<Role>,
    table: watch::Sender<Arc<LeaseTable>>,
    members: watch::Sender<ConfState>,
    roster: watch::Sender<Arc<MemberTable>>,
    next_ticket: u64,
    reads: BTreeMap<Ticket, oneshot::Sender<Result<(), Lost>>>,
    changes: BTreeMap<Ticket, oneshot::Sender<Result<ConfState, Lost>>>,
    proposals: BTreeMap<Ticket, Proposed>,
}

impl<T: Transport> Task<T> {
    pub(super) fn new(
        config: &ServiceConfig,
        replica: Replica,
        transport: T,
        disk: Disk,
        clocks: Arc<dyn LeaseClocks>,
        ended: watch::Receiver<Option<Arc<ServiceError>>>,
    ) -> (Self, LeaseHandle) {
        let (ask, asks) = mpsc::channel(ASKS_BOUND);
        let statuses: BTreeMap<_, _> =
            LEASES.map(|lease| (lease, watch::Sender::new(LeaseStatus::Unheld))).into();
        let role = watch::Sender::new(replica.raft().role());
        let table = watch::Sender::new(Arc::new(replica.leases().clone()));
        let members = watch::Sender::new(replica.raft().members().clone());
        let roster = watch::Sender::new(Arc::new(replica.table_of_members().clone()));
        let (set_tick, tick) = watch::channel(config.raft.timing.tick);
        let handle = LeaseHandle {
            holder: config.holder.clone(),
            asks: ask,
            statuses: statuses.iter().map(|(lease, status)| (*lease, status.subscribe())).collect(),
            role: role.subscribe(),
            table: table.subscribe(),
            members: members.subscribe(),
            roster: roster.subscribe(),
            tick: set_tick,
            ended,
            clocks: Arc::clone(&clocks),
        };
        let task = Self {
            replica,
            transport,
            disk,
            clocks,
            asks,
            tick,
            epoch: config.epoch,
            id: config.id,
            statuses,
            role,
            table,
            members,
            roster,
            next_ticket: 0,
            reads: BTreeMap::new(),
            changes: BTreeMap::new(),
            proposals: BTreeMap::new(),
        };
        (task, handle)
    }

    pub(super) async fn run(
        mut self,
        mut deliveries: mpsc::Receiver<Delivery>,
        stop: CancellationToken,
    ) -> Result<(), ServiceError> {
        let mut ticks = steady(*self.tick.borrow_and_update());
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                written = self.disk.written() => Event::Persisted(written?),
                Some(delivery) = deliveries.recv() => {
                    let Some(event) = self.read(delivery) else { continue };
                    event
                }
                Some(ask) = self.asks.recv() => {
                    let Some(event) = self.note(ask) else { continue };
                    event
                }
                changed = self.tick.changed() => {
                    if changed.is_ok() {
                        ticks = steady(*self.tick.borrow_and_update());
                    }
                    continue;
                }
                _ = ticks.tick() => Event::Tick,
            };
            self.step(event)?;
        }
    }

    fn step(&mut self, event: Event) -> Result<(), ServiceError> {
        let effects = self.replica.step(event, self.clocks.now())?;
        let mut table_changed = false;
        for effect in effects {
            match effect {
                Effect::Persist(batch) => self.disk.write(batch)?,
                Effect::Send(message) => {
                    let to = RaftId(message.to);
                    let (epoch, from) = (self.epoch, self.id.0);
                    self.transport.send(to, Frame { epoch, from, to: to.0, body: Some(Body::Raft(message)) });
                }
                Effect::Publish(lease, status) => {
                    if let Some(sender) = self.statuses.get(&lease) {
                        sender.send_replace(status);
                    }
                }
                Effect::Asked(command) => tracing::trace!(?command, "asked for a lease, or let it go"),
                Effect::Judged(command) => tracing::info!(?command, "judged as the leader"),
                Effect::Answered { index, command, outcome } => {
                    tracing::trace!(index, ?command, ?outcome, "answered");
                }
                Effect::Role(role) => {
                    self.role.send_replace(role);
                }
                Effect::Table => table_changed = true,
                Effect::Roster => {
                    self.roster.send_replace(Arc::new(self.replica.table_of_members().clone()));
                }
                Effect::Applied { ticket, index, reply } => {
                    if let Some(waits) = self.proposals.remove(&ticket) {
                        let _ = waits.send(Ok((index, reply)));
                    }
                }
                Effect::Members { members, ticket } => {
                    self.members.send_replace(members.clone());
                    if let Some(waits) = ticket.and_then(|ticket| self.changes.remove(&ticket)) {
                        // Whoever asked may have left.
                        let _ = waits.send(Ok(members));
                    }
                }
                Effect::Readable(ticket) => {
                    // What was applied before is shown before the read is answered.
                    self.show_table(std::mem::take(&mut table_changed));
                    if let Some(waits) = self.reads.remove(&ticket) {
                        let _ = waits.send(Ok(()));
                    }
                }
                Effect::Failed(ticket, lost) => {
                    if let Some(waits) = self.reads.remove(&ticket) {
                        let _ = waits.send(Err(lost));
                    } else if let Some(waits) = self.changes.remove(&ticket) {
                        let _ = waits.send(Err(lost));
                    } else if let Some(waits) = self.proposals.remove(&ticket) {
                        let _ = waits.send(Err(lost));
                    }
                }
                Effect::Dead => return Err(ServiceError::Dead),
            }
        }
        self.show_table(table_changed);
        Ok(())
    }

    fn show_table(&self, changed: bool) {
        if changed {
            self.table.send_replace(Arc::new(self.replica.leases().clone()));
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn note(&mut self, ask: Ask) -> Option<Event> {
        Some(match ask {
            Ask::Wish(lease, wish) => Event::Wish(lease, wish),
            Ask::Died(holder) => {
                // The node of a name may have come back as another member: only one that is there now can have led.
                let member = self.replica.table_of_members().named(&holder.node);
                Event::Died { holder, member }
            }
            Ask::Hint(node, sign) => Event::Hint(node, sign),
            Ask::Transfer(to) => Event::Transfer(to),
            Ask::Propose(command, answer) => {
                let ticket = self.ticket();
                self.proposals.insert(ticket, answer);
                Event::Propose(ticket, command)
            }
            Ask::Standing(answer) => {
                let raft = self.replica.raft();
                // Whoever asked may have left.
                let _ = answer.send(Standing {
                    committed: raft.committed(),
                    applied: raft.applied(),
                    progress: raft.progress(),
                });
                return None;
            }
            Ask::State(answer) => {
                let raft = self.replica.raft();
                let _ = answer.send((raft.applied(), raft.machine().snapshot()));
                return None;
            }
            Ask::Read(answer) => {
                let ticket = self.ticket();
                self.reads.insert(ticket, answer);
                Event::Read(ticket)
            }
            Ask::Change(seats, answer) => {
                let ticket = self.ticket();
                self.changes.insert(ticket, answer);
                Event::Change(ticket, seats)
            }
        })
    }

    /// What a delivery means, if anything.
    fn read(&self, delivery: Delivery) -> Option<Event> {
        match delivery.incoming {
            Incoming::Frame { from, frame } => read_frame(&from, frame),
            Incoming::Unreachable { peer, refused } => {
                let sign = if refused { Sign::Refused } else { Sign::TimedOut };
                tracing::debug!(%peer, ?sign, "a member cannot be reached");
                Some(Event::Unreachable(peer))
            }
        }
    }
}

fn steady(tick: Duration) -> Interval {
    let mut ticks = interval(tick);
    // A process that stood still does not make up for its ticks: that would be an election for each of them.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn read_frame(from: &PeerIdentity, frame: Frame) -> Option<Event> {
    match frame.body? {
        // The carrier has compared the frame's sender with the certificate; the message names it once more.
        Body::Raft(message) if message.from == from.id.0 => Some(Event::Message(message)),
        Body::Raft(_) => None,
        // A node speaks for its own processes only.
        Body::Obituary(obituary) if obituary.node == from.node.as_str() => {
            let boot: [u8; 16] = obituary.boot.try_into().ok()?;
            let boot = u128::from_be_bytes(boot);
            let holder = LeaseHolder { node: from.node.clone(), boot };
            let member = (!obituary.returned).then_some(from.id);
            Some(Event::Died { holder, member })
        }
        Body::Obituary(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Obituary;

    fn heard(returned: bool) -> Option<Event> {
        let from =
            PeerIdentity { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap(), id: RaftId(4) };
        let obituary = Obituary { node: "n1".to_owned(), boot: 9_u128.to_be_bytes().to_vec(), returned };
        read_frame(&from, Frame { epoch: 1, from: 4, to: 1, body: Some(Body::Obituary(obituary)) })
    }

    #[test]
    fn whoever_is_back_and_tells_of_its_earlier_run_is_not_taken_for_dead_itself() {
        assert!(matches!(heard(false), Some(Event::Died { member: Some(RaftId(4)), .. })));
        assert!(matches!(heard(true), Some(Event::Died { holder, member: None }) if holder.boot == 9));
    }
}
