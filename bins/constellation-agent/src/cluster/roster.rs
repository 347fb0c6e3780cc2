//! Whom the transport talks to and lets in: from the table of members, with the addresses that gossip knows.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use constellation_consensus::{
    LeaseHandle,
    member::MemberTable,
    raft::{RaftId, proto::ConfState},
    transport::{Peer, Roster},
};
use constellation_core::{ClusterView, NodeName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::files::{ClusterFiles, KnownPeers};

/// Where gossip says that a member's Raft is, if the node that says so is that member.
pub(crate) fn told_address(view: &ClusterView, node: &NodeName, id: RaftId) -> Option<SocketAddr> {
    let member = view.member(node).filter(|member| member.live)?;
    let raft = member.node.facts.raft.filter(|raft| raft.id == id.0)?;
    Some(SocketAddr::new(member.node.facts.mesh, raft.port))
}

/// The roster of a member.
///
/// Whoever was removed and still has a seat is talked to until it has lost it: cut off at once, its missing vote could cost
/// the majority that takes its seat away.
pub(crate) fn roster(
    me: RaftId,
    table: &MemberTable,
    conf: &ConfState,
    view: &ClusterView,
    before: &Roster,
) -> Roster {
    let seated: BTreeSet<u64> = [&conf.voters, &conf.voters_outgoing, &conf.learners, &conf.learners_next]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let mut peers = before.peers.clone();
    peers.retain(|id, _| seated.contains(&id.0));
    for (id, member) in table.members().filter(|(id, _)| *id != me) {
        let address = told_address(view, &member.node, id).unwrap_or(member.address);
        peers.insert(id, Peer { node: member.node.clone(), address: Some(address) });
    }
    peers.remove(&me);
    let removed = table.removed().filter(|id| !seated.contains(&id.0)).collect();
    Roster { peers, removed }
}

/// Keeps the roster, and what the notary needs of it on disk, until the shutdown.
pub(crate) async fn keep(
    me: RaftId,
    epoch: u64,
    handle: LeaseHandle,
    mut view: watch::Receiver<Arc<ClusterView>>,
    out: watch::Sender<Arc<Roster>>,
    files: ClusterFiles,
    shutdown: CancellationToken,
) {
    let (mut table, mut members) = (handle.roster(), handle.members());
    let mut written = files.peers().ok();
    loop {
        let next = {
            let (table, members) = (table.borrow_and_update().clone(), members.borrow_and_update().clone());
            let view = Arc::clone(&view.borrow_and_update());
            // A node that was let in a moment ago knows nobody but whom it was told of.
            (table.members().next().is_some()).then(|| roster(me, &table, &members, &view, &out.borrow()))
        };
        if let Some(next) = next {
            let known = KnownPeers::of(epoch, &next.peers);
            if written.as_ref() != Some(&known) {
                let (files, told) = (files.clone(), known.clone());
                let kept = tokio::task::spawn_blocking(move || files.write_peers(&told)).await;
                match kept {
                    Ok(Ok(())) => written = Some(known),
                    Ok(Err(error)) => {
                        warn!(error = format!("{error:#}"), "the peers could not be written down");
                    }
                    Err(error) => warn!(%error, "the peers could not be written down"),
                }
            }
            out.send_if_modified(|roster| {
                let changed = **roster != next;
                if changed {
                    *roster = Arc::new(next);
                }
                changed
            });
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = table.changed() => if changed.is_err() { return shutdown.cancelled().await },
            changed = members.changed() => if changed.is_err() { return shutdown.cancelled().await },
            changed = view.changed() => if changed.is_err() { return shutdown.cancelled().await },
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_consensus::member::MemberCommand;
    use constellation_core::{
        Generation, NodeFacts, RaftFacts,
        view::{Incarnation, NodeView},
    };

    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn table() -> MemberTable {
        let mut table = MemberTable::founded_by(RaftId(1), node("a"), "192.0.2.1:8300".parse().unwrap());
        for (index, name) in [(2, "b"), (3, "c")] {
            let admit = MemberCommand::Admit {
                key: constellation_consensus::member::AdmissionKey::SharedKey { founders: 9 },
                node: node(name),
                address: format!("192.0.2.{index}:8300").parse().unwrap(),
                request: [u8::try_from(index).unwrap(); 32],
                at: constellation_core::WallTime(0),
                replaces: None,
            };
            table.apply(index, &admit);
        }
        table
    }

    fn conf(voters: &[u64]) -> ConfState {
        ConfState { voters: voters.to_vec(), ..ConfState::default() }
    }

    fn view_of(name: &str, id: u64, port: u16) -> ClusterView {
        let raft = Some(RaftFacts { id, port, epoch: 1 });
        let facts = NodeFacts { raft, ..NodeFacts::at("192.0.2.77".parse().unwrap()) };
        let view = NodeView {
            name: node(name),
            generation: Generation(1),
            facts,
            instances: [].into(),
            routes: [].into(),
        };
        ClusterView::derive(node("a"), 1, [Incarnation { node: Arc::new(view), live: true }])
    }

    fn address_of(roster: &Roster, id: u64) -> String {
        roster.peers[&RaftId(id)].address.unwrap().to_string()
    }

    #[test]
    fn gossip_knows_better_where_a_member_is_but_only_of_that_very_member() {
        let none = ClusterView::empty(node("a"));
        let before = Roster::default();
        let plain = roster(RaftId(1), &table(), &conf(&[1, 2, 3]), &none, &before);
        assert_eq!(address_of(&plain, 2), "192.0.2.2:8300");
        let moved = roster(RaftId(1), &table(), &conf(&[1, 2, 3]), &view_of("b", 2, 9), &before);
        assert_eq!(address_of(&moved, 2), "192.0.2.77:9");
        let other = roster(RaftId(1), &table(), &conf(&[1, 2, 3]), &view_of("b", 8, 9), &before);
        assert_eq!(address_of(&other, 2), "192.0.2.2:8300");
        assert!(!plain.peers.contains_key(&RaftId(1)));
    }

    #[test]
    fn whoever_was_removed_is_talked_to_until_its_seat_is_gone() {
        let none = ClusterView::empty(node("a"));
        let mut table = table();
        let before = roster(RaftId(1), &table, &conf(&[1, 2, 3]), &none, &Roster::default());
        table.apply(9, &MemberCommand::Remove { id: RaftId(3) });
        let seated = roster(RaftId(1), &table, &conf(&[1, 2, 3]), &none, &before);
        assert!(seated.peers.contains_key(&RaftId(3)) && seated.removed.is_empty());
        let gone = roster(RaftId(1), &table, &conf(&[1, 2]), &none, &seated);
        assert!(!gone.peers.contains_key(&RaftId(3)) && gone.removed.contains(&RaftId(3)));
    }
}
