//! [`ContainerRuntime`] for processes: each call finds the container's owner, asks it, and waits within a limit.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio_stream::wrappers::BroadcastStream;

use super::{
    ProcessRuntime, admit, launch,
    life::Life,
    open,
    owner::{Command, Owner},
    shared::{Entry, Shared},
    signal,
    store::blocking,
};
use crate::{
    container::{Container, ContainerId, ContainerSummary, NetworkAttachment, PublishedPort, RunState},
    error::RuntimeError,
    event::{ContainerEvent, EventKind, EventStream},
    runtime::{ContainerRuntime, ListFilter, LogLine, RuntimeInfo, StopOutcome},
    spec::ContainerSpec,
};

/// For what takes a few writes to the disk.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// On top of a grace period: for a kill to work, and for all that is left to be gone.
const BEYOND_GRACE: Duration = Duration::from_secs(15);

impl ProcessRuntime {
    async fn ask<T>(
        &self,
        id: &ContainerId,
        deed: &str,
        limit: Duration,
        command: impl FnOnce(oneshot::Sender<Result<T, RuntimeError>>) -> Command,
    ) -> Result<T, RuntimeError> {
        let entry = self.shared.entry(id)?;
        let deed = format!("{deed} container `{}`", entry.spec.name);
        let (answer, answered) = oneshot::channel();
        let asked = async {
            entry.commands.send(command(answer)).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(Some(answer)) => answer,
            // Removed while we stood in line.
            Ok(None) => self.shared.entry(id).and_then(|_| Err(unanswered(deed))),
            Err(_) => Err(RuntimeError::TimedOut { deed, limit }),
        }
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo {
            kind: "process".to_owned(),
            endpoint: self.shared.config.state_dir.display().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        let mut summaries: Vec<_> = self
            .shared
            .entries()
            .into_iter()
            .map(|(id, entry)| ContainerSummary {
                id,
                name: entry.spec.name.clone(),
                image: entry.spec.image.clone(),
                state: entry.state.borrow().run,
                labels: entry.spec.labels.clone(),
            })
            .filter(|summary| filter.labels.iter().all(|(key, value)| summary.labels.get(key) == Some(value)))
            .filter(|summary| !filter.running_only || summary.state == RunState::Running)
            .collect();
        summaries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(summaries)
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        Ok(describe(&self.shared, id, &self.shared.entry(id)?))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        admit::admit(spec, self.shared.config.address, self.shared.ourselves)?;
        let deed = format!("create container `{}`", spec.name);
        let id = ContainerId::new(hex::encode(rand::random::<[u8; 32]>()));
        self.shared.reserve(&spec.name, &id)?;
        // In a task of its own: a caller that goes away meanwhile leaves a whole container or none.
        let made = self.shared.tasks.spawn(make(Arc::clone(&self.shared), id, spec.clone()));
        match tokio::time::timeout(CALL_LIMIT, made).await {
            Ok(Ok(result)) => result,
            Ok(Err(panicked)) => Err(RuntimeError::Io { deed, source: std::io::Error::other(panicked) }),
            Err(_) => Err(RuntimeError::TimedOut { deed, limit: CALL_LIMIT }),
        }
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        // A container that is being stopped ends first.
        self.ask(id, "start", CALL_LIMIT + BEYOND_GRACE, Command::Start).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<StopOutcome, RuntimeError> {
        let limit = grace.saturating_add(BEYOND_GRACE);
        self.ask(id, "stop", limit, |answer| Command::Stop(grace, answer)).await
    }

    async fn restart(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.stop(id, grace).await?;
        self.start(id).await
    }

    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        let signal = signal::parse(signal).ok_or_else(|| RuntimeError::Refused {
            deed: format!("kill container `{id}`"),
            message: format!("`{signal}` is not a signal: write a name such as SIGTERM"),
        })?;
        self.ask(id, "kill", CALL_LIMIT, |answer| Command::Kill(signal, answer)).await
    }

    async fn remove(&self, id: &ContainerId, force: bool) -> Result<(), RuntimeError> {
        match self.ask(id, "remove", BEYOND_GRACE, |answer| Command::Remove { force, answer }).await {
            Err(RuntimeError::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    async fn logs(&self, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>, RuntimeError> {
        let entry = self.shared.entry(id)?;
        let deed = format!("read the log of container `{}`", entry.spec.name);
        let read = blocking(&deed, {
            let deed = deed.clone();
            move || entry.logs.tail(tail).map_err(|source| RuntimeError::Io { deed, source })
        });
        match tokio::time::timeout(CALL_LIMIT, read).await {
            Ok(result) => result,
            Err(_) => Err(RuntimeError::TimedOut { deed, limit: CALL_LIMIT }),
        }
    }

    async fn events(&self) -> Result<EventStream, RuntimeError> {
        let events = BroadcastStream::new(self.shared.events.subscribe()).map(|event| {
            // The one error there is: the subscriber lagged.
            Ok(event.unwrap_or(ContainerEvent { id: None, kind: EventKind::Missed }))
        });
        let endpoint = self.shared.config.state_dir.display().to_string();
        let end = futures::stream::once(async move {
            Err(RuntimeError::Unreachable { endpoint, source: "the process runtime has been closed".into() })
        });
        // The last sender goes with the runtime, so what happened before its end is still told.
        Ok(events.chain(end).boxed())
    }
}

/// Why a call got no answer although its container is there.
fn unanswered(deed: String) -> RuntimeError {
    let message =
        "the task that owned this container has ended, see the log; open the runtime again".to_owned();
    RuntimeError::Refused { deed, message }
}

/// Makes a container whose name is reserved.
async fn make(
    shared: Arc<Shared>,
    id: ContainerId,
    spec: ContainerSpec,
) -> Result<ContainerId, RuntimeError> {
    let life = Life::new(&spec);
    let name = spec.name.clone();
    let written = {
        let (store, id, spec, record) = (shared.store.clone(), id.clone(), spec.clone(), life.record());
        blocking("write down a container", move || store.add(&id, &spec, &record)).await
    };
    if let Err(error) = written {
        shared.release(&name);
        return Err(error);
    }
    let (owner, entry) = Owner::new(Arc::clone(&shared), id.clone(), spec, life);
    shared.insert(&id, entry);
    shared.tell(&id, EventKind::Created);
    open::adopt_task(&shared, &id, owner);
    Ok(id)
}

fn describe(shared: &Shared, id: &ContainerId, entry: &Entry) -> Container {
    let (spec, address) = (&entry.spec, shared.config.address);
    let exposed = launch::ports(spec);
    // A process listens on the host itself: what it listens on is published, at the address that it was told.
    let published = exposed.iter().map(|port| PublishedPort {
        container: *port,
        host_ip: address,
        host_port: port.number,
    });
    Container {
        id: id.clone(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        labels: spec.labels.clone(),
        created_at_ms: entry.created_at_ms,
        state: entry.state.borrow().clone(),
        published: published.collect(),
        exposed,
        networks: vec![NetworkAttachment { name: "host".to_owned(), address: Some(address) }],
        host_network: true,
    }
}
