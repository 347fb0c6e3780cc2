//! etcd's counterparts.

use std::time::Duration;

use anyhow::Result;

use super::{
    Part,
    etcd::{Etcd, LOCK_TTL_SECONDS},
    first,
};
use crate::clock::{self, BootTime, millis};

/// Between two deaths.
const REST: Duration = Duration::from_secs(1);
/// A holder sends keep-alives; the trials meet every phase of its TTL.
const PHASES: u32 = 6;

/// What was measured of etcd, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    /// kill -9 of the lock's holder until the next has it, with the smallest TTL.
    pub(super) lock_killed: Vec<f64>,
    /// SIGTERM to the holder until the next has it.
    pub(super) lock_given_back: Vec<f64>,
    /// kill -9 of the leader until the first write through a survivor.
    pub(super) leader_killed: Vec<f64>,
}

/// Measures what is wanted.
///
/// # Errors
/// When etcd does not recover between two trials.
pub(super) fn measure(etcd: &mut Etcd, trials: u32, wants: impl Fn(Part) -> bool) -> Result<Peers> {
    let mut peers = Peers::default();
    if wants(Part::Kills) {
        say!("  etcd: lock with a TTL of {LOCK_TTL_SECONDS} s, holder killed: {trials} times");
        peers.lock_killed = locks(etcd, trials, true)?;
    }
    if wants(Part::Graceful) {
        say!("  etcd: lock, holder ends by SIGTERM: {trials} times");
        peers.lock_given_back = locks(etcd, trials, false)?;
    }
    if wants(Part::Leader) {
        say!("  etcd: leader killed: {trials} times");
        for _ in 0..trials {
            peers.leader_killed.push(millis(leader(etcd)?));
        }
    }
    Ok(peers)
}

fn locks(etcd: &Etcd, trials: u32, killed: bool) -> Result<Vec<f64>> {
    etcd.settled()?;
    let mut samples = Vec::new();
    let mut holder = etcd.lock()?;
    holder.wait()?;
    for trial in 0..trials {
        let next = etcd.lock()?;
        etcd.wait_for_line("2")?;
        clock::pass(REST + Duration::from_secs(LOCK_TTL_SECONDS) / PHASES * (trial % PHASES))?;
        let at = if killed { holder.kill() } else { holder.give_back() };
        samples.push(millis(next.wait()?.since(at)));
        holder = next;
    }
    holder.give_back();
    Ok(samples)
}

fn leader(etcd: &mut Etcd) -> Result<Duration> {
    let leader = etcd.settled()?;
    clock::pass(REST)?;
    let survivors: Vec<usize> = (0..etcd.pids().len()).filter(|index| *index != leader).collect();
    let at = BootTime::now();
    etcd.kill(leader);
    let written = first::success(&survivors, |index| Etcd::put(*index))?;
    clock::pass(REST / 2)?;
    etcd.restart(leader)?;
    Ok(written.since(at))
}
