//! The contract on supervised child processes. It needs nothing but `/bin/sh`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its world up may end at once")]

mod liar;

use std::{net::TcpListener, path::PathBuf, time::Duration};

use constellation_docker::{
    ContainerRuntime, ContainerSpec, ListFilter, Port, ProcessConfig, ProcessRuntime,
    contract::{ContractWorld, SharedFolder, container_runtime_contract},
};
use tempfile::TempDir;

use crate::liar::Liar;

/// Tells this very program, started once more as a container, to listen.
const LISTEN: &str = "CONTRACT_LISTEN";

struct Processes<R> {
    runtime: R,
    folder: PathBuf,
}

impl<R: ContainerRuntime> ContractWorld for Processes<R> {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn shell(&self, script: &str) -> ContainerSpec {
        ContainerSpec::new("", "none").command(["/bin/sh", "-c", script])
    }

    fn shared_folder(&self) -> SharedFolder {
        let inside = self.folder.to_str().unwrap().to_owned();
        SharedFolder { outside: self.folder.clone(), inside, mount: None }
    }

    fn listener(&self) -> ContainerSpec {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::current_exe().unwrap();
        let arguments = ["listen_where_the_runtime_says", "--exact", "--nocapture"];
        ContainerSpec::new("", "none")
            .command([program.to_str().unwrap()].into_iter().chain(arguments))
            .env(LISTEN, "yes")
            .expose(Port::tcp(port))
    }
}

async fn world_in(folder: &TempDir) -> Processes<ProcessRuntime> {
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let runtime = ProcessRuntime::open(ProcessConfig::new(folder.path().join("state"))).await.unwrap();
    Processes { runtime, folder: shared }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_processes_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_in(&folder).await;

    let outcome = container_runtime_contract(&world).await;

    // First nothing is left behind, then the verdict.
    world.runtime.shutdown(Duration::ZERO).await.unwrap();
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}

/// The contract must be able to fail: each lie of this runtime breaks the promise that it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_lies_is_found_out_and_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    let Processes { runtime, folder } = world_in(&folder).await;
    let world = Processes { runtime: Liar(runtime), folder };

    let outcome = container_runtime_contract(&world).await;
    let Liar(runtime) = world.runtime;
    let left = runtime.list(&ListFilter::default()).await.unwrap();
    runtime.shutdown(Duration::ZERO).await.unwrap();

    assert!(left.is_empty(), "{left:?}");
    let violation = outcome.unwrap_err();
    let broken: Vec<&str> = violation.broken.iter().map(|broken| broken.promise).collect();
    for promise in [
        "starting_what_runs_is_ok",
        "stopping_says_whether_there_was_something_to_stop",
        "the_exit_code_is_kept",
        "a_running_container_is_removed_only_by_force",
        "what_does_not_exist_is_not_found_and_its_removal_is_ok",
        "a_list_is_filtered_by_labels_and_state_and_sorted_by_name",
        "labels_image_and_ports_come_back_as_they_were_given",
        "logs_keep_streams_apart_and_order_within",
        "a_published_port_can_be_reached",
        "the_runtime_names_itself",
    ] {
        assert!(broken.contains(&promise), "the lie about {promise} was believed: {violation}");
    }
}

/// What the contract's listener runs: this binary again, with only this test, and told so by the environment.
#[test]
fn listen_where_the_runtime_says() {
    if std::env::var_os(LISTEN).is_none() {
        return;
    }
    let (address, port) = (std::env::var("CONSTELLATION_ADDRESS").unwrap(), std::env::var("PORT").unwrap());
    let listener = TcpListener::bind(format!("{address}:{port}")).unwrap();
    for connection in listener.incoming() {
        drop(connection);
    }
}
