//! The roles of this node's containers, for routes that follow them.
//!
//! Nobody keeps a Redis or a database yet, so a container is asked itself, where its labels say how: every half second, for as
//! long as it runs. What it says is good for a few seconds, so that one missed answer moves no route; from then on it has no
//! role, and routes by role do not lead to it.

mod redis;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use constellation_core::{Clock, Health, InstanceId, Moment, Protocol, Role, error_chain};
use constellation_docker::Container;
use constellation_monitor::{Report, RuntimeState};
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::publish::{self, Reach};

/// How a container is asked for its role; so far `redis`.
const PROBE_LABEL: &str = "constellation.role-probe";
/// The port inside the container that is asked.
const PORT_LABEL: &str = "constellation.role-probe.port";
/// Redis's own port.
const REDIS_PORT: u16 = 6379;

/// Between two rounds. With [`PATIENCE`] it bounds how late a promotion is seen.
const EVERY: Duration = Duration::from_millis(500);
/// How long one answer may take. It is on the same machine.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was said is good for: two or three rounds without an answer are a container that does not answer.
const GOOD_FOR: Duration = Duration::from_secs(3);
/// How many are asked at once: a machine has a few such containers, and one that is silent must not make the others wait.
const AT_ONCE: usize = 32;

/// The roles, as they are known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Whether every container was asked at least once since the start.
    pub(crate) looked: bool,
    /// By instance; those without are not in it.
    pub(crate) known: BTreeMap<InstanceId, Role>,
    /// Why a container has no role although its labels say how to ask; by the container's name.
    pub(crate) problems: BTreeMap<String, String>,
}

/// Asks, round by round.
pub(crate) struct RoleKeeper {
    pub(crate) mesh: IpAddr,
    pub(crate) reports: watch::Receiver<Arc<Report>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) roles: watch::Sender<Roles>,
    pub(crate) learnt: Learnt,
}

impl RoleKeeper {
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        // The publisher waits for the first round, so that comes as soon as it is known whom to ask.
        let looked = self.reports.wait_for(|report| report.runtime != RuntimeState::Unasked);
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = looked => looked.is_ok(),
        };
        if !looked {
            // The monitor ended; its supervisor knows what that means.
            return shutdown.cancelled().await;
        }
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let report = Arc::clone(&self.reports.borrow());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.round(&report) => {}
            }
        }
    }

    async fn round(&mut self, report: &Report) {
        let (asked, unreadable) = probes(report, self.mesh);
        let answers: Vec<(Asked, Result<Role, String>)> = stream::iter(asked)
            .map(|asked| async move {
                let said = ask(asked.address).await;
                (asked, said)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let now = self.clock.now();
        self.learnt.retain(&answers);
        for (asked, said) in answers {
            self.learnt.note(asked, said, now);
        }
        let mut roles = self.learnt.roles(now);
        roles.problems.extend(unreadable);
        self.roles.send_if_modified(|known| {
            let changed = *known != roles;
            *known = roles;
            changed
        });
    }
}

/// A container that is asked.
#[derive(Clone, Debug)]
struct Asked {
    instance: InstanceId,
    name: String,
    address: SocketAddr,
}

async fn ask(address: SocketAddr) -> Result<Role, String> {
    match tokio::time::timeout(PATIENCE, redis::ask(address)).await {
        Ok(said) => said.map_err(|error| error_chain(&error)),
        Err(_) => Err(format!("it did not answer at {address} within {PATIENCE:?}")),
    }
}

/// Which containers are asked where, and which cannot be, by name.
fn probes(report: &Report, mesh: IpAddr) -> (Vec<Asked>, BTreeMap<String, String>) {
    let (mut asked, mut unreadable) = (Vec::new(), BTreeMap::new());
    for observed in report.containers.values().filter(|observed| observed.health != Health::Stopped) {
        match probe(&observed.container, mesh) {
            Some(Ok(address)) => asked.push(Asked {
                instance: observed.instance.clone(),
                name: observed.container.name.clone(),
                address,
            }),
            Some(Err(why)) => drop(unreadable.insert(observed.container.name.clone(), why)),
            None => {}
        }
    }
    (asked, unreadable)
}

fn probe(container: &Container, mesh: IpAddr) -> Option<Result<SocketAddr, String>> {
    let kind = container.labels.get(PROBE_LABEL)?;
    if !kind.trim().eq_ignore_ascii_case("redis") {
        return Some(Err(format!(
            "`{PROBE_LABEL}` is `{}`, which nobody knows how to ask: write `redis`",
            kind.chars().take(32).collect::<String>()
        )));
    }
    let mut exposed =
        container.exposed.iter().filter(|it| it.protocol == constellation_docker::Protocol::Tcp);
    let port = match (container.labels.get(PORT_LABEL), exposed.next(), exposed.next()) {
        (Some(label), ..) => match label.trim().parse() {
            Ok(port) if port != 0 => port,
            _ => return Some(Err(format!("`{PORT_LABEL}` is no port"))),
        },
        (None, Some(only), None) => only.number,
        (None, ..) => REDIS_PORT,
    };
    let unreachable =
        || format!("its port {port} cannot be asked for its role: it has no address on this machine");
    Some(publish::reach(container, (Protocol::Tcp, port), mesh).ok_or_else(unreachable).map(|reach| {
        match reach {
            Reach::Published(address) | Reach::Forward(address) => address,
        }
    }))
}

/// What was learnt so far. A plain value: it is told the time.
#[derive(Debug, Default)]
pub(crate) struct Learnt(BTreeMap<InstanceId, Known>);

#[derive(Debug)]
struct Known {
    name: String,
    /// The last answer, or that there was none yet, and since when that counts.
    role: Option<Role>,
    since: Moment,
    /// Why the last question had no answer.
    unsaid: Option<String>,
}

impl Learnt {
    fn retain(&mut self, answers: &[(Asked, Result<Role, String>)]) {
        self.0.retain(|instance, _| answers.iter().any(|(asked, _)| asked.instance == *instance));
    }

    fn note(&mut self, asked: Asked, said: Result<Role, String>, now: Moment) {
        let known = self.0.entry(asked.instance).or_insert_with(|| Known {
            name: asked.name,
            role: None,
            since: now,
            unsaid: None,
        });
        match said {
            Ok(role) => {
                (known.role, known.since, known.unsaid) = (Some(role), now, None);
            }
            Err(why) => known.unsaid = Some(why),
        }
    }

    fn roles(&self, now: Moment) -> Roles {
        let mut roles = Roles { looked: true, ..Roles::default() };
        for (instance, known) in &self.0 {
            let stale = known.unsaid.is_some() && now.since(known.since) >= GOOD_FOR;
            match (&known.unsaid, known.role) {
                (_, Some(role)) if !stale => drop(roles.known.insert(instance.clone(), role)),
                (Some(why), _) if stale => {
                    roles.problems.insert(known.name.clone(), format!("its role is not known: {why}"));
                }
                // It has just been started; its first answer may still come.
                _ => {}
            }
        }
        roles
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
