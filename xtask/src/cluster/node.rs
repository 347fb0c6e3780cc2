//! One node: its agent, its Traefik, and how to ask both.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{DOMAIN, Document, Plan, SERVICE, TRAEFIK_GRACE, document::address_of, place::Place};
use crate::{
    child::{self, Group},
    http::Client,
};

const GOSSIP_PORT: u16 = 7946;
pub(crate) const PROVIDER_PORT: u16 = 8081;
/// Traefik's entry point `web`.
pub(crate) const TRAEFIK_WEB_PORT: u16 = 8000;
/// Traefik's own API and dashboard.
pub(crate) const TRAEFIK_API_PORT: u16 = 8080;
/// The service of the node at 127.0.0.N listens on N ports after this one: the services of all nodes, and those of a
/// demo beside a bench, share 127.0.0.1.
const SERVICE_PORT_BASE: u16 = 9000;
/// A question to an agent on this machine.
const ASK_LIMIT: Duration = Duration::from_secs(15);

/// Asks the service for its health, with nothing but what every Debian has.
const HEALTH: &str = "bash -c 'exec 3<>\"/dev/tcp/$CONSTELLATION_ADDRESS/$PORT\" && \
                      printf \"GET /health HTTP/1.0\\r\\n\\r\\n\" >&3 && grep -q OK <&3'";

/// How a service is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Started again when it ends, and asked for its health every second.
    Full,
    /// Left alone: for measuring a death without what follows it.
    None,
}

/// One line of `process ls --json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) pid: Option<i32>,
}

/// A node of a cluster on loopback.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    program: PathBuf,
    traefik_program: Option<PathBuf>,
    folder: PathBuf,
    socket: PathBuf,
    arguments: Vec<String>,
    mark: (String, String),
    agent: Option<Group>,
    traefik: Option<Group>,
}

impl Node {
    pub(super) fn new(
        number: u16,
        address: Ipv4Addr,
        all: &[Ipv4Addr],
        plan: &Plan,
        key: &Path,
        place: &Place,
    ) -> Result<Self> {
        let name = format!("n{number}");
        let folder = place.file(&format!("node-{number}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let socket = place.socket(&name);
        let join: Vec<String> = all
            .iter()
            .filter(|other| **other != address)
            .map(|other| format!("{other}:{GOSSIP_PORT}"))
            .collect();
        let path = |path: &Path| path.display().to_string();
        let pairs = [
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
            ("--data-dir", path(&folder.join("data"))),
            ("--socket", path(&socket)),
        ];
        let flags = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let arguments = flags.flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let (variable, value) = place.variable();
        Ok(Self {
            name,
            address,
            program: plan.agent.clone(),
            traefik_program: plan.traefik.clone(),
            folder,
            socket,
            arguments,
            mark: (variable.to_owned(), value.to_owned()),
            agent: None,
            traefik: None,
        })
    }

    /// A port of this node.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address, port))
    }

    fn service_port(&self) -> u16 {
        SERVICE_PORT_BASE + u16::from(self.address.octets()[3])
    }

    /// # Errors
    /// Names the first port that something else holds.
    pub(super) fn check_ports(&self) -> Result<()> {
        let mut tcp = vec![PROVIDER_PORT];
        if self.traefik_program.is_some() {
            tcp.extend([TRAEFIK_WEB_PORT, TRAEFIK_API_PORT]);
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
        let mut command = Command::new(&self.program);
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
        let mut command = Command::new(program);
        // The settings that the agent's documentation recommends: poll fast, and do not throttle what was polled.
        command
            .arg(format!("--entrypoints.web.address={}", self.at(TRAEFIK_WEB_PORT)))
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

    /// Whether its agent runs, as far as we know.
    pub(super) fn agent_runs(&mut self) -> bool {
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

    /// SIGKILL to its agent, and to nothing else.
    pub(crate) fn crash_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.crash();
        }
    }

    /// Ends its agent and its Traefik; says what had to be killed.
    pub(super) fn stop(&mut self, agent_grace: Duration, traefik_grace: Duration) -> Vec<String> {
        let mut unruly = Vec::new();
        if let Some(mut agent) = self.agent.take()
            && !agent.stop(agent_grace)
        {
            unruly.push(format!("the agent of {} did not end within {agent_grace:?} of SIGTERM", self.name));
        }
        if let Some(mut traefik) = self.traefik.take()
            && !traefik.stop(traefik_grace)
        {
            unruly.push(format!("the Traefik of {} did not end within {traefik_grace:?}", self.name));
        }
        unruly
    }

    /// Runs a command of the agent's command line against this node and returns what it prints.
    ///
    /// # Errors
    /// When it fails; what it said is in the node's `commands.log`.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<String> {
        let (before, after) = match arguments.iter().position(|argument| *argument == "--") {
            Some(at) => arguments.split_at(at),
            None => (arguments, &[][..]),
        };
        let mut command = Command::new(&self.program);
        clean(&mut command);
        command.args(before).arg("--socket").arg(&self.socket).args(after);
        command.stderr(self.log("commands.log")?);
        child::output(&format!("{} {}", self.name, before.join(" ")), &mut command, ASK_LIMIT)
    }

    /// Starts a process that does nothing.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub(crate) fn deploy_sleeper(&self, name: &str, mark: (&str, &str)) -> Result<()> {
        let mark = format!("{}={}", mark.0, mark.1);
        self.ask(&["process", "run", "--name", name, "--env", &mark, "--", "/bin/sleep", "1000000"])?;
        Ok(())
    }

    /// What a person types to ask its agent.
    pub(crate) fn command(&self, verb: &str) -> String {
        format!("{} {verb} --socket {}", self.program.display(), self.socket.display())
    }

    /// Starts the service; `mark` goes into its environment.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub(crate) fn deploy(&self, mark: (&str, &str), care: Care) -> Result<()> {
        let port = self.service_port().to_string();
        // The runtime says by the environment which address and port it announces for the process.
        let script = "exec \"$0\" whoami --listen \"$CONSTELLATION_ADDRESS:$PORT\" --name \"$1\"";
        let program = self.program.display().to_string();
        let service = format!("constellation.service={SERVICE}");
        let mark = format!("{}={}", mark.0, mark.1);
        let mut arguments = vec!["process", "run", "--name", SERVICE, "--expose", &port];
        if care == Care::Full {
            arguments.extend(["--restart", "always", "--health", HEALTH, "--health-interval", "1s"]);
        }
        arguments.extend(["--label", "traefik.enable=true", "--label", &service, "--env", &mark]);
        arguments.extend(["--", "/bin/sh", "-c", script, &program, &self.name]);
        self.ask(&arguments)?;
        Ok(())
    }

    /// The service's process, if it runs.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub(crate) fn service(&self) -> Result<Option<Process>> {
        let text = self.ask(&["process", "ls", "--json"])?;
        let all: Vec<Process> = serde_json::from_str(&text).context("could not read `process ls --json`")?;
        Ok(all.into_iter().find(|process| process.name == SERVICE && process.pid.is_some()))
    }

    /// Removes every process of this node.
    pub(super) fn remove_services(&self) -> Result<()> {
        let text = self.ask(&["process", "ls", "--json"])?;
        let all: Vec<Process> = serde_json::from_str(&text).context("could not read `process ls --json`")?;
        all.iter().try_for_each(|process| self.ask(&["process", "rm", "--force", &process.name]).map(|_| ()))
    }

    /// How many nodes it sees as live, itself included.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub(crate) fn live_members(&self) -> Result<usize> {
        let text = self.ask(&["members", "--json"])?;
        let rows: Value = serde_json::from_str(&text).context("could not read `members --json`")?;
        let rows = rows.as_array().context("`members --json` is not a list")?;
        Ok(rows.iter().filter(|row| row["state"] == "live").count())
    }

    /// The provider's document.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub(crate) fn document(&self) -> Result<Document> {
        let mut client = Client::tcp(self.at(PROVIDER_PORT), ASK_LIMIT);
        let response = client.get("/api/dynamic")?;
        if response.status != 200 {
            bail!("the provider of {} answered {}: {}", self.name, response.status, response.text());
        }
        Document::parse(&response.body)
    }

    /// Traefik's routers that came from the provider: name, rule, status.
    ///
    /// # Errors
    /// When Traefik's API does not answer.
    pub(crate) fn traefik_routers(&self) -> Result<Vec<(String, String, String)>> {
        let mut client = Client::tcp(self.at(TRAEFIK_API_PORT), ASK_LIMIT);
        let response = client.get("/api/http/routers?per_page=1000")?;
        let value: Value =
            serde_json::from_slice(&response.body).context("Traefik's API did not answer in JSON")?;
        let text = |router: &Value, field: &str| router[field].as_str().unwrap_or_default().to_owned();
        Ok(value
            .as_array()
            .into_iter()
            .flatten()
            .filter(|router| router["provider"] == "http")
            .map(|router| (text(router, "name"), text(router, "rule"), text(router, "status")))
            .collect())
    }

    /// Where Traefik sends requests, whatever the service.
    ///
    /// # Errors
    /// When Traefik's API does not answer.
    pub(crate) fn traefik_servers(&self) -> Result<BTreeSet<IpAddr>> {
        let mut client = Client::tcp(self.at(TRAEFIK_API_PORT), ASK_LIMIT);
        let response = client.get("/api/http/services?per_page=1000")?;
        let services: Value =
            serde_json::from_slice(&response.body).context("Traefik's API did not answer in JSON")?;
        let servers = services.as_array().into_iter().flatten();
        Ok(servers
            .filter_map(|service| service["loadBalancer"]["servers"].as_array())
            .flatten()
            .filter_map(|server| Some(address_of(server["url"].as_str()?)?.ip()))
            .collect())
    }

    fn log(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        open.with_context(|| format!("could not write {}", path.display()))
    }
}

/// The agent reads its settings from the environment too: what stands in ours must not change the demo.
fn clean(command: &mut Command) {
    let ours = |name: &str| name.starts_with("CONSTELLATION_") || name.starts_with("TRAEFIK_");
    let exact = ["TS_HOSTNAME", "DOMAIN", "PUBLIC_IP", "NODE_PRIORITY", "MESH_ADDRESS", "GOSSIP_PORT"];
    let more =
        ["GATEWAY_PORTS", "SECRETS_PATH", "DOCKER_SOCKET", "HEALTH_INTERVAL", "PROVIDER_LISTEN", "DATA_DIR"];
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if ours(name) || exact.contains(&name) || more.contains(&name) {
            command.env_remove(name);
        }
    }
}
