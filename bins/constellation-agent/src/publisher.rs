//! The task that tells the others: on each change that the monitor sees, it reads labels, lets the gateway open what is
//! needed, and publishes the result.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use constellation_api::Problem;
use constellation_core::{InstanceId, NodeFacts, error_chain};
use constellation_docker::Protocol;
use constellation_gossip::GossipHandle;
use constellation_monitor::{Observed, Report, RuntimeState};
use constellation_proxy::GatewayHandle;
use constellation_traefik::{LabelConfig, parse_labels};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    greeting::Greetings,
    publish::{self, Wanted},
    roles::Roles,
};

/// How long the first publication waits for the first look at the containers. Without it a restarted agent would first
/// tell the others that nothing runs here, and take its own services out of their routes for that moment.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// How long it waits after that for the first look at their roles: somewhat more than one of them may take to answer.
const FIRST_ROLES: Duration = Duration::from_secs(2);

pub(crate) struct Publisher {
    pub(crate) facts: watch::Receiver<NodeFacts>,
    pub(crate) labels: LabelConfig,
    pub(crate) gateway: GatewayHandle,
    pub(crate) gossip: GossipHandle,
    pub(crate) reports: watch::Receiver<Arc<Report>>,
    pub(crate) roles: watch::Receiver<Roles>,
    pub(crate) problems: watch::Sender<Vec<Problem>>,
    /// Labels of a container never change, so each is read once. Keyed with the ports, which can.
    pub(crate) read: BTreeMap<InstanceId, (Vec<u16>, Wanted)>,
}

impl Publisher {
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut reports = self.reports.clone();
        let looked = reports.wait_for(|report| report.runtime != RuntimeState::Unasked);
        let looked = tokio::time::timeout(FIRST_LOOK, looked).await.is_ok();
        if !looked {
            warn!(
                "the containers could not be looked at yet: the other nodes hear of this node without them"
            );
        }
        // The same for roles: a primary that is not told to be one for a moment is a route without servers for that moment.
        let mut roles = self.roles.clone();
        let asked = roles.wait_for(|roles| roles.looked);
        if looked && tokio::time::timeout(FIRST_ROLES, asked).await.is_err() {
            warn!(
                "the containers could not be asked for their roles yet: the other nodes hear of them without"
            );
        }
        loop {
            let report = Arc::clone(&reports.borrow_and_update());
            self.publish(&report).await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.facts.changed() => if changed.is_err() {
                    return shutdown.cancelled().await;
                },
                changed = reports.changed() => if changed.is_err() {
                    // The monitor ended; its supervisor knows what that means.
                    return shutdown.cancelled().await;
                },
                changed = self.roles.changed() => if changed.is_err() {
                    return shutdown.cancelled().await;
                },
            }
        }
    }

    async fn publish(&mut self, report: &Report) {
        let facts = self.facts.borrow_and_update().clone();
        let roles = self.roles.borrow_and_update().clone();
        self.read.retain(|instance, _| report.containers.contains_key(instance));
        let mut wanted = BTreeMap::new();
        let mut problems = Vec::new();
        for observed in report.containers.values() {
            let read = self.wanted(observed);
            problems.extend(
                read.problems.iter().map(|message| problem("labels", &observed.container.name, message)),
            );
            wanted.insert(observed.instance.clone(), read);
        }
        let mesh = facts.mesh;
        for (name, message) in publish::unreachable(report, &wanted, mesh) {
            problems.push(problem("gateway", &name, &message));
        }
        let listening = match self.gateway.sync(publish::forwards(report, &wanted, mesh)).await {
            Ok(opened) => {
                for error in opened.failed {
                    problems.push(problem("gateway", "endpoint", &error_chain(&error)));
                }
                opened.listening
            }
            Err(error) => {
                warn!(%error, "nothing is published: this agent is on its way out");
                return;
            }
        };
        for (name, message) in &roles.problems {
            problems.push(problem("roles", name, message));
        }
        for (name, message) in &report.problems {
            problems.push(problem("containers", name, message));
        }
        if let RuntimeState::Silent { why } = &report.runtime {
            problems.push(problem("containers", "runtime", why));
        }
        self.gossip.publish(publish::publication(facts, report, &wanted, &listening, &roles.known));
        self.say(problems);
    }

    fn wanted(&mut self, observed: &Observed) -> Wanted {
        let container = &observed.container;
        let ports: Vec<u16> = container
            .exposed
            .iter()
            .filter(|port| port.protocol == Protocol::Tcp)
            .map(|port| port.number)
            .collect();
        if let Some((known, wanted)) = self.read.get(&observed.instance)
            && *known == ports
        {
            return wanted.clone();
        }
        let parsed = parse_labels(&observed.service, &container.labels, &ports, &self.labels);
        let mut problems: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
        let mut greetings = Greetings::default();
        if let Some(routes) = &parsed.routes {
            let (read, wrong) = Greetings::read(&container.labels, routes);
            greetings = read;
            problems.extend(wrong);
        }
        let wanted = Wanted { routes: parsed.routes, greetings, problems };
        self.read.insert(observed.instance.clone(), (ports, wanted.clone()));
        wanted
    }

    /// Logs each problem once, when it appears.
    fn say(&self, problems: Vec<Problem>) {
        let identity =
            |problem: &Problem| (problem.area.clone(), problem.subject.clone(), problem.message.clone());
        let known: BTreeSet<_> = self.problems.borrow().iter().map(identity).collect();
        let now: BTreeSet<_> = problems.iter().map(identity).collect();
        for problem in problems.iter().filter(|problem| !known.contains(&identity(problem))) {
            warn!(area = problem.area, subject = problem.subject, "{}", problem.message);
        }
        if now.len() < known.len() && now.is_empty() {
            info!("the problems of this node's containers are gone");
        }
        if known != now {
            self.problems.send_replace(problems);
        }
    }
}

fn problem(area: &str, subject: &str, message: &str) -> Problem {
    Problem { area: area.to_owned(), subject: subject.to_owned(), message: message.to_owned() }
}
