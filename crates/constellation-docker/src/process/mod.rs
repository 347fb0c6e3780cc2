//! The same specifications as supervised child processes.

use std::{net::{IpAddr, Ipv4Addr}, path::PathBuf, time::Duration};

use async_trait::async_trait;

use crate::{
    Container, ContainerId, ContainerRuntime, ContainerSpec, ContainerSummary, EventStream, ListFilter, LogLine,
    RuntimeError, RuntimeInfo, StopOutcome,
};

/// Where a [`ProcessRuntime`] keeps its files and what its processes are told.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The folder that holds everything: one runtime per folder.
    pub state_dir: PathBuf,
    /// The address that processes are told to listen on (`CONSTELLATION_ADDRESS`).
    pub address: IpAddr,
    /// How large a log file may grow, in bytes.
    pub log_bytes_max: u64,
}

impl ProcessConfig {
    /// The defaults, with this folder.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into(), address: IpAddr::V4(Ipv4Addr::LOCALHOST), log_bytes_max: 1 << 20 }
    }
}

/// Containers as supervised child processes.
#[derive(Debug)]
pub struct ProcessRuntime {
    config: ProcessConfig,
}

fn refused<T>(deed: &str) -> Result<T, RuntimeError> {
    Err(RuntimeError::Refused { deed: deed.to_owned(), message: "not written yet".to_owned() })
}

impl ProcessRuntime {
    /// Opens the folder, and takes over what an earlier runtime left running there.
    pub async fn open(config: ProcessConfig) -> Result<Self, RuntimeError> {
        Ok(Self { config })
    }

    /// Lets go of everything and leaves the processes running.
    pub async fn close(self) {}

    /// Stops and removes every container.
    pub async fn remove_all(&self, _grace: Duration) -> Result<(), RuntimeError> {
        refused("remove everything")
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo {
            kind: "process".to_owned(),
            endpoint: self.config.state_dir.display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
    async fn list(&self, _filter: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        refused("list")
    }
    async fn inspect(&self, _id: &ContainerId) -> Result<Container, RuntimeError> {
        refused("inspect")
    }
    async fn create(&self, _spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        refused("create")
    }
    async fn start(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        refused("start")
    }
    async fn stop(&self, _id: &ContainerId, _grace: Duration) -> Result<StopOutcome, RuntimeError> {
        refused("stop")
    }
    async fn restart(&self, _id: &ContainerId, _grace: Duration) -> Result<(), RuntimeError> {
        refused("restart")
    }
    async fn kill(&self, _id: &ContainerId, _signal: &str) -> Result<(), RuntimeError> {
        refused("kill")
    }
    async fn remove(&self, _id: &ContainerId, _force: bool) -> Result<(), RuntimeError> {
        refused("remove")
    }
    async fn logs(&self, _id: &ContainerId, _tail: usize) -> Result<Vec<LogLine>, RuntimeError> {
        refused("read logs")
    }
    async fn events(&self) -> Result<EventStream, RuntimeError> {
        refused("subscribe")
    }
}
