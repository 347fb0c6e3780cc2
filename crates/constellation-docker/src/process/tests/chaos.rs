//! Many callers at once, and a runtime that comes and goes.

use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{Folder, GRACE, open, shell, sleeper};
use crate::{
    container::{ContainerId, RunState},
    error::RuntimeError,
    process::{ProcessRuntime, procfs},
    runtime::{ContainerRuntime, ListFilter},
    spec::{ContainerSpec, RestartPolicy},
};

/// Containers that end in every way, with every policy.
fn specs() -> Vec<ContainerSpec> {
    let policies =
        [RestartPolicy::No, RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure(2)];
    let scripts = [
        "exit 0",
        "exit 3",
        "trap '' TERM; sleep 1000 & wait; sleep 1000",
        "sleep 1000 & sleep 1000",
        "kill -9 $$",
    ];
    let mut specs = vec![sleeper("plain")];
    for (p, restart) in policies.into_iter().enumerate() {
        for (s, script) in scripts.iter().enumerate() {
            specs.push(ContainerSpec { restart, ..shell(&format!("{p}-{s}"), script) });
        }
    }
    specs
}

/// One caller: does twenty things to containers that others do things to as well.
async fn meddle(runtime: Arc<ProcessRuntime>, ids: Vec<ContainerId>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        let id = ids.choose(&mut random).unwrap();
        let grace = Duration::from_millis(random.random_range(0..40));
        let (deed, result) = match random.random_range(0..10) {
            0..=3 => ("start", runtime.start(id).await),
            4..=5 => ("stop", runtime.stop(id, grace).await.map(drop)),
            6 => ("restart", runtime.restart(id, grace).await),
            7..=8 => ("kill", runtime.kill(id, "SIGKILL").await),
            _ => ("remove", runtime.remove(id, random.random_bool(0.5)).await),
        };
        match result {
            // It was removed, it runs and may not be removed, or it does not run and cannot be killed.
            Ok(())
            | Err(
                RuntimeError::NotFound { .. } | RuntimeError::Running { .. } | RuntimeError::Refused { .. },
            ) => {}
            Err(error) => panic!("seed {seed}: {deed}: {error}"),
        }
    }
}

/// What is said to run is what runs: each main process carries its container's marker, and no other container has any.
async fn agrees_with_the_process_table(runtime: &ProcessRuntime, ids: &[ContainerId], seed: u64) {
    let containers = runtime.list(&ListFilter::default()).await.unwrap();
    for id in ids {
        let of_it = || procfs::marked().into_iter().filter(|marked| marked.container == id.as_str()).count();
        let known = containers.iter().find(|container| container.id == *id);
        match known.map(|container| container.state) {
            Some(RunState::Running | RunState::Restarting) => {}
            state => assert_eq!(of_it(), 0, "seed {seed}: {state:?} and has processes"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_callers_do_at_once_nothing_gets_lost_or_left() {
    let seed = rand::random();
    let folder = Folder::new();
    let mut runtime = Arc::new(open(folder.path()).await);
    let mut ids = Vec::new();
    for spec in specs() {
        ids.push(runtime.create(&spec).await.unwrap());
    }
    for round in 0..3 {
        let callers = (0..6).map(|n| meddle(Arc::clone(&runtime), ids.clone(), seed ^ (round * 100 + n)));
        futures::future::join_all(callers).await;
        // Policies settle: what may restart is stopped, or else it would move while we look.
        for id in &ids {
            match runtime.stop(id, Duration::ZERO).await {
                Ok(_) | Err(RuntimeError::NotFound { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        agrees_with_the_process_table(&runtime, &ids, seed).await;
        Arc::into_inner(runtime).unwrap().close().await;
        runtime = Arc::new(open(folder.path()).await);
    }
    Arc::into_inner(runtime).unwrap().shutdown(GRACE).await.unwrap();
    let left: Vec<_> =
        procfs::marked().into_iter().filter(|m| ids.iter().any(|id| id.as_str() == m.container)).collect();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
}
