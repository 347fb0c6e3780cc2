//! How the parts behave together, with real processes.

mod adoption;
mod chaos;
mod life;
mod running;

use std::{path::Path, time::Duration};

use futures::StreamExt;

use super::{ProcessConfig, ProcessRuntime, procfs};
use crate::{
    container::{Container, ContainerId, RunState},
    event::{EventKind, EventStream},
    runtime::ContainerRuntime,
    spec::ContainerSpec,
};

/// Bounds every wait. A test that needs it has failed already.
const PATIENCE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(20);

fn shell(name: &str, script: &str) -> ContainerSpec {
    ContainerSpec::new(name, "image").command(["/bin/sh", "-c", script])
}

fn sleeper(name: &str) -> ContainerSpec {
    ContainerSpec::new(name, "image").command(["sleep", "1000"])
}

async fn open(folder: &Path) -> ProcessRuntime {
    let config = ProcessConfig { log_interval: Duration::from_millis(20), ..ProcessConfig::new(folder) };
    ProcessRuntime::open(config).await.unwrap()
}

/// A folder whose containers are all ended when the test is over, also when it failed.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for place in ["containers", "quarantine"] {
            for entry in std::fs::read_dir(self.path().join(place)).into_iter().flatten().flatten() {
                procfs::kill_marked(&entry.file_name().to_string_lossy(), None);
            }
        }
    }
}

async fn run(runtime: &ProcessRuntime, spec: &ContainerSpec) -> ContainerId {
    let id = runtime.create(spec).await.unwrap();
    runtime.start(&id).await.unwrap();
    id
}

async fn pid(runtime: &ProcessRuntime, id: &ContainerId) -> i32 {
    i32::try_from(runtime.inspect(id).await.unwrap().state.pid.unwrap()).unwrap()
}

/// Waits until the container is as wanted.
async fn until(
    runtime: &ProcessRuntime,
    id: &ContainerId,
    what: &str,
    mut wanted: impl FnMut(&Container) -> bool,
) -> Container {
    let mut state = runtime.shared.entry(id).unwrap().state;
    let reached = async {
        loop {
            let container = runtime.inspect(id).await.unwrap();
            if wanted(&container) {
                return container;
            }
            state.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(container) => container,
        Err(_) => panic!("never {what}: {:?}", runtime.inspect(id).await),
    }
}

async fn exited(runtime: &ProcessRuntime, id: &ContainerId) -> Container {
    until(runtime, id, "exited", |container| container.state.run == RunState::Exited).await
}

/// Polls what nobody announces: the process table and files.
async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let happens = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, happens).await.is_ok(), "never {what}");
}

fn lives(pid: i32) -> bool {
    procfs::boot_id().is_ok_and(|boot| procfs::Identity::of(pid, &boot).is_some_and(|it| it.is_alive(&boot)))
}

/// Waits until there is no such process, or only its zombie.
pub(super) async fn gone(pid: i32) {
    eventually("gone", || !lives(pid)).await;
}

/// The numbers that a script wrote into a file, once there are so many.
async fn numbers(file: &Path, count: usize) -> Vec<i32> {
    let read = || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n')?.parse().ok())
            .collect::<Vec<i32>>()
    };
    eventually("written", || read().len() >= count).await;
    read()
}

async fn next(events: &mut EventStream, id: &ContainerId) -> EventKind {
    let next = async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event.id.as_ref() == Some(id) {
                return event.kind;
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.unwrap()
}
