//! What every node says, understood once and joined into one view.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use chitchat::ChitchatId;
use constellation_core::{ClusterView, Generation, Incarnation, Moment, NodeName, NodeView};

/// How long the last word of a dead node is remembered, so that its routes answer "unavailable" and not "unknown".
const REMEMBER: Duration = Duration::from_secs(24 * 60 * 60);
/// How many last words are remembered.
const REMEMBER_MAX: usize = 1000;

/// When a run's entries changed last: rises with every change, and when chitchat had to start over with them.
pub(crate) type Stamp = (u64, u64);

/// A run's entries, copied from chitchat.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) run: ChitchatId,
    pub(crate) stamp: Stamp,
    pub(crate) entries: Vec<(String, String)>,
}

#[derive(Debug)]
struct Run {
    stamp: Stamp,
    node: Option<Arc<NodeView>>,
}

#[derive(Debug)]
struct LastWord {
    node: Arc<NodeView>,
    address: SocketAddr,
    at: Moment,
}

/// Everything that is known of the cluster.
#[derive(Debug)]
pub(crate) struct Knowledge {
    me: NodeName,
    own: Option<Arc<NodeView>>,
    runs: BTreeMap<ChitchatId, Run>,
    last_words: BTreeMap<NodeName, LastWord>,
    not_understood: BTreeSet<String>,
    view: Arc<ClusterView>,
}

impl Knowledge {
    pub(crate) fn new(me: NodeName) -> Self {
        let view = Arc::new(ClusterView::empty(me.clone()));
        Self {
            me,
            own: None,
            runs: BTreeMap::new(),
            last_words: BTreeMap::new(),
            not_understood: BTreeSet::new(),
            view,
        }
    }

    /// The stamp of what was understood of a run.
    pub(crate) fn stamp_of(&self, run: &ChitchatId) -> Option<Stamp> {
        self.runs.get(run).map(|run| run.stamp)
    }

    /// Whether a run has told its own record.
    pub(crate) fn has_published(&self, run: &ChitchatId) -> bool {
        self.runs.get(run).is_some_and(|run| run.node.is_some())
    }

    /// Takes our own word from where it is made. It is read as the others will read it, so that this node's view of itself
    /// is theirs.
    pub(crate) fn speak(&mut self, generation: Generation, entries: &BTreeMap<String, String>) {
        let entries = entries.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.own = NodeView::decode(self.me.clone(), generation, entries).0.map(Arc::new);
    }

    /// Takes what a run says now.
    pub(crate) fn hear(&mut self, words: Words) {
        let Words { run, stamp, entries } = words;
        let node = match run.node_id.parse::<NodeName>() {
            Ok(name) => {
                let entries = entries.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let (node, problems) = NodeView::decode(name, Generation(run.generation_id), entries);
                for problem in problems {
                    self.complain(format!("{}: {problem}", run.node_id));
                }
                node.map(Arc::new)
            }
            Err(problem) => {
                self.complain(problem.to_string());
                None
            }
        };
        self.runs.insert(run, Run { stamp, node });
    }

    /// Forgets runs that chitchat has forgotten. Their last words stay.
    pub(crate) fn keep_only(&mut self, runs: &BTreeSet<ChitchatId>) {
        self.runs.retain(|run, _| runs.contains(run));
    }

    /// The view, where it has changed.
    pub(crate) fn look(
        &mut self,
        is_live: impl Fn(&ChitchatId) -> bool,
        now: Moment,
    ) -> Option<Arc<ClusterView>> {
        let mut incarnations: Vec<Incarnation> = Vec::new();
        incarnations.extend(self.own.iter().map(|node| Incarnation { node: Arc::clone(node), live: true }));
        for (run, known) in &self.runs {
            // Somebody else with our name is a rival, or an earlier run of ours; neither is "us" to this node.
            let Some(node) = known.node.as_ref().filter(|node| node.name != self.me) else { continue };
            let live = is_live(run);
            let last = self.last_words.get(&node.name);
            let newest = last.is_none_or(|last| last.node.generation <= node.generation);
            if newest && (live || last.is_none_or(|last| !Arc::ptr_eq(&last.node, node))) {
                let last = LastWord { node: Arc::clone(node), address: run.gossip_advertise_addr, at: now };
                self.last_words.insert(node.name.clone(), last);
            }
            if live {
                incarnations.push(Incarnation { node: Arc::clone(node), live });
            }
        }
        self.forget(now);
        // `derive` prefers a live run to these.
        incarnations.extend(
            self.last_words.values().map(|last| Incarnation { node: Arc::clone(&last.node), live: false }),
        );
        let view = ClusterView::derive(self.me.clone(), self.view.version() + 1, incarnations);
        if view.same_as(&self.view) {
            return None;
        }
        self.view = Arc::new(view);
        Some(Arc::clone(&self.view))
    }

    /// Where nodes were that are not in sight: somebody may be there again.
    pub(crate) fn lost_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let lost = |name: &NodeName| self.view.member(name).is_some_and(|member| !member.live);
        self.last_words.iter().filter(move |(name, _)| lost(name)).map(|(_, last)| last.address)
    }

    fn forget(&mut self, now: Moment) {
        self.last_words.retain(|_, last| now.since(last.at) < REMEMBER);
        while self.last_words.len() > REMEMBER_MAX {
            let oldest = self.last_words.iter().min_by_key(|(_, last)| last.at).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { break };
            self.last_words.remove(&oldest);
        }
    }

    /// Says once what is not understood. The bound is on memory; beyond it the first complaints have said enough.
    fn complain(&mut self, problem: String) {
        const COMPLAINTS_MAX: usize = 100;
        if self.not_understood.len() < COMPLAINTS_MAX && !self.not_understood.contains(&problem) {
            tracing::warn!(problem, "a fact of another node is left out");
            self.not_understood.insert(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::NodeFacts;

    use super::*;

    fn run(name: &str, generation: u64) -> ChitchatId {
        ChitchatId::new(name, generation, ([127, 0, 0, 1], 7946).into())
    }

    fn words(name: &str, generation: u64, leaving: bool) -> Words {
        let facts = NodeFacts { leaving, ..NodeFacts::at("127.0.0.1".parse().unwrap()) };
        let entries = vec![("node".to_owned(), serde_json::to_string(&facts).unwrap())];
        Words { run: run(name, generation), stamp: (0, u64::from(leaving) + 1), entries }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn members(view: &ClusterView) -> Vec<(String, bool)> {
        view.members().map(|member| (member.node.name.to_string(), member.live)).collect()
    }

    fn knowing_b() -> Knowledge {
        let mut knowledge = Knowledge::new("a".parse().unwrap());
        knowledge.hear(words("b", 1, false));
        knowledge.look(|_| true, at(0)).unwrap();
        knowledge
    }

    #[test]
    fn a_dead_nodes_last_word_outlives_chitchats_memory_by_a_day() {
        let mut knowledge = knowing_b();
        knowledge.keep_only(&BTreeSet::new());
        assert_eq!(members(&knowledge.look(|_| false, at(1)).unwrap()), [("b".to_owned(), false)]);
        assert!(knowledge.look(|_| false, at(86_000)).is_none(), "nothing changes for a day");
        assert_eq!(knowledge.lost_addresses().count(), 1);
        assert_eq!(members(&knowledge.look(|_| false, at(86_401)).unwrap()), []);
    }

    #[test]
    fn a_last_word_that_comes_after_the_death_still_counts() {
        let mut knowledge = knowing_b();
        knowledge.look(|_| false, at(1)).unwrap();
        knowledge.hear(words("b", 1, true));
        let view = knowledge.look(|_| false, at(2)).unwrap();
        assert!(view.lost_nodes().all(|node| node.facts.leaving), "it did not crash, it left");
    }

    #[test]
    fn an_old_run_that_is_heard_of_late_does_not_replace_the_newer_last_word() {
        let mut knowledge = knowing_b();
        knowledge.hear(words("b", 2, false));
        knowledge.look(|run| run.generation_id == 2, at(1)).unwrap();
        knowledge.look(|_| false, at(2)).unwrap();
        knowledge.hear(words("b", 1, true));
        assert!(knowledge.look(|_| false, at(3)).is_none());
    }

    #[test]
    fn somebody_else_with_our_name_is_not_us() {
        let mut knowledge = Knowledge::new("a".parse().unwrap());
        knowledge.hear(words("a", 1, false));
        assert!(knowledge.look(|_| true, at(0)).is_none());
    }

    #[test]
    fn a_view_that_says_the_same_is_not_published_again() {
        let mut knowledge = knowing_b();
        assert!(knowledge.look(|_| true, at(1)).is_none());
        knowledge.hear(words("b", 1, false));
        assert!(knowledge.look(|_| true, at(2)).is_none());
    }

    #[test]
    fn more_last_words_than_can_be_remembered_cost_the_oldest() {
        let mut knowledge = Knowledge::new("a".parse().unwrap());
        for node in 0..REMEMBER_MAX as u64 + 50 {
            knowledge.hear(words(&format!("n{node}"), 1, false));
            knowledge.look(|_| true, at(node));
            knowledge.keep_only(&BTreeSet::new());
        }
        assert_eq!(knowledge.last_words.len(), REMEMBER_MAX);
        assert!(!knowledge.last_words.contains_key(&"n0".parse().unwrap()));
    }

    #[test]
    fn what_is_not_a_node_name_is_left_out() {
        let mut knowledge = Knowledge::new("a".parse().unwrap());
        knowledge.hear(words("Not A Name", 1, false));
        assert!(knowledge.look(|_| true, at(0)).is_none());
    }
}
