//! The durable log on disk: entries, term, vote and snapshots of one member, kept so that it never promises twice.
//!
//! In reading order: [`RedbLog`] is the [`Log`](crate::raft::Log) that a member runs on; [`DataIdentity`] says whose it
//! is; [`StorageError`] says what went wrong and what a person does about it; [`Files`] is the seam to a file system,
//! with [`Directory`] on a real one and [`SimulatedDisk`] in memory, which tears, loses and fills up.
//!
//! Under the folder `raft` of a data folder:
//!
//! | path | what | written |
//! |---|---|---|
//! | `lock` | the pid of the process that has the folder | at start |
//! | `stable/identity` | format, cluster, node, Raft id, epoch: text with a checksum | when the log is made, and for a new epoch |
//! | `logs/log.redb` | entries, term and vote, which snapshot is current | one transaction for each batch |
//! | `snapshots/*.snapshot` | the state machine at some place of the log | whole, before a transaction names it |
//!
//! What happens to what is found:
//!
//! - a transaction that was torn by a crash was never acknowledged: it is gone, and the one before it counts;
//! - a page, value or snapshot that does not verify was acknowledged: the log does not open, and says which it is;
//! - a log that the identity speaks of and that is not there was lost with what it promised: the node does not start
//!   under its id again;
//! - after an error of the disk, a full one as well, the log takes nothing more: what is on the disk is known again only
//!   once it is read anew.
//!
//! Nothing here knows what entries mean, or when to take a snapshot: Raft and its state machine say so in a
//! [`Batch`](crate::raft::Batch).

mod check;
mod disk;
mod disk_simulated;
mod error;
mod identity;
mod log;
mod seal;
mod snapshots;
mod store;
#[cfg(test)]
mod tests;

pub use self::{
    disk::{Directory, Files, Folder},
    disk_simulated::{DiskFault, SimulatedDatabase, SimulatedDisk},
    error::StorageError,
    identity::{DataIdentity, DataOwner, FORMAT},
    log::RedbLog,
    snapshots::SNAPSHOT_BYTES_MAX,
};
