//! The part of the script that is about leases: who holds them, and who does when that one is killed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::{dns, script::STEP_LIMIT, timeline::Timeline};
use crate::{
    clock::{self, BootTime},
    cluster::{Cluster, LeasesAnswer, Node},
    leases::{Pace, Process, Witness, check, peace},
};

/// Short enough to date a hand-over well, and little work.
const PACE: Pace = Pace { askers: 1, pause: Duration::from_millis(4), commits: None };
const PAUSE: Duration = Duration::from_millis(5);

/// Until every node names the same holders, who may act.
///
/// # Errors
/// When that takes too long.
pub(super) fn agree(cluster: &Cluster) -> Result<Option<Duration>> {
    peace::wait(cluster, 0, STEP_LIMIT, clock::now()).map(|_| None)
}

/// SIGKILL to the worker of the node that holds the leases and leads Raft as well; its parent starts it again.
///
/// # Errors
/// When no other node takes over in time, or when the nodes said what they must not.
pub(super) fn kill_the_holder(timeline: &mut Timeline, cluster: &Cluster) -> Result<()> {
    let witness = Witness::start(&cluster.nodes, PACE)?;
    timeline.step("the holder of the leases leads Raft as well", || {
        agree(cluster)?;
        ensure!(cluster.make_holder_lead(true)?, "Raft's lead did not move");
        agree(cluster)
    })?;
    let known = cluster.nodes.first().context("a cluster without nodes")?.leases()?;
    let holder = known.leases.first().and_then(|view| view.holder.clone()).context("nobody holds a lease")?;
    let victim = cluster.nodes.iter().find(|node| node.name == holder).context("an unknown holder")?;
    let own = victim.leases()?;
    let old = Process { node: own.node.clone(), boot: own.boot.clone() };
    let zone = dns::Apex::watch(cluster)?;
    let killed = BootTime::now();
    timeline.step(&format!("kill -9 of the worker of {holder}, which holds the leases"), || {
        victim.signal_worker(own.worker_pid, Signal::KILL).map(|()| None)
    })?;
    let mut led = killed;
    for view in own.leases.iter().filter(|view| view.may_act) {
        let lease = &view.lease;
        timeline.step(&format!("another node may act under {lease}"), || {
            let heir = || Ok(witness.history().next_holder(lease, &old, killed));
            let (at, heir) = clock::wait_for("another holder", STEP_LIMIT, PAUSE, heir)?;
            say!("             {} acts under {lease}", heir.node);
            led = led.max(at);
            Ok(Some(at.since(killed)))
        })?;
    }
    timeline.step("the apex leads to another node", || zone.moves(cluster, killed, led))?;
    timeline.step(&format!("{holder} is back; every node names the same holders"), || agree(cluster))?;
    timeline
        .step("`constellation-agent leases --json` says the same on every node", || same_words(cluster))?;
    let violations: Vec<String> = check(&witness.finish()).iter().map(ToString::to_string).collect();
    ensure!(violations.is_empty(), "the leases broke their promise: {}", violations.join("; "));
    Ok(())
}

/// As a person sees it.
fn same_words(cluster: &Cluster) -> Result<Option<Duration>> {
    let mut said = Vec::new();
    for node in &cluster.nodes {
        let text = node.ask(&["leases", "--json"])?;
        let answer: LeasesAnswer = serde_json::from_str(&text).context("could not read `leases --json`")?;
        let holders: Vec<String> = answer
            .leases
            .iter()
            .map(|view| {
                let holder = view.holder.as_deref().unwrap_or("nobody");
                format!("{} is held by {holder} under token {}", view.lease, view.token)
            })
            .collect();
        say!("             {}: {}", node.name, holders.join(", "));
        said.push(holders);
    }
    ensure!(said.windows(2).all(|two| two[0] == two[1]), "the nodes differ");
    Ok(None)
}

/// What a person may look at and try.
///
/// # Errors
/// When no node can be asked.
pub(super) fn guide(cluster: &Cluster) -> Result<Vec<String>> {
    let first: &Node = cluster.nodes.first().context("a cluster without nodes")?;
    let known = first.leases()?;
    let holder = known.leases.first().and_then(|view| view.holder.clone()).context("nobody holds a lease")?;
    let node = cluster.nodes.iter().find(|node| node.name == holder).context("an unknown holder")?;
    let pid = node.leases()?.worker_pid;
    Ok(vec![
        format!(
            "  kill -9 {pid}     # the worker of {holder}, which holds the leases: another node has them at once"
        ),
        format!("  {}", first.command("leases")),
    ])
}
