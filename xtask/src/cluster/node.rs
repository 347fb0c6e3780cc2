//! One node: the life of its agent and of its Traefik.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::{DOMAIN, Network, Plan, TRAEFIK_GRACE, place::Place};
use crate::child::Group;

const GOSSIP_PORT: u16 = 7946;
const RAFT_PORT: u16 = 8300;
pub(crate) const PROVIDER_PORT: u16 = 8081;
/// The entry point `web`, of Traefik or of the agent itself.
pub(crate) const WEB_PORT: u16 = 8000;
/// The same entry point of the agent, where a Traefik has the other port.
pub(crate) const PROXY_PORT: u16 = 8001;
/// Traefik's own API and dashboard.
pub(crate) const TRAEFIK_API_PORT: u16 = 8080;
/// The service of the node at 127.0.0.N listens on N ports after this one: the services of all nodes, and those of a
/// demo beside a bench, share 127.0.0.1.
const SERVICE_PORT_BASE: u16 = 9000;

/// A node of a cluster on this machine.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    number: u8,
    network: Network,
    pub(super) program: PathBuf,
    traefik_program: Option<PathBuf>,
    proxy: bool,
    folder: PathBuf,
    data: PathBuf,
    pub(super) socket: PathBuf,
    arguments: Vec<String>,
    leases: bool,
    mark: (String, String),
    agent: Option<Group>,
    traefik: Option<Group>,
}

/// Where an agent serves HTTP itself: where a Traefik would, or beside it.
fn ingress_port(beside_traefik: bool) -> u16 {
    if beside_traefik { PROXY_PORT } else { WEB_PORT }
}

impl Node {
    pub(super) fn new(number: u8, plan: &Plan, key: &Path, place: &Place) -> Result<Self> {
        let name = format!("n{number}");
        let address = plan.network.address(number);
        let folder = place.file(&format!("node-{number}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let socket = place.socket(&name);
        let join: Vec<String> = (1..=plan.size)
            .filter(|other| *other != number)
            .map(|other| format!("{}:{GOSSIP_PORT}", plan.network.address(other)))
            .collect();
        let data = plan.data.get(usize::from(number) - 1).cloned().unwrap_or_else(|| folder.join("data"));
        let path = |path: &Path| path.display().to_string();
        let mut pairs = vec![
            ("--node-name", name.clone()),
            ("--cluster", "demo".to_owned()),
            ("--domain", DOMAIN.to_owned()),
            ("--mesh-address", address.to_string()),
            ("--gossip-port", GOSSIP_PORT.to_string()),
            ("--join", join.join(",")),
            ("--keyring", path(key)),
            ("--runtime", "process".to_owned()),
            ("--provider-listen", format!("{address}:{PROVIDER_PORT}")),
            ("--entry-points", "web".to_owned()),
            ("--data-dir", path(&data)),
            ("--socket", path(&socket)),
        ];
        if plan.proxy {
            pairs.push(("--ingress", format!("web={address}:{}", ingress_port(plan.traefik.is_some()))));
        }
        if plan.leases {
            pairs.extend([
                ("--secrets-path", path(&folder.join("secrets"))),
                ("--raft-port", RAFT_PORT.to_string()),
                ("--bootstrap-expect", plan.size.to_string()),
            ]);
        }
        let flags = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let arguments = flags.flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let (variable, value) = place.variable();
        Ok(Self {
            name,
            address,
            number,
            network: plan.network.clone(),
            program: plan.agent.clone(),
            traefik_program: plan.traefik.clone(),
            proxy: plan.proxy,
            folder,
            data,
            socket,
            arguments,
            leases: plan.leases,
            mark: (variable.to_owned(), value.to_owned()),
            agent: None,
            traefik: None,
        })
    }

    /// Gives its agent more arguments, from its next start on.
    pub(super) fn add_arguments(&mut self, more: impl IntoIterator<Item = String>) {
        self.arguments.extend(more);
    }

    /// Where its agent keeps its data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Its number, from one on.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// A port of this node.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address, port))
    }

    /// `NAME=value` as it stands in the environment of its processes.
    pub(super) fn mark(&self) -> String {
        format!("{}={}", self.mark.0, self.mark.1)
    }

    pub(super) fn service_port(&self) -> u16 {
        SERVICE_PORT_BASE + u16::from(self.address.octets()[3])
    }

    /// # Errors
    /// Names the first port that something else holds.
    pub(super) fn check_ports(&self) -> Result<()> {
        if !self.network.is_ours() {
            return Ok(()); // a namespace that was made a moment ago holds nothing
        }
        let mut tcp = vec![PROVIDER_PORT];
        if self.leases {
            tcp.push(RAFT_PORT);
        }
        if self.traefik_program.is_some() {
            tcp.extend([WEB_PORT, TRAEFIK_API_PORT]);
        }
        if self.proxy {
            tcp.push(ingress_port(self.traefik_program.is_some()));
        }
        let service = SocketAddr::from(([127, 0, 0, 1], self.service_port()));
        for address in tcp.into_iter().map(|port| self.at(port)).chain([service]) {
            TcpListener::bind(address).with_context(|| {
                format!("{address}/tcp is not free: end what listens there, then try again")
            })?;
        }
        let gossip = self.at(GOSSIP_PORT);
        UdpSocket::bind(gossip)
            .with_context(|| format!("{gossip}/udp is not free: end what listens there, then try again"))?;
        Ok(())
    }

    /// Starts its agent, now or again.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn start_agent(&mut self) -> Result<()> {
        let log = self.log("agent.log")?;
        let mut command = self.network.command(self.number, &self.program);
        clean(&mut command);
        command.arg("run").args(&self.arguments).env(&self.mark.0, &self.mark.1);
        command.stdout(log.try_clone()?).stderr(log);
        self.agent = Some(Group::spawn(format!("the agent of {}", self.name), &mut command)?);
        Ok(())
    }

    /// Starts its Traefik, if there is one.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn start_traefik(&mut self) -> Result<()> {
        let Some(program) = &self.traefik_program else { return Ok(()) };
        let log = self.log("traefik.log")?;
        let mut command = self.network.command(self.number, program);
        // The settings that the agent's documentation recommends: poll fast, and do not throttle what was polled.
        command
            .arg(format!("--entrypoints.web.address={}", self.at(WEB_PORT)))
            .arg(format!("--entrypoints.traefik.address={}", self.at(TRAEFIK_API_PORT)))
            .arg(format!("--providers.http.endpoint=http://{}/api/dynamic", self.at(PROVIDER_PORT)))
            .args(["--providers.http.pollinterval=250ms", "--providers.providersthrottleduration=100ms"])
            .args(["--api.insecure=true", "--api.dashboard=true", "--ping=true", "--log.level=INFO"])
            .args(["--global.checknewversion=false", "--global.sendanonymoususage=false"])
            .current_dir(&self.folder)
            .env(&self.mark.0, &self.mark.1)
            .stdout(log.try_clone()?)
            .stderr(log);
        self.traefik = Some(Group::spawn(format!("the Traefik of {}", self.name), &mut command)?);
        Ok(())
    }

    /// Gives it a Traefik after all.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn add_traefik(&mut self, program: PathBuf) -> Result<()> {
        self.traefik_program = Some(program);
        self.start_traefik()
    }

    /// Ends its Traefik.
    pub(crate) fn remove_traefik(&mut self) {
        self.traefik_program = None;
        if let Some(mut traefik) = self.traefik.take() {
            traefik.stop(TRAEFIK_GRACE);
        }
    }

    /// Whether the node has a Traefik.
    pub(crate) fn has_traefik(&self) -> bool {
        self.traefik.is_some()
    }

    /// Whether its agent serves HTTP itself.
    pub(crate) const fn has_proxy(&self) -> bool {
        self.proxy
    }

    /// Whether its agent runs, as far as we know.
    pub(crate) fn agent_runs(&mut self) -> bool {
        self.agent.as_mut().is_some_and(|agent| matches!(agent.ended(), Ok(None)))
    }

    /// The process id of its agent.
    pub(crate) fn agent_pid(&self) -> Option<rustix::process::Pid> {
        self.agent.as_ref().map(Group::pid)
    }

    /// If its agent ended by itself: how. Only once.
    pub(super) fn fell(&mut self) -> Option<String> {
        let status = self.agent.as_mut()?.ended().ok()??;
        self.agent = None;
        Some(status.to_string())
    }

    /// SIGKILL to its agent, parent and worker at once, and to nothing else: services have process groups of their own.
    pub(crate) fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill();
        }
    }

    /// SIGTERM to its agent. True if it ended by itself within `grace`; it is gone in any case.
    pub(crate) fn stop_agent(&mut self, grace: Duration) -> bool {
        self.agent.take().is_none_or(|mut agent| agent.stop(grace))
    }

    /// A signal to its agent, parent and worker at once.
    pub(crate) fn signal_agent(&self, signal: Signal) {
        if let Some(agent) = &self.agent {
            agent.signal(signal);
        }
    }

    /// Ends its agent and its Traefik; says what had to be killed.
    pub(super) fn stop(&mut self, agent_grace: Duration, traefik_grace: Duration) -> Vec<String> {
        let mut unruly = Vec::new();
        if !self.stop_agent(agent_grace) {
            unruly.push(format!("the agent of {} did not end within {agent_grace:?} of SIGTERM", self.name));
        }
        if let Some(mut traefik) = self.traefik.take()
            && !traefik.stop(traefik_grace)
        {
            unruly.push(format!("the Traefik of {} did not end within {traefik_grace:?}", self.name));
        }
        unruly
    }

    pub(super) fn log(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        open.with_context(|| format!("could not write {}", path.display()))
    }
}

/// The agent reads its settings from the environment too: what stands in ours must not change the demo.
pub(super) fn clean(command: &mut Command) {
    let ours = |name: &str| {
        ["CONSTELLATION_", "TRAEFIK_", "DNS_", "CLOUDFLARE_"].iter().any(|start| name.starts_with(start))
    };
    let exact =
        ["TS_HOSTNAME", "DOMAIN", "PUBLIC_IP", "NODE_PRIORITY", "MESH_ADDRESS", "GOSSIP_PORT", "RAFT_PORT"];
    let more =
        ["GATEWAY_PORTS", "SECRETS_PATH", "DOCKER_SOCKET", "HEALTH_INTERVAL", "PROVIDER_LISTEN", "DATA_DIR"];
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if ours(name) || exact.contains(&name) || more.contains(&name) {
            command.env_remove(name);
        }
    }
}
