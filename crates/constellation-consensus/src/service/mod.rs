//! The shell: one task that owns the [`Replica`](crate::Replica), one thread that owns the disk, and a handle.
//!
//! Nothing here decides. The task feeds the replica with ticks, frames, answers of the disk and commands, and carries out
//! what it says, in order.

mod clocks;
mod disk;
mod handle;
mod task;

use std::sync::Arc;

use constellation_core::LeaseHolder;
use constellation_tasks::{Early, Supervisor};
use tokio::sync::{mpsc, watch};

pub use self::{
    clocks::{LeaseClocks, MachineClocks},
    handle::{LeaseHandle, Standing},
};
use crate::{
    Transport,
    lease::{AskId, LeaseConfig},
    raft::{Fault, Log, LogError, RaftConfig, RaftId},
    replica::{Identity, Replica},
    transport::Delivery,
};

/// Who a node is in its cluster, and how leases are kept there.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Its Raft id.
    pub id: RaftId,
    /// Its name, and this run of its process.
    pub holder: LeaseHolder,
    /// The cluster's epoch.
    pub epoch: u64,
    /// How Raft is timed and bounded.
    pub raft: RaftConfig,
    /// How leases are timed; the same on every node.
    pub lease: LeaseConfig,
}

/// The service could not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The log cannot be read or written.
    #[error("could not use the Raft log")]
    Log(#[from] LogError),
    /// Raft cannot go on.
    #[error("could not go on as a member of the cluster")]
    Raft(#[from] Fault),
    /// The operating system did not give a thread for the disk.
    #[error("could not start the thread that writes the Raft log")]
    Thread(#[source] std::io::Error),
    /// The cluster holds this process for dead. It ends and comes back under a new boot id.
    #[error("the cluster has declared this process dead: restart it, so that it comes back as a new one")]
    Dead,
    /// The disk's thread ended.
    #[error("the thread that writes the Raft log ended before its time")]
    DiskGone,
}

/// Runs a node's part in the leases.
#[derive(Debug)]
pub struct LeaseService;

impl LeaseService {
    /// Takes over the log, and runs until the supervisor drains. When it cannot go on it ends, and [`LeaseHandle::ended`]
    /// says why: everything that it had promised lapses by itself. After [`ServiceError::Dead`] the process must end.
    ///
    /// The log is read before this returns, so that a node that cannot start says so at once.
    pub fn start(
        config: &ServiceConfig,
        mut log: impl Log,
        transport: impl Transport,
        deliveries: mpsc::Receiver<Delivery>,
        clocks: Arc<dyn LeaseClocks>,
        supervisor: &Supervisor,
    ) -> Result<LeaseHandle, ServiceError> {
        let recovered = log.recover()?;
        let now = clocks.now();
        let first_ask = AskId(u64::try_from(now.holder.0.since_start().as_nanos()).unwrap_or(u64::MAX));
        let identity = Identity { raft: config.id, holder: config.holder.clone(), first_ask };
        let replica = Replica::new(identity, config.raft, config.lease, recovered, now)?;
        let disk = disk::start(log)?;
        let (ended, end) = watch::channel(None);
        let (task, handle) = task::Task::new(config, replica, transport, disk, clocks, end);
        let stop = supervisor.shutdown();
        // What its end means is for the process to say: it may well have other duties.
        supervisor.spawn("leases", Early::Fine, async move {
            if let Err(error) = task.run(deliveries, stop).await {
                tracing::error!(error = constellation_core::error_chain(&error), "the lease service ends");
                ended.send_replace(Some(Arc::new(error)));
            }
        });
        Ok(handle)
    }
}
