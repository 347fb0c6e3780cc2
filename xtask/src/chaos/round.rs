//! One round: peace, blows, a new holder, healing, peace.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;

use super::scenario::{Round, Target};
use crate::{
    clock::{self, BootTime, millis},
    leases::{Blow, Process, Stage, Witness, peace},
};

/// How long others may take to follow a holder that fell silent: its TTL of 3 s, an election, and a busy machine.
const HANDOVER_LIMIT: Duration = Duration::from_secs(10);
/// The same where the log first has to use up the room that it has within its own file.
const DISK_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
/// What was seen at peace must be fresh before somebody is struck.
const FRESH: Duration = Duration::from_millis(100);

/// What a round measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Blows that were struck.
    pub(super) blows: usize,
    /// From the first blow until another process acted, for each lease whose holder was struck.
    pub(super) handovers: Vec<Duration>,
    /// From healing to peace.
    pub(super) peace: Duration,
    /// What did not happen in time.
    pub(super) late: Vec<String>,
}

/// A lease whose holder was struck.
struct Hit {
    lease: String,
    old: Process,
}

/// Plays one round and adds to `measured`.
///
/// # Errors
/// When the machine does not do what the round needs; what the cluster fails to do is in `measured`.
pub(super) fn play(
    stage: &mut Stage,
    witness: &Witness,
    round: &Round,
    measured: &mut Measured,
) -> Result<()> {
    if let Some(wanted) = round.holder_leads
        && !stage.cluster.make_holder_lead(wanted)?
    {
        say!("    (Raft's lead did not move in time; striking all the same)");
    }
    clock::pass(FRESH)?;
    let targets = aim(stage, witness, round);
    let mut hits = Vec::new();
    for (index, _, _) in &targets {
        let acting = witness.acting(&stage.cluster.nodes[*index].name);
        hits.extend(acting.into_iter().map(|(lease, old)| Hit { lease, old }));
    }
    let disk = round.blows.iter().any(|(_, blow)| *blow == Blow::FillDisk);
    let struck: BTreeSet<usize> = targets.iter().map(|(index, ..)| *index).collect();
    let at = BootTime::now();
    for (index, blow, worker) in targets {
        let name = &stage.cluster.nodes[index].name;
        say!("    {} {name}", blow.words());
        stage.strike(index, blow, worker)?;
        measured.blows += 1;
    }
    // Where the others are a majority they must find another holder; else there is nothing to wait for yet.
    if stage.whole(&struck) * 2 > stage.cluster.nodes.len() {
        wait_for_heirs(witness, &hits, at, if disk { DISK_LIMIT } else { HANDOVER_LIMIT }, measured)?;
    }
    clock::pass(round.linger)?;
    let healed = clock::now();
    stage.heal()?;
    measured.late.extend(stage.pick_up()?);
    let committed = witness.history().last_commit();
    match peace::wait(&stage.cluster, committed, peace::PEACE_LIMIT, healed) {
        Ok(took) => measured.peace = measured.peace.max(took),
        Err(error) => {
            crate::interrupt::check()?;
            measured.late.push(format!("no peace: {error:#}"));
        }
    }
    if disk {
        return Ok(()); // nobody can say when the disk began to matter
    }
    let history = witness.history();
    let heirs =
        hits.iter().filter_map(|hit| Some(history.next_holder(&hit.lease, &hit.old, at)?.0.since(at)));
    measured.handovers.extend(heirs);
    drop(history);
    Ok(())
}

/// Whom the blows hit by now: index, blow, and the worker's process id.
fn aim(stage: &Stage, witness: &Witness, round: &Round) -> Vec<(usize, Blow, i32)> {
    let nodes = &stage.cluster.nodes;
    let mut targets: Vec<(usize, Blow, i32)> = Vec::new();
    for (target, blow) in &round.blows {
        let index = nodes.iter().position(|node| match target {
            Target::Node(number) => node.number() == *number,
            Target::Holder => !witness.acting(&node.name).is_empty(),
            Target::Leader => {
                witness.latest(&node.name).is_some_and(|answer| answer.leader.as_ref() == Some(&node.name))
            }
        });
        let Some(index) = index else { continue };
        // Two blows on one node would undo each other, such as SIGSTOP after SIGKILL.
        if targets.iter().all(|(other, ..)| *other != index) {
            let worker = witness.latest(&nodes[index].name).map_or(0, |answer| answer.worker_pid);
            targets.push((index, *blow, worker));
        }
    }
    targets
}

fn wait_for_heirs(
    witness: &Witness,
    hits: &[Hit],
    at: BootTime,
    limit: Duration,
    measured: &mut Measured,
) -> Result<()> {
    for hit in hits {
        let heir = || Ok(witness.history().next_holder(&hit.lease, &hit.old, at));
        match clock::wait_for("another holder", limit, PAUSE, heir) {
            Ok((from, heir)) => {
                say!("    {} acts under {} after {:.0} ms", heir.node, hit.lease, millis(from.since(at)));
            }
            Err(error) => {
                crate::interrupt::check()?;
                measured.late.push(format!("{}, last held by {}: {error:#}", hit.lease, hit.old));
            }
        }
    }
    Ok(())
}
