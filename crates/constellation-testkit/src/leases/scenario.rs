//! What a run is: a cluster, and what happens to it.

use std::time::Duration;

use constellation_consensus::{clock::DriftBound, lease::LeaseConfig, raft::Timing};

use super::{draw, fault::Planned, network::Weather};
use crate::Chance;

/// What a run is mostly about. Some mistakes show only where everything is slow, some only where elections meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// A good network and good disks, and every kind of fault.
    Mixed,
    /// Network and disks so slow and lossy that a commit takes as long as a renewal.
    Slow,
    /// Delays of half an election, and processes that die right after they voted or won.
    Elections,
    /// Processes that lead or hold die, and somebody saw it.
    Deaths,
    /// A steady network that is not quick, and holders that are heard again in the last moment.
    Ambushes,
}

/// The cluster of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What the run is mostly about.
    pub theme: Theme,
    /// The network where no fault makes it worse.
    pub weather: Weather,
    /// How long a write takes at most where no fault makes it slower.
    pub disk: Duration,
    /// Whether the disks run the production log, and not a model of what it promises.
    pub production_log: bool,
    /// How many nodes; the first ones vote.
    pub nodes: usize,
    /// How many vote at first.
    pub voters: usize,
    /// Raft's timing.
    pub timing: Timing,
    /// The leases' timing.
    pub lease: LeaseConfig,
    /// Each node's clock, in parts per million faster than true time.
    pub drifts: Vec<i64>,
    /// After so many entries a checkpoint is made; few, so that snapshots are part of every run.
    pub checkpoint_entries: u64,
}

/// A run, drawn from a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The cluster.
    pub setting: Setting,
    /// What goes wrong, in the order of time.
    pub faults: Vec<Planned>,
    /// After so much true time everything is mended.
    pub length: Duration,
    /// And so much later every lease must have its best holder.
    pub settles_within: Duration,
}

impl Scenario {
    /// The run that this seed is.
    pub fn drawn(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let nodes = 3 + chance.place(5);
        let voters = if nodes >= 5 && chance.percent(70) { 5 } else { 3 };
        let theme = match chance.below(8) {
            0..=2 => Theme::Mixed,
            3 => Theme::Slow,
            4..=5 => Theme::Elections,
            6 => Theme::Deaths,
            _ => Theme::Ambushes,
        };
        let tick = match theme {
            Theme::Slow | Theme::Ambushes => 100,
            Theme::Mixed | Theme::Elections | Theme::Deaths => [20, 50, 100][chance.place(3)],
        };
        let timing = Timing { tick: Duration::from_millis(tick), election: 10, heartbeat: 2 };
        let (weather, disk) = surroundings(&mut chance, theme, timing.tick);
        let ttl = Duration::from_millis(1000 + chance.below(3000));
        // Where the margin is small, mistakes elsewhere have the least room.
        let drift = match theme {
            Theme::Slow | Theme::Ambushes => 1_000,
            _ => [1_000, 20_000, 100_000][chance.place(3)],
        };
        let lease = LeaseConfig {
            ttl,
            drift: DriftBound::from_parts_per_million(drift),
            ask_again: Duration::from_millis(100 + chance.below(400)),
            takeover_after: Duration::from_millis(500 + chance.below(3000)),
            reserve: Duration::from_millis(1000),
        };
        let bound = i64::from(drift);
        let drifts = (0..nodes).map(|_| draw::extreme(&mut chance, bound)).collect();
        let checkpoint_entries = 20 + chance.below(200);
        let production_log = chance.percent(10);
        let setting = Setting {
            theme,
            production_log,
            weather,
            disk,
            nodes,
            voters,
            timing,
            lease,
            drifts,
            checkpoint_entries,
        };

        let length = Duration::from_secs(20 + chance.below(40));
        let pause = Duration::from_millis(200 + chance.below(4000));
        let mut faults = Vec::new();
        let mut at = Duration::from_secs(3);
        while at < length {
            faults.push(Planned { at, fault: draw::drawn(&mut chance, &setting) });
            at += chance.between(Duration::ZERO, 2 * pause);
        }
        // A few elections, a snapshot, a whole TTL for a new leader, and an orderly hand-over.
        let election = timing.tick * 20;
        let settles_within = 5 * election + 2 * ttl + 2 * lease.takeover_after + Duration::from_secs(5);
        Self { seed, setting, faults, length, settles_within }
    }
}

fn surroundings(chance: &mut Chance, theme: Theme, tick: Duration) -> (Weather, Duration) {
    match theme {
        Theme::Mixed | Theme::Deaths => (Weather::FAIR, Duration::from_millis(3)),
        Theme::Slow => {
            let weather = Weather {
                loss: 10 + chance.below(35),
                doubled: chance.below(20),
                delay: Duration::from_millis(50 + chance.below(250)),
                stragglers: chance.below(10),
            };
            (weather, Duration::from_millis(10 + chance.below(300)))
        }
        Theme::Ambushes => {
            let delay = Duration::from_millis(20 + chance.below(80));
            let weather = Weather { loss: chance.below(4), doubled: chance.below(4), delay, stragglers: 0 };
            (weather, Duration::from_millis(3 + chance.below(30)))
        }
        Theme::Elections => {
            let delay = tick * u32::try_from(2 + chance.below(6)).unwrap_or(2);
            let weather = Weather { loss: chance.below(20), doubled: 0, delay, stragglers: 0 };
            (weather, Duration::from_millis(3))
        }
    }
}
