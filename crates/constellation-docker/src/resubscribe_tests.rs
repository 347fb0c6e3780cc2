use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::{
    container::{Container, ContainerId, ContainerSummary},
    error::RuntimeError,
    runtime::{ListFilter, LogLine, RuntimeInfo, StopOutcome},
    spec::ContainerSpec,
};

/// One subscription: how many events it brings before it breaks; `None` where it is refused.
type Subscription = Option<usize>;

/// A runtime of which only the events matter. After its script every subscription is silent.
struct Scripted {
    script: Mutex<VecDeque<Subscription>>,
    attempts: Mutex<Vec<Duration>>,
    began: Instant,
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Subscription>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        #[expect(clippy::disallowed_methods, reason = "the test measures tokio's paused time")]
        let began = Instant::now();
        Arc::new(Self { script, attempts: Mutex::default(), began })
    }

    /// When each subscription was tried, since the beginning.
    fn attempts(&self) -> Vec<Duration> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn nothing<T>() -> Result<T, RuntimeError> {
    Err(RuntimeError::Refused { deed: "answer".into(), message: "only events are scripted".into() })
}

fn started() -> ContainerEvent {
    ContainerEvent { id: Some(ContainerId::new("c1")), kind: EventKind::Started }
}

#[async_trait]
impl ContainerRuntime for Scripted {
    async fn events(&self) -> Result<EventStream, RuntimeError> {
        self.attempts.lock().unwrap().push(self.began.elapsed());
        let next = self.script.lock().unwrap().pop_front();
        let Some(subscription) = next else { return Ok(Box::pin(futures::stream::pending())) };
        let Some(events) = subscription else { return nothing() };
        let events = std::iter::repeat_with(|| Ok(started())).take(events).chain([nothing()]);
        Ok(Box::pin(futures::stream::iter(events)))
    }

    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        nothing()
    }
    async fn list(&self, _: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        nothing()
    }
    async fn inspect(&self, _: &ContainerId) -> Result<Container, RuntimeError> {
        nothing()
    }
    async fn create(&self, _: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        nothing()
    }
    async fn start(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        nothing()
    }
    async fn stop(&self, _: &ContainerId, _: Duration) -> Result<StopOutcome, RuntimeError> {
        nothing()
    }
    async fn restart(&self, _: &ContainerId, _: Duration) -> Result<(), RuntimeError> {
        nothing()
    }
    async fn kill(&self, _: &ContainerId, _: &str) -> Result<(), RuntimeError> {
        nothing()
    }
    async fn remove(&self, _: &ContainerId, _: bool) -> Result<(), RuntimeError> {
        nothing()
    }
    async fn logs(&self, _: &ContainerId, _: usize) -> Result<Vec<LogLine>, RuntimeError> {
        nothing()
    }
}

/// The kinds of the next events.
async fn take(runtime: &Arc<Scripted>, count: usize) -> Vec<EventKind> {
    let delay = ResubscribeDelay { first: Duration::from_secs(1), max: Duration::from_secs(4) };
    events_forever(Arc::clone(runtime) as Arc<dyn ContainerRuntime>, delay)
        .take(count)
        .map(|event| event.kind)
        .collect()
        .await
}

fn seconds(of: &[Duration]) -> Vec<u64> {
    of.iter().map(Duration::as_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn each_subscription_that_holds_begins_with_missed() {
    use EventKind::{Missed, Started};
    let runtime = Scripted::new([Some(2), Some(1)]);
    assert_eq!(take(&runtime, 6).await, [Missed, Started, Started, Missed, Started, Missed]);
}

#[tokio::test(start_paused = true)]
async fn attempts_grow_apart_up_to_the_longest_delay() {
    let runtime = Scripted::new([None, None, None, None, None]);
    assert_eq!(take(&runtime, 1).await, [EventKind::Missed]);
    assert_eq!(seconds(&runtime.attempts()), [0, 1, 3, 7, 11, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_breaks_at_once_is_no_reason_to_hurry() {
    let runtime = Scripted::new([Some(0), Some(0), Some(0)]);
    assert_eq!(take(&runtime, 4).await, [EventKind::Missed; 4]);
    assert_eq!(seconds(&runtime.attempts()), [0, 1, 3, 7]);
}

#[tokio::test(start_paused = true)]
async fn an_event_proves_that_all_is_well_again() {
    let runtime = Scripted::new([None, None, Some(1)]);
    take(&runtime, 3).await;
    assert_eq!(seconds(&runtime.attempts()), [0, 1, 3, 4]);
}
