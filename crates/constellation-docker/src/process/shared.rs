//! What the calls and the owners of the containers share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ProcessConfig, admit::Ourselves, clock::Timeline, lock::FolderLock, logs::LogFiles, owner::Command,
    store::Store,
};
use crate::{
    container::{ContainerId, ContainerState},
    error::RuntimeError,
    event::{ContainerEvent, EventKind},
    spec::ContainerSpec,
};

/// Events that a subscriber may be behind before it is told that it missed some: far more than a burst of a node's
/// containers, and 64 KiB at most.
const EVENTS_BOUND: usize = 1024;

/// One per runtime. The tasks hold it, so the folder stays locked until the last of them has ended.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ProcessConfig,
    pub(super) store: Store,
    pub(super) timeline: Timeline,
    pub(super) boot_id: String,
    pub(super) ourselves: Ourselves,
    /// Cancelled when the runtime is closed or dropped.
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) events: broadcast::Sender<ContainerEvent>,
    registry: Mutex<Registry>,
    _lock: FolderLock,
}

/// The way to one container.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) spec: Arc<ContainerSpec>,
    pub(super) created_at_ms: Option<u64>,
    pub(super) logs: Arc<LogFiles>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) state: watch::Receiver<ContainerState>,
}

#[derive(Debug, Default)]
struct Registry {
    entries: HashMap<ContainerId, Entry>,
    /// Names in use, also by containers that are just being made.
    names: HashMap<String, ContainerId>,
}

impl Shared {
    pub(super) fn new(
        config: ProcessConfig,
        store: Store,
        boot_id: String,
        ourselves: Ourselves,
        lock: FolderLock,
    ) -> Self {
        Self {
            config,
            store,
            timeline: Timeline::begin(),
            boot_id,
            ourselves,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            events: broadcast::Sender::new(EVENTS_BOUND),
            registry: Mutex::default(),
            _lock: lock,
        }
    }

    /// Never held across an await, and nothing under it can panic half way: a poisoned one is as good as any.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name for a container that is about to be made.
    pub(super) fn reserve(&self, name: &str, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut registry = self.registry();
        if registry.names.contains_key(name) {
            return Err(RuntimeError::NameTaken { name: name.to_owned() });
        }
        registry.names.insert(name.to_owned(), id.clone());
        Ok(())
    }

    /// Gives a name back whose container could not be made.
    pub(super) fn release(&self, name: &str) {
        self.registry().names.remove(name);
    }

    pub(super) fn insert(&self, id: &ContainerId, entry: Entry) {
        self.registry().entries.insert(id.clone(), entry);
    }

    /// Forgets a container and its name.
    pub(super) fn forget(&self, id: &ContainerId) {
        let mut registry = self.registry();
        registry.entries.remove(id);
        registry.names.retain(|_, named| named != id);
    }

    pub(super) fn entry(&self, id: &ContainerId) -> Result<Entry, RuntimeError> {
        self.registry().entries.get(id).cloned().ok_or_else(|| RuntimeError::NotFound { id: id.to_string() })
    }

    /// Every container, in no order.
    pub(super) fn entries(&self) -> Vec<(ContainerId, Entry)> {
        self.registry().entries.iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    pub(super) fn tell(&self, id: &ContainerId, kind: EventKind) {
        // An error only says that nobody listens.
        let _ = self.events.send(ContainerEvent { id: Some(id.clone()), kind });
    }
}
