//! The judge of a history: which of the promises it breaks.
//!
//! A pure function over what was seen. It knows nothing of the faults: no fault excuses anything.

use std::fmt;

use super::history::{Commit, History, Tenure};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Two processes may act under one lease at the same time.
    TwoHolders { earlier: Tenure, later: Tenure },
    /// A tenure that began later has a token that is not higher.
    TokenNotHigher { earlier: Tenure, later: Tenure },
    /// One token was given to two processes: the nodes do not agree.
    TokenGivenTwice { lease: String, token: u64, said: String },
    /// After a later entry the token of a lease is lower.
    TokenWentBack { lease: String, before: (u64, u64), after: (u64, u64) },
    /// Two nodes remember different deeds of one entry.
    DifferentPast { index: u64, said: String },
    /// Two commits were answered with one place in the log.
    PlaceTakenTwice { index: u64 },
    /// A commit that was asked for after another was answered has a lower place.
    CommitLost { answered: u64, later: u64 },
}

/// Everything that is wrong with `history`; nothing if the promises were kept.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let tenures = history.tenures();
    let mut violations = Vec::new();
    for of_lease in tenures.chunk_by(|a, b| a.lease == b.lease) {
        judge_tenures(of_lease, &mut violations);
    }
    judge_grants(history, &mut violations);
    judge_deeds(history, &mut violations);
    judge_commits(&history.commits, &mut violations);
    violations
}

/// `tenures` are of one lease, by when they began.
fn judge_tenures(tenures: &[Tenure], violations: &mut Vec<Violation>) {
    for (number, later) in tenures.iter().enumerate() {
        for earlier in &tenures[..number] {
            let pair = || (earlier.clone(), later.clone());
            if earlier.process != later.process && later.from <= earlier.to {
                let (earlier, later) = pair();
                violations.push(Violation::TwoHolders { earlier, later });
            }
            if later.token <= earlier.token {
                let (earlier, later) = pair();
                violations.push(Violation::TokenNotHigher { earlier, later });
            }
        }
    }
}

fn judge_grants(history: &History, violations: &mut Vec<Violation>) {
    for ((lease, token), said) in history.grants.iter().filter(|(_, said)| said.len() > 1) {
        let said = describe(said.iter().map(|(holder, by)| (holder.to_string(), by)));
        violations.push(Violation::TokenGivenTwice { lease: lease.clone(), token: *token, said });
    }
}

fn judge_deeds(history: &History, violations: &mut Vec<Violation>) {
    let mut highest: Option<(&String, u64, u64)> = None;
    for ((lease, index), said) in &history.deeds {
        let token = said.keys().map(|deed| deed.token).max().unwrap_or(0);
        if said.len() > 1 {
            let said = said
                .iter()
                .map(|(deed, by)| (format!("{} {} under {}", deed.node, deed.deed, deed.token), by));
            violations.push(Violation::DifferentPast { index: *index, said: describe(said) });
        }
        match highest {
            Some((of, at, high)) if of == lease && token < high => {
                let (before, after) = ((at, high), (*index, token));
                violations.push(Violation::TokenWentBack { lease: lease.clone(), before, after });
            }
            _ => highest = Some((lease, *index, token)),
        }
    }
}

fn describe<'a>(said: impl Iterator<Item = (String, &'a std::collections::BTreeSet<String>)>) -> String {
    let each = said.map(|(what, by)| {
        format!("{what} (say {})", by.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

fn judge_commits(commits: &[Commit], violations: &mut Vec<Violation>) {
    let mut by_place: Vec<u64> = commits.iter().map(|commit| commit.index).collect();
    by_place.sort_unstable();
    let twice = by_place.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
    violations.extend(twice.map(|same| Violation::PlaceTakenTwice { index: same[0] }));

    let mut by_answer: Vec<&Commit> = commits.iter().collect();
    by_answer.sort_by_key(|commit| commit.answered);
    let mut by_question: Vec<&Commit> = commits.iter().collect();
    by_question.sort_by_key(|commit| commit.asked);
    let mut answered = by_answer.into_iter().peekable();
    let mut highest = 0;
    for commit in by_question {
        while let Some(before) = answered.next_if(|other| other.answered < commit.asked) {
            highest = highest.max(before.index);
        }
        if commit.index < highest {
            violations.push(Violation::CommitLost { answered: highest, later: commit.index });
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenure = |tenure: &Tenure| {
            let Tenure { process, token, from, to, .. } = tenure;
            format!("{process} under token {token} ({} to {} ns)", from.0, to.0)
        };
        match self {
            Self::TwoHolders { earlier, later } => write!(
                f,
                "two holders of `{}` for {:?}: {} and {}",
                later.lease,
                earlier.to.min(later.to).since(later.from),
                tenure(earlier),
                tenure(later)
            ),
            Self::TokenNotHigher { earlier, later } => {
                write!(
                    f,
                    "tokens of `{}` do not rise: {}, then {}",
                    later.lease,
                    tenure(earlier),
                    tenure(later)
                )
            }
            Self::TokenGivenTwice { lease, token, said } => {
                write!(f, "token {token} of `{lease}` has two holders in the tables: {said}")
            }
            Self::TokenWentBack { lease, before, after } => write!(
                f,
                "the token of `{lease}` was {} after entry {}, and {} after entry {}",
                before.1, before.0, after.1, after.0
            ),
            Self::DifferentPast { index, said } => {
                write!(f, "entry {index} is remembered differently: {said}")
            }
            Self::PlaceTakenTwice { index } => write!(f, "two commits were answered with place {index}"),
            Self::CommitLost { answered, later } => write!(
                f,
                "a commit got place {later} although place {answered} had been answered before it was asked for"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
