//! Five agents as processes, killed and asked.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use super::{quiet::to_f64, stats::Figure};
use crate::{
    clock::{self, millis},
    cluster::{
        Care, Cluster, DocumentWatch, Network, Node, PROVIDER_PORT, Place, Plan, SERVICE, START_GRACE,
    },
    http::Client,
    procfs,
    tools::{agent, traefik},
    workspace::Workspace,
};

const NODES: u8 = 5;
/// Node 1 is 127.0.0.21, so that a demo may run beside it.
const ADDRESS_BASE: u8 = 20;
const SERVICE_KILLS: usize = 50;
const TRAEFIK_KILLS: usize = 20;
const AGENT_KILLS: usize = 20;
const PROVIDER_GETS: usize = 2000;
const IDLE: Duration = Duration::from_secs(20);
/// As many processes as the target for an idle agent names.
const IDLE_PROCESSES: usize = 50;
/// The watchers' pause bounds the error of a figure; a shorter one would load the agents that it measures.
const WATCH_PAUSE: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(60);
/// Between two deaths, so that one's echo is not part of the other's figure.
const REST: Duration = Duration::from_millis(500);

/// Measures everything.
///
/// # Errors
/// When the cluster does not come up, or does not recover between two measurements.
pub(super) fn run(workspace: &Workspace) -> Result<Vec<Figure>> {
    say!("\n=== five agents as processes ===");
    let agent = agent::build(workspace, agent::Profile::Release)?;
    let place = Place::take(&workspace.target("bench"), false)?;
    let network = Network::Loopback { base: ADDRESS_BASE };
    let plan = Plan {
        agent,
        traefik: None,
        proxy: false,
        size: NODES,
        network,
        data: Vec::new(),
        leases: true,
        cloudflare: None,
    };
    let mut cluster = Cluster::start(&plan, place)?;
    let measured = measure(workspace, &mut cluster);
    if measured.is_err() {
        cluster.keep_files();
    }
    cluster.end()?;
    measured
}

fn measure(workspace: &Workspace, cluster: &mut Cluster) -> Result<Vec<Figure>> {
    settled(cluster, usize::from(NODES))?;
    cluster.deploy_services(Care::None)?;
    routed(cluster)?;
    rest(START_GRACE)?;
    let mut figures = vec![provider(cluster)?];
    figures.extend(service_kills(cluster)?);
    match traefik::prepare(workspace) {
        Ok(binary) => figures.push(traefik_kills(cluster, binary)?),
        Err(error) => say!("  without Traefik: {error:#}"),
    }
    figures.push(agent_kills(cluster)?);
    figures.extend(idle(cluster)?);
    Ok(figures)
}

fn settled(cluster: &Cluster, size: usize) -> Result<()> {
    cluster.wait_for_all("all members", LIMIT, |node| Ok(node.live_members()? == size))
}

fn routed(cluster: &Cluster) -> Result<()> {
    let size = cluster.nodes.len();
    cluster.wait_for_all("all servers", LIMIT, |node| Ok(node.document()?.nodes().len() == size))?;
    rest(REST)
}

fn rest(time: Duration) -> Result<()> {
    let end = clock::now() + time;
    clock::wait_for("a rest", time * 2 + LIMIT, PAUSE, || Ok((clock::now() >= end).then_some(())))
}

fn watches(cluster: &Cluster) -> Vec<DocumentWatch> {
    cluster.nodes.iter().map(|node| DocumentWatch::start(node.at(PROVIDER_PORT), WATCH_PAUSE)).collect()
}

/// Kills the service of a node and says when.
fn kill_service(node: &Node) -> Result<Instant> {
    let pid = node.service()?.and_then(|service| service.pid).and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("no service runs on {}", node.name))?;
    let killed = clock::now();
    rustix::process::kill_process(pid, Signal::KILL).context("could not kill the service")?;
    Ok(killed)
}

/// How long after `since` the document was first without the node.
fn gone(watch: &DocumentWatch, node: &Node, since: Instant) -> Result<f64> {
    let gone = || Ok(watch.first(node.address.into(), false, since));
    let at = clock::wait_for(&format!("{} is out of a document", node.name), LIMIT, PAUSE, gone)?;
    Ok(millis(at - since))
}

fn service_kills(cluster: &Cluster) -> Result<[Figure; 3]> {
    say!("  killing {SERVICE_KILLS} services");
    let watches = watches(cluster);
    rest(REST)?;
    let (mut own, mut others, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..SERVICE_KILLS {
        let victim = number % cluster.nodes.len();
        let node = &cluster.nodes[victim];
        let killed = kill_service(node)?;
        let mut slowest: f64 = 0.0;
        for (index, watch) in watches.iter().enumerate() {
            let took = gone(watch, node, killed)?;
            if index == victim {
                own.push(took);
            } else {
                others.push(took);
                slowest = slowest.max(took);
            }
        }
        last.push(slowest);
        node.ask(&["process", "start", SERVICE])?;
        routed(cluster)?;
    }
    Ok([
        Figure {
            name: "service killed: out of its own document",
            unit: "ms",
            samples: own,
            target: "p99 < 100",
        },
        Figure {
            name: "service killed: out of another's document",
            unit: "ms",
            samples: others,
            target: "p99 < 350 (serf 311)",
        },
        Figure {
            name: "service killed: out of the last document",
            unit: "ms",
            samples: last,
            target: "(serf p50 307)",
        },
    ])
}

fn traefik_kills(cluster: &mut Cluster, binary: PathBuf) -> Result<Figure> {
    say!("  killing {TRAEFIK_KILLS} services under a Traefik");
    cluster.nodes[0].add_traefik(binary)?;
    let front = &cluster.nodes[0];
    let holds = |address: IpAddr| Ok::<bool, anyhow::Error>(front.traefik_servers()?.contains(&address));
    let mut samples = Vec::new();
    for number in 0..TRAEFIK_KILLS {
        let node = &cluster.nodes[1 + number % (cluster.nodes.len() - 1)];
        let address = node.address.into();
        let ready = || Ok(holds(address).unwrap_or(false).then_some(()));
        clock::wait_for("Traefik routes to the node", LIMIT, PAUSE, ready)?;
        rest(REST)?;
        let killed = kill_service(node)?;
        clock::wait_for("Traefik has dropped it", LIMIT, PAUSE, || Ok((!holds(address)?).then_some(())))?;
        samples.push(millis(clock::now() - killed));
        node.ask(&["process", "start", SERVICE])?;
        routed(cluster)?;
    }
    cluster.nodes[0].remove_traefik();
    Ok(Figure { name: "service killed: out of Traefik", unit: "ms", samples, target: "p99 < 700" })
}

fn agent_kills(cluster: &mut Cluster) -> Result<Figure> {
    say!("  killing {AGENT_KILLS} agents");
    let watches = watches(cluster);
    let mut samples = Vec::new();
    for number in 0..AGENT_KILLS {
        let victim = number % cluster.nodes.len();
        let killed = clock::now();
        cluster.nodes[victim].kill_agent();
        let mut slowest: f64 = 0.0;
        for (_, watch) in watches.iter().enumerate().filter(|(index, _)| *index != victim) {
            slowest = slowest.max(gone(watch, &cluster.nodes[victim], killed)?);
        }
        samples.push(slowest);
        cluster.nodes[victim].start_agent()?;
        settled(cluster, usize::from(NODES))?;
        routed(cluster)?;
        // The one that was started again would keep the next victim's routes for a while.
        rest(START_GRACE)?;
    }
    let name = "agent killed: out of all others' documents";
    Ok(Figure { name, unit: "ms", samples, target: "p99 < 2500 (serf 5910)" })
}

fn provider(cluster: &Cluster) -> Result<Figure> {
    say!("  asking a provider {PROVIDER_GETS} times");
    let mut client = Client::tcp(cluster.nodes[0].at(PROVIDER_PORT), LIMIT);
    let mut samples = Vec::new();
    for _ in 0..PROVIDER_GETS {
        let start = clock::now();
        client.get("/api/dynamic")?;
        samples.push(millis(clock::now() - start));
    }
    Ok(Figure { name: "provider: an unchanged document", unit: "ms", samples, target: "< 1" })
}

fn idle(cluster: &Cluster) -> Result<[Figure; 4]> {
    say!("  idling for {IDLE:?} with {IDLE_PROCESSES} processes on one node");
    let full = &cluster.nodes[0];
    for number in 1..IDLE_PROCESSES {
        full.deploy_sleeper(&format!("idle-{number}"), cluster.variable())?;
    }
    rest(REST)?;
    // An agent is its worker and the worker's parent.
    let agents: Vec<Vec<Pid>> =
        cluster.nodes.iter().filter_map(Node::agent_pid).map(procfs::with_children).collect();
    let cpu = |pids: &Vec<Pid>| -> Duration { pids.iter().filter_map(|pid| procfs::cpu_time(*pid)).sum() };
    let before: Vec<Duration> = agents.iter().map(cpu).collect();
    let start = clock::now();
    rest(IDLE)?;
    let took = clock::now() - start;
    let percents: Vec<f64> = agents
        .iter()
        .zip(before)
        .map(|(pids, before)| cpu(pids).saturating_sub(before).as_secs_f64() / took.as_secs_f64() * 100.0)
        .collect();
    let kib = agents.iter().map(|pids| pids.iter().filter_map(|pid| procfs::resident_kib(*pid)).sum());
    let megabytes: Vec<f64> = kib.map(|kib: u64| to_f64(kib) / 1024.0).collect();
    let figure =
        |name, unit, samples: &[f64], target| Figure { name, unit, samples: samples.to_vec(), target };
    let (full_cpu, rest_cpu) = percents.split_at(1.min(percents.len()));
    let (full_memory, rest_memory) = megabytes.split_at(1.min(megabytes.len()));
    Ok([
        figure("idle agent, 50 processes: CPU", "% of a core", full_cpu, "< 1"),
        figure("idle agent, 50 processes: memory", "MiB", full_memory, "< 25"),
        figure("idle agent, 1 process: CPU", "% of a core", rest_cpu, "(serf 0.21)"),
        figure("idle agent, 1 process: memory", "MiB", rest_memory, "(serf 14.7)"),
    ])
}
