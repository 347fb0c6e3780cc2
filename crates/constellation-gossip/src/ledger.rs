//! What we have told, and the steps from there to what is to be told.

use std::collections::BTreeMap;

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Set(String, String),
    Delete(String),
}

/// The keys and values that chitchat holds for us.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    told: BTreeMap<String, String>,
}

/// What others point at is told before those who point, and taken back after them. Peers receive changes in
/// this order and may get only the first of them, so at no time does an instance point at routes that did not come.
/// The node's own record comes last: without it nothing of a node counts, so a new node appears as a whole.
fn rank(key: &str) -> u8 {
    match key.split_once('/').map(|(kind, _)| kind) {
        Some("r") => 0,
        Some(_) => 1,
        None => 2,
    }
}

impl Ledger {
    /// The steps that lead to `wanted`, in the order in which they are safe; they count as made.
    pub(crate) fn change_to(&mut self, wanted: &BTreeMap<String, String>) -> Vec<Step> {
        let mut sets: Vec<_> =
            wanted.iter().filter(|(key, value)| self.told.get(*key) != Some(*value)).collect();
        sets.sort_by_key(|(key, _)| rank(key));
        let mut deletes: Vec<_> = self.told.keys().filter(|key| !wanted.contains_key(*key)).collect();
        deletes.sort_by_key(|key| std::cmp::Reverse(rank(key)));
        let sets = sets.into_iter().map(|(key, value)| Step::Set(key.clone(), value.clone()));
        let steps = sets.chain(deletes.into_iter().map(|key| Step::Delete(key.clone()))).collect();
        self.told = wanted.clone();
        steps
    }

    /// Notes that nothing is told any more: chitchat began anew.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn routes_come_before_instances_and_the_node_comes_last() {
        let steps = Ledger::default().change_to(&entries(&[("i/a", "1"), ("node", "2"), ("r/x", "3")]));
        let keys: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Set(key, _) | Step::Delete(key) => key.as_str(),
            })
            .collect();
        assert_eq!(keys, ["r/x", "i/a", "node"]);
    }

    #[test]
    fn new_routes_are_told_before_the_old_ones_are_taken_back() {
        let mut ledger = Ledger::default();
        ledger.change_to(&entries(&[("i/a", "x"), ("r/x", "")]));
        let steps = ledger.change_to(&entries(&[("i/a", "y"), ("r/y", "")]));
        assert_eq!(
            steps,
            [
                Step::Set("r/y".into(), String::new()),
                Step::Set("i/a".into(), "y".into()),
                Step::Delete("r/x".into()),
            ]
        );
        assert_eq!(ledger.change_to(&entries(&[("i/a", "y"), ("r/y", "")])), []);
    }

    proptest! {
        /// Instances point at routes by their value. After any number of the steps each pointer has its target.
        #[test]
        fn no_instance_ever_points_at_routes_that_are_not_told(
            worlds in proptest::collection::vec(proptest::collection::btree_map("[ab]", "[xyz]", 0..3), 1..5),
        ) {
            let (mut ledger, mut told) = (Ledger::default(), BTreeMap::new());
            for world in worlds {
                let mut wanted = BTreeMap::new();
                for (instance, routes) in world {
                    wanted.insert(format!("r/{routes}"), "rules".to_owned());
                    wanted.insert(format!("i/{instance}"), routes);
                }
                for step in ledger.change_to(&wanted) {
                    match step {
                        Step::Set(key, value) => drop(told.insert(key, value)),
                        Step::Delete(key) => drop(told.remove(&key)),
                    }
                    for (_, routes) in told.iter().filter(|(key, _)| key.starts_with("i/")) {
                        let target = format!("r/{routes}");
                        prop_assert!(told.contains_key(&target));
                    }
                }
                prop_assert_eq!(&told, &wanted);
            }
        }
    }
}
