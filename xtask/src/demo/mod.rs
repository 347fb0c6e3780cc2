//! `cargo xtask demo`: three agents, their services, their Traefiks and their zone at a simulated Cloudflare on this machine,
//! for looking and for breaking.
//!
//! The agent is built in the dev profile: it is ready sooner, and what the demo shows does not depend on its speed.

mod dns;
mod guide;
mod leases;
mod script;
mod timeline;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    clock, cloudflare_sim,
    cluster::{Care, Cluster, Network, Place, Plan},
    interrupt,
    leases::peace,
    tools::{agent, traefik},
    workspace::Workspace,
};

/// Three is the least that goes on when one is lost.
const NODES: u8 = 3;
/// Node 1 is 127.0.0.11.
const ADDRESS_BASE: u8 = 10;
/// As long as systemd's unit in `deploy/` waits, and long enough to see what the others do meanwhile.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// How to show it.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Run by itself: break things under load, check what must hold, print a timeline
    #[arg(long)]
    pub(crate) script: bool,
    /// Keep logs and states under target/demo afterwards
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do without Traefik even if it is at hand
    #[arg(long)]
    pub(crate) without_traefik: bool,
    /// Let the agents serve HTTP themselves, by the failover proxy in Traefik's place
    #[arg(long)]
    pub(crate) proxy: bool,
}

/// Builds, starts, shows, ends.
///
/// # Errors
/// When something does not start; with `--script` also when a step or a request fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    let agent = agent::build(&workspace, agent::Profile::Dev)?;
    let proxy = options.proxy;
    let traefik = if options.without_traefik || proxy { None } else { traefik(&workspace) };
    let place = Place::take(&workspace.target("demo"), options.keep)?;
    let beside = match (&traefik, proxy) {
        (Some(_), _) => " and a Traefik beside each",
        (None, true) => " that serve HTTP themselves",
        (None, false) => "",
    };
    say!("starting {NODES} agents{beside}, with a zone at a simulated Cloudflare");
    let network = Network::Loopback { base: ADDRESS_BASE };
    let cloudflare = Some(cloudflare_sim::build(&workspace)?);
    let plan =
        Plan { agent, traefik, proxy, size: NODES, network, data: Vec::new(), leases: true, cloudflare };
    let mut cluster = Cluster::start(&plan, place)?;
    let shown = if options.script { script::run(&mut cluster) } else { show(&mut cluster) };
    if shown.is_err() {
        cluster.keep_files();
    }
    say!("ending everything");
    let ended = cluster.end().context("the end was not clean");
    shown.and(ended)?;
    say!("nothing is left running");
    Ok(())
}

fn traefik(workspace: &Workspace) -> Option<PathBuf> {
    match traefik::prepare(workspace) {
        Ok(binary) => Some(binary),
        Err(error) => {
            say!("  going on without Traefik: {error:#}");
            None
        }
    }
}

/// Until Ctrl-C: an agent that somebody kills comes back after a while, as systemd would have it.
fn show(cluster: &mut Cluster) -> Result<()> {
    cluster.wait_for_all(
        "an agent answers",
        Duration::from_secs(30),
        |node| Ok(node.live_members()? >= 1),
    )?;
    cluster.deploy_services(Care::Full)?;
    let limit = Duration::from_secs(30);
    let complete = |servers: BTreeSet<IpAddr>| servers.len() == usize::from(NODES);
    cluster
        .wait_for_all("every node has all routes", limit, |node| Ok(complete(node.document()?.nodes())))?;
    cluster.wait_for_all("every Traefik has all routes", limit, |node| {
        Ok(!node.has_traefik() || complete(node.traefik_servers()?))
    })?;
    peace::wait(cluster, 0, limit, clock::now()).context("the nodes do not agree who holds the leases")?;
    dns::settle(cluster)?;
    say!("{}", guide::text(cluster)?);
    let mut due = BTreeMap::new();
    while !interrupt::asked() {
        for (index, how) in cluster.fallen() {
            say!(
                "{}: its agent ended ({how}); it is started again in {RESTART_AFTER:?}",
                cluster.nodes[index].name
            );
            due.insert(index, clock::now() + RESTART_AFTER);
        }
        let now = clock::now();
        for index in due.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index).collect::<Vec<_>>() {
            due.remove(&index);
            cluster.nodes[index].start_agent()?;
            say!("{}: its agent runs again", cluster.nodes[index].name);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    say!();
    Ok(())
}
