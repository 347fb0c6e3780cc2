//! Which faults are drawn, and how often.

use std::time::Duration;

use constellation_core::LeaseKind;

use super::{
    fault::{Deed, Fault, Return, Target},
    network::{Cut, Weather},
    scenario::{Setting, Theme},
};
use crate::Chance;

fn millis(chance: &mut Chance, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + chance.below(to - from))
}

/// Some fault, for such a cluster.
pub(super) fn drawn(chance: &mut Chance, setting: &Setting) -> Fault {
    let nodes = setting.nodes;
    let node = chance.place(nodes);
    let ttl = u64::try_from(setting.lease.ttl.as_millis()).unwrap_or(1000);
    let drift = i64::from(setting.lease.drift.parts_per_million());
    let starved = match setting.theme {
        Theme::Ambushes => 60,
        Theme::Slow => 20,
        _ => 5,
    };
    if chance.percent(starved) {
        return if chance.percent(60) { starve(chance, setting, ttl) } else { flinch(chance, setting, ttl) };
    }
    match setting.theme {
        Theme::Elections if chance.percent(70) => return election(chance, node, setting, ttl),
        Theme::Deaths if chance.percent(70) => return death(chance, ttl, Duration::from_millis(10)),
        _ => {}
    }
    match chance.below(100) {
        0..=10 => Fault::Crash { target: target(chance, node), back: back(chance, ttl) },
        11..=14 => crash_after_something(chance, vec![node]),
        15..=16 => Fault::CrashAll { back: (0..nodes).map(|_| back(chance, ttl)).collect() },
        17..=18 => Fault::FailDisk { target: target(chance, node), back: back(chance, ttl) },
        19..=28 => Fault::Pause { target: target(chance, node), time: millis(chance, 10, 3 * ttl) },
        29..=35 => Fault::Suspend { target: target(chance, node), time: millis(chance, 10, 3 * ttl) },
        36..=60 => cut(chance, nodes, ttl),
        61..=68 => weather(chance, ttl),
        69..=74 => {
            let latency = millis(chance, 10, 800);
            Fault::SlowDisk { target: target(chance, node), latency, time: millis(chance, 100, 2 * ttl) }
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
    }
}

fn lease(chance: &mut Chance) -> LeaseKind {
    if chance.percent(50) { LeaseKind::LbLeader } else { LeaseKind::DnsWriter }
}

/// Often one that matters at that moment.
fn target(chance: &mut Chance, node: usize) -> Target {
    match chance.below(10) {
        0..=2 => Target::Leader,
        3..=4 => Target::Holder(lease(chance)),
        _ => Target::Node(node),
    }
}

fn starve(chance: &mut Chance, setting: &Setting, ttl: u64) -> Fault {
    let before_end = chance.between(Duration::ZERO, setting.lease.ask_again * 3 / 2);
    let held_back = if chance.percent(80) { millis(chance, 1, 2000) } else { Duration::ZERO };
    let then_alone = if chance.percent(80) { millis(chance, 1, 2 * ttl) } else { Duration::ZERO };
    Fault::Starve { lease: lease(chance), before_end, held_back, then_alone }
}

fn flinch(chance: &mut Chance, setting: &Setting, ttl: u64) -> Fault {
    let moment = setting.weather.delay + setting.disk;
    let after = chance.between(Duration::ZERO, moment);
    let time = chance.between(Duration::from_micros(100), moment / 2);
    let late = chance.between(Duration::ZERO, moment * 6);
    Fault::Flinch { lease: lease(chance), after, time, late, then_alone: millis(chance, 1, 2 * ttl) }
}

/// Whoever leads or holds dies, and mostly somebody sees it and says so at once.
fn death(chance: &mut Chance, ttl: u64, told_within: Duration) -> Fault {
    let target = if chance.percent(70) { Target::Leader } else { Target::Holder(lease(chance)) };
    let obituary = chance.percent(75).then(|| chance.between(Duration::ZERO, told_within));
    Fault::Crash { target, back: Return { down: millis(chance, 100, ttl), same_boot: false, obituary } }
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

fn back(chance: &mut Chance, ttl: u64) -> Return {
    let down = if chance.percent(50) { millis(chance, 1, 200) } else { millis(chance, 200, 2 * ttl) };
    let same_boot = chance.percent(20);
    let seen = !same_boot && chance.percent(60);
    let obituary =
        seen.then(|| if chance.percent(70) { millis(chance, 1, 50) } else { millis(chance, 50, 3 * ttl) });
    Return { down, same_boot, obituary }
}

/// Leaders die and are missed at once, voters die with their vote on the way, and come back before the vote is counted.
fn election(chance: &mut Chance, node: usize, setting: &Setting, ttl: u64) -> Fault {
    match chance.below(10) {
        0..=2 => crash_on(chance, vec![node], Deed::Voted),
        3..=4 => crash_on(chance, (0..setting.nodes).collect(), Deed::Voted),
        // Told to one sooner and to the other later, so that they stand at the same time.
        5..=7 => death(chance, ttl, setting.timing.tick * 5),
        _ => crash_after_something(chance, vec![node]),
    }
}

fn crash_after_something(chance: &mut Chance, nodes: Vec<usize>) -> Fault {
    let deeds = [Deed::Voted, Deed::Elected, Deed::Held, Deed::LetGo, Deed::Asked, Deed::Wrote];
    let deed = deeds[chance.place(deeds.len())];
    crash_on(chance, nodes, deed)
}

fn crash_on(chance: &mut Chance, nodes: Vec<usize>, deed: Deed) -> Fault {
    let down = if chance.percent(70) { millis(chance, 1, 20) } else { millis(chance, 20, 1000) };
    let same_boot = matches!(deed, Deed::LetGo | Deed::Asked) && chance.percent(70);
    let late = !same_boot && chance.percent(40);
    let obituary = late.then(|| millis(chance, 1, 3000));
    Fault::CrashOn { nodes, deed, back: Return { down, same_boot, obituary } }
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
    let how = match chance.below(10) {
        0..=2 => Cut::Rejecting,
        3..=5 => Cut::Unnoticed,
        _ => Cut::Silent,
    };
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
