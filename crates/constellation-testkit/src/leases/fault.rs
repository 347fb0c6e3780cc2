//! What is done to a cluster.

use std::{fmt, time::Duration};

use constellation_core::LeaseKind;

use super::network::{Cut, Weather};

/// Who is struck by a fault. Leaders and holders are found when it begins; where there is none, nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This node, counted from zero.
    Node(usize),
    /// Raft's leader.
    Leader,
    /// Whoever holds this lease.
    Holder(LeaseKind),
}

/// How a process that died comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// After this long.
    pub down: Duration,
    /// Whether under the same boot id. Nobody says then that it is dead.
    pub same_boot: bool,
    /// After how long the others are told that it is dead, if anybody saw it.
    pub obituary: Option<Duration>,
}

/// One thing that goes wrong. Nodes are counted from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies, and what was not synced with it.
    Crash {
        /// Whose.
        target: Target,
        /// How it comes back.
        back: Return,
    },
    /// All processes die at once, as at a power cut.
    CrashAll {
        /// How each of them comes back.
        back: Vec<Return>,
    },
    /// The process dies right after something that it did.
    CrashOn {
        /// Whose.
        nodes: Vec<usize>,
        /// What.
        deed: Deed,
        /// How it comes back.
        back: Return,
    },
    /// The disk refuses a write; the process ends over it.
    FailDisk {
        /// Whose.
        target: Target,
        /// How it comes back.
        back: Return,
    },
    /// The process stands still (SIGSTOP); its machine's clocks run on.
    Pause {
        /// Whose.
        target: Target,
        /// For this long.
        time: Duration,
    },
    /// The machine sleeps; only one of its clocks runs on.
    Suspend {
        /// Which.
        target: Target,
        /// For this long.
        time: Duration,
    },
    /// Links are cut, each in the direction that it names.
    Cut {
        /// From and to.
        links: Vec<(usize, usize)>,
        /// How.
        how: Cut,
        /// For this long.
        time: Duration,
    },
    /// Whoever holds a lease cannot ask for more of it, until just before it runs out. When it asks then, nothing reaches
    /// Raft's leader any more until that has judged the lease to be over, so that its judgement stands right behind the
    /// question. And once the holder got more, it is alone.
    Starve {
        /// Which lease.
        lease: LeaseKind,
        /// How long before its end the holder is heard again.
        before_end: Duration,
        /// For how long at most everything to the leader is held back, once the holder is heard.
        held_back: Duration,
        /// For how long nothing reaches or leaves the holder, once its lease was renewed.
        then_alone: Duration,
    },
    /// Whoever holds a lease wants it no more soon after it asked for more of it, and wants it back a moment later, when
    /// both its question and its release are on their way, and the release is late. Once it has the lease, it is alone.
    Flinch {
        /// Which lease.
        lease: LeaseKind,
        /// How long after it asked.
        after: Duration,
        /// For how long it does not want it.
        time: Duration,
        /// By how much its release is late.
        late: Duration,
        /// For how long nothing reaches or leaves the holder, once it has the lease again.
        then_alone: Duration,
    },
    /// The network is bad.
    Weather {
        /// How bad.
        weather: Weather,
        /// For this long.
        time: Duration,
    },
    /// A disk is slow.
    SlowDisk {
        /// Whose.
        target: Target,
        /// Each write takes up to this long.
        latency: Duration,
        /// For this long.
        time: Duration,
    },
    /// A clock runs at another rate from now on.
    Drift {
        /// Whose.
        node: usize,
        /// Parts per million faster than true time.
        parts_per_million: i64,
    },
    /// A node is drained: it wants nothing.
    Drain {
        /// Which.
        node: usize,
        /// For this long.
        time: Duration,
    },
    /// Raft's lead is handed on.
    Transfer {
        /// To this node.
        node: usize,
    },
    /// Other members vote from now on.
    Voters {
        /// These.
        nodes: Vec<usize>,
    },
    /// The disk is lost. The node comes back as a new member.
    LoseDisk {
        /// Whose.
        node: usize,
        /// After this long.
        down: Duration,
    },
}

/// What a process may die right after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It gave its vote.
    Voted,
    /// It became Raft's leader.
    Elected,
    /// It began to hold a lease.
    Held,
    /// It let a lease go.
    LetGo,
    /// It asked for a lease, or for more of it.
    Asked,
    /// It gave its disk something to write.
    Wrote,
}

/// A fault and when it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// After so much true time.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} s  {:?}", self.at.as_secs_f64(), self.fault)
    }
}
