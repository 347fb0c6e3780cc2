//! Agents as real processes on loopback, for the end-to-end suites. Everything is taken down with the test, also when
//! it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]
#![allow(dead_code, reason = "each suite uses its part")]

pub(crate) mod chromium;
pub(crate) mod http;
pub(crate) mod page;
pub(crate) mod tls;
pub(crate) mod traefik;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_constellation-agent");
/// No wait of a test is longer. Far above what anything takes, so that a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of its own: its own loopback addresses, ports, key and folders.
pub(crate) struct Cluster {
    pub(crate) directory: TempDir,
    pub(crate) key: PathBuf,
    subnet: [u8; 2],
    gossip_port: u16,
}

/// Tests of one binary run side by side in one process, binaries side by side on one machine: a subnet of 127/8 per
/// test, from the process id and a counter.
static NEXT: AtomicU8 = AtomicU8::new(0);

impl Cluster {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("cst-").tempdir().unwrap();
        let key = directory.path().join("gossip.key");
        keygen(&key);
        let process = u8::try_from(std::process::id() % 200).unwrap() + 20;
        let subnet = [process, NEXT.fetch_add(1, Ordering::Relaxed)];
        let gossip_port = free_port(IpAddr::V4(Ipv4Addr::new(127, subnet[0], subnet[1], 1)));
        Self { directory, key, subnet, gossip_port }
    }

    pub(crate) fn address(&self, node: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.subnet[0], self.subnet[1], node))
    }

    /// The settings of node N, before it is started.
    pub(crate) fn node(&self, node: u8) -> Node {
        let address = self.address(node);
        let data = self.directory.path().join(format!("n{node}"));
        Node {
            name: format!("n{node}"),
            address,
            provider: SocketAddr::new(address, free_port(address)),
            socket: data.join("agent.sock"),
            log: self.directory.path().join(format!("n{node}.log")),
            arguments: vec![
                format!("--node-name=n{node}"),
                "--domain=example.test".to_owned(),
                format!("--mesh-address={address}"),
                format!("--gossip-port={}", self.gossip_port),
                format!("--join={}", self.address(1)),
                format!("--keyring={}", self.key.display()),
                format!("--data-dir={}", data.display()),
                "--runtime=process".to_owned(),
                "--health-interval=1s".to_owned(),
                format!(
                    "--secrets-path={}",
                    self.directory.path().join(format!("n{node}-secrets")).display()
                ),
                // One process, so that a test that kills it has killed all of it; the leases' tests take this back.
                "--no-notary".to_owned(),
            ],
            data,
            process: None,
        }
    }

    /// Starts nodes 1 to N and waits until each sees all.
    pub(crate) fn start(&self, nodes: u8) -> Vec<Node> {
        let mut nodes: Vec<Node> = (1..=nodes).map(|node| self.node(node)).collect();
        nodes.iter_mut().for_each(Node::start);
        for node in &nodes {
            node.wait_for_members(nodes.len());
        }
        nodes
    }
}

pub(crate) fn keygen(path: &Path) {
    let made =
        Command::new(AGENT).args(["keygen", "--out"]).arg(path).stderr(Stdio::null()).status().unwrap();
    assert!(made.success());
}

pub(crate) fn free_port(address: IpAddr) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) provider: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) process: Option<Child>,
}

impl Node {
    /// Replaces an argument, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        let prefix = format!("--{name}=");
        self.arguments.retain(|argument| !argument.starts_with(&prefix));
        self.arguments.push(format!("{prefix}{value}"));
    }

    pub(crate) fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(AGENT);
        command.arg("run").args(&self.arguments).arg(format!("--provider-listen={}", self.provider));
        command.arg(format!("--socket={}", self.socket.display())).stdout(Stdio::null()).stderr(log);
        // Its notary and its worker are one group, and nobody else is in it.
        self.process = Some(command.process_group(0).spawn().unwrap());
    }

    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait("it answers", |node| node.ask(&["status"]).is_some());
    }

    /// Runs it and expects it to refuse; what it said.
    pub(crate) fn refuses_to_start(&mut self) -> String {
        self.spawn();
        let code = self.wait_for_end();
        assert!(!code.success(), "{} started although it should not", self.name);
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().unwrap();
        let mut ended = None;
        let came = comes(|| {
            ended = process.try_wait().unwrap();
            ended.is_some()
        });
        if !came {
            self.process = Some(process);
        }
        ended.unwrap_or_else(|| panic!("{} did not end:\n{}", self.name, self.read_log()))
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        let id = self.process.as_ref().unwrap().id();
        rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// kill -9: the agent alone, with its notary; what it runs goes on. Both are over when this returns, and what they had
    /// locked is free.
    pub(crate) fn kill(&mut self) {
        let workers = workers(self.pid());
        rustix::process::kill_process_group(self.pid(), rustix::process::Signal::KILL).unwrap();
        self.process.take().unwrap().wait().unwrap();
        assert!(comes(|| workers.iter().all(|worker| is_over(worker))), "{workers:?} outlive a kill");
    }

    /// Asks it over its socket; `None` while it does not answer.
    pub(crate) fn ask(&self, command: &[&str]) -> Option<Value> {
        let asked = Command::new(AGENT)
            .args(command)
            .arg("--json")
            .arg("--socket")
            .arg(&self.socket)
            .output()
            .unwrap();
        serde_json::from_slice(&asked.stdout).ok()
    }

    pub(crate) fn read_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for a state, and says what was there instead when it does not come.
    pub(crate) fn wait(&self, what: &str, mut state: impl FnMut(&Self) -> bool) {
        if comes(|| state(self)) {
            return;
        }
        let status = self.ask(&["status"]);
        panic!(
            "on {}: not within {PATIENCE:?}: {what}\nstatus: {status:#?}\ndocument: {:#?}\nlog:\n{}",
            self.name,
            self.document(),
            self.read_log()
        );
    }

    pub(crate) fn wait_for_members(&self, count: usize) {
        self.wait(&format!("{count} live members"), |node| {
            node.ask(&["members"]).is_some_and(|members| {
                members.as_array().unwrap().iter().filter(|member| member["state"] == "live").count() == count
            })
        });
    }

    /// The document that Traefik would get; `None` while there is none.
    pub(crate) fn document(&self) -> Option<Value> {
        let (status, body) = http::get(self.provider, "localhost", "/api/dynamic").ok()?;
        (status == 200).then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Every server of the document, of whichever service, without doubles.
    pub(crate) fn servers(&self) -> Vec<SocketAddr> {
        let Some(document) = self.document() else { return Vec::new() };
        let mut servers: Vec<SocketAddr> = document["http"]["services"]
            .as_object()
            .into_iter()
            .flat_map(|services| services.values())
            .filter_map(|service| service["loadBalancer"]["servers"].as_array())
            .flatten()
            .filter_map(|server| {
                server["url"].as_str()?.strip_prefix("http://")?.trim_end_matches('/').parse().ok()
            })
            .collect();
        servers.sort();
        servers.dedup();
        servers
    }

    pub(crate) fn has_rule(&self, part: &str) -> bool {
        self.document().is_some_and(|document| {
            document["http"]["routers"].as_object().is_some_and(|routers| {
                routers.values().any(|router| router["rule"].as_str().unwrap().contains(part))
            })
        })
    }

    pub(crate) fn problems(&self) -> String {
        self.ask(&["status"]).map(|status| status["problems"].to_string()).unwrap_or_default()
    }

    /// Starts a `whoami` that is routed as service `whoami`.
    pub(crate) fn whoami(&self, more: &[&str]) {
        self.run_whoami(
            "whoami",
            &["--label", "constellation.service=whoami", "--label", "traefik.enable=true"],
            more,
        );
    }

    pub(crate) fn run_whoami(&self, name: &str, labels: &[&str], more: &[&str]) {
        let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let listen = format!("127.0.0.1:{port}");
        let more = [&["--restart", "always"], more].concat();
        self.run(name, port, labels, &more, &[AGENT, "whoami", "--listen", &listen, "--name", &self.name]);
    }

    /// Starts a process that listens on a port of 127.0.0.1.
    pub(crate) fn run(&self, name: &str, port: u16, labels: &[&str], more: &[&str], program: &[&str]) {
        let mut command = Command::new(AGENT);
        command.args(["process", "run", "--socket"]).arg(&self.socket);
        command.args(["--name", name, "--expose", &port.to_string()]).args(labels).args(more);
        let run = command.arg("--").args(program).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    pub(crate) fn process(&self, name: &str) -> Option<Value> {
        let processes = self.ask(&["process", "ls"])?;
        processes.as_array().unwrap().iter().find(|process| process["name"] == name).cloned()
    }

    pub(crate) fn process_pid(&self, name: &str) -> Option<rustix::process::Pid> {
        let pid = self.process(name)?["pid"].as_i64()?;
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let answering = self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none());
        if !answering && self.data.join("processes").exists() {
            // Its processes outlived it: only an agent knows them, so one is started to end them.
            self.process = None;
            self.spawn();
        }
        for _ in 0..200 {
            let Some(processes) = self.ask(&["process", "ls"]) else {
                if self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some()) {
                    break;
                }
                pause();
                continue;
            };
            for process in processes.as_array().into_iter().flatten() {
                let name = process["name"].as_str().unwrap_or_default();
                self.ask(&["process", "rm", "--force", name]);
            }
            break;
        }
        if let Some(mut process) = self.process.take() {
            let group = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            drop(process.wait());
        }
    }
}

/// The children of a process in its own group: the worker of a notary. What an agent runs has groups of its own.
fn workers(parent: rustix::process::Pid) -> Vec<String> {
    let group = parent.as_raw_nonzero().to_string();
    let threads = std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
    let lists = threads.into_iter().flatten().flatten();
    let lists = lists.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children = lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    // State, parent, group.
    children.filter(|child| stat(child).is_some_and(|stat| stat.split(' ').nth(2) == Some(&group))).collect()
}

/// What the kernel says of a process, from its state on; `None` where there is none.
fn stat(pid: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

/// Whether a process is gone, or has nothing any more but its exit code.
fn is_over(pid: &str) -> bool {
    stat(pid).is_none_or(|stat| stat.starts_with(['Z', 'X']))
}

/// Tries a state again and again; false when it did not come in time.
#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
fn comes(mut state: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        if state() {
            return true;
        }
        pause();
    }
    false
}

/// Between two looks at a state.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
