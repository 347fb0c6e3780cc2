//! `cargo xtask bench leases`: how fast leases change hands and entries are committed, with etcd measured beside in the same
//! run, by the same clients, on the same disk.

mod commits;
mod etcd;
mod figures;
mod first;
mod h2load;
mod hands;
mod idle;
mod peer;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use self::{etcd::Etcd, figures::Figure, hands::Hands};
use super::quiet::{self, Others};
use crate::{
    clock,
    cluster::Place,
    leases::{Ground, Stage, peace},
    network::Namespaces,
    tools::agent,
    workspace::Workspace,
};

/// Node 1 is 127.0.0.41: a demo, a bench of documents and a chaos run may be up beside.
const ADDRESS_BASE: u8 = 40;
const NODES: u8 = 3;
/// From the start of the programs to the first holder.
const FOUND_LIMIT: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU and memory of nodes that do nothing, and what they keep on disk
    Idle,
    /// Commits with fsync: one client, and 64
    Commits,
    /// kill -9 of the holder: its worker, and its whole process group
    Kills,
    /// The holder lets go: SIGTERM, and cordon
    Graceful,
    /// kill -9 of Raft's leader, until the first commit through a survivor
    Leader,
    /// The holder is cut off
    Partition,
}

/// How to measure.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// bench leases: how often each hand-over is measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: u32,
    /// bench leases: do without etcd beside
    #[arg(long)]
    no_etcd: bool,
    /// bench leases: only this part; may be given several times
    #[arg(long = "only", value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// bench leases: how long to wait for a quiet machine
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    quiet: u64,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn quiet(&self) -> Result<f64> {
        quiet::wait(Duration::from_secs(self.quiet))
    }
}

/// Measures, and prints a table or one line of JSON per figure.
///
/// # Errors
/// When something does not come up or does not recover between two measurements.
pub(super) fn run(workspace: &Workspace, options: &Options, json: bool) -> Result<()> {
    say!(
        "\n=== leases: three agents as processes{} ===",
        if options.no_etcd { "" } else { ", and etcd beside" }
    );
    let agent = agent::build(workspace, agent::Profile::Release)?;
    let ground = Ground { agent, nodes: NODES, base: ADDRESS_BASE, namespaces: None, disks: None };
    let before = options.quiet()?;
    let others = Others::count();
    let mut figures = on_loopback(workspace, options, &ground)?;
    let mut cut_off = Ok(());
    if options.wants(Part::Partition) {
        // Only what this machine does not allow is left out; what goes wrong in it is a failure.
        match Namespaces::up(&workspace.target("bench-leases"), NODES) {
            Ok(namespaces) => match partitions(workspace, options, &ground, namespaces) {
                Ok(found) => figures.extend(found),
                Err(error) => cut_off = Err(error.context("the part `partition` failed")),
            },
            Err(error) => say!("  left out: partition ({error:#})"),
        }
    }
    if json {
        figures.iter().for_each(|figure| say!("{}", figure.json()));
        return cut_off;
    }
    say!("\n{}", figures::table(&figures).render());
    say!("others used {before:.2} cores before, and {:.2} on average meanwhile", others.cores());
    cut_off
}

fn on_loopback(workspace: &Workspace, options: &Options, ground: &Ground) -> Result<Vec<Figure>> {
    let wanted = Part::value_variants().iter().filter(|part| **part != Part::Partition);
    if !wanted.copied().any(|part| options.wants(part)) {
        return Ok(Vec::new());
    }
    let mut stage = begin(workspace, ground)?;
    let measured = measure(workspace, options, &mut stage);
    if measured.is_err() {
        stage.cluster.keep_files();
    }
    if let Err(error) = stage.cluster.end() {
        complain!("  the end was not clean: {error:#}");
    }
    measured
}

fn begin(workspace: &Workspace, ground: &Ground) -> Result<Stage> {
    let place = Place::take(&workspace.target("bench-leases"), false)?;
    let stage = Stage::set(ground, place)?;
    peace::wait(&stage.cluster, 0, FOUND_LIMIT, clock::now())
        .context("the agents did not found a cluster")?;
    Ok(stage)
}

fn measure(workspace: &Workspace, options: &Options, stage: &mut Stage) -> Result<Vec<Figure>> {
    let mut etcd = None;
    if !options.no_etcd {
        let started = Etcd::start(&workspace.target("bench-etcd"))?;
        say!("  etcd {}", started.version);
        etcd = Some(started);
    }
    let mut figures = Vec::new();
    if options.wants(Part::Idle) {
        options.quiet()?;
        figures.extend(idle::measure(stage, etcd.as_ref())?);
        figures.push(idle::disk(stage, etcd.as_ref(), "new"));
    }
    if options.wants(Part::Commits) {
        options.quiet()?;
        figures.extend(commits::measure(workspace, stage, etcd.as_ref())?);
    }
    let trials = options.trials;
    let peers = match &mut etcd {
        Some(etcd) => {
            options.quiet()?;
            peer::measure(etcd, trials, |part| options.wants(part))?
        }
        None => peer::Peers::default(),
    };
    // It would take cores from what follows.
    drop(etcd);
    let mut hands = Hands::begin(stage)?;
    if options.wants(Part::Kills) {
        options.quiet()?;
        figures.extend(hands.kills(trials, &peers)?);
    }
    if options.wants(Part::Graceful) {
        options.quiet()?;
        figures.extend(hands.graceful(trials, &peers)?);
    }
    if options.wants(Part::Leader) {
        options.quiet()?;
        figures.extend(hands.leader(trials, &peers)?);
    }
    Ok(figures)
}

fn partitions(
    workspace: &Workspace,
    options: &Options,
    ground: &Ground,
    namespaces: Namespaces,
) -> Result<Vec<Figure>> {
    let namespaces = Some(Arc::new(namespaces));
    let mut stage = begin(workspace, &Ground { namespaces, ..ground.clone() })?;
    let measured =
        Hands::begin(&mut stage).and_then(|mut hands| hands.partitions(options.trials.div_ceil(2)));
    if let Err(error) = stage.cluster.end() {
        complain!("  the end was not clean: {error:#}");
    }
    measured
}
