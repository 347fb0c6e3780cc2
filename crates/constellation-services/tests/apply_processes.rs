//! The tool from end to end on a runtime without containers: what it promises is the same there, and every machine can
//! run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::{
    collections::BTreeMap, ffi::OsString, fs, os::unix::fs::PermissionsExt, path::PathBuf, process::ExitCode,
};

use constellation_docker::{
    Container, ContainerRuntime, ListFilter, ProcessConfig, ProcessRuntime, RunState,
};
use constellation_services::{Store, prelude::*, run_with};
use tempfile::TempDir;

const SOMETHING_TO_DO: u8 = 2;

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("secrets")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, content: &str) {
        let path = self.path("secrets/key.txt");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs the tool on these services.
    fn run(&self, words: &[&str], services: impl Fn(&Config) -> Vec<Service>) -> ExitCode {
        let mut arguments: Vec<OsString> = vec!["deploy".into()];
        arguments.extend(words.iter().map(OsString::from));
        let paths = [("--data-dir", "data"), ("--secrets-path", "secrets"), ("--config-path", "volumes")];
        for (flag, name) in paths {
            arguments.extend([flag.into(), self.path(name).into()]);
        }
        let more = ["--runtime", "process", "--domain", "example.org", "--node", "n1"];
        arguments.extend(more.iter().map(OsString::from));
        run_with(arguments, &|cfg| vec![Stack::new("s").services(services(cfg))])
    }

    /// What the runtime says, by name.
    fn containers(&self) -> BTreeMap<String, Container> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let processes =
                ProcessRuntime::open(ProcessConfig::new(self.path("data/processes"))).await.unwrap();
            let mut found = BTreeMap::new();
            for summary in processes.list(&ListFilter::default()).await.unwrap() {
                let container = processes.inspect(&summary.id).await.unwrap();
                found.insert(summary.name, container);
            }
            processes.close().await;
            found
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            if let Ok(processes) = ProcessRuntime::open(ProcessConfig::new(self.path("data/processes"))).await
            {
                drop(processes.shutdown(secs(0)).await);
            }
        });
    }
}

/// A service that sleeps, and counts as well soon.
fn sleeper(name: &str) -> Service {
    Service::new(name, "none:1.0")
        .command(["/bin/sleep", "100000"])
        .health(Health::cmd(["true"]).every(millis(50)).start_period(secs(0)))
        .stop_grace(millis(100))
        .update(Update::default().monitor(millis(100)))
}

fn job(name: &str, line: &str) -> Service {
    Service::job(name, "none:1.0").command(["/bin/sh", "-c", line])
}

fn stack(level: &str) -> Vec<Service> {
    vec![
        sleeper("web").env("LEVEL", level).depends_on("db", Healthy).depends_on("migrate", Completed),
        sleeper("db"),
        job("migrate", "exit 0").depends_on("db", Started),
    ]
}

#[test]
fn a_fresh_deploy_runs_everything_and_a_second_one_does_nothing() {
    let world = World::new();
    assert_eq!(world.run(&["plan"], |_| stack("info")), ExitCode::from(SOMETHING_TO_DO));
    assert!(!world.path("data").join("deploy").exists(), "a plan writes nothing");
    assert_eq!(world.run(&["apply", "--yes"], |_| stack("info")), ExitCode::SUCCESS);
    let first = world.containers();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["db", "migrate", "web"]);
    assert_eq!(first["web"].state.run, RunState::Running);
    assert_eq!(first["migrate"].state.exit_code, Some(0));
    assert_eq!(world.run(&["plan"], |_| stack("info")), ExitCode::SUCCESS);
    assert_eq!(world.run(&["apply", "--yes"], |_| stack("info")), ExitCode::SUCCESS);
    let ids = |containers: &BTreeMap<String, Container>| {
        containers.values().map(|container| container.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ids(&world.containers()));
}

#[test]
fn one_changed_variable_recreates_one_service_and_rollback_brings_the_old_one_back() {
    let world = World::new();
    assert_eq!(world.run(&["apply", "--yes"], |_| stack("info")), ExitCode::SUCCESS);
    let first = world.containers();
    assert_eq!(world.run(&["apply", "--yes"], |_| stack("debug")), ExitCode::SUCCESS);
    let second = world.containers();
    assert_ne!(first["web"].id, second["web"].id);
    assert_eq!((&first["db"].id, &first["migrate"].id), (&second["db"].id, &second["migrate"].id));
    assert_eq!(world.run(&["rollback", "--yes"], |_| stack("debug")), ExitCode::SUCCESS);
    let third = world.containers();
    let definition = |containers: &BTreeMap<String, Container>| {
        containers["web"].labels["constellation.definition"].clone()
    };
    assert_eq!(definition(&first), definition(&third));
    assert_eq!(first["db"].id, third["db"].id);
}

#[test]
fn a_service_that_does_not_become_healthy_is_put_back_and_what_waits_for_it_is_left_alone() {
    let world = World::new();
    let services = |check: &'static str| {
        move |_: &Config| {
            let health = Health::cmd([check]).every(millis(50)).retries(2).start_period(secs(0));
            vec![sleeper("db").health(health), sleeper("web").env("CHECK", check).depends_on("db", Healthy)]
        }
    };
    assert_eq!(world.run(&["apply", "--yes"], services("true")), ExitCode::SUCCESS);
    let before = world.containers();
    assert_eq!(world.run(&["apply", "--yes"], services("false")), ExitCode::FAILURE);
    let after = world.containers();
    let definition = |container: &Container| container.labels["constellation.definition"].clone();
    assert_eq!(definition(&before["db"]), definition(&after["db"]));
    assert_eq!(after["db"].state.run, RunState::Running);
    assert_eq!(before["web"].id, after["web"].id);
    let runs = Store::below(&world.path("data")).runs(1).unwrap();
    let told = format!("{:?}", runs[0].entries);
    assert!(told.contains("RolledBack(\"its health check failed\")") && told.contains("Skipped"), "{told}");
}

#[test]
fn a_new_service_that_fails_is_removed_and_a_failed_job_is_kept_and_runs_again() {
    let world = World::new();
    let failing = |_: &Config| vec![sleeper("web").command(["/bin/false"]).restart(Restart::Never)];
    assert_eq!(world.run(&["apply", "--yes"], failing), ExitCode::FAILURE);
    assert_eq!(world.containers().len(), 0);
    let mark = world.path("mark");
    let line = format!("test -e {}", mark.display());
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![job("once", &line)]), ExitCode::FAILURE);
    assert_eq!(world.containers()["once"].state.exit_code, Some(1));
    fs::write(&mark, "").unwrap();
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![job("once", &line)]), ExitCode::SUCCESS);
    assert_eq!(world.containers()["once"].state.exit_code, Some(0));
}

#[test]
fn a_rotated_secret_recreates_the_service_that_has_it() {
    let world = World::new();
    let out = world.path("seen");
    let services = |_: &Config| {
        let line = format!("cat \"$KEY_FILE\" > {}; exec sleep 100000", out.display());
        let web =
            sleeper("web").command(["/bin/sh", "-c", &line]).secret(secret("key.txt").env_file("KEY_FILE"));
        vec![web]
    };
    assert_eq!(world.run(&["apply", "--yes"], services), ExitCode::FAILURE, "the secret is missing");
    world.secret("one");
    assert_eq!(world.run(&["apply", "--yes"], services), ExitCode::SUCCESS);
    assert_eq!(fs::read_to_string(&out).unwrap(), "one");
    assert_eq!(world.run(&["plan"], services), ExitCode::SUCCESS);
    world.secret("two");
    assert_eq!(world.run(&["plan"], services), ExitCode::from(SOMETHING_TO_DO));
    assert_eq!(world.run(&["apply", "--yes"], services), ExitCode::SUCCESS);
    assert_eq!(fs::read_to_string(&out).unwrap(), "two");
}

#[test]
fn what_is_not_defined_any_more_goes_and_down_removes_the_rest() {
    let world = World::new();
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![sleeper("web"), sleeper("old")]), ExitCode::SUCCESS);
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![sleeper("web")]), ExitCode::SUCCESS);
    assert_eq!(world.containers().keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(world.run(&["down", "--yes"], |_| vec![sleeper("web")]), ExitCode::SUCCESS);
    assert_eq!(world.containers().len(), 0);
}

#[test]
fn a_saved_plan_is_done_only_as_long_as_it_is_what_would_be_done() {
    let world = World::new();
    let file = world.path("plan.json").display().to_string();
    assert_eq!(
        world.run(&["plan", "--out", &file], |_| vec![sleeper("web")]),
        ExitCode::from(SOMETHING_TO_DO)
    );
    let changed = |_: &Config| vec![sleeper("web").env("A", "1")];
    assert_eq!(world.run(&["apply", "--plan", &file], changed), ExitCode::from(3));
    assert_eq!(world.containers().len(), 0);
    assert_eq!(world.run(&["apply", "--plan", &file], |_| vec![sleeper("web")]), ExitCode::SUCCESS);
    assert_eq!(world.containers().len(), 1);
}

#[test]
fn while_one_run_is_at_work_a_second_one_does_nothing() {
    let world = World::new();
    let held = Store::below(&world.path("data")).lock("apply").unwrap();
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![sleeper("web")]), ExitCode::FAILURE);
    drop(held);
    assert_eq!(world.run(&["apply", "--yes"], |_| vec![sleeper("web")]), ExitCode::SUCCESS);
}

#[test]
fn wrong_definitions_end_every_command_before_the_machine_is_asked() {
    let world = World::new();
    let wrong = |_: &Config| vec![sleeper("a/b")];
    for command in ["plan", "status", "validate", "diff"] {
        assert_eq!(world.run(&[command], wrong), ExitCode::FAILURE, "{command}");
    }
    assert!(!world.path("data").exists());
}
