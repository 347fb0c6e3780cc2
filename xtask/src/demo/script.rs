//! The demo that runs by itself: a service is killed, an agent, and the holder of the leases, under load, and nobody may
//! notice.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};

use super::{dns, leases, timeline::Timeline};
use crate::{
    clock,
    cluster::{
        Care, Cluster, DOMAIN, DocumentWatch, Load, Node, PROVIDER_PORT, Route, SERVICE, START_GRACE, Sample,
        WEB_PORT, request,
    },
    procfs,
};

/// Each step must be done within this, on a machine that is busy with other things too.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(30);
/// Short enough to see a service that is away for a tenth of a second.
const WATCH_PAUSE: Duration = Duration::from_millis(4);
const PAUSE: Duration = Duration::from_millis(10);
const REQUESTS_PER_SECOND: u32 = 50;
/// Time under load without any fault, and with one.
const STEADY: Duration = Duration::from_secs(3);
/// Failed requests that are shown one by one.
const FAILURES_SHOWN: usize = 10;

/// Runs every step and prints the timeline.
///
/// # Errors
/// When a step is not done in time or a request failed.
pub(super) fn run(cluster: &mut Cluster) -> Result<()> {
    let mut timeline = Timeline::begin();
    let mut script = Script { timeline: &mut timeline, cluster, load: None };
    let done = script.up().and_then(|watches| {
        script.steady(START_GRACE)?;
        script.kill_a_service(&watches)?;
        script.kill_an_agent(&watches)?;
        leases::kill_the_holder(script.timeline, script.cluster)?;
        script.steady(STEADY)
    });
    let samples = script.load.take().map(Load::finish).unwrap_or_default();
    say!("\n{}", timeline.render(&samples));
    let failed: Vec<&Sample> = samples.iter().filter(|sample| sample.answer.is_err()).collect();
    for sample in failed.iter().take(FAILURES_SHOWN) {
        let why = sample.answer.as_ref().err().map(String::as_str).unwrap_or_default();
        say!("failed at {:.2} s: {why}", timeline.offset(sample.sent));
    }
    let nodes: BTreeSet<&str> = samples.iter().filter_map(|sample| sample.answer.as_deref().ok()).collect();
    say!("{} requests, {} failed; answered by {nodes:?}", samples.len(), failed.len());
    done?;
    ensure!(failed.is_empty(), "{} of {} requests failed", failed.len(), samples.len());
    Ok(())
}

struct Script<'a> {
    timeline: &'a mut Timeline,
    cluster: &'a mut Cluster,
    load: Option<Load>,
}

impl Script<'_> {
    /// From nothing to three nodes that answer, and then the load.
    fn up(&mut self) -> Result<Vec<DocumentWatch>> {
        let Self { timeline, cluster, load } = self;
        let size = cluster.nodes.len();
        let members = |node: &Node| Ok(node.live_members()? == size);
        timeline.step("every agent sees three members", || all(cluster, "three members", members))?;
        timeline.step("every agent names the same holders of the leases", || leases::agree(cluster))?;
        timeline
            .step("the zone leads to the holder and to every node", || dns::settle(cluster).map(|()| None))?;
        timeline.step("a service is started on every node", || {
            cluster.deploy_services(Care::Full).map(|()| None)
        })?;
        let routed = |node: &Node| Ok(node.document()?.nodes().len() == size);
        timeline.step("every agent's document has all three", || all(cluster, "three servers", routed))?;
        if with_traefik(cluster) {
            timeline
                .step("every Traefik has the routes, enabled", || all(cluster, "routers enabled", enabled))?;
        } else if !with_proxy(cluster) {
            say!("what a Traefik would be given:\n{}", cluster.nodes[0].document()?.pretty());
        }
        for node in &cluster.nodes {
            let what = format!("every node answers, asked at {}", node.name);
            timeline.step(&what, || all_answer(cluster, &route(&[node]), size))?;
        }
        if with_traefik(cluster) {
            timeline.step("the name of one node reaches that node", || per_node(cluster))?;
        }
        let route = route(&cluster.nodes.iter().take(2).collect::<Vec<_>>());
        let host = format!("{SERVICE}.{DOMAIN}");
        *load = Some(Load::start(&route, &host, REQUESTS_PER_SECOND)?);
        let watch = |node: &Node| DocumentWatch::start(node.at(PROVIDER_PORT), WATCH_PAUSE);
        Ok(cluster.nodes.iter().map(watch).collect())
    }

    fn steady(&mut self, time: Duration) -> Result<()> {
        self.timeline.step("nothing is broken", || pass(time))
    }

    /// SIGKILL to the service of the second node.
    fn kill_a_service(&mut self, watches: &[DocumentWatch]) -> Result<()> {
        let Self { timeline, cluster, .. } = self;
        let size = cluster.nodes.len();
        let victim = &cluster.nodes[1];
        let (name, address) = (victim.name.as_str(), IpAddr::from(victim.address));
        let pid = running_service(victim)?;
        let killed = clock::now();
        timeline.step(&format!("kill -9 of the service of {name}"), || {
            rustix::process::kill_process(pid, Signal::KILL).context("could not kill it")?;
            Ok(None)
        })?;
        let gone = format!("{name} is out of every document");
        timeline.step(&gone, || seen(&watches.iter().collect::<Vec<_>>(), address, false, killed))?;
        timeline.step("it was started again by its agent", || {
            clock::wait_for("a new process", STEP_LIMIT, PAUSE, || {
                Ok(victim
                    .service()
                    .ok()
                    .flatten()
                    .and_then(|service| service.pid)
                    .filter(|new| *new != raw(pid)))
            })?;
            Ok(None)
        })?;
        timeline.step(&format!("{name} is back in every document"), || {
            seen_again(&watches.iter().collect::<Vec<_>>(), address, killed)
        })?;
        timeline.step("every node answers again", || all_answer(cluster, &route(&[&cluster.nodes[0]]), size))
    }

    /// SIGKILL to the third agent; later it is started again.
    fn kill_an_agent(&mut self, watches: &[DocumentWatch]) -> Result<()> {
        let Self { timeline, cluster, .. } = self;
        let size = cluster.nodes.len();
        let last = size - 1;
        let (name, address) = (cluster.nodes[last].name.clone(), IpAddr::from(cluster.nodes[last].address));
        let pid = running_service(&cluster.nodes[last])?;
        let others: Vec<&DocumentWatch> = watches.iter().take(last).collect();
        let killed = clock::now();
        timeline.step(&format!("kill -9 of the agent of {name}"), || {
            cluster.nodes[last].kill_agent();
            Ok(None)
        })?;
        timeline.step(&format!("{name} is out of the others' documents"), || {
            seen(&others, address, false, killed)
        })?;
        timeline.step("the others go on", || pass(STEADY))?;
        timeline.step("its service runs on without it", || {
            ensure!(procfs::is_running(pid), "process {pid} is gone");
            Ok(None)
        })?;
        let started = clock::now();
        timeline.step(&format!("the agent of {name} is started again"), || {
            cluster.nodes[last].start_agent().map(|()| None)
        })?;
        timeline.step("it has taken its service over, the same process", || {
            let adopted = || Ok(cluster.nodes[last].service().ok().flatten().and_then(|service| service.pid));
            let adopted = clock::wait_for("the service is in its list", STEP_LIMIT, PAUSE, adopted)?;
            if adopted != raw(pid) {
                bail!("it has process {adopted}, and process {pid} was there");
            }
            Ok(None)
        })?;
        timeline.step(&format!("{name} is back in every document"), || {
            seen(&watches.iter().collect::<Vec<_>>(), address, true, started)
        })?;
        let members = |node: &Node| Ok(node.live_members()? == size);
        timeline.step("every agent sees three members again", || all(cluster, "three members", members))?;
        timeline.step("every node answers again", || all_answer(cluster, &route(&[&cluster.nodes[0]]), size))
    }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn pass(time: Duration) -> Result<Option<Duration>> {
    let end = clock::now() + time;
    clock::wait_for("time passes", time * 2, PAUSE, || Ok((clock::now() >= end).then_some(())))?;
    Ok(None)
}

fn all(cluster: &Cluster, what: &str, look: impl FnMut(&Node) -> Result<bool>) -> Result<Option<Duration>> {
    cluster.wait_for_all(what, STEP_LIMIT, look).map(|()| None)
}

fn with_traefik(cluster: &Cluster) -> bool {
    cluster.nodes.iter().all(Node::has_traefik)
}

/// Routers of the service are there, and Traefik has no complaint about any router.
fn enabled(node: &Node) -> Result<bool> {
    let routers = node.traefik_routers()?;
    if let Some((name, rule, status)) = routers.iter().find(|(_, _, status)| status != "enabled") {
        bail!("router {name} ({rule}) is {status}");
    }
    let host = format!("Host(`{SERVICE}.{DOMAIN}`)");
    Ok(routers.iter().any(|(_, rule, _)| rule.contains(&host)))
}

fn with_proxy(cluster: &Cluster) -> bool {
    cluster.nodes.iter().all(Node::has_proxy)
}

/// Through the Traefiks of `nodes`, through their own proxies, or straight to the servers that their agents name. A proxy dies
/// with its agent; a visitor then comes to the next address.
fn route(nodes: &[&Node]) -> Route {
    let webs = || nodes.iter().map(|node| node.at(WEB_PORT)).collect();
    if nodes.iter().all(|node| node.has_traefik()) {
        Route::Traefik(webs())
    } else if nodes.iter().all(|node| node.has_proxy()) {
        Route::Addresses(webs())
    } else {
        Route::Direct(nodes.iter().map(|node| IpAddr::from(node.address)).collect())
    }
}

/// Under the service's one name each node answers in its turn; a proxy gives that to its own node first, so there each is asked
/// by its own name.
fn all_answer(cluster: &Cluster, route: &Route, size: usize) -> Result<Option<Duration>> {
    if with_proxy(cluster) {
        let answers = |node: &Node| {
            let answered = request(route, &format!("{SERVICE}.{}.{DOMAIN}", node.name), 0)?;
            ensure!(answered == node.name, "{answered} answered for {}", node.name);
            Ok(true)
        };
        return all(cluster, "each answers to its name", answers);
    }
    let host = format!("{SERVICE}.{DOMAIN}");
    let (mut names, mut number, mut last) = (BTreeSet::new(), 0, String::new());
    let asked = clock::wait_for("an answer of every node", STEP_LIMIT, PAUSE, || {
        match request(route, &host, number) {
            Ok(name) => {
                names.insert(name);
            }
            Err(error) => last = format!("{error:#}"),
        }
        number += 1;
        Ok((names.len() == size).then_some(()))
    });
    asked.with_context(|| format!("only {names:?} answered; last failure: {last}")).map(|()| None)
}

fn per_node(cluster: &Cluster) -> Result<Option<Duration>> {
    let entry = route(&[&cluster.nodes[0]]);
    for node in &cluster.nodes {
        let host = format!("{SERVICE}.{}.{DOMAIN}", node.name);
        let answered = request(&entry, &host, 0)?;
        ensure!(answered == node.name, "{host} was answered by {answered}");
    }
    Ok(None)
}

fn running_service(node: &Node) -> Result<Pid> {
    let pid = node.service()?.and_then(|service| service.pid).and_then(Pid::from_raw);
    pid.with_context(|| format!("no service runs on {}", node.name))
}

/// Until every watcher has seen the state; measured is when the last of them did.
fn seen(
    watches: &[&DocumentWatch],
    address: IpAddr,
    present: bool,
    since: Instant,
) -> Result<Option<Duration>> {
    let last = clock::wait_for("every document says so", STEP_LIMIT, PAUSE, || {
        let moments: Option<Vec<Instant>> =
            watches.iter().map(|watch| watch.first(address, present, since)).collect();
        Ok(moments.and_then(|moments| moments.into_iter().max()))
    })?;
    Ok(Some(last - since))
}

/// Until every watcher has seen it gone and then there again.
fn seen_again(watches: &[&DocumentWatch], address: IpAddr, since: Instant) -> Result<Option<Duration>> {
    let last = clock::wait_for("every document says so", STEP_LIMIT, PAUSE, || {
        let again = |watch: &&DocumentWatch| {
            let gone = watch.first(address, false, since)?;
            watch.first(address, true, gone)
        };
        let moments: Option<Vec<Instant>> = watches.iter().map(again).collect();
        Ok(moments.and_then(|moments| moments.into_iter().max()))
    })?;
    Ok(Some(last - since))
}
