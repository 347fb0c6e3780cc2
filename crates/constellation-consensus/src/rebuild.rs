//! How a cluster begins again: from one survivor where a majority is lost for good, or from a backup.
//!
//! Either way begins a new **epoch**, whose log starts at a place that no earlier epoch can have reached. So every fencing
//! token of the new epoch is above every one of the old, and a member of the old one is heard no more.

use std::net::SocketAddr;

use constellation_core::NodeName;

use crate::{
    machine::ClusterMachine,
    malformed::Malformed,
    raft::{
        Batch, Machine as _, RaftId, Recovered,
        proto::{ConfState, EntryKind, HardState, Snapshot, SnapshotMeta},
    },
};

/// Places in the log that an epoch may use: at ten thousand commits a second it lasts for three years.
const EPOCH_BITS: u32 = 40;

/// Where the log of an epoch starts. The first one starts at 1, with the cluster.
pub fn epoch_start(epoch: u64) -> u64 {
    if epoch < 2 { 1 } else { epoch.saturating_mul(1 << EPOCH_BITS) }
}

/// What begins the new epoch, and what it holds.
#[derive(Debug)]
pub struct Rebuilt {
    /// The first batch of the new epoch's log.
    pub batch: Batch,
    /// What the cluster has agreed on, as of then.
    pub machine: ClusterMachine,
    /// Entries of the survivor's log that are taken over although it did not know them to be committed: they may have been.
    pub taken_over: u64,
}

/// A cluster of the survivor alone, with everything that its log holds.
///
/// # Errors
/// A log that this version cannot follow.
pub fn from_survivor(recovered: &Recovered, me: RaftId, epoch: u64) -> Result<Rebuilt, Malformed> {
    let mut machine = ClusterMachine::new();
    let applied = recovered.snapshot.index();
    if applied > 0 {
        machine.restore(&recovered.snapshot.data, &ConfState::default())?;
    }
    let mut term = recovered.hard_state.term.max(recovered.snapshot.term());
    let mut taken_over = 0;
    for entry in recovered.entries.iter().filter(|entry| entry.index > applied) {
        term = term.max(entry.term);
        taken_over += u64::from(entry.index > recovered.hard_state.commit);
        if entry.kind() == EntryKind::Command && !entry.data.is_empty() {
            machine.apply(entry.index, &entry.data)?;
        }
    }
    machine.members_mut().keep_only(me);
    Ok(Rebuilt { batch: beginning(&machine, me, epoch, term + 1), machine, taken_over })
}

/// A cluster of one new node, with what a backup holds. The node's id is where the new epoch starts, which nobody had.
///
/// # Errors
/// A backup that this version cannot follow.
pub fn from_backup(
    state: &[u8],
    node: &NodeName,
    address: SocketAddr,
    epoch: u64,
) -> Result<(RaftId, Rebuilt), Malformed> {
    let mut machine = ClusterMachine::new();
    machine.restore(state, &ConfState::default())?;
    let id = RaftId(epoch_start(epoch));
    machine.members_mut().restored_to(id, node.clone(), address);
    Ok((id, Rebuilt { batch: beginning(&machine, id, epoch, 1), machine, taken_over: 0 }))
}

fn beginning(machine: &ClusterMachine, only: RaftId, epoch: u64, term: u64) -> Batch {
    let index = epoch_start(epoch);
    let conf_state = Some(ConfState { voters: vec![only.0], ..ConfState::default() });
    let meta = Some(SnapshotMeta { conf_state, index, term });
    Batch {
        install: Some(Snapshot { data: machine.snapshot().into(), meta }),
        hard_state: Some(HardState { term, vote: 0, commit: index }),
        sync: true,
        ..Batch::default()
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::{FencingToken, LeaseHolder, LeaseKind};

    use super::*;
    use crate::{
        ClusterCommand,
        lease::{AskId, Command},
        member::{AdmissionKey, MemberCommand, MemberTable},
        raft::{RaftConfig, RaftNode, birth, proto::Entry},
    };

    const LB: LeaseKind = LeaseKind::LbLeader;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 8300))
    }

    fn entry(index: u64, command: &ClusterCommand) -> Entry {
        Entry { index, term: 3, data: command.encode().into(), ..Entry::default() }
    }

    fn acquire() -> ClusterCommand {
        let holder = LeaseHolder { node: name("b"), boot: 7 };
        ClusterCommand::Lease(Command::Acquire { kind: LB, holder, ask: AskId(1) })
    }

    /// A log in which `b` was let in and holds the lease; the last entry is not known to be committed.
    fn survivor() -> Recovered {
        let table = MemberTable::founded_by(RaftId(1), name("a"), address());
        let born = birth(&[RaftId(1)], &ClusterMachine::founded(table));
        let admit = ClusterCommand::Member(MemberCommand::Admit {
            key: AdmissionKey::SharedKey { founders: 9 },
            node: name("b"),
            address: address(),
            request: [1; 32],
            at: constellation_core::WallTime(0),
            replaces: None,
        });
        Recovered {
            hard_state: HardState { term: 3, vote: 0, commit: 2 },
            snapshot: born.install.unwrap(),
            entries: vec![entry(2, &admit), entry(3, &acquire())],
        }
    }

    #[test]
    fn a_survivor_keeps_what_its_log_holds_and_nobody_else() {
        let rebuilt = from_survivor(&survivor(), RaftId(2), 2).unwrap();
        assert_eq!(rebuilt.taken_over, 1);
        let members: Vec<RaftId> = rebuilt.machine.members().members().map(|(id, _)| id).collect();
        assert_eq!(members, [RaftId(2)]);
        assert_eq!(rebuilt.machine.members().removed().collect::<Vec<_>>(), [RaftId(1)]);
        assert_eq!(rebuilt.machine.leases().record(LB).token, FencingToken(3));
        assert_eq!(rebuilt.batch.hard_state.unwrap().term, 4, "above every term that the old epoch had here");
    }

    #[test]
    fn every_token_of_the_new_epoch_is_above_every_one_of_the_old() {
        let mut rebuilt = from_survivor(&survivor(), RaftId(2), 2).unwrap();
        let index = rebuilt.batch.install.as_ref().unwrap().index();
        let held = Command::Release {
            kind: LB,
            holder: LeaseHolder { node: name("b"), boot: 7 },
            token: FencingToken(3),
            heir: None,
        };
        rebuilt.machine.apply(index + 1, &ClusterCommand::Lease(held).encode()).unwrap();
        rebuilt.machine.apply(index + 2, &acquire().encode()).unwrap();
        assert!(rebuilt.machine.leases().record(LB).token.0 > (1 << EPOCH_BITS));
        assert!(epoch_start(3) > epoch_start(2) && epoch_start(2) > epoch_start(1));
    }

    #[test]
    fn a_node_starts_alone_from_what_begins_the_epoch_and_leads() {
        let rebuilt = from_survivor(&survivor(), RaftId(2), 2).unwrap();
        let recovered = Recovered {
            hard_state: rebuilt.batch.hard_state.unwrap(),
            snapshot: rebuilt.batch.install.unwrap(),
            entries: vec![],
        };
        let mut node =
            RaftNode::new(RaftId(2), RaftConfig::default(), ClusterMachine::new(), recovered).unwrap();
        for _ in 0..60 {
            let _ = node.step(crate::raft::Input::Tick).unwrap();
        }
        assert!(node.role().leads);
    }

    #[test]
    fn a_backup_begins_with_a_new_node_that_nobody_was_before() {
        let old = from_survivor(&survivor(), RaftId(2), 2).unwrap();
        let (id, rebuilt) = from_backup(&old.machine.snapshot(), &name("z"), address(), 3).unwrap();
        assert_eq!(id, RaftId(3 << EPOCH_BITS));
        let members: Vec<NodeName> =
            rebuilt.machine.members().members().map(|(_, member)| member.node.clone()).collect();
        assert_eq!(members, [name("z")]);
        assert_eq!(rebuilt.machine.leases().record(LB).token, FencingToken(3));
    }

    #[test]
    fn bytes_that_are_no_backup_are_refused() {
        assert!(from_backup(b"\xff\xffgarbage", &name("z"), address(), 2).is_err());
    }
}
