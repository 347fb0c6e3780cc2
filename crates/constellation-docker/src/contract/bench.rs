//! What every promise uses: making containers of this run, waiting for a state with a bound, watching events.

use std::{error::Error, fmt, io, time::Duration};

use futures::StreamExt;

use super::{ContractWorld, RUN_LABEL};
use crate::{
    container::{Container, ContainerId, RunState},
    error::RuntimeError,
    event::{EventKind, EventStream},
    runtime::{ContainerRuntime, ListFilter},
    spec::ContainerSpec,
};

/// How often a state is asked for while waiting. The wait ends with the state, so this is no part of any promise.
const POLL: Duration = Duration::from_millis(50);

/// The longest wait for a state.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Grace for containers that end at once.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// Whether a promise was kept.
pub(super) type Kept = Result<(), Seen>;

/// What was seen instead of what was promised.
#[derive(Debug)]
pub(super) enum Seen {
    Error(RuntimeError),
    Other(String),
}

impl From<RuntimeError> for Seen {
    fn from(error: RuntimeError) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Seen {
    fn from(error: io::Error) -> Self {
        Self::Other(format!("the world of the test failed: {error}"))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Error(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

/// Fails a promise with what was seen.
macro_rules! promised {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::contract::bench::Seen::Other(format!($($seen)+)));
        }
    };
}
pub(super) use promised;

/// One run of the suite.
pub(super) struct Bench<'w> {
    pub(super) world: &'w dyn ContractWorld,
    run: String,
}

impl<'w> Bench<'w> {
    pub(super) fn new(world: &'w dyn ContractWorld) -> Self {
        Self { world, run: hex::encode(rand::random::<[u8; 4]>()) }
    }

    pub(super) fn runtime(&self) -> &'w dyn ContainerRuntime {
        self.world.runtime()
    }

    /// A name, or a key, of this run.
    pub(super) fn name(&self, what: &str) -> String {
        format!("contract-{}-{what}", self.run)
    }

    /// The filter that lets only this run's containers through.
    pub(super) fn filter(&self) -> ListFilter {
        ListFilter { labels: [(RUN_LABEL.to_owned(), self.run.clone())].into(), running_only: false }
    }

    /// A specification under a name of this run.
    pub(super) fn named(&self, what: &str, spec: ContainerSpec) -> ContainerSpec {
        ContainerSpec { name: self.name(what), ..spec }.label(RUN_LABEL, &self.run)
    }

    pub(super) async fn create(&self, what: &str, spec: ContainerSpec) -> Result<ContainerId, Seen> {
        Ok(self.runtime().create(&self.named(what, spec)).await?)
    }

    pub(super) async fn create_and_start(
        &self,
        what: &str,
        spec: ContainerSpec,
    ) -> Result<ContainerId, Seen> {
        let id = self.create(what, spec).await?;
        self.runtime().start(&id).await?;
        Ok(id)
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> Result<Container, Seen> {
        Ok(self.runtime().inspect(id).await?)
    }

    /// Waits until a container is in a state, and says which state it was in where it never comes.
    pub(super) async fn until(
        &self,
        id: &ContainerId,
        state: &str,
        is_reached: impl Fn(&Container) -> bool + Send + Sync,
    ) -> Result<Container, Seen> {
        let mut last = None;
        let wait = async {
            let mut ticks = tokio::time::interval(POLL);
            loop {
                ticks.tick().await;
                let container = self.inspect(id).await?;
                if is_reached(&container) {
                    return Ok(container);
                }
                last = Some(container.state);
            }
        };
        match tokio::time::timeout(WAIT_LIMIT, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Seen::Other(format!("never {state}; it was {last:?}"))),
        }
    }

    pub(super) async fn until_exited(&self, id: &ContainerId) -> Result<Container, Seen> {
        self.until(id, "ended", |it| it.state.run == RunState::Exited).await
    }

    pub(super) async fn until_running(&self, id: &ContainerId) -> Result<Container, Seen> {
        self.until(id, "running", |it| it.state.run == RunState::Running && it.state.pid.is_some()).await
    }

    /// Waits until a sleeper or a stubborn one is ready for signals: a process runs before it has said what is to
    /// happen upon one.
    pub(super) async fn until_ready(&self, id: &ContainerId) -> Result<Container, Seen> {
        let container = self.until_running(id).await?;
        let wait = async {
            let mut ticks = tokio::time::interval(POLL);
            while !self.runtime().logs(id, 1).await?.iter().any(|line| line.text == "ready") {
                ticks.tick().await;
            }
            Ok(container)
        };
        match tokio::time::timeout(WAIT_LIMIT, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Seen::Other("it never printed `ready`".to_owned())),
        }
    }

    /// Ends the main process behind the runtime's back.
    pub(super) async fn crash(&self, id: &ContainerId) -> Kept {
        Ok(self.world.crash(&self.until_running(id).await?)?)
    }

    /// Lets the runtime bring something back by its policy, and so prove that it had the time to.
    pub(super) async fn give_policies_their_time(&self, what: &str) -> Kept {
        let mut spec = self.world.sleeper();
        spec.restart = crate::spec::RestartPolicy::Always;
        let witness = self.create_and_start(what, spec).await?;
        self.crash(&witness).await?;
        self.until(&witness, "brought back", |it| it.state.run == RunState::Running && it.state.restarts > 0)
            .await?;
        Ok(())
    }

    pub(super) async fn watch(&self) -> Result<Watch, Seen> {
        Ok(Watch { stream: self.runtime().events().await? })
    }

    /// Removes what this run made.
    pub(super) async fn remove_everything(&self) -> Kept {
        for container in self.runtime().list(&self.filter()).await? {
            self.runtime().remove(&container.id, true).await?;
        }
        let left = self.runtime().list(&self.filter()).await?;
        promised!(left.is_empty(), "{} container(s) are left", left.len());
        Ok(())
    }
}

/// A subscription to events.
pub(super) struct Watch {
    stream: EventStream,
}

impl Watch {
    /// Waits for an event, and passes over those before it.
    pub(super) async fn until(&mut self, id: &ContainerId, kind: EventKind) -> Kept {
        let wait = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(event)) if event.id.as_ref() == Some(id) && event.kind == kind => return Ok(()),
                    Some(Ok(event)) if event.kind == EventKind::Missed => {
                        return Err(Seen::Other(format!("events were missed before {kind:?}")));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Seen::Other(format!("the events ended before {kind:?}"))),
                }
            }
        };
        match tokio::time::timeout(WAIT_LIMIT, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Seen::Other(format!("no event {kind:?}"))),
        }
    }
}
