//! A runtime that breaks promises. Only lies that are found out at once: a state that never comes is found out, too,
//! but after a minute.

use std::time::Duration;

use async_trait::async_trait;
use constellation_docker::{
    Container, ContainerId, ContainerRuntime, ContainerSpec, ContainerSummary, EventStream, ListFilter,
    LogLine, LogStream, ProcessRuntime, RuntimeError, RuntimeInfo, StopOutcome,
};

pub(crate) struct Liar(pub(crate) ProcessRuntime);

#[async_trait]
impl ContainerRuntime for Liar {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo { kind: String::new(), ..self.0.info().await? })
    }

    /// Forgets the labels of the filter.
    async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        self.0.list(&ListFilter { running_only: filter.running_only, ..ListFilter::default() }).await
    }

    /// Forgets labels, ports, exit codes and times, and takes what is missing for a refusal.
    async fn inspect(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        let refused = |_| RuntimeError::Refused { deed: "inspect".to_owned(), message: "no".to_owned() };
        let mut container = self.0.inspect(id).await.map_err(refused)?;
        container.labels.clear();
        container.published.clear();
        container.state.exit_code = None;
        container.state.started_at_ms = None;
        Ok(container)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        self.0.create(spec).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.0.start(id).await
    }

    /// Always takes the credit.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<StopOutcome, RuntimeError> {
        self.0.stop(id, grace).await.map(|_| StopOutcome::Stopped)
    }

    async fn restart(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.0.restart(id, grace).await
    }

    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        self.0.kill(id, signal).await
    }

    /// Always by force.
    async fn remove(&self, id: &ContainerId, _: bool) -> Result<(), RuntimeError> {
        self.0.remove(id, true).await
    }

    /// Swaps the streams.
    async fn logs(&self, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>, RuntimeError> {
        let swap = |stream| match stream {
            LogStream::Stdout => LogStream::Stderr,
            LogStream::Stderr => LogStream::Stdout,
        };
        let lines = self.0.logs(id, tail).await?;
        Ok(lines.into_iter().map(|line| LogLine { stream: swap(line.stream), ..line }).collect())
    }

    async fn events(&self) -> Result<EventStream, RuntimeError> {
        self.0.events().await
    }
}
