//! The seam: what a container runtime must be able to do, and what each `Ok` promises.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    container::{Container, ContainerId, ContainerSummary},
    error::RuntimeError,
    event::EventStream,
    spec::ContainerSpec,
};

/// What answers behind the seam.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeInfo {
    /// `docker` or `process`.
    pub kind: String,
    /// Where it is: a socket or a directory.
    pub endpoint: String,
    /// The version of the engine, and of the API that is spoken with it.
    pub version: String,
}

/// Which containers to list. Empty means all, running or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Labels that it must have with these values.
    pub labels: BTreeMap<String, String>,
    /// Whether only running containers count.
    pub running_only: bool,
}

/// Which of its two streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container printed, without its line end, cut at 16 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it printed it.
    pub stream: LogStream,
    /// The line; what is not UTF-8 is replaced.
    pub text: String,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// It was running and is not any more.
    Stopped,
    /// It was not running.
    AlreadyStopped,
}

/// A place where containers run.
///
/// Every call has a time limit of its own and fails with [`RuntimeError::TimedOut`] rather than hang. Every call that
/// changes something may be repeated: what is already so is `Ok`.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// Asks whether the runtime answers, and with which version.
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;

    /// The containers that the filter lets through, sorted by name.
    async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError>;

    /// Everything about one container. [`RuntimeError::NotFound`] where there is none of that id.
    async fn inspect(&self, id: &ContainerId) -> Result<Container, RuntimeError>;

    /// Makes a container and does not start it. [`RuntimeError::NameTaken`] where the name is in use.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError>;

    /// `Ok`: its main process has been started, or ran already. It may have ended again since.
    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Asks it to end, kills it after `grace`, and returns when it is gone. A restart policy does not bring it back.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<StopOutcome, RuntimeError>;

    /// Stops it (also where it is stopped already) and starts it.
    async fn restart(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;

    /// Sends a signal such as `SIGKILL`. What does not run is refused. Whether the restart policy brings back what
    /// the signal ended is the runtime's own affair: Docker takes a kill for a stop, a process runtime for a crash.
    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError>;

    /// Removes it, with its anonymous volumes. A running one is refused ([`RuntimeError::Running`]) unless `force`;
    /// one that does not exist is `Ok`.
    async fn remove(&self, id: &ContainerId, force: bool) -> Result<(), RuntimeError>;

    /// The last lines that it printed, oldest first, at most `tail` and at most 10,000.
    async fn logs(&self, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>, RuntimeError>;

    /// Subscribes to events. `Ok`: every event from now on is in the stream, or the stream ends with an error or
    /// says [`Missed`](crate::EventKind::Missed).
    async fn events(&self) -> Result<EventStream, RuntimeError>;
}
