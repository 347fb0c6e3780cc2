//! etcd from Debian beside us: three nodes on loopback, default settings, their data on the same disk.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Pid;
use serde_json::{Value, json};

use crate::{
    child::{self, Group},
    clock::{self, BootTime},
    cluster::Place,
    http::Client,
    tools::{apt, find_program},
};

/// Node 1 is 127.0.0.51.
const ADDRESS_BASE: u8 = 50;
const NODES: u8 = 3;
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
/// A question, and each try of a write: one that hangs at a follower whose leader died would wait for seven seconds.
pub(super) const TRY_LIMIT: Duration = Duration::from_secs(1);
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
const LOCK_LIMIT: Duration = Duration::from_secs(40);
/// The smallest that etcd grants.
pub(super) const LOCK_TTL_SECONDS: u64 = 2;

/// A running cluster. Dropping it kills its nodes.
pub(super) struct Etcd {
    program: PathBuf,
    control: PathBuf,
    place: Place,
    nodes: Vec<Option<Group>>,
    /// As `etcd --version` says.
    pub(super) version: String,
}

/// A client that holds or awaits the lock.
pub(super) struct Lock {
    client: Group,
    held: Receiver<BootTime>,
}

impl Etcd {
    /// Installs it where it is missing, and starts three nodes.
    ///
    /// # Errors
    /// When it cannot be installed or does not come up.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let wanted = [("etcd", "etcd-server"), ("etcdctl", "etcd-client")];
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|(program, _)| find_program(program).is_none())
            .map(|(_, package)| *package)
            .collect();
        if !missing.is_empty() {
            apt::install(&missing, "the comparison with etcd")?;
        }
        let program = find_program("etcd").context("there is no etcd")?;
        let control = find_program("etcdctl").context("there is no etcdctl")?;
        let said = child::output("etcd --version", Command::new(&program).arg("--version"), TRY_LIMIT * 10)?;
        let version = said.lines().next().unwrap_or_default().replace("etcd Version: ", "");
        let place = Place::take(folder, false)?;
        let mut etcd = Self { program, control, place, nodes: Vec::new(), version };
        for number in 1..=NODES {
            etcd.nodes.push(None);
            etcd.boot(usize::from(number) - 1, true)?;
        }
        etcd.settled()?;
        Ok(etcd)
    }

    fn address(index: usize, port: u16) -> SocketAddr {
        let number = u8::try_from(index).unwrap_or(0) + 1;
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, ADDRESS_BASE + number), port))
    }

    /// Where clients of a node connect.
    pub(super) fn client_url(index: usize) -> String {
        format!("http://{}", Self::address(index, CLIENT_PORT))
    }

    fn boot(&mut self, index: usize, new: bool) -> Result<()> {
        let peer = |index: usize| format!("http://{}", Self::address(index, PEER_PORT));
        let name = |index: usize| format!("n{}", index + 1);
        let all: Vec<String> =
            (0..usize::from(NODES)).map(|index| format!("{}={}", name(index), peer(index))).collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.place.file(&format!("{}.log", name(index))))?;
        let (variable, value) = self.place.variable();
        let mut command = Command::new(&self.program);
        command
            .args(["--name", &name(index), "--data-dir"])
            .arg(self.data(index))
            .args(["--listen-peer-urls", &peer(index), "--initial-advertise-peer-urls", &peer(index)])
            .args(["--listen-client-urls", &Self::client_url(index)])
            .args(["--advertise-client-urls", &Self::client_url(index)])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-token", "bench"])
            .args(["--initial-cluster-state", if new { "new" } else { "existing" }])
            .args(["--logger", "zap", "--log-level", "warn"])
            .env(variable, value)
            .stdout(log.try_clone()?)
            .stderr(log);
        self.nodes[index] = Some(Group::spawn(format!("etcd {}", name(index)), &mut command)?);
        Ok(())
    }

    fn data(&self, index: usize) -> PathBuf {
        self.place.file(&format!("n{}", index + 1))
    }

    /// The process ids of the nodes that run.
    pub(super) fn pids(&self) -> Vec<Pid> {
        self.nodes.iter().flatten().map(Group::pid).collect()
    }

    /// Where each node keeps its log and snapshots.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        (0..self.nodes.len()).map(|index| self.data(index)).collect()
    }

    fn status(index: usize) -> Option<Value> {
        let mut client = Client::tcp(Self::address(index, CLIENT_PORT), TRY_LIMIT);
        let response = client.post("/v3/maintenance/status", "{}").ok()?;
        (response.status == 200).then(|| serde_json::from_slice(&response.body).ok())?
    }

    /// The revision of the store: it rises by one with each put.
    pub(super) fn revision(index: usize) -> Option<u64> {
        Self::status(index)?["header"]["revision"].as_str()?.parse().ok()
    }

    /// The node that all name as leader.
    fn leader(&self) -> Option<usize> {
        let all: Option<Vec<Value>> = (0..self.nodes.len()).map(Self::status).collect();
        let all = all?;
        let leader = all.first()?["leader"].as_str().filter(|leader| *leader != "0")?.to_owned();
        if all.iter().any(|status| status["leader"] != leader.as_str()) {
            return None;
        }
        all.iter().position(|status| status["header"]["member_id"] == leader.as_str())
    }

    /// Waits until all nodes agree on a leader and take writes; says who leads.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) fn settled(&self) -> Result<usize> {
        clock::wait_for("etcd settles", SETTLE_LIMIT, Duration::from_millis(100), || {
            let Some(leader) = self.leader() else { return Ok(None) };
            Ok((0..self.nodes.len()).all(Self::put).then_some(leader))
        })
    }

    /// Writes through a node; true if it was committed.
    pub(super) fn put(index: usize) -> bool {
        // `probe` = `x`, in the base64 that the gateway wants.
        let body = json!({ "key": "cHJvYmU=", "value": "eA==" }).to_string();
        let mut client = Client::tcp(Self::address(index, CLIENT_PORT), TRY_LIMIT);
        client.post("/v3/kv/put", &body).is_ok_and(|response| response.status == 200)
    }

    /// kill -9 of a node.
    pub(super) fn kill(&mut self, index: usize) {
        if let Some(mut node) = self.nodes[index].take() {
            node.kill();
        }
    }

    /// Starts a killed node again.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn restart(&mut self, index: usize) -> Result<()> {
        self.boot(index, false)
    }

    /// Waits until so many clients stand in line for the lock, its holder among them.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn wait_for_line(&self, clients: &str) -> Result<()> {
        // Everything below `bench/`, in the base64 that the gateway wants.
        let body = json!({ "key": "YmVuY2gv", "range_end": "YmVuY2gw", "count_only": true }).to_string();
        clock::wait_for("clients in line for etcd's lock", LOCK_LIMIT, Duration::from_millis(20), || {
            let response =
                Client::tcp(Self::address(0, CLIENT_PORT), TRY_LIMIT).post("/v3/kv/range", &body)?;
            let found: Value = serde_json::from_slice(&response.body)?;
            Ok((found["count"] == clients).then_some(()))
        })
    }

    /// Starts a client that waits for the lock, and then holds it until it ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn lock(&self) -> Result<Lock> {
        let endpoints: Vec<String> = (0..self.nodes.len()).map(Self::client_url).collect();
        let (variable, value) = self.place.variable();
        let mut command = Command::new(&self.control);
        command
            .env("ETCDCTL_API", "3")
            .env(variable, value)
            .args([
                "--endpoints",
                &endpoints.join(","),
                "lock",
                "--ttl",
                &LOCK_TTL_SECONDS.to_string(),
                "bench",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut client = Group::spawn("etcdctl lock", &mut command)?;
        let stdout = client.take_stdout().context("the pipe was there a moment ago")?;
        let (sender, held) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // It prints the key when it has the lock.
            let mut line = String::new();
            if BufReader::new(stdout).read_line(&mut line).is_ok_and(|length| length > 0) {
                let _ = sender.send(BootTime::now());
            }
        });
        Ok(Lock { client, held })
    }
}

impl Lock {
    /// Waits until the client has the lock, and says since when.
    ///
    /// # Errors
    /// When it does not get it.
    pub(super) fn wait(&self) -> Result<BootTime> {
        match self.held.recv_timeout(LOCK_LIMIT) {
            Ok(at) => Ok(at),
            Err(_) => bail!("etcd's lock was not had within {LOCK_LIMIT:?}"),
        }
    }

    /// kill -9 of the client; says when.
    pub(super) fn kill(mut self) -> BootTime {
        let at = BootTime::now();
        self.client.kill();
        at
    }

    /// SIGTERM to the client, which then gives the lock back; says when.
    pub(super) fn give_back(mut self) -> BootTime {
        let at = BootTime::now();
        self.client.stop(TRY_LIMIT * 5);
        at
    }
}

/// The bytes of all files below a folder.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            // What is taken on the disk, not what a file with holes says of itself.
            Ok(_) => entry.metadata().map_or(0, |file| std::os::unix::fs::MetadataExt::blocks(&file) * 512),
            Err(_) => 0,
        })
        .sum()
}
