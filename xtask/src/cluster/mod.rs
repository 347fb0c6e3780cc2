//! A cluster of real agents as processes on this machine: the demo shows it, the bench measures it, the chaos run breaks
//! it. It knows the agent's command line and API and Traefik's, and nothing of their insides.

mod ask;
mod document;
pub(crate) mod leases;
mod load;
mod network;
mod node;
mod place;
mod watch;
pub(crate) mod zone;

use std::{
    cell::Cell,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::{
    ask::Care,
    document::Document,
    leases::{LeasesAnswer, commit},
    load::{Load, Report, Route, Sample, request},
    network::Network,
    node::{Node, PROVIDER_PORT, PROXY_PORT, TRAEFIK_API_PORT, WEB_PORT},
    place::Place,
    watch::DocumentWatch,
};
use crate::{child, clock, interrupt::Cleaning, procfs};

/// The domain of these clusters: every `*.localhost` name is this machine, without anybody's DNS.
pub(crate) const DOMAIN: &str = "demo.localhost";
/// The service that runs on every node.
pub(crate) const SERVICE: &str = "whoami";
/// An agent takes no route away during its first 5 s, for it may not have heard of everything yet: after this it does.
pub(crate) const START_GRACE: Duration = Duration::from_secs(6);
/// An agent may take 15 s to drain; then it has broken its promise.
const DRAIN_GRACE: Duration = Duration::from_secs(17);
/// Traefik waits for open requests.
const TRAEFIK_GRACE: Duration = Duration::from_secs(12);
/// What is left after that gets this long before SIGKILL.
const SWEEP_GRACE: Duration = Duration::from_secs(3);

/// What to start.
pub(crate) struct Plan {
    /// Our program.
    pub(crate) agent: PathBuf,
    /// Traefik's, if there is one.
    pub(crate) traefik: Option<PathBuf>,
    /// Whether the agents serve HTTP themselves: where a Traefik would, or beside it if there is one.
    pub(crate) proxy: bool,
    /// How many nodes.
    pub(crate) size: u8,
    /// Where they are.
    pub(crate) network: Network,
    /// Where node 1, 2, ... keep their data; in the cluster's folder where nothing is said.
    pub(crate) data: Vec<PathBuf>,
    /// Whether they found a cluster that keeps leases.
    pub(crate) leases: bool,
    /// Cloudflare's simulator, where the agents look after a zone.
    pub(crate) cloudflare: Option<PathBuf>,
}

/// A running cluster. Dropping it ends every process of it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// The zone, if there is one.
    pub(crate) zone: Option<zone::Zone>,
    place: Place,
    /// Whether nodes have services that must be removed in the end.
    serves: Cell<bool>,
    over: bool,
}

impl Cluster {
    /// Ends what an earlier run left, makes a fresh key, and starts the agents and their Traefiks.
    ///
    /// # Errors
    /// When a port is taken or a program does not start.
    pub(crate) fn start(plan: &Plan, place: Place) -> Result<Self> {
        let key = place.file("gossip.key");
        let secret = child::output(
            "constellation-agent keygen",
            Command::new(&plan.agent).arg("keygen").stderr(Stdio::null()),
            Duration::from_secs(20),
        )?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
        file.and_then(|mut file| file.write_all(secret.as_bytes()))
            .with_context(|| format!("could not write {}", key.display()))?;

        let zone =
            plan.cloudflare.as_deref().map(|program| zone::Zone::start(program, &place)).transpose()?;
        let mut cluster = Self { nodes: Vec::new(), zone, place, serves: Cell::new(false), over: false };
        for number in 1..=plan.size {
            let mut node = Node::new(number, plan, &key, &cluster.place)?;
            node.add_arguments(cluster.zone.iter().flat_map(|zone| zone.arguments(number)));
            node.check_ports()?;
            cluster.nodes.push(node);
        }
        for node in &mut cluster.nodes {
            node.start_agent()?;
            node.start_traefik()?;
        }
        Ok(cluster)
    }

    /// Leaves logs and states on the disk, for somebody who must look at them.
    pub(crate) fn keep_files(&mut self) {
        self.place.keep();
    }

    /// Starts the service on every node.
    ///
    /// # Errors
    /// When an agent refuses it.
    pub(crate) fn deploy_services(&self, care: Care) -> Result<()> {
        self.serves.set(true);
        self.nodes.iter().try_for_each(|node| node.deploy(self.place.variable(), care))
    }

    /// Starts a service of another name on some nodes; see [`Node::deploy_as`].
    ///
    /// # Errors
    /// When an agent refuses it.
    pub(crate) fn deploy_on(&self, nodes: &[usize], name: &str, port: u16, labels: &[&str]) -> Result<()> {
        self.serves.set(true);
        let nodes = nodes.iter().filter_map(|index| self.nodes.get(*index));
        nodes
            .into_iter()
            .try_for_each(|node| node.deploy_as(name, port, labels, self.place.variable(), Care::None))
    }

    /// The variable that every process of the cluster must carry, as name and value.
    pub(crate) fn variable(&self) -> (&str, &str) {
        self.place.variable()
    }

    /// Ends everything in order: services by their agents, agents by SIGTERM, Traefiks.
    ///
    /// # Errors
    /// When something did not end by itself and had to be killed; it is gone all the same.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.over {
            return Ok(());
        }
        self.over = true;
        let _cleaning = Cleaning::begin();
        let mut unruly = Vec::new();
        for node in &mut self.nodes {
            // An agent that is down cannot remove its service; the sweep below does.
            if self.serves.get()
                && node.agent_runs()
                && let Err(error) = node.remove_services()
            {
                unruly.push(format!("{error:#}"));
            }
        }
        for node in &mut self.nodes {
            unruly.extend(node.stop(DRAIN_GRACE, TRAEFIK_GRACE));
        }
        if let Some(zone) = &mut self.zone {
            zone.stop();
        }
        let left = procfs::marked(self.place.mark());
        if !left.is_empty() {
            procfs::end_marked(self.place.mark(), SWEEP_GRACE);
            let names: Vec<String> = left.into_iter().map(|(pid, name)| format!("{pid} ({name})")).collect();
            unruly.push(format!("still running after the end: {}", names.join(", ")));
        }
        if unruly.is_empty() { Ok(()) } else { bail!("{}", unruly.join("; ")) }
    }

    /// Agents that ended by themselves since the last look, as index and what happened.
    pub(crate) fn fallen(&mut self) -> Vec<(usize, String)> {
        self.nodes.iter_mut().enumerate().filter_map(|(index, node)| Some((index, node.fell()?))).collect()
    }

    /// Waits until `look` finds on every node what it looks for; a node that cannot be asked has not got it.
    ///
    /// # Errors
    /// When that is not so within `limit`; the error names the nodes that lag behind.
    pub(crate) fn wait_for_all(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Node) -> Result<bool>,
    ) -> Result<()> {
        let mut lagging = String::new();
        let done = clock::wait_for(what, limit, Duration::from_millis(25), || {
            let behind: Vec<String> = self
                .nodes
                .iter()
                .filter_map(|node| match look(node) {
                    Ok(true) => None,
                    Ok(false) => Some(node.name.clone()),
                    Err(error) => Some(format!("{} ({error:#})", node.name)),
                })
                .collect();
            lagging = behind.join(", ");
            Ok(behind.is_empty().then_some(()))
        });
        done.map_err(
            |error| if lagging.is_empty() { error } else { error.context(format!("not on {lagging}")) },
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            complain!("at the end: {error:#}");
        }
    }
}
