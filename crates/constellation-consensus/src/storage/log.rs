//! The durable log: what a member has promised to the others outlives the power.

use std::{path::Path, sync::Arc};

use constellation_core::{ClusterId, NodeName};
use redb::StorageBackend;

use super::{
    check,
    disk::{Directory, Files, Folder},
    error::StorageError,
    identity::{DataIdentity, Marker, Stage},
    seal::Sealer,
    snapshots,
    store::{Header, Store},
};
use crate::raft::{
    Batch, Log, LogError, Recovered,
    proto::{HardState, Snapshot},
};

const DATABASE: &str = "log.redb";

/// A Raft log in redb, with its snapshots in files beside it.
///
/// One transaction holds everything of a batch; a snapshot is a file that is durable before the transaction that names it.
#[derive(Debug)]
pub struct RedbLog {
    // Closed before the lock on the folder is given up, which the files hold.
    store: Store,
    files: Arc<dyn Files>,
    identity: DataIdentity,
    kept: Kept,
    poisoned: Option<String>,
}

/// What is in the log, as far as the next batch must fit to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) hard_state: HardState,
    pub(super) snapshot_index: u64,
    pub(super) last_index: u64,
}

impl RedbLog {
    /// Makes a log in a folder that has none.
    ///
    /// # Errors
    /// [`StorageError::Exists`] where there is one: a log is never written over.
    pub fn create(root: &Path, identity: &DataIdentity) -> Result<Self, StorageError> {
        let directory = Directory::open(root)?;
        let database = directory.database()?;
        Self::create_on(Arc::new(directory), database, identity)
    }

    /// Opens the log of a folder, if it is that of this node in this cluster.
    ///
    /// # Errors
    /// [`StorageError::Absent`] where there is none; ask [`DataIdentity::of`] first whether there is.
    pub fn open(root: &Path, cluster: &ClusterId, node: &NodeName) -> Result<Self, StorageError> {
        let directory = Directory::open(root)?;
        let database = directory.database()?;
        Self::open_on(Arc::new(directory), database, cluster, node)
    }

    /// [`Self::create`] on any disk.
    pub fn create_on(
        files: Arc<dyn Files>,
        database: impl StorageBackend,
        identity: &DataIdentity,
    ) -> Result<Self, StorageError> {
        let path = files.path(Folder::Logs, DATABASE);
        if let Some(marker) = Marker::read(&*files)?
            && marker.stage == Stage::Made
        {
            let owner = marker.identity.owner.to_string();
            return Err(StorageError::Exists { path: files.path(Folder::Stable, "identity"), owner });
        }
        let fail = |source| StorageError::io("make", &path, source);
        if Marker::read(&*files)?.is_none() && database.len().map_err(fail)? > 0 {
            // A database that nobody answers for may hold somebody's votes.
            return Err(StorageError::Lost { path: files.path(Folder::Stable, "identity") });
        }
        Marker { identity: identity.clone(), stage: Stage::Making }.write(&*files)?;
        // What a crash left of an earlier making: nobody was promised anything of it.
        database.set_len(0).map_err(fail)?;
        let store = Store::open(database, path, Sealer::new(&identity.owner))?;
        store.commit(true, |change| change.header(&Header::of(identity)))?;
        Marker { identity: identity.clone(), stage: Stage::Made }.write(&*files)?;
        Ok(Self { files, store, identity: identity.clone(), kept: Kept::default(), poisoned: None })
    }

    /// [`Self::open`] on any disk.
    pub fn open_on(
        files: Arc<dyn Files>,
        database: impl StorageBackend,
        cluster: &ClusterId,
        node: &NodeName,
    ) -> Result<Self, StorageError> {
        let path = files.path(Folder::Logs, DATABASE);
        let fail = |source| StorageError::io("open", &path, source);
        let marker_path = files.path(Folder::Stable, "identity");
        let empty = database.len().map_err(fail)? == 0;
        let marker = match Marker::read(&*files)? {
            Some(marker) if marker.stage == Stage::Made => marker,
            // Nothing was promised before the log was made.
            Some(_) => return Err(StorageError::Absent { path: marker_path }),
            None if empty => return Err(StorageError::Absent { path: marker_path }),
            None => return Err(StorageError::Lost { path: marker_path }),
        };
        let mut identity = marker.identity;
        if (&identity.owner.cluster, &identity.owner.node) != (cluster, node) {
            return Err(StorageError::OtherOwner {
                path: marker_path,
                found: identity.owner.to_string(),
                expected: format!("node `{node}` of cluster `{cluster}`"),
            });
        }
        if empty {
            return Err(StorageError::Lost { path });
        }
        let store = Store::open(database, path, Sealer::new(&identity.owner))?;
        let epoch = check::header(store.read()?.header, &identity, store.path())?;
        if epoch != identity.epoch {
            // A crash came between the new epoch's log and its identity: the log is what counts.
            identity.epoch = epoch;
            Marker { identity: identity.clone(), stage: Stage::Made }.write(&*files)?;
        }
        let mut log = Self { files, store, identity, kept: Kept::default(), poisoned: None };
        log.read()?;
        Ok(log)
    }

    /// Whose log it is, and of which epoch.
    pub fn identity(&self) -> &DataIdentity {
        &self.identity
    }

    /// Begins a new epoch of the cluster with this batch as its first: for rebuilding a cluster from one survivor.
    ///
    /// # Errors
    /// [`StorageError::Misused`] where the epoch is not higher than the present one.
    pub fn begin_epoch(&mut self, epoch: u64, batch: &Batch) -> Result<(), StorageError> {
        if epoch <= self.identity.epoch {
            let why = format!("epoch {epoch} does not follow on epoch {}", self.identity.epoch);
            return Err(StorageError::Misused { deed: "begin an epoch", why });
        }
        let identity = DataIdentity { epoch, ..self.identity.clone() };
        self.keep(batch, Some(&identity))?;
        self.identity = identity;
        Marker { identity: self.identity.clone(), stage: Stage::Made }.write(&*self.files).inspect_err(
            // The log has the new epoch: opened again it says so to the identity.
            |error| self.poisoned = Some(error.to_string()),
        )
    }

    fn read(&mut self) -> Result<Recovered, StorageError> {
        self.alive()?;
        let stored = self.store.read()?;
        let snapshot = match &stored.snapshot {
            Some(pointer) => {
                let snapshot = snapshots::read(&*self.files, pointer)?;
                snapshots::clear_away(&*self.files, &pointer.file);
                snapshot
            }
            None => Snapshot::default(),
        };
        let hard_state = stored.hard_state.unwrap_or_default();
        let recovered = Recovered { hard_state, snapshot, entries: stored.entries };
        self.kept = check::recovered(&recovered, self.store.path())?;
        Ok(recovered)
    }

    fn keep(&mut self, batch: &Batch, identity: Option<&DataIdentity>) -> Result<(), StorageError> {
        self.alive()?;
        // A batch that does not fit changes nothing, and leaves the log as good as it was.
        let kept = check::batch(&self.kept, batch)?;
        let written = self.write_all(batch, identity);
        match written {
            Ok(()) => self.kept = kept,
            // What is on the disk now is not known until it is read again.
            Err(ref error) => self.poisoned = Some(constellation_core::error_chain(error)),
        }
        written
    }

    fn write_all(&mut self, batch: &Batch, identity: Option<&DataIdentity>) -> Result<(), StorageError> {
        let own = batch.checkpoint.as_ref().map(|checkpoint| &checkpoint.snapshot);
        // The later of the two is the one to keep; both in one batch means that the checkpoint was made after it.
        let snapshot = own.or(batch.install.as_ref());
        let pointer = snapshot.map(|snapshot| snapshots::write(&*self.files, snapshot)).transpose()?;
        // What no commit points to any more is removed below, so the commit that says so must be durable.
        let sync = batch.sync || pointer.is_some() || identity.is_some();
        let replaces = batch.entries.first().is_some_and(|first| first.index <= self.kept.last_index);
        self.store.commit(sync, |change| {
            if let Some(identity) = identity {
                change.header(&Header::of(identity))?;
            }
            if batch.install.is_some() {
                change.remove_entries(..)?;
            }
            change.entries(&batch.entries, replaces)?;
            if let Some(state) = &batch.hard_state {
                change.hard_state(state)?;
            }
            if let Some(pointer) = &pointer {
                change.snapshot(pointer)?;
            }
            if let Some(checkpoint) = &batch.checkpoint {
                change.remove_entries(..check::keep_from(checkpoint))?;
            }
            Ok(())
        })?;
        if let Some(pointer) = &pointer {
            snapshots::clear_away(&*self.files, &pointer.file);
        }
        Ok(())
    }

    fn alive(&self) -> Result<(), StorageError> {
        match &self.poisoned {
            None => Ok(()),
            Some(why) => Err(StorageError::Poisoned { path: self.store.path().to_owned(), why: why.clone() }),
        }
    }
}

impl Log for RedbLog {
    fn recover(&mut self) -> Result<Recovered, LogError> {
        Ok(self.read()?)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), LogError> {
        Ok(self.keep(batch, None)?)
    }
}
