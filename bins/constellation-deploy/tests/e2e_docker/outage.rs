//! What a run needs goes away in its middle: the engine, or the room on the disk.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    dockerd::PrivateDockerd,
    world::{World, get},
};

/// Whether this run may mount things and start engines.
pub(crate) fn may_do_as_root() -> bool {
    let may = std::env::var("CONSTELLATION_E2E_DOCKERD").as_deref() == Ok("1");
    if !may {
        println!("left out: set CONSTELLATION_E2E_DOCKERD=1 where we are root and may start a dockerd");
    }
    may
}

#[test]
fn an_engine_that_goes_away_in_the_middle_is_said_and_the_next_run_goes_on() {
    if !may_do_as_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = PrivateDockerd::new(folder.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(daemon.start());
    let world = World::on(folder.path().join("d.sock"), "gone");
    world.set("SCENARIO", "pair");
    world.set("WEB_SLOW_MS", "3000");
    let run =
        world.command(&["apply", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    world.until("the first service is being started", || world.ids().contains_key("web"));
    daemon.stop();
    let output = run.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [&format!("{}/{}", world.name, world.service("web")), "failed", "d.sock"] {
        assert!(said.contains(words), "`{words}` is not in {said}");
    }
    let blind = world.tool(&["plan"]).expect(1);
    assert!(blind.err.contains("d.sock"), "{}", blind.err);

    runtime.block_on(daemon.start());
    world.set("WEB_SLOW_MS", "0");
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["plan"]).expect(0);
    assert_eq!(get(world.gate(), "/").unwrap().1, "gate 1");
}

/// A file system of this size, gone with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_is_told_with_the_service_and_the_file_and_nothing_is_left_half_done() {
    if !may_do_as_root() {
        return;
    }
    let world = World::new("full");
    world.set("SCENARIO", "bad");
    world.set("BAD", "config");
    let data = world.path("data");
    let disk = SmallDisk::mount(&data, "256k");
    let ran = world.tool(&["apply", "--yes"]).expect(1);
    for words in [&format!("{}/web", world.name), "big.conf", "No space left on device"] {
        assert!(ran.text().contains(words), "`{words}` is not in {}", ran.text());
    }
    assert_eq!(world.ids().len(), 0);
    drop(disk);
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["plan"]).expect(0);
}
