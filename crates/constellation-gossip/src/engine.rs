//! One run of chitchat: started, asked, told, and watched for its end.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use chitchat::{ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat};
use constellation_core::{Clock, Generation};
use tokio::sync::Notify;

use crate::{
    config::GossipConfig,
    error::GossipError,
    knowledge::{Stamp, Words},
    ledger::Step,
    liveness::Sighting,
    transport::{DatagramSocket, Farewell, Meter, SealedTransport},
};

/// How long chitchat keeps the mark of a deleted key. A peer that was away for longer gets the node's state anew.
const TOMBSTONE_GRACE: Duration = Duration::from_secs(5 * 60);
/// How many handshakes may be asked for without a sign of life of the task that makes them: its queue has no bound.
const ASKED_MAX: usize = 256;
/// The key that is set last with every change. chitchat tells of keys that were set, not of keys that were deleted;
/// through this one the peers hear of both at once.
const CHANGE_KEY: &str = "v";

/// What outlives a run of chitchat.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) config: GossipConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) farewell: Arc<Farewell>,
    /// Notified when a peer's facts have changed.
    pub(crate) changes: Arc<Notify>,
}

/// What chitchat knows, copied out from under its lock.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) own_heartbeat: u64,
    pub(crate) sightings: BTreeMap<ChitchatId, Sighting>,
    pub(crate) words: Vec<Words>,
}

type Ending = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// A running chitchat. It ends when this is dropped.
pub(crate) struct Engine {
    pub(crate) id: ChitchatId,
    handle: ChitchatHandle,
    ending: Ending,
    changes_made: u64,
    asked: usize,
    asked_at_heartbeat: u64,
}

impl Engine {
    pub(crate) async fn start(
        around: &Surroundings,
        socket: Box<dyn DatagramSocket>,
        generation: Generation,
        advertise: SocketAddr,
    ) -> Result<Self, GossipError> {
        let config = &around.config;
        let id = ChitchatId::new(config.name.as_str(), generation.0, advertise);
        let transport = SealedTransport {
            socket: Mutex::new(Some(socket)),
            cluster: config.cluster.clone(),
            security: config.security.clone(),
            clock: Arc::clone(&around.clock),
            meter: Arc::clone(&around.meter),
            farewell: Arc::clone(&around.farewell),
        };
        let chitchat = ChitchatConfig {
            chitchat_id: id.clone(),
            cluster_id: config.cluster.to_string(),
            gossip_interval: config.interval,
            listen_addr: config.listen,
            // We ask the seeds ourselves, so that they can change while chitchat runs.
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: config.phi,
                sampling_window_size: 1000,
                // A node that comes back after a few seconds brings one interval of that length; were it counted, its next
                // death would be noticed only after eight times the mean that it spoils.
                max_interval: config.interval.saturating_mul(3),
                initial_interval: config.interval,
                dead_node_grace_period: config.dead_node_grace,
            },
            marked_for_deletion_grace_period: TOMBSTONE_GRACE,
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let start = spawn_chitchat(chitchat, Vec::new(), &transport).await;
        let handle =
            start.map_err(|error| GossipError::Start { source: std::io::Error::other(error.to_string()) })?;
        let changes = Arc::clone(&around.changes);
        // The callback runs under chitchat's lock: it only wakes us.
        let subscribe = |chitchat: &mut chitchat::Chitchat| {
            let changes = Arc::clone(&changes);
            chitchat.subscribe_event("", move |_| changes.notify_one()).forever();
        };
        handle.with_chitchat(subscribe).await;
        let ending = Box::pin(handle.termination_watcher());
        Ok(Self { id, handle, ending, changes_made: 0, asked: 0, asked_at_heartbeat: 0 })
    }

    /// Waits for chitchat's end, and says why. It never ends of itself.
    pub(crate) async fn ended(&mut self) -> String {
        match (&mut self.ending).await {
            Ok(()) => "it stopped".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Copies what chitchat knows; the words only of runs whose stamp differs from the one that is known.
    pub(crate) async fn snapshot(&mut self, known: impl Fn(&ChitchatId) -> Option<Stamp>) -> Snapshot {
        let chitchat = self.handle.chitchat();
        let chitchat = chitchat.lock().await;
        let live: HashSet<&ChitchatId> = chitchat.live_nodes().collect();
        let mut snapshot = Snapshot::default();
        for (run, state) in chitchat.node_states() {
            let heartbeat = state.heartbeat().into();
            if *run == self.id {
                snapshot.own_heartbeat = heartbeat;
                continue;
            }
            snapshot.sightings.insert(run.clone(), Sighting { live: live.contains(run), heartbeat });
            let stamp = state.monotonic_property();
            if known(run) != Some(stamp) {
                let entries =
                    state.key_values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
                snapshot.words.push(Words { run: run.clone(), stamp, entries });
            }
        }
        snapshot
    }

    /// Changes our own keys, all under one hold of the lock, so that no peer sees half of it by accident of time.
    pub(crate) async fn tell(&mut self, steps: Vec<Step>) {
        if steps.is_empty() {
            return;
        }
        self.changes_made += 1;
        let chitchat = self.handle.chitchat();
        let mut chitchat = chitchat.lock().await;
        let own = chitchat.self_node_state();
        for step in steps {
            match step {
                Step::Set(key, value) => own.set(key, value),
                Step::Delete(key) => own.delete(&key),
            }
        }
        own.set(CHANGE_KEY, self.changes_made);
    }

    /// Begins a handshake with each of these.
    pub(crate) fn ask(&mut self, peers: impl IntoIterator<Item = SocketAddr>, own_heartbeat: u64) {
        if own_heartbeat != self.asked_at_heartbeat {
            self.asked_at_heartbeat = own_heartbeat;
            self.asked = 0;
        }
        for peer in peers {
            if self.asked >= ASKED_MAX {
                return;
            }
            self.asked += 1;
            // It fails only after chitchat's end, of which `ended` tells.
            let _ = self.handle.gossip(peer);
        }
    }

    /// Ends chitchat and waits for it, so that its socket is free when this returns; at most so long.
    pub(crate) async fn stop(mut self, patience: Duration) {
        let _ = self.handle.initiate_shutdown();
        let _ = tokio::time::timeout(patience, &mut self.ending).await;
    }
}

impl Drop for Engine {
    /// Whoever lets go of an engine wants its socket back now, not at chitchat's next round.
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Snapshot {
    /// Every run that chitchat remembers, but our own.
    pub(crate) fn runs(&self) -> BTreeSet<ChitchatId> {
        self.sightings.keys().cloned().collect()
    }
}
