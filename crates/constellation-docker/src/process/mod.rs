//! Containers as supervised child processes.
//!
//! For machines without Docker, for the demo, and for tests: the same [`ContainerSpec`], with what a plain process can
//! keep of it. What it cannot keep (networks, mounts, limits, capabilities) is refused by name, never ignored.
//!
//! [`life`] decides (restart policy, health, stopping) and is pure; one [`owner`] task per container acts. Processes
//! write their output into files by themselves and are nobody's hostages: when the agent goes they run on, and the
//! next runtime on the same folder takes them over, if `/proc` proves that they are the same ones.

mod admit;
mod calls;
mod clock;
mod health;
mod launch;
mod life;
mod lock;
mod logs;
mod main_process;
mod open;
mod owner;
mod policy;
mod probe;
mod procfs;
mod record;
mod shared;
mod signal;
mod store;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tracing::warn;

use self::shared::Shared;
use crate::{
    container::ContainerId,
    engine::Observed,
    error::RuntimeError,
    runtime::{ContainerRuntime, ListFilter},
};

/// Where a [`ProcessRuntime`] keeps its files, and what its processes are told.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The folder that holds everything: specifications, states, logs. One runtime per folder at a time.
    pub state_dir: PathBuf,
    /// The address that processes are told to listen on (`CONSTELLATION_ADDRESS`), and the one that `inspect` says
    /// their ports are published on. Default `127.0.0.1`.
    pub address: IpAddr,
    /// How large a log file may grow, in bytes, before it is cut: one per stream, and one older piece of the same
    /// size beside each. Default 1 MiB, so 4 MiB per container.
    pub log_bytes_max: u64,
    /// How often the sizes of the logs are looked at. In between, a process may outgrow the bound. Default 1 s.
    pub log_interval: Duration,
}

impl ProcessConfig {
    /// The defaults, with this folder.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            log_bytes_max: 1 << 20,
            log_interval: Duration::from_secs(1),
        }
    }
}

/// How long [`ProcessRuntime::close`] waits for its tasks: each has at most one write to the disk to finish.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// A [`ContainerRuntime`] without Docker: every container is a process on this machine, in a process group of its own.
///
/// A process gets the environment of its specification, `PATH` and `HOME` of the agent, `CONSTELLATION_ADDRESS` (where
/// to listen), `CONSTELLATION_CONTAINER_ID`, and `PORT` (the lowest TCP port that it declares) where it has none;
/// nothing else of the agent's environment. It starts in `/` where no working directory is named. The image, the
/// labels and the host name are only recorded.
///
/// [`close`](Self::close) and dropping leave the processes running; [`shutdown`](Self::shutdown) leaves nothing. Under
/// systemd the former needs `KillMode=process`, else systemd ends them together with the agent.
///
/// It must be used within a tokio runtime, and needs Linux 5.3 or later.
#[derive(Debug)]
pub struct ProcessRuntime {
    shared: Arc<Shared>,
}

impl ProcessRuntime {
    /// Opens the folder, takes over the processes that run still, and applies the restart policies to the others.
    ///
    /// A container whose files make no sense is set aside under `quarantine/`, said in the log, and left alone.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] where another runtime has the folder, naming its process; [`RuntimeError::Io`] where
    /// the folder cannot be made or read.
    pub async fn open(config: ProcessConfig) -> Result<Self, RuntimeError> {
        open::open(config).await
    }

    /// Lets go of the folder and leaves the processes running for the next runtime.
    pub async fn close(self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(CLOSE_LIMIT, self.shared.tasks.wait()).await.is_err() {
            warn!(
                state_dir = %self.shared.config.state_dir.display(),
                "a disk does not answer: the folder stays locked until it does, or this process ends"
            );
        }
    }

    /// A container and exactly what it was made with.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] where there is none of that id.
    pub async fn observe(&self, id: &ContainerId) -> Result<Observed, RuntimeError> {
        let container = self.inspect(id).await?;
        let spec = self.shared.entry(id)?.spec.as_ref().clone();
        Ok(Observed { container, spec, image_id: String::new() })
    }

    /// Stops and removes every container, all at once.
    ///
    /// # Errors
    /// The first failure, after all the others have been removed.
    pub async fn remove_all(&self, grace: Duration) -> Result<(), RuntimeError> {
        let containers = self.list(&ListFilter::default()).await?;
        let removals = containers.iter().map(|container| async {
            self.stop(&container.id, grace).await?;
            self.remove(&container.id, true).await
        });
        let results = futures::future::join_all(removals).await;
        // Gone meanwhile is what we wanted.
        results
            .into_iter()
            .find(|r| !matches!(r, Ok(()) | Err(RuntimeError::NotFound { .. })))
            .unwrap_or(Ok(()))
    }

    /// Leaves nothing behind: no process, and no file but the empty folder and its lock.
    ///
    /// # Errors
    /// As [`remove_all`](Self::remove_all). The runtime is closed all the same.
    pub async fn shutdown(self, grace: Duration) -> Result<(), RuntimeError> {
        let removed = self.remove_all(grace).await;
        self.close().await;
        removed
    }
}

impl Drop for ProcessRuntime {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}
