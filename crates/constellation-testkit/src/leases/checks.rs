//! The promises, and who checks them.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash as _, Hasher as _},
};

use constellation_consensus::raft::RaftId;
use constellation_core::{FencingToken, LeaseHolder, LeaseKind};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two processes may act under one lease at the same time.
    TwoHolders {
        /// Which lease.
        lease: LeaseKind,
        /// Who, and under which tokens.
        holders: Vec<(LeaseHolder, FencingToken)>,
    },
    /// A holder began under a token that is not above all earlier ones.
    TokenDidNotRise {
        /// Which lease.
        lease: LeaseKind,
        /// Who.
        holder: LeaseHolder,
        /// Its token.
        token: FencingToken,
        /// The highest before.
        before: FencingToken,
    },
    /// Two members lead in one term.
    TwoLeaders {
        /// The term.
        term: u64,
        /// Who.
        leaders: [RaftId; 2],
    },
    /// What one member applied, another did not find or found otherwise.
    CommittedEntryLost {
        /// Where.
        index: u64,
        /// The term that was applied there.
        applied: u64,
        /// The term that is there now, if there is anything.
        found: Option<u64>,
        /// Who found it.
        member: RaftId,
    },
    /// Two members have different states at the same place.
    StatesDiffer {
        /// Where.
        index: u64,
        /// Who differs from those before.
        member: RaftId,
    },
    /// A read was answered from a state that is older than the question.
    StaleRead {
        /// Who.
        member: RaftId,
        /// What had been applied somewhere when it was asked.
        wanted: u64,
        /// Where the member was.
        applied: u64,
    },
    /// An operation stands in the log before one that had been answered when it was asked.
    OutOfOrder {
        /// Who asked.
        member: RaftId,
        /// Where the operation took effect.
        index: u64,
        /// Where one took effect that had been answered before.
        answered: u64,
    },
    /// No order of all that was asked, answered and seen of a lease explains it.
    NotLinearizable {
        /// Which lease.
        lease: LeaseKind,
        /// What cannot be explained.
        claim: String,
    },
    /// The log grew beyond its bound.
    LogUnbounded {
        /// Who.
        member: RaftId,
        /// How many entries.
        entries: usize,
    },
    /// Everything was mended, and some lease still has not its best holder.
    NotSettled {
        /// What is missing.
        what: String,
    },
    /// A member could not go on.
    Stopped {
        /// Who.
        member: RaftId,
        /// Why.
        why: String,
    },
    /// The code panicked.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl Violation {
    /// Its name, for tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TwoHolders { .. } => "two holders",
            Self::TokenDidNotRise { .. } => "token did not rise",
            Self::TwoLeaders { .. } => "two leaders in one term",
            Self::CommittedEntryLost { .. } => "committed entry lost",
            Self::StatesDiffer { .. } => "states differ",
            Self::StaleRead { .. } => "stale read",
            Self::OutOfOrder { .. } => "operations out of order",
            Self::NotLinearizable { .. } => "history not linearizable",
            Self::LogUnbounded { .. } => "log unbounded",
            Self::NotSettled { .. } => "not settled",
            Self::Stopped { .. } => "a member stopped",
            Self::Panicked { .. } => "panic",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self:?}", self.name())
    }
}

/// What is remembered of the whole cluster, to compare with.
#[derive(Debug, Default)]
pub(super) struct Checks {
    tenures: BTreeMap<LeaseKind, (FencingToken, Option<LeaseHolder>)>,
    leaders: BTreeMap<u64, RaftId>,
    /// By index: the term, and the state's digest where some member stopped to be looked at.
    applied: BTreeMap<u64, (u64, Option<u64>)>,
}

impl Checks {
    pub(super) fn held(
        &mut self,
        lease: LeaseKind,
        holder: &LeaseHolder,
        token: FencingToken,
    ) -> Result<(), Violation> {
        let (before, last) = self.tenures.entry(lease).or_default();
        let same = *before == token && last.as_ref() == Some(holder);
        if !same && token <= *before {
            let (holder, before) = (holder.clone(), *before);
            return Err(Violation::TokenDidNotRise { lease, holder, token, before });
        }
        (*before, *last) = (token, Some(holder.clone()));
        Ok(())
    }

    pub(super) fn leads(&mut self, term: u64, member: RaftId) -> Result<(), Violation> {
        match self.leaders.insert(term, member) {
            Some(other) if other != member => Err(Violation::TwoLeaders { term, leaders: [other, member] }),
            _ => Ok(()),
        }
    }

    /// A member applied the entry of this term. Where it stopped after it, `state` is its state.
    pub(super) fn applied(
        &mut self,
        member: RaftId,
        index: u64,
        term: u64,
        state: Option<&[u8]>,
    ) -> Result<(), Violation> {
        let (known_term, known) = self.applied.entry(index).or_insert((term, None));
        if *known_term != term {
            let (applied, found) = (*known_term, Some(term));
            return Err(Violation::CommittedEntryLost { index, applied, found, member });
        }
        let Some(state) = state else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let digest = hasher.finish();
        if known.is_some_and(|known| known != digest) {
            return Err(Violation::StatesDiffer { index, member });
        }
        *known = Some(digest);
        Ok(())
    }

    /// A leader of `term` must have everything that was applied anywhere in earlier terms. `term_at` looks into its log.
    pub(super) fn complete(
        &self,
        member: RaftId,
        term: u64,
        term_at: impl Fn(u64) -> Option<u64>,
        first: u64,
    ) -> Result<(), Violation> {
        let earlier = self.applied.iter().rev().filter(|(_, (applied, _))| *applied < term).take(20);
        for (index, (applied, _)) in earlier {
            let found = term_at(*index);
            if *index >= first && found != Some(*applied) {
                return Err(Violation::CommittedEntryLost {
                    index: *index,
                    applied: *applied,
                    found,
                    member,
                });
            }
        }
        Ok(())
    }

    pub(super) fn highest_applied(&self) -> u64 {
        self.applied.last_key_value().map_or(0, |(index, _)| *index)
    }
}
