//! What becomes of the connections through the mesh gateway when this node is cordoned.
//!
//! Requests go elsewhere by themselves, because every agent prefers other nodes then. A connection that is open for days does not: its
//! client has no reason to connect anew. So it is ended after a while, but only where somebody else can take it.

use std::{collections::BTreeSet, sync::Arc};

use constellation_core::{ClusterView, InstanceId, NodeFacts, ServiceId};
use constellation_proxy::GatewayHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::daemon::LEAVE_NOTICE;

/// The own instances that another node can stand in for: with one that is well, is reached, and has the same role.
fn replaceable(view: &ClusterView) -> BTreeSet<(ServiceId, InstanceId)> {
    let own = view.instances().filter(|placed| placed.node.name == *view.me());
    own.filter(|own| {
        view.instances_of(&own.instance.service).any(|other| {
            other.node.name != *view.me()
                && !other.node.facts.cordoned
                && other.is_routable()
                && other.instance.role == own.instance.role
                && !other.instance.endpoints.is_empty()
        })
    })
    .map(|own| (own.instance.service.clone(), own.instance.id.clone()))
    .collect()
}

/// Lets connections go each time that this node is cordoned, until the shutdown.
pub(crate) async fn keep(
    mut facts: watch::Receiver<NodeFacts>,
    view: watch::Receiver<Arc<ClusterView>>,
    gateway: GatewayHandle,
    shutdown: CancellationToken,
) {
    let mut before = facts.borrow_and_update().cordoned;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = facts.changed() => if changed.is_err() { return shutdown.cancelled().await },
        }
        let now = facts.borrow_and_update().cordoned;
        if now && !before {
            // First everybody hears of it: who is let go should not come back here.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LEAVE_NOTICE) => {}
            }
            let meant = replaceable(&view.borrow());
            // The gateway ends with the agent, and then so does this.
            if facts.borrow().cordoned && gateway.let_go(meant).await.is_err() {
                return shutdown.cancelled().await;
            }
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::{
        Generation, Health, Instance, Role,
        view::{Incarnation, NodeView},
    };

    use super::*;
    use crate::fixtures::instance;

    /// This node with an instance of `web`, and another that is changed.
    fn meant(change: impl Fn(&mut NodeFacts, &mut Instance)) -> usize {
        let nodes = (1..=2u8).map(|number| {
            let mut facts = NodeFacts::at([10, 0, 0, number].into());
            let mut web = instance(number, "web");
            if number == 2 {
                change(&mut facts, &mut web);
            }
            let name = format!("n{number}").parse().unwrap();
            let instances = [(web.id.clone(), web)].into();
            let node =
                NodeView { name, generation: Generation(1), facts, instances, routes: Default::default() };
            Incarnation { node: Arc::new(node), live: true }
        });
        replaceable(&ClusterView::derive("n1".parse().unwrap(), 1, nodes)).len()
    }

    #[test]
    fn connections_are_let_go_only_where_another_node_can_take_them() {
        assert_eq!(meant(|_, _| {}), 1);
        assert_eq!(meant(|facts, _| facts.cordoned = true), 0, "the other is cordoned, too");
        assert_eq!(meant(|facts, _| facts.leaving = true), 0);
        assert_eq!(meant(|_, web| web.health = Health::Unhealthy), 0);
        assert_eq!(meant(|_, web| web.endpoints.clear()), 0);
        assert_eq!(meant(|_, web| web.role = Some(Role::Primary)), 0, "a primary is no replica");
        assert_eq!(meant(|_, web| *web = instance(2, "other")), 0);
    }
}
