//! The database: entries by index, and the few values beside them, each under a seal, changed in transactions.
//!
//! redb commits in two phases here. In one phase it would be 0.13 ms faster, and after a crash take the state before the
//! last where the last does not verify; it cannot tell a commit that was torn, which nobody was told of, from one that was
//! acknowledged and has rotted since. A vote that is forgotten that way is given twice. In two phases the last commit that
//! was acknowledged verifies, or the database does not open.

use std::{
    io,
    ops::{Bound, RangeBounds},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use prost::Message;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};

use super::{error::StorageError, identity::DataIdentity, seal::Sealer};
use crate::raft::proto::{Entry, HardState, SnapshotMeta};

/// The log is small and its owner keeps the entries that it needs in memory, so the database needs hardly any cache.
const CACHE_BYTES: usize = 2 << 20;
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("entries");
/// Who the database belongs to.
const HEADER: &str = "header";
const HARD_STATE: &str = "hard-state";
const SNAPSHOT: &str = "snapshot";

/// Who the database belongs to: again, beside the identity file, because folders are moved about.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Header {
    #[prost(uint32, tag = "1")]
    pub(super) format: u32,
    #[prost(string, tag = "2")]
    pub(super) cluster: String,
    #[prost(string, tag = "3")]
    pub(super) node: String,
    #[prost(uint64, tag = "4")]
    pub(super) id: u64,
    #[prost(uint64, tag = "5")]
    pub(super) epoch: u64,
}

impl Header {
    pub(super) fn of(identity: &DataIdentity) -> Self {
        Self {
            format: super::identity::FORMAT,
            cluster: identity.owner.cluster.to_string(),
            node: identity.owner.node.to_string(),
            id: identity.owner.id,
            epoch: identity.epoch,
        }
    }
}

/// Which file holds the current snapshot, and what must be in it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct SnapshotPointer {
    #[prost(message, optional, tag = "1")]
    pub(super) meta: Option<SnapshotMeta>,
    #[prost(string, tag = "2")]
    pub(super) file: String,
    #[prost(uint64, tag = "3")]
    pub(super) bytes: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) sha256: Vec<u8>,
}

/// Everything that is in the database, checked value by value, not yet against each other.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) header: Option<Header>,
    pub(super) hard_state: Option<HardState>,
    pub(super) snapshot: Option<SnapshotPointer>,
    pub(super) entries: Vec<Entry>,
}

/// An open database.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    sealer: Sealer,
    path: PathBuf,
}

impl Store {
    /// Opens the database and verifies every page; an empty one is made anew.
    pub(super) fn open(
        backend: impl StorageBackend,
        path: PathBuf,
        sealer: Sealer,
    ) -> Result<Self, StorageError> {
        let database = guarded("open", &path, || {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
            Ok(builder.create_with_backend(backend)?)
        })?;
        Ok(Self { database, sealer, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything.
    pub(super) fn read(&self) -> Result<Stored, StorageError> {
        guarded("read", &self.path, || Ok(self.read_all(&self.database.begin_read()?)))?
    }

    fn read_all(&self, transaction: &ReadTransaction) -> Result<Stored, StorageError> {
        let fail = |error: redb::Error| from_redb("read", &self.path, error);
        let mut stored = Stored::default();
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            // The tables come into being with the header.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(stored),
            Err(error) => return Err(fail(error.into())),
        };
        for value in meta.iter().map_err(|error| fail(error.into()))? {
            let (key, value) = value.map_err(|error| fail(error.into()))?;
            let (key, value) = (key.value(), value.value());
            match key {
                HEADER => stored.header = Some(self.unseal("meta", key, key.as_bytes(), value)?),
                HARD_STATE => stored.hard_state = Some(self.unseal("meta", key, key.as_bytes(), value)?),
                SNAPSHOT => stored.snapshot = Some(self.unseal("meta", key, key.as_bytes(), value)?),
                _ => return Err(self.damaged(format!("meta `{key}`"), "it is not known what this is")),
            }
        }
        let entries = transaction.open_table(ENTRIES).map_err(|error| fail(error.into()))?;
        for value in entries.iter().map_err(|error| fail(error.into()))? {
            let (index, value) = value.map_err(|error| fail(error.into()))?;
            let index = index.value();
            let entry: Entry =
                self.unseal("entry", &index.to_string(), &index.to_le_bytes(), value.value())?;
            if entry.index != index {
                return Err(self.damaged(format!("entry `{index}`"), "it is an entry of another index"));
            }
            stored.entries.push(entry);
        }
        Ok(stored)
    }

    fn unseal<M: Message + Default>(
        &self,
        table: &str,
        name: &str,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<M, StorageError> {
        let place = || format!("{table} `{name}`");
        let value = self.sealer.open(table, key, sealed);
        let value = value.ok_or_else(|| self.damaged(place(), "its checksum is not that of its content"))?;
        M::decode(value).map_err(|error| self.damaged(place(), error.to_string()))
    }

    fn damaged(&self, place: String, why: impl Into<String>) -> StorageError {
        StorageError::damaged(&self.path, place, why)
    }

    /// Makes changes, all or none. If `sync`, they outlive a power failure when this returns; else they do at the latest
    /// with the next commit that is synced, and never without those before them.
    pub(super) fn commit(
        &self,
        sync: bool,
        change: impl FnOnce(&mut Change<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        guarded("write", &self.path, || {
            let mut transaction = self.database.begin_write()?;
            let durability = if sync { Durability::Immediate } else { Durability::None };
            transaction.set_durability(durability)?;
            transaction.set_two_phase_commit(true);
            change(&mut Change { transaction: &transaction, sealer: &self.sealer })?;
            Ok(transaction.commit()?)
        })
    }
}

/// What may be changed in one commit.
pub(super) struct Change<'a> {
    transaction: &'a WriteTransaction,
    sealer: &'a Sealer,
}

impl Change<'_> {
    pub(super) fn header(&mut self, header: &Header) -> Result<(), redb::Error> {
        self.put(HEADER, header)?;
        // Both tables are there from the first commit on, so that a missing one is a damage.
        self.transaction.open_table(ENTRIES)?;
        Ok(())
    }

    pub(super) fn hard_state(&mut self, state: &HardState) -> Result<(), redb::Error> {
        self.put(HARD_STATE, state)
    }

    pub(super) fn snapshot(&mut self, pointer: &SnapshotPointer) -> Result<(), redb::Error> {
        self.put(SNAPSHOT, pointer)
    }

    fn put(&mut self, key: &str, value: &impl Message) -> Result<(), redb::Error> {
        let sealed = self.sealer.seal("meta", key.as_bytes(), &value.encode_to_vec());
        self.transaction.open_table(META)?.insert(key, sealed.as_slice())?;
        Ok(())
    }

    /// Puts entries in the place of whatever there was from the first one's index on.
    pub(super) fn entries(&mut self, entries: &[Entry], replaces: bool) -> Result<(), redb::Error> {
        let Some(first) = entries.first() else { return Ok(()) };
        let mut table = self.transaction.open_table(ENTRIES)?;
        if replaces {
            table.retain_in(first.index.., |_, _| false)?;
        }
        for entry in entries {
            let sealed = self.sealer.seal("entry", &entry.index.to_le_bytes(), &entry.encode_to_vec());
            table.insert(entry.index, sealed.as_slice())?;
        }
        Ok(())
    }

    pub(super) fn remove_entries(&mut self, range: impl RangeBounds<u64>) -> Result<(), redb::Error> {
        let range: (Bound<u64>, Bound<u64>) = (range.start_bound().cloned(), range.end_bound().cloned());
        Ok(self.transaction.open_table(ENTRIES)?.retain_in(range, |_, _| false)?)
    }
}

/// Runs work in redb. It may panic where a page is not what its checksum promised; here that is one more damage.
fn guarded<T>(
    deed: &'static str,
    path: &Path,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, StorageError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(from_redb(deed, path, error)),
        Err(panic) => {
            let why = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no reason given".to_owned());
            Err(StorageError::damaged(path, "its pages", format!("the store gave up: {why}")))
        }
    }
}

fn from_redb(deed: &'static str, path: &Path, error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StorageError::damaged(path, "its pages", error.to_string())
        }
        redb::Error::Io(error) => StorageError::io(deed, path, error),
        redb::Error::Corrupted(why) => StorageError::damaged(path, "its pages", why),
        error @ (redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            StorageError::damaged(path, "its tables", error.to_string())
        }
        redb::Error::UpgradeRequired(version) => StorageError::OtherFormat {
            path: path.to_owned(),
            found: format!("redb {version}"),
            supported: super::identity::FORMAT,
        },
        error => StorageError::io(deed, path, io::Error::other(error)),
    }
}
