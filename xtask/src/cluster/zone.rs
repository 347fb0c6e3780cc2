//! The zone of a cluster: Cloudflare's simulator as a program of its own, and what is seen of the zone without asking its API.

use std::{
    fs::OpenOptions,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{DOMAIN, place::Place};
use crate::{
    child::Group,
    clock::{self, BootTime},
    http::Client,
};

/// The token that the simulator takes.
const TOKEN: &str = "simulated-token";
const START_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Short enough to date a change well, and little work.
const PAUSE: Duration = Duration::from_millis(2);
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A record, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) content: String,
    ttl: u32,
    comment: Option<String>,
}

/// What the simulator tells of a zone.
#[derive(Deserialize)]
struct Looked {
    records: Vec<Record>,
}

impl Record {
    pub(crate) fn line(&self) -> String {
        let comment = self.comment.as_deref().unwrap_or("made by hand");
        format!("{:<22} {:>4} {:<5} {:<16} ; {comment}", self.name, self.ttl, self.kind, self.content)
    }
}

/// A running simulator with the cluster's zone.
pub(crate) struct Zone {
    address: SocketAddr,
    token: PathBuf,
    group: Group,
}

impl Zone {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start, or does not answer.
    pub(super) fn start(program: &Path, place: &Place) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let token = place.file("cloudflare.token");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&token);
        file.and_then(|mut file| file.write_all(TOKEN.as_bytes()))
            .with_context(|| format!("could not write {}", token.display()))?;
        let log = std::fs::File::create(place.file("cloudflare-sim.log"))?;
        let (variable, value) = place.variable();
        let mut command = Command::new(program);
        command.args(["--listen", &address.to_string(), "--zone", DOMAIN]).env(variable, value);
        command.stdout(log.try_clone()?).stderr(log);
        let mut zone =
            Self { address, token, group: Group::spawn("the simulator of Cloudflare", &mut command)? };
        clock::wait_for(
            "the simulator of Cloudflare answers",
            START_LIMIT,
            Duration::from_millis(20),
            || {
                ensure!(zone.group.ended()?.is_none(), "it has ended");
                Ok(look(address).ok())
            },
        )?;
        Ok(zone)
    }

    /// What an agent is told of it.
    pub(super) fn arguments(&self, node: u8) -> Vec<String> {
        vec![
            "--cloudflare-api".to_owned(),
            format!("http://{}/client/v4/", self.address),
            "--cloudflare-token-file".to_owned(),
            self.token.display().to_string(),
            "--public-ip".to_owned(),
            public(node).to_string(),
            // Addresses for documents, which would not be published otherwise.
            "--dns-any-address".to_owned(),
        ]
    }

    /// Every record, sorted.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn records(&self) -> Result<Vec<Record>> {
        look(self.address)
    }

    /// Where a person looks at it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/simulator/zones/{DOMAIN}", self.address)
    }

    /// Looks at it all the time from now on.
    pub(crate) fn watch(&self) -> ZoneWatch {
        ZoneWatch::start(self.address)
    }

    pub(super) fn stop(&mut self) {
        self.group.stop(STOP_GRACE);
    }
}

/// The address that the world would reach node N at.
pub(crate) fn public(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, node)
}

/// Where the apex leads.
pub(crate) fn apex(records: &[Record]) -> Vec<&str> {
    let apex = records.iter().filter(|record| record.name == DOMAIN && record.kind == "A");
    apex.map(|record| record.content.as_str()).collect()
}

fn look(address: SocketAddr) -> Result<Vec<Record>> {
    let answer = Client::tcp(address, ANSWER_LIMIT).get(&format!("/simulator/zones/{DOMAIN}"))?;
    ensure!(answer.status == 200, "the simulator answers {}", answer.status);
    let mut looked: Looked = serde_json::from_slice(&answer.body).context("could not read the zone")?;
    looked.records.sort();
    Ok(looked.records)
}

/// When the apex was first seen to lead where.
type Seen = Arc<Mutex<Vec<(BootTime, Vec<String>)>>>;

/// Looks at a zone until it is dropped.
pub(crate) struct ZoneWatch {
    seen: Seen,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ZoneWatch {
    fn start(address: SocketAddr) -> Self {
        let (seen, over) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let (to, until) = (Arc::clone(&seen), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // What cannot be seen now is seen at the next look, or missed by whoever waits for it.
                if let Ok(records) = look(address) {
                    let now: Vec<String> = apex(&records).into_iter().map(str::to_owned).collect();
                    let mut seen = to.lock().unwrap_or_else(PoisonError::into_inner);
                    if seen.last().is_none_or(|(_, last)| *last != now) {
                        seen.push((BootTime::now(), now));
                    }
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self { seen, over, thread: Some(thread) }
    }

    /// When the apex first led to one address, which is none of `not`, after a moment.
    pub(crate) fn led_elsewhere(&self, not: &str, after: BootTime) -> Option<(BootTime, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find_map(|(at, apex)| match apex.as_slice() {
            [one] if *at >= after && one != not => Some((*at, one.clone())),
            _ => None,
        })
    }
}

impl Drop for ZoneWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}
