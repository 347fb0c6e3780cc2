//! What is said to the lease table, and what it answers.

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, NodeName};

/// Names one question of one process, so that an answer can be told from the answer to an earlier one. Rises within a
/// process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// A change of the table. Whoever proposes it sees its outcome when its own replica applies it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// "I would hold it." A process that is granted a lease which it already held gets a new token: whatever it said
    /// under the old one (a release that is still on its way) then cannot touch the new grant.
    Acquire {
        /// Which lease.
        kind: LeaseKind,
        /// Who asks.
        holder: LeaseHolder,
        /// Which of its questions this is.
        ask: AskId,
    },
    /// "I hold it, and want to go on."
    Renew {
        /// Which lease.
        kind: LeaseKind,
        /// Who asks.
        holder: LeaseHolder,
        /// Which of its questions this is.
        ask: AskId,
        /// Under which token it holds.
        token: FencingToken,
    },
    /// "I stopped acting under it."
    Release {
        /// Which lease.
        kind: LeaseKind,
        /// Who held it.
        holder: LeaseHolder,
        /// Under which token.
        token: FencingToken,
        /// For whom it is kept for a moment, if this is an orderly hand-over.
        heir: Option<NodeName>,
    },
    /// The leader's judgement: nothing was heard of this tenure for its whole time.
    Expire {
        /// Which lease.
        kind: LeaseKind,
        /// The token that the leader saw.
        token: FencingToken,
        /// Where the leader saw it granted, renewed or reserved last. A renewal that came in between makes the judgement
        /// void, because its sender already counts on it.
        as_of: u64,
    },
    /// A proven death: this process is no more, so what it holds is free, and what it still seems to ask is not heard.
    Bury {
        /// The dead process.
        holder: LeaseHolder,
    },
}

impl Command {
    /// The process that says it, unless it is a leader's judgement on others.
    pub fn asker(&self) -> Option<&LeaseHolder> {
        match self {
            Self::Acquire { holder, .. } | Self::Renew { holder, .. } | Self::Release { holder, .. } => {
                Some(holder)
            }
            Self::Expire { .. } | Self::Bury { .. } => None,
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The lease is the asker's.
    Granted {
        /// Under this token.
        token: FencingToken,
    },
    /// The lease stays the asker's.
    Renewed {
        /// Under the token that it had.
        token: FencingToken,
    },
    /// Done; there is nothing more to say.
    Done,
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else has it.
    #[error("it is held by `{}`", .0.node)]
    Held(LeaseHolder),
    /// It is kept for somebody else.
    #[error("it is reserved for `{0}`")]
    Reserved(NodeName),
    /// The asker does not hold it under the token that it named.
    #[error("the asker does not hold it under that token")]
    NotHeld,
    /// The question is older than one that was answered already.
    #[error("a later question was answered already")]
    Overtaken,
    /// The lease changed after the leader judged.
    #[error("it was renewed after the judgement")]
    Renewed,
    /// The asker is dead.
    #[error("the asking process has been declared dead")]
    Dead,
}
