//! What nodes cost that do nothing, and what they keep.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

use super::{
    etcd::{Etcd, bytes_below},
    figures::Figure,
};
use crate::{bench::quiet::to_f64, clock, cluster::Node, leases::Stage, procfs};

const IDLE: Duration = Duration::from_secs(30);

/// What log and snapshots take of the disk by now.
pub(super) fn disk(stage: &Stage, etcd: Option<&Etcd>, when: &str) -> Figure {
    let megabytes = |folder: &Path| to_f64(bytes_below(folder) / 1024) / 1024.0;
    let ours = stage.cluster.nodes.iter().map(|node| megabytes(&node.data().join("raft"))).collect();
    let folders = etcd.map(Etcd::folders).unwrap_or_default();
    let theirs = folders.iter().map(|folder| megabytes(folder)).collect();
    let name = format!("log and snapshots on disk, {when}");
    Figure { name, unit: "MiB", ours, etcd: theirs, target: "bounded" }
}

/// Measures both at the same time: each is idle beside the other.
///
/// # Errors
/// When a process cannot be looked at.
pub(super) fn measure(stage: &Stage, etcd: Option<&Etcd>) -> Result<Vec<Figure>> {
    say!("  idling for {IDLE:?}");
    let ours: Vec<Vec<Pid>> =
        stage.cluster.nodes.iter().filter_map(Node::agent_pid).map(procfs::with_children).collect();
    let theirs: Vec<Vec<Pid>> =
        etcd.map(Etcd::pids).unwrap_or_default().into_iter().map(|pid| vec![pid]).collect();
    let cpu = |groups: &[Vec<Pid>]| -> Vec<Duration> {
        groups.iter().map(|pids| pids.iter().filter_map(|pid| procfs::cpu_time(*pid)).sum()).collect()
    };
    let (our_before, their_before, start) = (cpu(&ours), cpu(&theirs), clock::now());
    clock::pass(IDLE)?;
    let took = (clock::now() - start).as_secs_f64();
    let percent = |groups: &[Vec<Pid>], before: &[Duration]| -> Vec<f64> {
        let used = cpu(groups).into_iter().zip(before);
        used.map(|(after, before)| after.saturating_sub(*before).as_secs_f64() / took * 100.0).collect()
    };
    let memory = |groups: &[Vec<Pid>]| -> Vec<f64> {
        let kib = groups.iter().map(|pids| pids.iter().filter_map(|pid| procfs::resident_kib(*pid)).sum());
        kib.map(|kib: u64| to_f64(kib) / 1024.0).collect()
    };
    let parts = ours.iter().map(Vec::len).min().context("there are no agents")?;
    let name = |what: &str| format!("idle voter ({parts} processes): {what}");
    let figure = |what, unit, ours, etcd, target| Figure { name: name(what), unit, ours, etcd, target };
    Ok(vec![
        figure("CPU", "% of a core", percent(&ours, &our_before), percent(&theirs, &their_before), "< 1"),
        figure("memory", "MiB", memory(&ours), memory(&theirs), "< 35"),
    ])
}
