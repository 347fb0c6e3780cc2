//! Which nodes run a service: the same answer on every node, without asking any other.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::language::{NodeEntry, Placement, Service};

/// The nodes whose labels fit.
pub(crate) fn eligible<'a>(service: &Service, nodes: &'a BTreeMap<String, NodeEntry>) -> Vec<&'a str> {
    let fits = |entry: &NodeEntry| {
        service.constraints.iter().all(|(label, value)| entry.labels.get(label) == Some(value))
    };
    nodes.iter().filter(|(_, entry)| fits(entry)).map(|(name, _)| name.as_str()).collect()
}

/// Whether the service `id` runs on `node`.
pub(crate) fn runs_on(id: &str, service: &Service, nodes: &BTreeMap<String, NodeEntry>, node: &str) -> bool {
    let eligible = eligible(service, nodes);
    match &service.placement {
        Placement::EveryNode => eligible.contains(&node),
        Placement::On(wanted) => wanted == node,
        Placement::Replicas(count) => {
            // Rendezvous hashing: a node that comes or goes moves only what it gains or had.
            let mut ranked: Vec<([u8; 32], &str)> =
                eligible.into_iter().map(|node| (weight(id, node), node)).collect();
            ranked.sort_unstable();
            ranked.into_iter().take(usize::from(*count)).any(|(_, chosen)| chosen == node)
        }
    }
}

fn weight(id: &str, node: &str) -> [u8; 32] {
    Sha256::digest(format!("{id}\0{node}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{on, replicas};

    fn nodes(names: &[&str]) -> BTreeMap<String, NodeEntry> {
        names.iter().map(|name| ((*name).to_owned(), NodeEntry::default())).collect()
    }

    fn chosen(service: &Service, nodes: &BTreeMap<String, NodeEntry>) -> Vec<String> {
        nodes.keys().filter(|node| runs_on("s/web", service, nodes, node)).cloned().collect()
    }

    #[test]
    fn replicas_are_placed_on_so_many_nodes_and_stay_when_another_node_goes() {
        let all = nodes(&["a", "b", "c", "d", "e"]);
        let service = Service::new("web", "x").placement(replicas(2));
        let before = chosen(&service, &all);
        assert_eq!(before.len(), 2);
        let mut fewer = all.clone();
        let gone = all.keys().find(|node| !before.contains(node)).unwrap();
        fewer.remove(gone);
        assert_eq!(chosen(&service, &fewer), before);
    }

    #[test]
    fn constraints_choose_among_the_nodes_by_label() {
        let mut all = nodes(&["a", "b"]);
        all.get_mut("b").unwrap().labels.insert("disk".to_owned(), "ssd".to_owned());
        assert_eq!(chosen(&Service::new("db", "x").constraint("disk", "ssd"), &all), ["b"]);
        assert_eq!(chosen(&Service::new("db", "x").placement(on("a")), &all), ["a"]);
        assert_eq!(chosen(&Service::new("db", "x"), &all), ["a", "b"]);
    }
}
