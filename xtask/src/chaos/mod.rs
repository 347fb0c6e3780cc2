//! `cargo xtask chaos`: real agents are killed, stopped, cut off and starved while somebody asks every few milliseconds who
//! holds the leases, and judges the answers.
//!
//! What is drawn from the seed is decided beforehand as a plain value (`scenario`); how leases are watched and judged, and
//! how a cluster is broken and mended, is in `leases`, which the bench shares.

mod dice;
mod report;
mod round;
mod scenario;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;

use self::{
    dice::Dice,
    report::Outcome,
    round::Measured,
    scenario::{Need, Scenario},
};
use crate::{
    clock::{self, BootTime},
    cluster::Place,
    interrupt,
    leases::{Deed, Ground, History, Pace, Stage, Witness, check, handovers, longest_gap, peace},
    mounts,
    network::Namespaces,
    tools::{agent, is_root},
    workspace::Workspace,
};

/// Node 1 is 127.0.0.31 where there are no namespaces: a demo and a bench may run beside.
const ADDRESS_BASE: u8 = 30;
/// Two askers and a commit every tenth of a second through each node.
const PACE: Pace =
    Pace { askers: 2, pause: Duration::from_millis(12), commits: Some((Duration::from_millis(100), 8)) };
/// The log has room of its own to use up before it needs the disk's: entries as large and as often as that takes.
const HEAVY: Pace = Pace { commits: Some((Duration::from_millis(10), 4096)), ..PACE };
/// From the start of the programs to the first holder; a debug build on a machine that compiles beside is slow.
const FOUND_LIMIT: Duration = Duration::from_secs(60);

/// What to break, and for how long.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Only this scenario; may be given several times
    #[arg(long = "scenario", value_enum, value_name = "NAME")]
    scenarios: Vec<Scenario>,
    /// Draw from this seed, as a failure printed it
    #[arg(long)]
    seed: Option<u64>,
    /// Go on with scenarios until this has passed, instead of playing each once
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: u8,
    /// Do without network namespaces and mounts even if this machine allows them
    #[arg(long)]
    loopback: bool,
    /// Use an optimised build of the agent
    #[arg(long)]
    release: bool,
    /// Keep going after a scenario that failed
    #[arg(long)]
    keep_going: bool,
    /// Print the scenarios and what they need
    #[arg(long)]
    list: bool,
}

/// Plays the scenarios, prints the table.
///
/// # Errors
/// When a promise was broken or something was too late; under `CI=true` also when a scenario had to be left out.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        list();
        return Ok(());
    }
    let nodes = if options.nodes == 0 { 3 } else { options.nodes };
    let workspace = Workspace::read()?;
    let profile = if options.release { agent::Profile::Release } else { agent::Profile::Dev };
    let agent = agent::build(&workspace, profile)?;
    let folder = workspace.target("chaos");
    // Held before anything is made whose names depend on it.
    let place = Place::take(&folder, false)?;
    // Whoever replays a failure still needs what it left.
    if options.seed.is_none() {
        sweep_kept(&folder);
    }
    let disks = workspace.target("chaos-disks");
    mounts::sweep(&disks);
    let namespaces = match (options.loopback, is_root()) {
        (true, _) => Err("--loopback".to_owned()),
        (false, false) => Err("network namespaces need root".to_owned()),
        (false, true) => Namespaces::up(&folder, nodes).map(Arc::new).map_err(|error| format!("{error:#}")),
    };
    let (wanted, left_out) =
        choose(&options.scenarios, &namespaces.as_ref().map(|_| ()).map_err(Clone::clone));
    for (scenario, why) in &left_out {
        say!("left out: {} ({why})", scenario.name());
    }
    if let Some((scenario, why)) = left_out.iter().find(|(scenario, _)| options.scenarios.contains(scenario))
    {
        bail!("{} was asked for and cannot be played here: {why}", scenario.name());
    }
    drop(place);
    let mut run = Run {
        ground: Ground { agent, nodes, base: ADDRESS_BASE, namespaces: namespaces.ok(), disks: None },
        folder,
        disks,
        keep_going: options.keep_going,
        flags: [(options.loopback, " --loopback"), (options.release, " --release")]
            .into_iter()
            .filter_map(|(said, flag)| said.then_some(flag))
            .collect(),
        stage: None,
        outcomes: Vec::new(),
    };
    let seed = options.seed.unwrap_or_else(|| Dice::new(BootTime::now().0).next() >> 16);
    say!("seed {seed}, {nodes} nodes{}", if run.ground.namespaces.is_some() { " in namespaces" } else { "" });
    let played = run.play_all(&wanted, seed, options.minutes).and(run.end());
    mounts::sweep(&run.disks);
    run.summary(&left_out);
    played?;
    run.verdict(&left_out)
}

fn list() {
    for scenario in Scenario::value_variants() {
        let need = match scenario.need() {
            Need::Nothing => "",
            Need::Namespaces => "  [needs network namespaces: root]",
            Need::SmallDisks => "  [needs a mount: root]",
        };
        say!("{:<12} {}{need}", scenario.name(), scenario.words());
    }
}

/// Those that can be played here, and why the others cannot.
fn choose(wanted: &[Scenario], namespaces: &Result<(), String>) -> (Vec<Scenario>, Vec<(Scenario, String)>) {
    let all = if wanted.is_empty() { Scenario::value_variants() } else { wanted };
    let (mut here, mut left_out) = (Vec::new(), Vec::new());
    for scenario in all {
        match (scenario.need(), namespaces) {
            (Need::Namespaces | Need::SmallDisks, Err(why)) => left_out.push((*scenario, why.clone())),
            _ => here.push(*scenario),
        }
    }
    (here, left_out)
}

/// What failed runs before this one kept.
fn sweep_kept(folder: &std::path::Path) {
    let Some(parent) = folder.parent() else { return };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("chaos-failed-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

struct Run {
    ground: Ground,
    folder: PathBuf,
    disks: PathBuf,
    keep_going: bool,
    /// What it was started with, for whoever plays a failure again.
    flags: String,
    /// A cluster that goes on from one scenario to the next, as long as all is well.
    stage: Option<Stage>,
    outcomes: Vec<Outcome>,
}

impl Run {
    fn play_all(&mut self, wanted: &[Scenario], seed: u64, minutes: Option<u64>) -> Result<()> {
        let end = minutes.map(|minutes| clock::now() + Duration::from_secs(minutes * 60));
        let mut seeds = Dice::new(seed);
        // The first is the seed itself, so that a failure is replayed by its own.
        let mut next = seed;
        loop {
            for scenario in wanted {
                interrupt::check()?;
                let outcome = self.play(*scenario, next);
                next = seeds.next() >> 16;
                let good = outcome.is_good();
                self.outcomes.push(outcome);
                interrupt::check()?;
                if !good && !self.keep_going {
                    return Ok(());
                }
                if end.is_some_and(|end| clock::now() >= end) {
                    return Ok(());
                }
            }
            if end.is_none() || wanted.is_empty() {
                return Ok(());
            }
        }
    }

    fn play(&mut self, scenario: Scenario, seed: u64) -> Outcome {
        say!("\n=== {} (seed {seed}) ===", scenario.name());
        let start = clock::now();
        let mut measured = Measured::default();
        let played = self.on_stage(scenario, seed, &mut measured);
        let (history, broken) = match played {
            Ok(history) => (history, None),
            Err((history, error)) => (history, Some(format!("{error:#}"))),
        };
        let tenures = history.tenures();
        let outcome = Outcome {
            scenario,
            seed,
            handovers: handovers(&tenures),
            longest_gap: longest_gap(&tenures),
            sightings: history.sightings(),
            commits: history.commits(),
            violations: check(&history),
            measured,
            broken,
        };
        outcome.complaints().iter().for_each(|complaint| say!("  {complaint}"));
        if !outcome.is_good() && self.folder.is_dir() {
            let kept = self.folder.with_file_name(format!("chaos-failed-{}-{seed}", scenario.name()));
            if fs::rename(&self.folder, &kept).is_ok() {
                say!("  logs and states are in {}", kept.display());
            }
        }
        say!(
            "  {} in {}",
            if outcome.is_good() { "ok" } else { "FAILED" },
            clock::seconds(clock::now() - start)
        );
        outcome
    }

    /// Ends the cluster that is left.
    fn end(&mut self) -> Result<()> {
        self.stage.take().map_or(Ok(()), |mut stage| stage.cluster.end()).context("the end was not clean")
    }

    /// The cluster for a scenario: the last one's where that serves.
    fn stage(&mut self, scenario: Scenario) -> Result<Stage> {
        let small = scenario.need() == Need::SmallDisks;
        match self.stage.take() {
            Some(stage) if !small => return Ok(stage),
            Some(mut stage) => stage.cluster.end().context("the end was not clean")?,
            None => {}
        }
        let disks = small.then(|| self.disks.clone());
        let place = Place::take(&self.folder, false)?;
        let stage = Stage::set(&Ground { disks, ..self.ground.clone() }, place)?;
        let found = peace::wait(&stage.cluster, 0, FOUND_LIMIT, clock::now());
        match found.context("the nodes did not found a cluster") {
            Ok(took) => say!("  {} nodes found a cluster after {}", self.ground.nodes, clock::seconds(took)),
            Err(error) => {
                let mut stage = stage;
                stage.cluster.keep_files();
                return Err(error);
            }
        }
        Ok(stage)
    }

    /// Plays one scenario. What was seen is returned in any case.
    fn on_stage(
        &mut self,
        scenario: Scenario,
        seed: u64,
        measured: &mut Measured,
    ) -> Result<History, (History, anyhow::Error)> {
        let nothing = |error| (History::default(), error);
        let mut stage = self.stage(scenario).map_err(nothing)?;
        let pace = if scenario == Scenario::DiskFull { HEAVY } else { PACE };
        let witness = Witness::start(&stage.cluster.nodes, pace).map_err(nothing)?;
        let done = self.rounds(scenario, seed, &mut stage, &witness, measured);
        // Before the witness ends: an answer of a stopped process is still to come.
        let healed = stage.heal();
        remember(&stage, &witness);
        let history = witness.finish();
        let done = done.and(healed);
        let good = done.is_ok() && measured.late.is_empty() && check(&history).is_empty();
        if good && scenario.need() != Need::SmallDisks {
            self.stage = Some(stage);
            return Ok(history);
        }
        if !good {
            stage.cluster.keep_files();
        }
        match done.and(stage.cluster.end().context("the end was not clean")) {
            Ok(()) => Ok(history),
            Err(error) => Err((history, error)),
        }
    }

    fn rounds(
        &self,
        scenario: Scenario,
        seed: u64,
        stage: &mut Stage,
        witness: &Witness,
        measured: &mut Measured,
    ) -> Result<()> {
        let can_cut = self.ground.namespaces.is_some();
        let rounds = scenario.rounds(self.ground.nodes, can_cut, &mut Dice::new(seed));
        for (number, round) in (1..).zip(&rounds) {
            say!("  round {number} of {}", rounds.len());
            round::play(stage, witness, round, measured)?;
            remember(stage, witness);
            if !measured.late.is_empty() {
                break; // what follows would only follow from this
            }
        }
        Ok(())
    }

    fn summary(&self, left_out: &[(Scenario, String)]) {
        say!("\n{}", report::table(&self.outcomes).render());
        for (scenario, why) in left_out {
            say!("left out: {} ({why})", scenario.name());
        }
        let violations: usize = self.outcomes.iter().map(|outcome| outcome.violations.len()).sum();
        let looks: u64 = self.outcomes.iter().map(|outcome| outcome.sightings).sum();
        say!("{} scenarios, {looks} looks at a lease, {violations} violations", self.outcomes.len());
        for outcome in &self.outcomes {
            if outcome.is_good() {
                continue;
            }
            outcome
                .complaints()
                .iter()
                .for_each(|complaint| say!("{}: {complaint}", outcome.scenario.name()));
            say!("replay: {}", outcome.replay(self.ground.nodes, &self.flags));
        }
    }

    fn verdict(&self, left_out: &[(Scenario, String)]) -> Result<()> {
        let failed = self.outcomes.iter().filter(|outcome| !outcome.is_good()).count();
        if failed > 0 {
            bail!("{failed} of {} scenarios failed", self.outcomes.len());
        }
        let strict = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
        if strict && !left_out.is_empty() {
            let names: Vec<String> = left_out.iter().map(|(scenario, _)| scenario.name()).collect();
            bail!("CI=true, and this machine left out: {}", names.join(", "));
        }
        Ok(())
    }
}

/// Adds what the nodes remember to what was seen, as far as they can be asked by now.
fn remember(stage: &Stage, witness: &Witness) {
    for node in &stage.cluster.nodes {
        for view in node.deeds().unwrap_or_default() {
            let (lease, token, deed) = (view.lease, view.token, view.deed);
            let by = view.node.unwrap_or_default();
            witness.history().recorded(&node.name, view.index, Deed { lease, token, deed, node: by });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_root_is_left_out_by_name_without_it() {
        let (here, left_out) = choose(&[], &Err("no root".to_owned()));
        assert!(here.contains(&Scenario::KillNode) && here.contains(&Scenario::Mix));
        let names: Vec<String> = left_out.iter().map(|(scenario, _)| scenario.name()).collect();
        assert_eq!(names, ["partition", "one-way", "rejecting", "disk-full"]);
        assert!(choose(&[], &Ok(())).1.is_empty());
    }

    #[test]
    fn only_what_was_asked_for_is_played() {
        assert_eq!(choose(&[Scenario::Stop], &Ok(())).0, [Scenario::Stop]);
    }
}
