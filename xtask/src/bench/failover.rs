//! `cargo xtask bench failover`: what visitors notice when a backend is killed, and when its host goes silent.
//!
//! Two nodes serve; a third is the front, with a Traefik that reads its agent's document and with the agent's own proxy. Each node has
//! a network namespace, so that a host can fall silent as by a pulled cable: its packets are dropped where they would arrive,
//! and nobody gets a refusal. All loads run at once, so that each death meets all of them.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::{Pid, Signal};
use serde_json::json;

use super::quiet::{self, Others};
use crate::{
    clock::{self, millis},
    cluster::{
        Cluster, DOMAIN, Load, Network, Node, PROXY_PORT, Place, Plan, Report, Route, START_GRACE, Sample,
        WEB_PORT, request,
    },
    network::{Namespaces, Wall},
    table::Table,
    tools::{agent, traefik},
    workspace::Workspace,
};

const NODES: u8 = 3;
/// Where the visitors are.
const VISITORS: u8 = NODES + 1;
/// Serves nothing itself.
const FRONT: usize = 0;
const BACKENDS: [usize; 2] = [1, 2];
/// Deaths of each kind; half of them meet each service where it hurts our proxy most.
const TRIALS: usize = 6;
const PER_SECOND: u32 = 100;
/// Before the death.
const WARM: Duration = Duration::from_millis(1500);
/// Requests of so long after it count: 400.
const DEAD: Duration = Duration::from_secs(4);
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(25);
const REST: Duration = Duration::from_millis(500);
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// The services; one says how soon it begins to answer, which is what a request on a kept connection to a silent host needs.
const SERVICES: [(&str, u16, &[&str]); 2] =
    [("plain", 9101, &[]), ("prompt", 9201, &["constellation.response-timeout=1s"])];

/// Through what requests go.
const FRONTS: [(&str, u16); 2] = [("Traefik", WEB_PORT), ("our proxy", PROXY_PORT)];

/// How a backend is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// SIGKILL to the process, under an agent that lives on.
    Killed,
    /// Nothing comes from its host any more, and nothing gets there.
    Silent,
}

impl Death {
    const ALL: [Self; 2] = [Self::Killed, Self::Silent];

    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "backend killed -9",
            Self::Silent => "host silent",
        }
    }

    /// Failed requests of 400.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Killed => "0",
            Self::Silent => "0 or 1 of 400",
        }
    }
}

/// What one load saw of all deaths of a kind.
#[derive(Debug)]
struct Seen {
    death: Death,
    front: &'static str,
    service: &'static str,
    /// Those in which requests had reached the victim before; the others tell nothing.
    trials: Vec<Trial>,
}

/// What it saw of one.
#[derive(Clone, Debug, Default)]
struct Trial {
    before: Report,
    dead: Report,
    /// When the last request was sent that failed, from the death on.
    last_failure: Duration,
    /// Why requests failed, one of them.
    why: Option<String>,
}

/// Measures and prints.
///
/// # Errors
/// When this machine allows no namespaces, something does not come up, or the cluster does not recover between two deaths.
pub(super) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    say!("\n=== failover: two nodes that serve, and a front ===");
    let agent = agent::build(workspace, agent::Profile::Release)?;
    let traefik = traefik::prepare(workspace)?;
    let folder = workspace.target("bench-failover");
    let place = Place::take(&folder, false)?;
    let namespaces = Arc::new(Namespaces::up(&folder, VISITORS)?);
    let network = Network::Namespaces(Arc::clone(&namespaces));
    let plan = Plan {
        agent,
        traefik: Some(traefik),
        proxy: true,
        size: NODES,
        network,
        data: Vec::new(),
        leases: false,
        cloudflare: None,
    };
    let before = quiet::wait(QUIET_LIMIT)?;
    let others = Others::count();
    // A thread of its own, because a thread that has entered a namespace stays there.
    let seen = thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            namespaces.enter(VISITORS)?;
            let mut cluster = Cluster::start(&plan, place)?;
            let measured = measure(&cluster, &namespaces);
            if measured.is_err() {
                cluster.keep_files();
            }
            cluster.end()?;
            measured
        });
        visitor.join().map_err(|_| anyhow!("the bench panicked"))?
    })?;
    if json {
        seen.iter().for_each(|seen| say!("{}", seen.json()));
        return Ok(());
    }
    say!("\n{}", table(&seen).render());
    for seen in &seen {
        if let Some(why) = seen.trials.iter().find_map(|trial| trial.why.as_deref()) {
            say!("{}, {}, {}: for instance: {why}", seen.death.name(), seen.front, seen.service);
        }
    }
    say!(
        "{TRIALS} deaths of each kind; {PER_SECOND} GET/s through each front to each service, each on a new connection, given up \
         after 2 s; counted are those of the {DEAD:?} after the death. \
         Left out are deaths of a node that the front had asked nothing. `prompt` has the label constellation.response-timeout=1s."
    );
    say!("others used {before:.2} cores before, and {:.2} on average meanwhile", others.cores());
    Ok(())
}

fn measure(cluster: &Cluster, namespaces: &Namespaces) -> Result<Vec<Seen>> {
    cluster.wait_for_all("all members", LIMIT, |node| Ok(node.live_members()? == usize::from(NODES)))?;
    for (name, port, labels) in SERVICES {
        cluster.deploy_on(&BACKENDS, name, port, labels)?;
    }
    settled(cluster)?;
    clock::pass(START_GRACE)?;
    let mut seen = Vec::new();
    for death in Death::ALL {
        let mut of_death: Vec<Seen> = FRONTS
            .iter()
            .flat_map(|(front, _)| {
                SERVICES.map(|(service, ..)| Seen { death, front, service, trials: Vec::new() })
            })
            .collect();
        for (trial, (service, ..)) in (1..=TRIALS).zip(SERVICES.into_iter().cycle()) {
            let victim = favourite(cluster, service)?;
            say!("  {}, {trial} of {TRIALS}: {}", death.name(), victim.name);
            let trials = die(cluster, namespaces, victim, death)?;
            for (seen, trial) in of_death.iter_mut().zip(trials) {
                seen.trials.extend(trial);
            }
            settled(cluster)?;
        }
        seen.extend(of_death);
    }
    Ok(seen)
}

/// Waits until Traefik reaches every service on both nodes; our proxy has the same document, and no turns that it would keep.
fn settled(cluster: &Cluster) -> Result<()> {
    cluster.wait_for_all("all members", LIMIT, |node| Ok(node.live_members()? == usize::from(NODES)))?;
    let route = Route::Traefik(vec![front(cluster)?.at(WEB_PORT)]);
    for (service, ..) in SERVICES {
        for index in BACKENDS {
            let backend = &cluster.nodes.get(index).context("there is no such node")?.name;
            clock::wait_for(&format!("Traefik reaches {service} on {backend}"), LIMIT, PAUSE, || {
                Ok(request(&route, &host(service), 0).is_ok_and(|name| name == *backend).then_some(()))
            })?;
        }
    }
    // Behind a Traefik's throttle there may be one more change.
    clock::pass(REST)
}

/// The node that our proxy asks for a service: while it has little to do that is nearly always the same one, the faster. Traefik
/// asks in turn, so any will do for it.
fn favourite<'a>(cluster: &'a Cluster, service: &str) -> Result<&'a Node> {
    let route = Route::Traefik(vec![front(cluster)?.at(PROXY_PORT)]);
    let name = request(&route, &host(service), 0)?;
    cluster.nodes.iter().find(|node| node.name == name).with_context(|| format!("who is {name}?"))
}

/// One death under load; the order is that of fronts and, within, services.
fn die(
    cluster: &Cluster,
    namespaces: &Namespaces,
    victim: &Node,
    death: Death,
) -> Result<Vec<Option<Trial>>> {
    let front = front(cluster)?;
    let pids: Vec<Pid> =
        victim.processes()?.into_iter().filter_map(|process| process.pid.and_then(Pid::from_raw)).collect();
    ensure!(pids.len() == SERVICES.len(), "{} processes run on {}", pids.len(), victim.name);
    let mut loads = Vec::new();
    for (_, port) in FRONTS {
        for (service, ..) in SERVICES {
            loads.push(Load::start(&Route::Traefik(vec![front.at(port)]), &host(service), PER_SECOND)?);
        }
    }
    clock::pass(WARM)?;
    let died = clock::now();
    match death {
        Death::Killed => {
            for pid in pids {
                rustix::process::kill_process(pid, Signal::KILL).context("could not kill a backend")?;
            }
        }
        Death::Silent => silence(namespaces, victim.number())?,
    }
    clock::pass(DEAD)?;
    let samples: Vec<Vec<Sample>> = loads.into_iter().map(Load::finish).collect();
    match death {
        Death::Killed => {
            for (service, ..) in SERVICES {
                victim.ask(&["process", "start", service])?;
            }
        }
        Death::Silent => namespaces.heal()?,
    }
    Ok(samples.iter().map(|samples| Trial::of(samples, died, &victim.name)).collect())
}

/// From now on nothing passes between the victim's host and the others.
fn silence(namespaces: &Namespaces, victim: u8) -> Result<()> {
    let others: Vec<u8> = (1..=VISITORS).filter(|other| *other != victim).collect();
    // Its own ears first: from then on it answers nobody.
    namespaces.block(victim, &others, Wall::Silent)?;
    others.iter().try_for_each(|other| namespaces.block(*other, &[victim], Wall::Silent))
}

fn front(cluster: &Cluster) -> Result<&Node> {
    cluster.nodes.get(FRONT).context("there is no front")
}

fn host(service: &str) -> String {
    format!("{service}.{DOMAIN}")
}

impl Trial {
    /// `None` when the victim was asked nothing before it died: then its death tells nothing.
    fn of(samples: &[Sample], died: Instant, victim: &str) -> Option<Self> {
        let end = died + DEAD;
        let asked = samples.iter().any(|sample| sample.sent < died && sample.answer.as_deref() == Ok(victim));
        if !asked {
            return None;
        }
        let begin = samples.first().map_or(died, |sample| sample.sent);
        let failed = || {
            let within = samples.iter().filter(|sample| sample.sent >= died && sample.sent < end);
            within.filter_map(|sample| Some((sample.sent, sample.answer.as_ref().err()?)))
        };
        Some(Self {
            before: Report::of(samples, begin, died),
            dead: Report::of(samples, died, end),
            last_failure: failed().next_back().map(|(sent, _)| sent - died).unwrap_or_default(),
            why: failed().next().map(|(_, why)| why.clone()),
        })
    }
}

impl Seen {
    fn requests(&self) -> usize {
        self.trials.iter().map(|trial| trial.dead.requests).sum()
    }

    fn failed(&self) -> Vec<usize> {
        self.trials.iter().map(|trial| trial.dead.failed).collect()
    }

    fn longest(&self, of: impl Fn(&Trial) -> Duration) -> f64 {
        millis(self.trials.iter().map(of).max().unwrap_or_default())
    }

    fn json(&self) -> String {
        json!({
            "bench": "failover", "death": self.death.name(), "front": self.front, "service": self.service,
            "requests": self.requests(), "failed": self.failed(), "wanted": self.death.wanted(),
            "last_failure_ms": self.longest(|trial| trial.last_failure),
            "slowest_ms": self.longest(|trial| trial.dead.slowest),
            "slowest_before_ms": self.longest(|trial| trial.before.slowest),
            "failed_before": self.trials.iter().map(|trial| trial.before.failed).sum::<usize>(),
        })
        .to_string()
    }
}

fn table(seen: &[Seen]) -> Table {
    let mut table = Table::new(&[
        "death",
        "through",
        "service",
        ">failed",
        ">of",
        "in each trial",
        ">last failure after ms",
        ">slowest ms",
        ">before ms",
        "wanted",
    ]);
    for seen in seen {
        let failed = seen.failed();
        table.row([
            seen.death.name().to_owned(),
            seen.front.to_owned(),
            seen.service.to_owned(),
            failed.iter().sum::<usize>().to_string(),
            seen.requests().to_string(),
            failed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            format!("{:.0}", seen.longest(|trial| trial.last_failure)),
            format!("{:.0}", seen.longest(|trial| trial.dead.slowest)),
            format!("{:.0}", seen.longest(|trial| trial.before.slowest)),
            seen.death.wanted().to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sent: Instant, took: u64, answer: Result<&str, &str>) -> Sample {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        Sample { sent, took: Duration::from_millis(took), answer }
    }

    #[test]
    fn only_what_was_sent_after_the_death_counts_against_the_front() {
        let died = clock::now() + Duration::from_secs(10);
        let at = |millis: u64| died + Duration::from_millis(millis);
        let samples = [
            sample(died - Duration::from_millis(20), 3, Ok("n3")),
            sample(died - Duration::from_millis(10), 9, Err("early")),
            sample(at(0), 700, Ok("n2")),
            sample(at(30), 2, Err("502")),
            sample(at(4000), 2000, Err("too late to count")),
        ];
        let trial = Trial::of(&samples, died, "n3").unwrap();
        assert_eq!((trial.before.requests, trial.before.failed), (2, 1));
        assert_eq!((trial.dead.requests, trial.dead.failed), (2, 1));
        assert_eq!(trial.dead.slowest, Duration::from_millis(700));
        assert_eq!((trial.last_failure, trial.why.as_deref()), (Duration::from_millis(30), Some("502")));
    }

    #[test]
    fn the_death_of_a_backend_that_nobody_asked_is_no_measurement() {
        let died = clock::now() + Duration::from_secs(10);
        let samples = [sample(died - Duration::from_millis(20), 3, Ok("n2"))];
        assert!(Trial::of(&samples, died, "n3").is_none());
    }
}
