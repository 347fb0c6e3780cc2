//! The monitor over a runtime whose answers a test writes down.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use constellation_core::{Health, ManualClock};
use constellation_docker::{
    Container, ContainerEvent, ContainerId, ContainerRuntime, ContainerSpec, ContainerState,
    ContainerSummary, EventKind, EventStream, HealthReport, ListFilter, LogLine, RunState, RuntimeError,
    RuntimeInfo, StopOutcome,
};
use constellation_monitor::{Monitor, MonitorConfig, MonitorHandle, Report, RuntimeState};
use constellation_tasks::Supervisor;
use futures::{StreamExt, stream};
use tokio::sync::broadcast;

/// How the runtime behaves now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Nobody listens on the socket.
    Gone,
    /// It lists its containers and describes none of them.
    Babbling,
}

struct Scripted {
    mood: Mutex<Mood>,
    containers: Mutex<BTreeMap<ContainerId, Container>>,
    restarts: Mutex<Vec<ContainerId>>,
    events: broadcast::Sender<ContainerEvent>,
}

impl Scripted {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Well),
            containers: Mutex::default(),
            restarts: Mutex::default(),
            events: broadcast::channel(64).0,
        })
    }

    fn put(&self, name: &str, health: HealthReport) -> ContainerId {
        let id = ContainerId::new(format!("{name}0123456789abcdef"));
        let state = ContainerState {
            run: RunState::Running,
            health,
            pid: None,
            exit_code: None,
            oom_killed: false,
            started_at_ms: Some(1),
            finished_at_ms: None,
            restarts: 0,
        };
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            image: "image".to_owned(),
            labels: [("constellation.heal".to_owned(), "restart".to_owned())].into(),
            created_at_ms: Some(1),
            state,
            exposed: vec![],
            published: vec![],
            networks: vec![],
            host_network: false,
        };
        self.containers.lock().unwrap().insert(id.clone(), container);
        id
    }

    fn tell(&self, id: &ContainerId, kind: EventKind) {
        self.events.send(ContainerEvent { id: Some(id.clone()), kind }).unwrap();
    }

    fn answers(&self) -> Result<(), RuntimeError> {
        match *self.mood.lock().unwrap() {
            Mood::Gone => Err(RuntimeError::Unreachable {
                endpoint: "docker.sock".to_owned(),
                source: io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ContainerRuntime for Scripted {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        unimplemented("info")
    }

    async fn list(&self, _: &ListFilter) -> Result<Vec<ContainerSummary>, RuntimeError> {
        self.answers()?;
        let summary = |container: &Container| ContainerSummary {
            id: container.id.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
            state: container.state.run,
            labels: container.labels.clone(),
        };
        Ok(self.containers.lock().unwrap().values().map(summary).collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        self.answers()?;
        if *self.mood.lock().unwrap() == Mood::Babbling {
            return Err(RuntimeError::Nonsense {
                deed: "inspect".to_owned(),
                source: io::Error::from(io::ErrorKind::InvalidData).into(),
            });
        }
        let found = self.containers.lock().unwrap().get(id).cloned();
        found.ok_or_else(|| RuntimeError::NotFound { id: id.to_string() })
    }

    async fn create(&self, _: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        unimplemented("create")
    }

    async fn start(&self, _: &ContainerId) -> Result<(), RuntimeError> {
        unimplemented("start")
    }

    async fn stop(&self, _: &ContainerId, _: Duration) -> Result<StopOutcome, RuntimeError> {
        unimplemented("stop")
    }

    async fn restart(&self, id: &ContainerId, _: Duration) -> Result<(), RuntimeError> {
        self.restarts.lock().unwrap().push(id.clone());
        if let Some(container) = self.containers.lock().unwrap().get_mut(id) {
            container.state.health = HealthReport::Healthy;
        }
        Ok(())
    }

    async fn kill(&self, _: &ContainerId, _: &str) -> Result<(), RuntimeError> {
        unimplemented("kill")
    }

    async fn remove(&self, _: &ContainerId, _: bool) -> Result<(), RuntimeError> {
        unimplemented("remove")
    }

    async fn logs(&self, _: &ContainerId, _: usize) -> Result<Vec<LogLine>, RuntimeError> {
        unimplemented("logs")
    }

    async fn events(&self) -> Result<EventStream, RuntimeError> {
        self.answers()?;
        let receiver = self.events.subscribe();
        Ok(stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        })
        .boxed())
    }
}

/// What the monitor has no business asking for.
fn unimplemented<T>(deed: &str) -> Result<T, RuntimeError> {
    Err(RuntimeError::Refused {
        deed: deed.to_owned(),
        message: "the monitor only looks and restarts".to_owned(),
    })
}

fn watch(runtime: &Arc<Scripted>) -> (MonitorHandle, Supervisor) {
    let supervisor = Supervisor::new();
    let runtime = Arc::clone(runtime) as Arc<dyn ContainerRuntime>;
    let handle = Monitor::start(MonitorConfig::default(), runtime, Arc::new(ManualClock::new()), &supervisor);
    (handle, supervisor)
}

async fn wait_for(handle: &MonitorHandle, state: impl Fn(&Report) -> bool) -> Arc<Report> {
    let mut reports = handle.reports();
    let found = reports.wait_for(|report| state(report));
    Arc::clone(&tokio::time::timeout(Duration::from_secs(120), found).await.unwrap().unwrap())
}

fn health_of(report: &Report) -> Option<Health> {
    report.containers.values().next().map(|observed| observed.health)
}

#[tokio::test(start_paused = true)]
async fn an_event_is_followed_at_once_and_not_at_the_next_full_look() {
    let runtime = Scripted::new();
    let id = runtime.put("web", HealthReport::None);
    let (handle, _supervisor) = watch(&runtime);
    wait_for(&handle, |report| health_of(report) == Some(Health::Healthy)).await;
    runtime.containers.lock().unwrap().get_mut(&id).unwrap().state.run = RunState::Exited;
    runtime.tell(&id, EventKind::Died);
    let reported = wait_for(&handle, |report| health_of(report) == Some(Health::Stopped));
    assert!(tokio::time::timeout(Duration::from_secs(1), reported).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_no_event_told_is_found_by_the_next_full_look() {
    let runtime = Scripted::new();
    let (handle, _supervisor) = watch(&runtime);
    wait_for(&handle, |report| report.runtime == RuntimeState::Answers).await;
    runtime.put("web", HealthReport::None);
    wait_for(&handle, |report| health_of(report) == Some(Health::Healthy)).await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_goes_away_is_said_and_its_containers_stand_until_it_is_back() {
    let runtime = Scripted::new();
    runtime.put("web", HealthReport::None);
    let (handle, _supervisor) = watch(&runtime);
    wait_for(&handle, |report| health_of(report) == Some(Health::Healthy)).await;
    *runtime.mood.lock().unwrap() = Mood::Gone;
    let silent = wait_for(&handle, |report| matches!(report.runtime, RuntimeState::Silent { .. })).await;
    assert_eq!(health_of(&silent), Some(Health::Healthy));
    *runtime.mood.lock().unwrap() = Mood::Well;
    wait_for(&handle, |report| report.runtime == RuntimeState::Answers).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_listed_and_never_described_becomes_unknown_and_not_removed() {
    let runtime = Scripted::new();
    runtime.put("web", HealthReport::None);
    let (handle, _supervisor) = watch(&runtime);
    wait_for(&handle, |report| health_of(report) == Some(Health::Healthy)).await;
    *runtime.mood.lock().unwrap() = Mood::Babbling;
    let report = wait_for(&handle, |report| health_of(report) == Some(Health::Unknown)).await;
    assert!(!report.containers.values().next().unwrap().removed);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_container_is_restarted_once_and_found_healthy() {
    let runtime = Scripted::new();
    let id = runtime.put("web", HealthReport::Unhealthy);
    let (handle, _supervisor) = watch(&runtime);
    wait_for(&handle, |report| health_of(report) == Some(Health::Healthy)).await;
    assert_eq!(*runtime.restarts.lock().unwrap(), [id]);
}
