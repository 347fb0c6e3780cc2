//! A new operator's crate compiles, its own test passes, and the tool in it works.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use constellation_services::scaffold::{self, Source};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Cargo for a crate outside of the workspace: without the network, with the versions that the workspace has.
fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_NET_OFFLINE", "true")
        // Kept from run to run: the dependencies are built once.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-crate"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_ok(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_new_crate_compiles_passes_its_own_test_and_is_the_whole_tool() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = place.path().join("our-services");
    assert_eq!(scaffold::write(&folder, &Source::Folder(workspace())).unwrap(), "our-services");
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();

    let tested = assert_ok(&cargo(&folder, &["test"]));
    assert!(tested.contains("nothing_is_wrong_with_what_we_run ... ok"), "{tested}");

    let tool =
        |arguments: &[&str]| assert_ok(&cargo(&folder, &[&["run", "--quiet", "--"], arguments].concat()));
    assert!(tool(&["validate"]).contains("1 service in 1 stack: nothing is wrong."));
    let listed: serde_json::Value = serde_json::from_str(&tool(&["list", "--json"])).unwrap();
    assert_eq!(listed[0]["service"], "hello/web");
    assert!(tool(&["list"]).contains("hello.example.org"), "the domain of its deploy.toml");
}
