//! What a run saw of the leases, folded together as it is seen: who acted under which token from when to when, whom each node
//! held for the holder, what it remembers, and what was committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::clock::BootTime;

/// One run of an agent's worker: a node that was started again is another process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) node: String,
    pub(crate) boot: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.6}", self.node, self.boot)
    }
}

/// What a process said of one lease at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// When it judged, on the clock that all processes of this machine share.
    pub(crate) at: BootTime,
    pub(crate) by: Process,
    pub(crate) lease: String,
    /// Whom its table names.
    pub(crate) holder: Option<Process>,
    /// The token of the last grant in its table.
    pub(crate) token: u64,
    /// Whether itself may act.
    pub(crate) may_act: bool,
}

/// A stretch during which a process may have acted under one token: from when it first said so to when it last did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    pub(crate) lease: String,
    pub(crate) token: u64,
    pub(crate) process: Process,
    pub(crate) from: BootTime,
    pub(crate) to: BootTime,
}

/// A value that was committed: between these two moments it got its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) asked: BootTime,
    pub(crate) answered: BootTime,
    pub(crate) index: u64,
}

/// A line of an agent's own record of what was done to a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deed {
    pub(crate) lease: String,
    pub(crate) token: u64,
    pub(crate) deed: String,
    pub(crate) node: String,
}

/// Something that must not differ, and who said so.
pub(super) type Said<T> = BTreeMap<T, BTreeSet<String>>;

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    stretches: BTreeMap<(String, u64, Process), (BootTime, BootTime)>,
    /// Whom the tables named under a token of a lease.
    pub(super) grants: BTreeMap<(String, u64), Said<Process>>,
    /// What the nodes say was done to a lease by an entry.
    pub(super) deeds: BTreeMap<(String, u64), Said<Deed>>,
    pub(super) commits: Vec<Commit>,
    sightings: u64,
}

impl History {
    /// Takes in what a process said.
    pub(crate) fn see(&mut self, sighting: Sighting) {
        let Sighting { at, by, lease, holder, token, may_act } = sighting;
        self.sightings += 1;
        if may_act {
            let stretch = self.stretches.entry((lease.clone(), token, by.clone())).or_insert((at, at));
            *stretch = (stretch.0.min(at), stretch.1.max(at));
        }
        if let Some(holder) = holder {
            self.grants.entry((lease, token)).or_default().entry(holder).or_default().insert(by.node);
        }
    }

    /// Takes in that a value was committed.
    pub(crate) fn committed(&mut self, commit: Commit) {
        self.commits.push(commit);
    }

    /// Takes in what `node` says was done by the entry at `index`.
    pub(crate) fn recorded(&mut self, node: &str, index: u64, deed: Deed) {
        let said = self.deeds.entry((deed.lease.clone(), index)).or_default();
        said.entry(deed).or_default().insert(node.to_owned());
    }

    /// The tenures, by lease and then by when they began.
    pub(crate) fn tenures(&self) -> Vec<Tenure> {
        let tenure =
            |((lease, token, process), (from, to)): (&(String, u64, Process), &(BootTime, BootTime))| {
                Tenure { lease: lease.clone(), token: *token, process: process.clone(), from: *from, to: *to }
            };
        let mut tenures: Vec<Tenure> = self.stretches.iter().map(tenure).collect();
        tenures.sort_by(|a, b| (&a.lease, a.from, a.to, a.token).cmp(&(&b.lease, b.from, b.to, b.token)));
        tenures
    }

    /// How often somebody said something.
    pub(crate) fn sightings(&self) -> u64 {
        self.sightings
    }

    /// How many commits were answered.
    pub(crate) fn commits(&self) -> usize {
        self.commits.len()
    }

    /// The highest index that a commit was answered with.
    pub(crate) fn last_commit(&self) -> u64 {
        self.commits.iter().map(|commit| commit.index).max().unwrap_or(0)
    }

    /// When a process last said that it may act under the lease.
    pub(crate) fn last_acted(&self, lease: &str, process: &Process) -> Option<BootTime> {
        let stretches = self.stretches.iter().filter(|((of, _, by), _)| of == lease && by == process);
        stretches.map(|(_, (_, to))| *to).max()
    }

    /// Which process other than `old` first acted under the lease after `since`, and when.
    pub(crate) fn next_holder(
        &self,
        lease: &str,
        old: &Process,
        since: BootTime,
    ) -> Option<(BootTime, Process)> {
        let tenures = self.stretches.iter();
        tenures
            .filter(|((of, _, process), (from, _))| of == lease && process != old && *from >= since)
            .map(|((_, _, process), (from, _))| (*from, process.clone()))
            .min()
    }
}

/// How often the leases of `tenures` changed from one process to another.
pub(crate) fn handovers(tenures: &[Tenure]) -> usize {
    pairs(tenures).filter(|(before, after)| before.process != after.process).count()
}

/// The longest stretch between two tenures of one lease during which nobody acted.
pub(crate) fn longest_gap(tenures: &[Tenure]) -> Duration {
    pairs(tenures).map(|(before, after)| after.from.since(before.to)).max().unwrap_or_default()
}

fn pairs(tenures: &[Tenure]) -> impl Iterator<Item = (&Tenure, &Tenure)> {
    tenures.iter().zip(tenures.iter().skip(1)).filter(|(before, after)| before.lease == after.lease)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::leases) fn process(node: &str, boot: &str) -> Process {
        Process { node: node.to_owned(), boot: boot.to_owned() }
    }

    /// `node` may act at these milliseconds.
    pub(in crate::leases) fn acts(history: &mut History, node: &str, token: u64, at: &[u64]) {
        for millis in at {
            history.see(Sighting {
                at: BootTime(millis * 1_000_000),
                by: process(node, "1"),
                lease: "lb".to_owned(),
                holder: Some(process(node, "1")),
                token,
                may_act: true,
            });
        }
    }

    #[test]
    fn what_was_seen_out_of_order_is_one_tenure() {
        let mut history = History::default();
        acts(&mut history, "a", 5, &[20, 10, 30]);
        let tenures = history.tenures();
        assert_eq!(tenures.len(), 1);
        assert_eq!((tenures[0].from, tenures[0].to), (BootTime(10_000_000), BootTime(30_000_000)));
        assert_eq!(history.sightings(), 3);
    }

    #[test]
    fn a_handover_and_its_gap_are_found() {
        let mut history = History::default();
        acts(&mut history, "a", 5, &[10, 100]);
        acts(&mut history, "b", 6, &[130, 200]);
        acts(&mut history, "b", 7, &[290, 300]);
        let tenures = history.tenures();
        assert_eq!(handovers(&tenures), 1, "a new token of the same process is none");
        assert_eq!(longest_gap(&tenures), Duration::from_millis(90));
        let next = history.next_holder("lb", &process("a", "1"), BootTime(50_000_000));
        assert_eq!(next, Some((BootTime(130_000_000), process("b", "1"))));
        assert_eq!(history.next_holder("lb", &process("b", "1"), BootTime(50_000_000)), None);
    }
}
