//! Containers across runtimes: the agent is restarted, is killed, or was not there when something happened.

use std::{fs, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Folder, GRACE, PATIENCE, eventually, exited, gone, lives, numbers, open, pid, run, shell, sleeper, until,
};
use crate::{
    container::{HealthReport, RunState},
    process::{record::Record, store},
    runtime::{ContainerRuntime, ListFilter, StopOutcome},
    spec::{ContainerSpec, HealthCheck, RestartPolicy},
};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn always(name: &str) -> ContainerSpec {
    ContainerSpec { restart: RestartPolicy::Always, ..sleeper(name) }
}

#[tokio::test]
async fn a_process_survives_its_runtime_and_is_taken_over() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &sleeper("web").label("a", "b")).await;
    let before = runtime.inspect(&id).await.unwrap();
    runtime.close().await;

    let runtime = open(folder.path()).await;
    assert_eq!(runtime.inspect(&id).await.unwrap(), before);
    assert_eq!(runtime.stop(&id, GRACE).await.unwrap(), StopOutcome::Stopped);
    assert!(!lives(i32::try_from(before.state.pid.unwrap()).unwrap()));
    let state = runtime.inspect(&id).await.unwrap().state;
    assert_eq!(
        (state.run, state.exit_code),
        (RunState::Exited, None),
        "the exit code of another's child is unknown"
    );
}

#[tokio::test]
async fn the_end_of_a_process_that_was_taken_over_is_seen_and_its_policy_applied() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &always("web")).await;
    let process = pid(&runtime, &id).await;
    runtime.close().await;

    let runtime = open(folder.path()).await;
    kill(process);
    let again = until(&runtime, &id, "restarted", |c| c.state.restarts == 1 && c.state.pid.is_some()).await;
    assert_eq!(again.state.run, RunState::Running);
    assert_ne!(pid(&runtime, &id).await, process);
}

#[tokio::test]
async fn what_died_while_nobody_watched_is_restarted_or_exited_by_its_policy() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let phoenix = run(&runtime, &always("phoenix")).await;
    let mortal = run(&runtime, &sleeper("mortal")).await;
    let pids = [pid(&runtime, &phoenix).await, pid(&runtime, &mortal).await];
    runtime.close().await;
    for pid in pids {
        kill(pid);
        gone(pid).await;
    }

    let runtime = open(folder.path()).await;
    let state = runtime.inspect(&mortal).await.unwrap().state;
    assert_eq!((state.run, state.exit_code, state.pid), (RunState::Exited, None, None));
    until(&runtime, &phoenix, "restarted", |c| c.state.run == RunState::Running).await;
}

#[tokio::test]
async fn what_a_dead_container_left_running_is_ended() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let pids = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $! >> {0}; echo $$ >> {0}; wait", pids.display());
    let id = run(&runtime, &shell("family", &script)).await;
    let pids = numbers(&pids, 2).await;
    runtime.close().await;
    kill(pids[1]);
    gone(pids[1]).await;
    assert!(lives(pids[0]));

    let runtime = open(folder.path()).await;
    assert!(!lives(pids[0]));
    assert_eq!(runtime.inspect(&id).await.unwrap().state.run, RunState::Exited);
}

#[tokio::test]
async fn a_stranger_with_the_recorded_number_is_left_alone() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &sleeper("web")).await;
    let process = pid(&runtime, &id).await;
    let path = runtime.shared.store.folder(&id).join("state.json");
    runtime.close().await;
    kill(process);
    gone(process).await;

    // The number went to another process meanwhile, a group leader even.
    let mut stranger = tokio::process::Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let strangers = i32::try_from(stranger.id().unwrap()).unwrap();
    let mut record: Record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record.process.as_mut().unwrap().pid = strangers;
    record.process.as_mut().unwrap().start_ticks -= 1; // ours was before it
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();

    let runtime = open(folder.path()).await;
    assert_eq!(runtime.inspect(&id).await.unwrap().state.run, RunState::Exited);
    runtime.remove(&id, true).await.unwrap();
    assert!(lives(strangers));
    stranger.kill().await.unwrap();
}

#[tokio::test]
async fn after_a_reboot_nothing_is_taken_for_alive() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &sleeper("web")).await;
    let path = runtime.shared.store.folder(&id).join("state.json");
    runtime.close().await;
    let mut record: Record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record.process.as_mut().unwrap().boot_id = "another boot".to_owned();
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();

    let runtime = open(folder.path()).await;
    assert_eq!(runtime.inspect(&id).await.unwrap().state.run, RunState::Exited);
}

#[tokio::test]
async fn a_corrupted_state_sets_one_container_aside_and_the_others_go_on() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let broken = run(&runtime, &sleeper("broken")).await;
    let well = run(&runtime, &sleeper("well")).await;
    let process = pid(&runtime, &broken).await;
    let path = runtime.shared.store.folder(&broken).join("state.json");
    runtime.close().await;
    fs::write(&path, b"\0\0\0\0").unwrap();

    let runtime = open(folder.path()).await;
    let names: Vec<_> =
        runtime.list(&ListFilter::default()).await.unwrap().into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["well"]);
    assert_eq!(runtime.inspect(&well).await.unwrap().state.run, RunState::Running);
    assert!(lives(process), "left alone");
    assert!(folder.path().join("quarantine").join(broken.as_str()).exists());
    runtime.create(&sleeper("broken")).await.unwrap();
}

#[tokio::test]
async fn a_healthy_service_stays_healthy_when_its_agent_restarts() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let check = HealthCheck {
        interval: Duration::from_millis(20),
        timeout: PATIENCE,
        ..HealthCheck::command(["true"])
    };
    let id = run(&runtime, &ContainerSpec { health: Some(check), ..sleeper("web") }).await;
    until(&runtime, &id, "healthy", |c| c.state.health == HealthReport::Healthy).await;
    runtime.close().await;
    let runtime = open(folder.path()).await;
    assert_eq!(runtime.inspect(&id).await.unwrap().state.health, HealthReport::Healthy);
}

#[tokio::test]
async fn a_restart_that_was_waiting_happens_under_the_next_runtime() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let spec = ContainerSpec { restart: RestartPolicy::OnFailure(0), ..shell("crash", "exit 1") };
    let id = run(&runtime, &spec).await;
    // Far enough into the backoff that it is waiting when the runtime is closed.
    let before = until(&runtime, &id, "restarted", |c| c.state.restarts >= 2).await.state.restarts;
    until(&runtime, &id, "waiting", |c| c.state.run == RunState::Restarting).await;
    runtime.close().await;
    let runtime = open(folder.path()).await;
    until(&runtime, &id, "restarted again", |c| c.state.restarts > before).await;
}

#[tokio::test]
async fn a_stop_that_was_under_way_is_finished_by_the_next_runtime() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let ready = folder.path().join("ready");
    let script = format!("trap '' TERM; echo 1 > {}; while :; do sleep 1; done", ready.display());
    let spec = ContainerSpec {
        restart: RestartPolicy::UnlessStopped,
        stop_grace: Some(Duration::from_millis(50)),
        ..shell("stubborn", &script)
    };
    let id = run(&runtime, &spec).await;
    numbers(&ready, 1).await;
    let process = pid(&runtime, &id).await;
    let path = runtime.shared.store.folder(&id).join("state.json");
    let asked = async {
        let stop_is_written =
            || fs::read_to_string(&path).is_ok_and(|text| text.contains("\"stopped_by_hand\": true"));
        eventually("written", stop_is_written).await;
    };
    tokio::select! {
        stopped = runtime.stop(&id, PATIENCE) => panic!("stopped: {stopped:?}"),
        () = asked => {}
    }
    runtime.close().await;
    assert!(lives(process));

    let runtime = open(folder.path()).await;
    exited(&runtime, &id).await;
    assert!(!lives(process));
}

/// The variable by which the test below tells its second self which folder to run.
const AGENT_FOLDER: &str = "CONSTELLATION_TEST_AGENT_FOLDER";

/// Not a test by itself: the agent that the next test kills.
#[tokio::test]
async fn an_agent_for_the_next_test() {
    let Some(folder) = std::env::var_os(AGENT_FOLDER) else { return };
    let runtime = open(folder.as_ref()).await;
    run(&runtime, &always("web")).await;
    fs::write(std::path::Path::new(&folder).join("ready"), "1\n").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_process_survives_an_agent_that_is_killed_and_its_end_is_seen_by_the_next() {
    let folder = Folder::new();
    let mut agent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::tests::adoption::an_agent_for_the_next_test"])
        .env(AGENT_FOLDER, folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    numbers(&folder.path().join("ready"), 1).await;
    agent.kill().await.unwrap();

    let runtime = open(folder.path()).await;
    let containers = runtime.list(&ListFilter::default()).await.unwrap();
    let id = &containers[0].id;
    let process = pid(&runtime, id).await;
    assert!(lives(process));
    // No child of ours: only its descriptor tells its end.
    kill(process);
    until(&runtime, id, "restarted", |c| c.state.restarts == 1 && c.state.run == RunState::Running).await;
    runtime.stop(id, GRACE).await.unwrap();
    exited(&runtime, id).await;
    eventually("released", || store::Store::create(folder.path()).is_ok()).await;
}
