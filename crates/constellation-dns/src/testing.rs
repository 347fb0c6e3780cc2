//! Small worlds for the tests of this crate.

use std::{sync::Arc, time::Duration};

use constellation_core::{
    ClusterView, Generation, Moment, NodeFacts,
    view::{Incarnation, NodeView},
};

pub(crate) fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Machines by name; the `n`th has the public address 203.0.113.n.
pub(crate) fn cluster(nodes: &[(&str, bool)]) -> ClusterView {
    let incarnations = (1u8..).zip(nodes).map(|(number, (name, live))| {
        let facts = NodeFacts {
            public: vec![std::net::IpAddr::from([203, 0, 113, number])],
            ..NodeFacts::at("127.0.0.1".parse().unwrap())
        };
        let node = NodeView {
            name: name.parse().unwrap(),
            generation: Generation(1),
            facts,
            instances: [].into(),
            routes: [].into(),
        };
        Incarnation { node: Arc::new(node), live: *live }
    });
    ClusterView::derive("a".parse().unwrap(), 1, incarnations)
}
