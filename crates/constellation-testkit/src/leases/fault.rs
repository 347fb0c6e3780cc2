//! What is done to a cluster.

use std::{fmt, time::Duration};

use constellation_core::LeaseKind;

use super::{
    network::{Cut, Weather},
    scenario::{Setting, Theme},
};
use crate::Chance;

/// One thing that goes wrong. Nodes are counted from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies, and what was not synced with it.
    Crash {
        /// Whose.
        node: usize,
        /// It comes back after this long.
        down: Duration,
        /// Whether it comes back under the same boot id. Nobody says then that it is dead.
        same_boot: bool,
        /// After how long the others are told that it is dead, if anybody saw it.
        obituary: Option<Duration>,
    },
    /// The process dies right after something that it did.
    CrashOn {
        /// Whose.
        node: usize,
        /// What.
        deed: Deed,
        /// It comes back after this long.
        down: Duration,
        /// Whether it comes back under the same boot id.
        same_boot: bool,
        /// After how long the others are told that it is dead, if anybody saw it.
        obituary: Option<Duration>,
    },
    /// The process stands still (SIGSTOP); its machine's clocks run on.
    Pause {
        /// Whose.
        node: usize,
        /// For this long.
        time: Duration,
    },
    /// The machine sleeps; only one of its clocks runs on.
    Suspend {
        /// Which.
        node: usize,
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
    /// Whoever holds a lease cannot ask for more of it, until just before it runs out; and once it got more, it is alone.
    Starve {
        /// Which lease.
        lease: LeaseKind,
        /// How long before its end the holder is heard again.
        before_end: Duration,
        /// For how long nothing reaches or leaves the holder, once its lease was renewed.
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
        node: usize,
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

fn millis(chance: &mut Chance, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + chance.below(to - from))
}

/// Some fault, for a cluster of so many nodes whose leases last `ttl`.
pub(super) fn drawn(chance: &mut Chance, setting: &Setting) -> Vec<Fault> {
    let nodes = setting.nodes;
    let node = chance.place(nodes);
    let ttl = u64::try_from(setting.lease.ttl.as_millis()).unwrap_or(1000);
    let drift = i64::from(setting.lease.drift.parts_per_million());
    let starved = if setting.theme == Theme::Slow { 30 } else { 5 };
    if chance.percent(starved) {
        let lease = if chance.percent(50) { LeaseKind::LbLeader } else { LeaseKind::DnsWriter };
        let before_end = chance.between(Duration::ZERO, setting.lease.ask_again);
        let then_alone = if chance.percent(80) { millis(chance, 1, 2 * ttl) } else { Duration::ZERO };
        return vec![Fault::Starve { lease, before_end, then_alone }];
    }
    if setting.theme == Theme::Elections && chance.percent(60) {
        return vec![crash_on(chance, node)];
    }
    let fault = match chance.below(100) {
        0..=11 => crash(chance, node, ttl),
        12..=15 => crash_on(chance, node),
        16..=18 => {
            let mut all = Vec::new();
            for node in 0..nodes {
                all.push(crash(chance, node, ttl));
            }
            return all;
        }
        19..=28 => Fault::Pause { node, time: millis(chance, 10, 3 * ttl) },
        29..=35 => Fault::Suspend { node, time: millis(chance, 10, 3 * ttl) },
        36..=60 => cut(chance, nodes, ttl),
        61..=68 => weather(chance, ttl),
        69..=74 => {
            let latency = millis(chance, 10, 800);
            Fault::SlowDisk { node, latency, time: millis(chance, 100, 2 * ttl) }
        }
        75..=80 => {
            let parts_per_million = extreme(chance, drift);
            Fault::Drift { node, parts_per_million }
        }
        // Often shorter than a release takes, so that the node wants it back meanwhile.
        81..=86 => {
            let time = if chance.percent(60) { millis(chance, 1, 300) } else { millis(chance, 10, 2 * ttl) };
            Fault::Drain { node, time }
        }
        87..=91 => Fault::Transfer { node },
        92..=96 => Fault::Voters { nodes: some(chance, nodes) },
        _ => Fault::LoseDisk { node, down: millis(chance, 100, ttl) },
    };
    vec![fault]
}

/// A rate within the bound, and mostly at its ends, where the promise is tightest.
pub(super) fn extreme(chance: &mut Chance, bound: i64) -> i64 {
    match chance.below(3) {
        0 => bound,
        1 => -bound,
        _ => {
            let span = u64::try_from(2 * bound + 1).unwrap_or(1);
            i64::try_from(chance.below(span)).unwrap_or(0) - bound
        }
    }
}

fn crash(chance: &mut Chance, node: usize, ttl: u64) -> Fault {
    let down = if chance.percent(50) { millis(chance, 1, 200) } else { millis(chance, 200, 2 * ttl) };
    let same_boot = chance.percent(20);
    let seen = !same_boot && chance.percent(60);
    let obituary =
        seen.then(|| if chance.percent(70) { millis(chance, 1, 50) } else { millis(chance, 50, 3 * ttl) });
    Fault::Crash { node, down, same_boot, obituary }
}

fn crash_on(chance: &mut Chance, node: usize) -> Fault {
    let deed = [Deed::Voted, Deed::Voted, Deed::Elected, Deed::Held, Deed::LetGo][chance.place(5)];
    let down = if chance.percent(70) { millis(chance, 1, 20) } else { millis(chance, 20, 1000) };
    let same_boot = deed == Deed::LetGo && chance.percent(70);
    let late = !same_boot && chance.percent(40);
    let obituary = late.then(|| millis(chance, 1, 3000));
    Fault::CrashOn { node, deed, down, same_boot, obituary }
}

/// Three or five nodes, in random order.
fn some(chance: &mut Chance, nodes: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes).collect();
    for place in (1..nodes).rev() {
        order.swap(place, chance.place(place + 1));
    }
    order.truncate(if nodes >= 5 && chance.percent(50) { 5 } else { 3 });
    order.sort_unstable();
    order
}

fn cut(chance: &mut Chance, nodes: usize, ttl: u64) -> Fault {
    let alone = chance.place(nodes);
    let side: Vec<bool> = match chance.below(3) {
        0 => (0..nodes).map(|_| chance.percent(50)).collect(),
        _ => (0..nodes).map(|node| node == alone).collect(),
    };
    let (out, back) = match chance.below(4) {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    };
    let mut links = Vec::new();
    // A single pair, or the whole border between the two sides.
    let pair = chance.percent(20).then(|| chance.place(nodes));
    for from in 0..nodes {
        for to in 0..nodes {
            let crosses = match pair {
                Some(other) => (from == alone && to == other) || (from == other && to == alone),
                None => side[from] != side[to],
            };
            let outward = pair.map_or(side[from], |_| from == alone);
            if from != to && crosses && ((outward && out) || (!outward && back)) {
                links.push((from, to));
            }
        }
    }
    let how = if chance.percent(30) { Cut::Rejecting } else { Cut::Silent };
    // About a TTL is where a renewal and an expiry meet.
    let time = match chance.below(4) {
        0 => millis(chance, ttl - 200, ttl + 200),
        1 => millis(chance, 50, ttl),
        _ => millis(chance, ttl, 4 * ttl),
    };
    Fault::Cut { links, how, time }
}

fn weather(chance: &mut Chance, ttl: u64) -> Fault {
    let weather = Weather {
        loss: chance.below(50),
        doubled: chance.below(30),
        delay: millis(chance, 1, 300),
        stragglers: chance.below(30),
    };
    Fault::Weather { weather, time: millis(chance, 200, 4 * ttl) }
}
