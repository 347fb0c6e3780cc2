//! Who looks at the leases all the while, and commits beside: every node is asked every few milliseconds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::history::{Commit, History, Process, Sighting};
use crate::{
    clock::BootTime,
    cluster::{LeasesAnswer, Node, commit},
    http::Client,
};

/// A stopped process answers when it goes on, and that answer is the one that matters: it must not be given up on.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// A commit that nobody answers within this is unknown; it may have happened.
const COMMIT_LIMIT: Duration = Duration::from_secs(2);
/// A node that does not answer at all is asked again after this.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Askers of one node. While one waits in a process that stands still, another meets it when it goes on.
    pub(crate) askers: usize,
    /// From an answer to the next question.
    pub(crate) pause: Duration,
    /// From one commit through a node to the next, and its bytes; none where this is not said.
    pub(crate) commits: Option<(Duration, usize)>,
}

#[derive(Default)]
struct Shared {
    history: Mutex<History>,
    latest: Mutex<BTreeMap<String, LeasesAnswer>>,
    stop: AtomicBool,
}

/// Running askers. They end when dropped, as soon as their nodes answer or are gone.
pub(crate) struct Witness {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Witness {
    /// Begins to ask.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub(crate) fn start(nodes: &[Node], pace: Pace) -> Result<Self> {
        let mut witness = Self { shared: Arc::default(), threads: Vec::new() };
        for node in nodes {
            for _ in 0..pace.askers {
                let (shared, client) = (Arc::clone(&witness.shared), node.api(ASK_LIMIT));
                witness.spawn(move || ask(&shared, client, pace.pause))?;
            }
            if let Some((pause, bytes)) = pace.commits {
                let (shared, client) = (Arc::clone(&witness.shared), node.api(COMMIT_LIMIT));
                witness.spawn(move || commits(&shared, client, pause, bytes))?;
            }
        }
        Ok(witness)
    }

    fn spawn(&mut self, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread =
            std::thread::Builder::new().spawn(body).context("could not start a thread of the witness")?;
        self.threads.push(thread);
        Ok(())
    }

    /// What has been seen so far.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.shared.history)
    }

    /// The last answer of a node, however old.
    pub(crate) fn latest(&self, node: &str) -> Option<LeasesAnswer> {
        lock(&self.shared.latest).get(node).cloned()
    }

    /// The leases that `node` said it may act under in its last answer, and as which process.
    pub(crate) fn acting(&self, node: &str) -> Vec<(String, Process)> {
        let Some(answer) = self.latest(node) else { return Vec::new() };
        let process = Process { node: answer.node, boot: answer.boot };
        let acting = answer.leases.into_iter().filter(|view| view.may_act);
        acting.map(|view| (view.lease, process.clone())).collect()
    }

    /// Stops asking and returns what was seen.
    pub(crate) fn finish(mut self) -> History {
        self.end();
        std::mem::take(&mut *self.history())
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both are only added to, and whole after each addition, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask(shared: &Shared, mut client: Client, pause: Duration) {
    while !shared.stop.load(Ordering::SeqCst) {
        match LeasesAnswer::ask(&mut client) {
            Ok(answer) => {
                if answer.member {
                    let mut history = lock(&shared.history);
                    sightings(&answer).for_each(|sighting| history.see(sighting));
                }
                let mut latest = lock(&shared.latest);
                let newer = latest.get(&answer.node).is_none_or(|known| known.as_of < answer.as_of);
                if newer {
                    latest.insert(answer.node.clone(), answer);
                }
                drop(latest);
                std::thread::sleep(pause);
            }
            Err(_) => std::thread::sleep(RETRY_PAUSE),
        }
    }
}

/// What an answer says, lease by lease.
pub(super) fn sightings(answer: &LeasesAnswer) -> impl Iterator<Item = Sighting> {
    answer.leases.iter().map(|view| Sighting {
        at: answer.as_of,
        by: Process { node: answer.node.clone(), boot: answer.boot.clone() },
        lease: view.lease.clone(),
        holder: view
            .holder
            .as_ref()
            .map(|node| Process { node: node.clone(), boot: view.holder_boot.clone().unwrap_or_default() }),
        token: view.token,
        may_act: view.may_act,
    })
}

fn commits(shared: &Shared, mut client: Client, pause: Duration, bytes: usize) {
    let value = "x".repeat(bytes);
    while !shared.stop.load(Ordering::SeqCst) {
        let asked = BootTime::now();
        if let Ok(index) = commit(&mut client, &value) {
            lock(&shared.history).committed(Commit { asked, answered: BootTime::now(), index });
        }
        std::thread::sleep(pause);
    }
}
