//! Containers under one runtime.

use std::{fs, path::PathBuf, time::Duration};

use futures::StreamExt;

use super::{
    Folder, GRACE, PATIENCE, eventually, exited, gone, lives, next, numbers, open, pid, run, shell, sleeper,
    until,
};
use crate::{
    container::{ContainerId, HealthReport, RunState},
    error::RuntimeError,
    event::EventKind,
    process::{ProcessConfig, ProcessRuntime},
    runtime::{ContainerRuntime, ListFilter, LogStream, StopOutcome},
    spec::{ContainerSpec, HealthCheck, Port, RestartPolicy},
};

#[tokio::test]
async fn nothing_is_left_of_a_process_group_after_a_stop() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let pids = folder.path().join("pids");
    // The first stays in the group and ignores SIGTERM, the second leaves for a session of its own.
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ >> {0}; sleep 1000' & setsid sh -c 'echo $$ >> {0}; sleep 1000' & echo $$ >> {0}; wait",
        pids.display()
    );
    let id = run(&runtime, &shell("family", &script)).await;
    let pids = numbers(&pids, 3).await;
    assert!(pids.iter().all(|pid| lives(*pid)));
    assert_eq!(runtime.stop(&id, GRACE).await.unwrap(), StopOutcome::Stopped);
    assert!(pids.iter().all(|pid| !lives(*pid)), "{pids:?}");
    assert_eq!(runtime.stop(&id, GRACE).await.unwrap(), StopOutcome::AlreadyStopped);
}

#[tokio::test]
async fn nothing_is_left_of_a_process_group_whose_leader_dies_by_itself() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let pids = folder.path().join("pids");
    // The second has forgotten whose it is, and is known by its group alone.
    let script =
        format!("sleep 1000 & echo $! >> {0}; env -i sleep 1000 & echo $! >> {0}; exit 5", pids.display());
    let id = run(&runtime, &shell("orphans", &script)).await;
    assert_eq!(exited(&runtime, &id).await.state.exit_code, Some(5));
    for pid in numbers(&pids, 2).await {
        gone(pid).await;
    }
}

#[tokio::test]
async fn the_whole_group_is_asked_to_end_before_it_is_killed() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let (ready, asked) = (folder.path().join("ready"), folder.path().join("asked"));
    let child = format!(
        "trap 'echo 1 > {}; exit' TERM; echo 1 > {}; while :; do sleep 0.01; done",
        asked.display(),
        ready.display()
    );
    // The main process goes only when its child has gone.
    let id = run(&runtime, &shell("parent", &format!("trap : TERM; ({child}) & wait $!; wait $!"))).await;
    numbers(&ready, 1).await;
    runtime.stop(&id, GRACE).await.unwrap();
    assert!(asked.exists());
}

#[tokio::test]
async fn who_ignores_the_signal_is_killed_when_its_grace_is_over() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let ready = folder.path().join("ready");
    let script = format!("trap '' TERM; echo 1 > {}; while :; do sleep 1; done", ready.display());
    let id = run(&runtime, &shell("stubborn", &script)).await;
    numbers(&ready, 1).await;
    assert_eq!(runtime.stop(&id, Duration::from_millis(100)).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(exited(&runtime, &id).await.state.exit_code, Some(137));
}

#[tokio::test]
async fn the_stop_signal_of_the_specification_is_the_one_that_is_sent() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let ready = folder.path().join("ready");
    let script = format!(
        "trap 'exit 11' USR1; trap 'exit 15' TERM; echo 1 > {}; while :; do sleep 0.01; done",
        ready.display()
    );
    let spec = ContainerSpec { stop_signal: Some("SIGUSR1".into()), ..shell("usr1", &script) };
    let id = run(&runtime, &spec).await;
    numbers(&ready, 1).await;
    // The shell's `sleep` dies of the signal as well, being of the same group; the shell itself decides.
    runtime.stop(&id, GRACE).await.unwrap();
    assert_eq!(exited(&runtime, &id).await.state.exit_code, Some(11));
}

#[tokio::test]
async fn a_killed_process_is_restarted_by_its_policy_and_a_stopped_one_is_not() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let spec = ContainerSpec { restart: RestartPolicy::Always, ..sleeper("phoenix") };
    let id = run(&runtime, &spec).await;
    let first = pid(&runtime, &id).await;
    let mut events = runtime.events().await.unwrap();
    runtime.kill(&id, "SIGKILL").await.unwrap();
    assert_eq!(next(&mut events, &id).await, EventKind::Died);
    assert_eq!(next(&mut events, &id).await, EventKind::Started);
    let again = until(&runtime, &id, "running again", |c| c.state.run == RunState::Running).await;
    assert_eq!(again.state.restarts, 1);
    assert_ne!(pid(&runtime, &id).await, first);
    runtime.stop(&id, GRACE).await.unwrap();
    let stopped = runtime.inspect(&id).await.unwrap().state;
    assert_eq!((stopped.run, stopped.pid, stopped.exit_code), (RunState::Exited, None, Some(143)));
}

#[tokio::test]
async fn a_start_during_a_stop_comes_after_it() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let ready = folder.path().join("ready");
    let script = format!("trap '' TERM; echo 1 > {}; while :; do sleep 1; done", ready.display());
    let id = run(&runtime, &shell("busy", &script)).await;
    numbers(&ready, 1).await;
    let before = pid(&runtime, &id).await;
    let (stopped, started) =
        tokio::join!(runtime.stop(&id, Duration::from_millis(200)), async { runtime.start(&id).await });
    assert_eq!((stopped.unwrap(), started.unwrap()), (StopOutcome::Stopped, ()));
    assert_ne!(pid(&runtime, &id).await, before);
}

#[tokio::test]
async fn health_follows_the_command_and_is_told() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let flag = folder.path().join("well");
    let check = HealthCheck {
        interval: Duration::from_millis(20),
        timeout: PATIENCE,
        retries: 2,
        ..HealthCheck::command(["test", "-e", &flag.display().to_string()])
    };
    let spec = ContainerSpec { health: Some(check), ..sleeper("patient") };
    let id = runtime.create(&spec).await.unwrap();
    let mut events = runtime.events().await.unwrap();
    runtime.start(&id).await.unwrap();
    assert_eq!(next(&mut events, &id).await, EventKind::Started);
    for (well, report) in
        [(true, HealthReport::Healthy), (false, HealthReport::Unhealthy), (true, HealthReport::Healthy)]
    {
        if well {
            fs::write(&flag, "").unwrap();
        } else {
            fs::remove_file(&flag).unwrap();
        }
        until(&runtime, &id, "told", |c| c.state.health == report).await;
    }
    while next(&mut events, &id).await != EventKind::Health {}
}

#[tokio::test]
async fn a_process_sees_its_own_environment_and_nothing_of_ours() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let spec = ContainerSpec::new("env", "x").command(["env"]).env("A", "b c").expose(Port::tcp(8080));
    let id = run(&runtime, &spec).await;
    exited(&runtime, &id).await;
    let lines: Vec<_> = runtime.logs(&id, 100).await.unwrap().into_iter().map(|line| line.text).collect();
    for expected in ["A=b c", "PORT=8080", "CONSTELLATION_ADDRESS=127.0.0.1"] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
    }
    let mut names: Vec<_> = lines.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["A", "CONSTELLATION_ADDRESS", "CONSTELLATION_CONTAINER_ID", "HOME", "PATH", "PORT"]);
}

#[tokio::test]
async fn logs_keep_both_streams_across_restarts() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &shell("talker", "echo out; echo err >&2")).await;
    exited(&runtime, &id).await;
    runtime.start(&id).await.unwrap();
    exited(&runtime, &id).await;
    let lines = runtime.logs(&id, 100).await.unwrap();
    let of = |stream| {
        lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((of(LogStream::Stdout), of(LogStream::Stderr)), (vec!["out"; 2], vec!["err"; 2]));
}

#[tokio::test]
async fn the_log_of_a_chatterbox_stays_bounded_while_it_talks() {
    let folder = Folder::new();
    let bound = 10_000;
    let config = ProcessConfig {
        log_bytes_max: bound,
        log_interval: Duration::from_millis(5),
        ..ProcessConfig::new(folder.path())
    };
    let runtime = ProcessRuntime::open(config).await.unwrap();
    let script = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo line number $n; done";
    let id = run(&runtime, &shell("chatterbox", script)).await;
    exited(&runtime, &id).await;
    let logs = runtime.shared.store.folder(&id);
    let size = |name: &str| fs::metadata(logs.join(name)).map_or(0, |file| file.len());
    eventually("bounded", || size("stdout.log") <= bound && size("stdout.log.1") <= bound).await;
    let lines = runtime.logs(&id, 1000).await.unwrap();
    let numbers: Vec<u32> =
        lines.iter().map(|line| line.text.strip_prefix("line number ").unwrap().parse().unwrap()).collect();
    assert!(!numbers.is_empty() && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_to_be_missing() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let spec = ContainerSpec {
        restart: RestartPolicy::Always,
        ..ContainerSpec::new("lost", "x").command(["no-such-program"])
    };
    let id = runtime.create(&spec).await.unwrap();
    let error = runtime.start(&id).await.unwrap_err();
    assert!(error.to_string().contains("no program `no-such-program`"), "{error}");
    let state = runtime.inspect(&id).await.unwrap().state;
    assert_eq!((state.run, state.exit_code), (RunState::Exited, Some(127)));

    let spec = ContainerSpec { working_dir: Some("/no/such/folder".into()), ..sleeper("nowhere") };
    let id = runtime.create(&spec).await.unwrap();
    let error = runtime.start(&id).await.unwrap_err();
    assert!(error.to_string().contains("no folder `/no/such/folder`"), "{error}");
}

#[tokio::test]
async fn names_are_unique_until_they_are_free_again() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &sleeper("web")).await;
    assert!(matches!(runtime.create(&sleeper("web")).await, Err(RuntimeError::NameTaken { .. })));
    assert!(matches!(runtime.remove(&id, false).await, Err(RuntimeError::Running { .. })));
    let process = pid(&runtime, &id).await;
    runtime.remove(&id, true).await.unwrap();
    assert!(!lives(process));
    runtime.remove(&id, true).await.unwrap();
    assert!(matches!(runtime.inspect(&id).await, Err(RuntimeError::NotFound { .. })));
    runtime.create(&sleeper("web")).await.unwrap();
}

#[tokio::test]
async fn two_who_remove_the_same_container_are_both_content() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = run(&runtime, &sleeper("web")).await;
    let (one, two) = tokio::join!(runtime.remove(&id, true), runtime.remove(&id, true));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_subscriber_that_sleeps_too_long_is_told_that_it_missed_something() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let mut events = runtime.events().await.unwrap();
    let id = runtime.create(&sleeper("noisy")).await.unwrap();
    for _ in 0..3000 {
        runtime.shared.tell(&id, EventKind::Changed);
    }
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.kind, first.id), (EventKind::Missed, None));
    assert_eq!(next(&mut events, &id).await, EventKind::Changed);
}

#[tokio::test]
async fn a_subscriber_learns_that_the_runtime_was_closed() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let mut events = runtime.events().await.unwrap();
    runtime.close().await;
    assert!(matches!(events.next().await, Some(Err(RuntimeError::Unreachable { .. }))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn two_runtimes_do_not_share_a_folder() {
    let folder = Folder::new();
    let first = open(folder.path()).await;
    let refusal = ProcessRuntime::open(ProcessConfig::new(folder.path())).await.unwrap_err();
    assert!(refusal.to_string().contains(&std::process::id().to_string()), "{refusal}");
    first.close().await;
    open(folder.path()).await;
}

#[tokio::test]
async fn shutdown_leaves_neither_process_nor_container() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let mut pids = Vec::new();
    for name in ["a", "b", "c"] {
        let id = run(&runtime, &ContainerSpec { restart: RestartPolicy::Always, ..sleeper(name) }).await;
        pids.push(pid(&runtime, &id).await);
    }
    runtime.shutdown(GRACE).await.unwrap();
    assert!(pids.iter().all(|pid| !lives(*pid)));
    let runtime = open(folder.path()).await;
    assert!(runtime.list(&ListFilter::default()).await.unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path().join("containers")).unwrap().count(), 0);
}

/// Stands for a full disk: a folder in the place of the new state file stops root as well.
async fn fill_disk(runtime: &ProcessRuntime, id: &ContainerId) -> PathBuf {
    let in_the_way = runtime.shared.store.folder(id).join(".state.json.new");
    // A write may be under way.
    eventually("filled", || fs::create_dir(&in_the_way).is_ok()).await;
    in_the_way
}

#[tokio::test]
async fn a_start_that_cannot_be_written_down_is_refused_and_works_once_it_can() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let id = runtime.create(&sleeper("web")).await.unwrap();
    let in_the_way = fill_disk(&runtime, &id).await;
    assert!(matches!(runtime.start(&id).await, Err(RuntimeError::Io { .. })));
    let state = runtime.inspect(&id).await.unwrap().state;
    assert_eq!((state.run, state.pid), (RunState::Exited, None));
    fs::remove_dir(in_the_way).unwrap();
    runtime.start(&id).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_keeps_no_service_from_restarting_and_none_from_stopping() {
    let folder = Folder::new();
    let runtime = open(folder.path()).await;
    let spec = ContainerSpec { restart: RestartPolicy::Always, ..sleeper("phoenix") };
    let id = run(&runtime, &spec).await;
    let in_the_way = fill_disk(&runtime, &id).await;
    runtime.kill(&id, "SIGKILL").await.unwrap();
    until(&runtime, &id, "restarted", |c| c.state.restarts == 1 && c.state.pid.is_some()).await;
    let unrecorded = pid(&runtime, &id).await;
    runtime.close().await;
    assert!(lives(unrecorded));

    // Nothing is recorded of this process. It is found by its marker and ended, and the policy starts another.
    fs::remove_dir(&in_the_way).unwrap();
    let runtime = open(folder.path()).await;
    assert!(!lives(unrecorded));
    until(&runtime, &id, "running", |c| c.state.run == RunState::Running).await;
    fill_disk(&runtime, &id).await;
    let process = pid(&runtime, &id).await;
    assert_eq!(runtime.stop(&id, GRACE).await.unwrap(), StopOutcome::Stopped);
    assert!(!lives(process));
}
