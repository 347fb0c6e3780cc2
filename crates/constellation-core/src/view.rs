//! The one picture of the cluster, derived in one place from what every node says of itself.
//!
//! An entry counts only while its node is live **and** the entry belongs to the node's current generation. Nothing
//! waits for somebody to delete it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    fact::{self, Fact, InvalidFact},
    governor::Evidence,
    id::{InstanceId, NodeName, RouteSetId, ServiceId},
    instance::Instance,
    node::{Generation, NodeFacts},
    route::RouteSet,
};

/// What one run of one node's agent says, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Which node.
    pub name: NodeName,
    /// Which run of its agent.
    pub generation: Generation,
    /// What it says of itself.
    pub facts: NodeFacts,
    /// Its instances.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// The route sets that these refer to.
    pub routes: BTreeMap<RouteSetId, Arc<RouteSet>>,
}

impl NodeView {
    /// Understands a node's entries. `None` until its own record has arrived: instances of a node whose address is not
    /// known reach nobody. What is not understood is left out and named.
    pub fn decode<'a>(
        name: NodeName,
        generation: Generation,
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Option<Self>, Vec<InvalidFact>) {
        let mut facts = None;
        let mut instances = BTreeMap::new();
        let mut routes = BTreeMap::new();
        let mut problems = Vec::new();
        for (key, value) in entries {
            match fact::decode(key, value) {
                Ok(Some(Fact::Node(node))) => facts = Some(node),
                Ok(Some(Fact::Instance(instance))) => drop(instances.insert(instance.id.clone(), instance)),
                Ok(Some(Fact::Routes(id, set))) => drop(routes.insert(id, Arc::new(set))),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        (facts.map(|facts| Self { name, generation, facts, instances, routes }), problems)
    }

    /// The routes of one of its instances; `None` where it has none, or where they have not arrived yet.
    pub fn routes_of(&self, instance: &Instance) -> Option<&Arc<RouteSet>> {
        instance.routes.as_ref().and_then(|id| self.routes.get(id))
    }
}

/// One run of a node's agent, and whether it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// What it says.
    pub node: Arc<NodeView>,
    /// Whether the failure detector believes it alive.
    pub live: bool,
}

/// A node in the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What its current generation says. Of a node that is not live this is its last word, kept for the names of its
    /// routes alone.
    pub node: Arc<NodeView>,
    /// Whether it is live. What a node that is not live last said of its instances does not count.
    pub live: bool,
}

/// An immutable picture of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    version: u64,
    me: NodeName,
    members: BTreeMap<NodeName, Member>,
}

/// An instance that counts, with the node that it runs on.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Where it runs.
    pub node: &'a Arc<NodeView>,
    /// The instance.
    pub instance: &'a Instance,
}

impl Placed<'_> {
    /// Whether it may be sent traffic.
    pub fn is_routable(&self) -> bool {
        self.instance.health.is_routable() && !self.node.facts.leaving
    }
}

impl ClusterView {
    /// The view of a node that knows nothing yet.
    pub fn empty(me: NodeName) -> Self {
        Self { version: 0, me, members: BTreeMap::new() }
    }

    /// Joins what every run of every node says. The order of the incarnations does not matter.
    ///
    /// Of one name, a live run beats a dead one, and of two alike the newer generation counts.
    pub fn derive(me: NodeName, version: u64, incarnations: impl IntoIterator<Item = Incarnation>) -> Self {
        let mut members: BTreeMap<NodeName, Member> = BTreeMap::new();
        for Incarnation { node, live } in incarnations {
            let rank = (live, node.generation);
            let known = members.get(&node.name).map(|member| (member.live, member.node.generation));
            if known.is_none_or(|known| known < rank) {
                members.insert(node.name.clone(), Member { node, live });
            }
        }
        Self { version, me, members }
    }

    /// Rises with every change of what this node knows. Versions of two nodes cannot be compared.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The node whose view it is.
    pub const fn me(&self) -> &NodeName {
        &self.me
    }

    /// Every node that is known, live or not, by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One node, live or not.
    pub fn member(&self, name: &NodeName) -> Option<&Member> {
        self.members.get(name)
    }

    /// The nodes that are live, by name.
    pub fn live_nodes(&self) -> impl Iterator<Item = &Arc<NodeView>> {
        self.members.values().filter(|member| member.live).map(|member| &member.node)
    }

    /// The last word of the nodes that are not live, by name.
    pub fn lost_nodes(&self) -> impl Iterator<Item = &Arc<NodeView>> {
        self.members.values().filter(|member| !member.live).map(|member| &member.node)
    }

    /// Every instance that counts, by node and id.
    pub fn instances(&self) -> impl Iterator<Item = Placed<'_>> {
        self.live_nodes()
            .flat_map(|node| node.instances.values().map(move |instance| Placed { node, instance }))
    }

    /// The instances of one service that count.
    pub fn instances_of<'a>(&'a self, service: &'a ServiceId) -> impl Iterator<Item = Placed<'a>> {
        self.instances().filter(move |placed| placed.instance.service == *service)
    }

    /// What this node sees of its peers.
    pub fn evidence(&self) -> Evidence {
        let peers =
            self.members.values().filter(|member| member.node.name != self.me && !member.node.facts.leaving);
        let (mut peers_known, mut peers_live) = (0, 0);
        for peer in peers {
            peers_known += 1;
            peers_live += usize::from(peer.live);
        }
        Evidence { peers_known, peers_live }
    }

    /// Whether two views say the same, whatever their versions.
    pub fn same_as(&self, other: &Self) -> bool {
        self.me == other.me && self.members == other.members
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{health::Health, time::WallTime};

    fn node(name: &str, generation: u64, instances: &[&str]) -> Arc<NodeView> {
        let instances = instances
            .iter()
            .map(|id| Instance {
                id: id.parse().unwrap(),
                service: "web".parse().unwrap(),
                health: Health::Healthy,
                since: WallTime(0),
                endpoints: vec![],
                networks: vec![],
                routes: None,
                definition: None,
                role: None,
            })
            .map(|instance| (instance.id.clone(), instance))
            .collect();
        Arc::new(NodeView {
            name: name.parse().unwrap(),
            generation: Generation(generation),
            facts: NodeFacts::at("127.0.0.1".parse().unwrap()),
            instances,
            routes: BTreeMap::new(),
        })
    }

    fn view(incarnations: Vec<Incarnation>) -> ClusterView {
        ClusterView::derive("a".parse().unwrap(), 1, incarnations)
    }

    fn ids(view: &ClusterView) -> Vec<&str> {
        view.instances().map(|placed| placed.instance.id.as_str()).collect()
    }

    #[test]
    fn an_instance_counts_only_while_its_node_is_live() {
        let seen = view(vec![
            Incarnation { node: node("a", 1, &["a1"]), live: true },
            Incarnation { node: node("b", 1, &["b1"]), live: false },
        ]);
        assert_eq!(ids(&seen), ["a1"]);
        assert_eq!(seen.lost_nodes().count(), 1, "the dead node is remembered");
    }

    #[test]
    fn what_an_older_run_said_does_not_count_beside_the_newer() {
        let seen = view(vec![
            Incarnation { node: node("b", 2, &["new"]), live: true },
            Incarnation { node: node("b", 1, &["old"]), live: true },
        ]);
        assert_eq!(ids(&seen), ["new"]);
    }

    #[test]
    fn a_newer_run_that_died_does_not_hide_an_older_one_that_lives() {
        let seen = view(vec![
            Incarnation { node: node("b", 2, &["dead"]), live: false },
            Incarnation { node: node("b", 1, &["live"]), live: true },
        ]);
        assert_eq!(ids(&seen), ["live"]);
    }

    #[test]
    fn a_node_without_its_own_record_is_not_seen_yet() {
        let (seen, problems) = NodeView::decode("b".parse().unwrap(), Generation(1), [("i/x", "{}")]);
        assert!(seen.is_none());
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn a_peer_that_says_it_leaves_is_no_evidence_of_isolation() {
        let mut leaving = (*node("b", 1, &[])).clone();
        leaving.facts.leaving = true;
        let seen = view(vec![
            Incarnation { node: node("a", 1, &[]), live: true },
            Incarnation { node: Arc::new(leaving), live: false },
        ]);
        assert_eq!(seen.evidence(), Evidence { peers_known: 0, peers_live: 0 });
    }

    fn any_incarnation() -> impl Strategy<Value = Incarnation> {
        ("[a-d]", 0u64..4, any::<bool>()).prop_map(|(name, generation, live)| {
            let id = format!("{name}{generation}");
            Incarnation { node: node(&name, generation, &[&id]), live }
        })
    }

    fn one_run_is_either_live_or_dead(incarnations: &mut Vec<Incarnation>) {
        let mut seen = std::collections::BTreeSet::new();
        incarnations.retain(|i| seen.insert((i.node.name.clone(), i.node.generation)));
    }

    proptest! {
        #[test]
        fn the_order_in_which_nodes_are_heard_of_does_not_matter(
            mut incarnations in proptest::collection::vec(any_incarnation(), 0..12), seed: u64,
        ) {
            one_run_is_either_live_or_dead(&mut incarnations);
            let mut shuffled = incarnations.clone();
            for i in (1..shuffled.len()).rev() {
                let j = usize::try_from(seed.rotate_left(u32::try_from(i).unwrap()) % (i as u64 + 1)).unwrap();
                shuffled.swap(i, j);
            }
            prop_assert_eq!(view(incarnations), view(shuffled));
        }

        #[test]
        fn hearing_the_same_twice_changes_nothing(
            mut incarnations in proptest::collection::vec(any_incarnation(), 0..12),
        ) {
            one_run_is_either_live_or_dead(&mut incarnations);
            let twice = incarnations.iter().chain(&incarnations).cloned().collect();
            prop_assert_eq!(view(incarnations), view(twice));
        }

        #[test]
        fn every_instance_that_counts_is_of_a_live_node_and_its_newest_live_run(
            mut incarnations in proptest::collection::vec(any_incarnation(), 0..12),
        ) {
            one_run_is_either_live_or_dead(&mut incarnations);
            let seen = view(incarnations.clone());
            for placed in seen.instances() {
                let newest = incarnations.iter()
                    .filter(|i| i.live && i.node.name == placed.node.name)
                    .map(|i| i.node.generation).max();
                prop_assert_eq!(newest, Some(placed.node.generation));
            }
        }
    }
}
