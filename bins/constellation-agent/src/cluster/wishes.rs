//! Whether this node would hold a lease: by priority, as it sees the others.

use std::{sync::Arc, time::Duration};

use constellation_consensus::{
    LeaseHandle,
    lease::{Candidate, Wish},
};
use constellation_core::{Clock, ClusterView, LeaseKind, Moment, NodeFacts};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// For so long most of the others must be out of sight before this node takes itself for the one that is cut off. Nodes that
/// come for the first time are known a moment before they are in sight.
const DOUBT: Duration = Duration::from_secs(1);

/// What a node wishes of any lease.
///
/// Only members can hold one. A node that is cordoned or on its way out wants none, nor does one that is cut off.
pub(crate) fn wish(view: &ClusterView, own: &NodeFacts, cut_off: bool, step: Duration) -> Wish {
    // Before gossip has this node in its own view it knows nothing of the others either.
    if own.cordoned || own.leaving || view.member(view.me()).is_none() || cut_off {
        return Wish::No;
    }
    let fit = |facts: &NodeFacts| facts.raft.is_some() && !facts.cordoned && !facts.leaving;
    let mut candidates: Vec<Candidate> = view
        .live_nodes()
        .filter(|node| node.name != *view.me() && fit(&node.facts))
        .map(|node| Candidate { node: node.name.clone(), priority: node.facts.priority })
        .collect();
    candidates.push(Candidate { node: view.me().clone(), priority: own.priority });
    Wish::among(view.me(), &candidates, step)
}

/// Tells the keepers, whenever something changes, until the shutdown.
pub(crate) async fn keep(
    handle: LeaseHandle,
    mut view: watch::Receiver<Arc<ClusterView>>,
    mut own: watch::Receiver<NodeFacts>,
    step: Duration,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut told = None;
    let mut doubt: Option<Moment> = None;
    loop {
        let (wish, in_doubt) = {
            let (view, own) = (Arc::clone(&view.borrow_and_update()), own.borrow_and_update().clone());
            let now = clock.now();
            doubt = view.evidence().looks_cut_off().then(|| doubt.unwrap_or(now));
            let cut_off = doubt.is_some_and(|since| now.since(since) >= DOUBT);
            (wish(&view, &own, cut_off, step), doubt.is_some() && !cut_off)
        };
        if told.as_ref() != Some(&wish) {
            for lease in [LeaseKind::LbLeader, LeaseKind::DnsWriter] {
                handle.wish(lease, wish.clone()).await;
            }
            told = Some(wish);
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = view.changed() => if changed.is_err() { return shutdown.cancelled().await },
            changed = own.changed() => if changed.is_err() { return shutdown.cancelled().await },
            () = tokio::time::sleep(DOUBT), if in_doubt => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::{
        Generation, Priority, RaftFacts,
        view::{Incarnation, NodeView},
    };

    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    fn facts(priority: u16) -> NodeFacts {
        NodeFacts {
            priority: Priority(priority),
            raft: Some(RaftFacts { id: 1, port: 8300, epoch: 1 }),
            ..NodeFacts::at("192.0.2.1".parse().unwrap())
        }
    }

    fn view(nodes: &[(&str, NodeFacts, bool)]) -> ClusterView {
        let incarnations = nodes.iter().map(|(name, facts, live)| Incarnation {
            node: Arc::new(NodeView {
                name: name.parse().unwrap(),
                generation: Generation(1),
                facts: facts.clone(),
                instances: [].into(),
                routes: [].into(),
            }),
            live: *live,
        });
        ClusterView::derive("b".parse().unwrap(), 1, incarnations)
    }

    fn yes(steps: u32, better: Option<&str>) -> Wish {
        Wish::Yes { patience: STEP * steps, better: better.map(|node| node.parse().unwrap()) }
    }

    #[test]
    fn a_better_node_goes_first_if_it_is_there_and_can() {
        let own = facts(20);
        let all = |a: NodeFacts, live| view(&[("a", a, live), ("b", facts(20), true)]);
        assert_eq!(wish(&all(facts(10), true), &own, false, STEP), yes(1, Some("a")));
        let cordoned = NodeFacts { cordoned: true, ..facts(10) };
        assert_eq!(wish(&all(cordoned, true), &own, false, STEP), yes(0, None));
        let leaving = NodeFacts { leaving: true, ..facts(10) };
        assert_eq!(wish(&all(leaving, true), &own, false, STEP), yes(0, None));
        let outsider = NodeFacts { raft: None, ..facts(10) };
        assert_eq!(wish(&all(outsider, true), &own, false, STEP), yes(0, None));
    }

    #[test]
    fn a_node_that_is_cordoned_leaving_or_cut_off_wants_nothing() {
        let alone = view(&[("b", facts(20), true)]);
        assert_eq!(wish(&alone, &facts(20), false, STEP), yes(0, None));
        assert_eq!(wish(&alone, &NodeFacts { cordoned: true, ..facts(20) }, false, STEP), Wish::No);
        assert_eq!(wish(&alone, &NodeFacts { leaving: true, ..facts(20) }, false, STEP), Wish::No);
        let cut_off = view(&[("a", facts(10), false), ("b", facts(20), true), ("c", facts(30), false)]);
        assert_eq!(wish(&cut_off, &facts(20), true, STEP), Wish::No);
        assert_eq!(wish(&ClusterView::empty("b".parse().unwrap()), &facts(20), false, STEP), Wish::No);
    }
}
