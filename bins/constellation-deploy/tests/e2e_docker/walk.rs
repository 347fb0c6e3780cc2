//! The first steps of a new operator: `new`, `plan`, `apply`, a look, and away with it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use constellation_docker::{Container, ContainerRuntime, ListFilter};

use crate::{
    image,
    world::{World, get},
};

const BUSYBOX: &str = "docker.io/library/busybox:1.36.1";
const REDIS: &str = "docker.io/library/redis:7.4.1-alpine";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Both stacks of this page have a container `web`, as operators' own have.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A stack whose containers have no name of this test's own: they and the images go with this, also when the test fails.
struct Guest<'a> {
    world: &'a World,
    stack: &'static str,
    images: Vec<&'static str>,
    _turn: MutexGuard<'static, ()>,
}

impl<'a> Guest<'a> {
    /// The images that the definitions name are made here, so that nothing is pulled; the networks are this test's own.
    fn new(world: &'a World, stack: &'static str, images: &[(&'static str, Vec<u8>)]) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        for (reference, tar) in images {
            world.wait_for(world.engine.import_image(reference, tar.clone().into())).unwrap();
        }
        Self { world, stack, images: images.iter().map(|(reference, _)| *reference).collect(), _turn: turn }
    }

    fn containers(&self) -> BTreeMap<String, Container> {
        let labels = [("constellation.stack".to_owned(), self.stack.to_owned())].into();
        self.world.wait_for(async {
            let engine = &self.world.engine;
            let listed = engine.list(&ListFilter { labels, running_only: false }).await.unwrap_or_default();
            let mut found = BTreeMap::new();
            for summary in listed {
                if let Ok(container) = engine.inspect(&summary.id).await {
                    found.insert(summary.name, container);
                }
            }
            found
        })
    }

    /// What the web server of the stack answers.
    fn page(&self) -> (u16, String) {
        let network = format!("{}_backend", self.world.name);
        let web = self.containers().remove("web").unwrap();
        let address = web.networks.iter().find(|joined| joined.name == network).unwrap().address.unwrap();
        get((address, 8080).into(), "/").unwrap()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        for container in self.containers().into_values() {
            drop(self.world.wait_for(self.world.engine.remove(&container.id, true)));
        }
        for volume in self.world.wait_for(self.world.engine.list_volumes()).unwrap_or_default() {
            if volume.name.starts_with(&format!("{}_", self.stack)) {
                drop(self.world.wait_for(self.world.engine.remove_volume(&volume.name)));
            }
        }
        for network in
            self.world.wait_for(self.world.engine.list_networks(&BTreeMap::new())).unwrap_or_default()
        {
            if network.name.starts_with(&format!("{}_", self.stack)) {
                drop(self.world.wait_for(self.world.engine.remove_network(&network.id)));
            }
        }
        for image in &self.images {
            drop(self.world.wait_for(self.world.engine.remove_image(image, true)));
        }
    }
}

/// The shared networks with ranges and bridges that no other test and no other engine of this machine has.
fn settings() -> String {
    let number = std::process::id() % 200;
    format!(
        "domain = \"example.test\"\n\n[networks.backend]\nsubnet = \"10.231.{number}.0/24\"\nbridge = \"brb{number}\"\n\n\
         [networks.publicnet]\nsubnet = \"10.232.{number}.0/24\"\nbridge = \"brp{number}\"\n"
    )
}

#[test]
fn a_new_operator_s_crate_deploys_a_routed_service_with_a_health_check() {
    let world = World::new("walk");
    let folder = world.path("our-services");
    let made = Command::new(env!("CARGO_BIN_EXE_constellation-deploy"))
        .args(["new", "our-services", "--source"])
        .arg(workspace())
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-crate");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // The next test that builds a crate of this name must not take it away from this one.
    let tool = world.path("our-services-tool");
    fs::copy(target.join("debug/our-services"), &tool).unwrap();

    let guest = Guest::new(&world, "hello", &[(BUSYBOX, image::busybox(&["sh", "httpd", "wget"]))]);
    fs::write(folder.join("deploy.toml"), settings()).unwrap();
    let run = |arguments: &[&str], code: i32| {
        let mut command = Command::new(&tool);
        world.settle(command.args(arguments));
        let output = command.current_dir(&folder).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    assert!(run(&["plan"], 2).contains("hello/web"));
    run(&["apply", "--yes"], 0);
    let status: serde_json::Value = serde_json::from_str(&run(&["status", "--json"], 0)).unwrap();
    assert!(status.to_string().contains("healthy"), "{status}");
    let (code, page) = guest.page();
    assert!(code == 200 && page.contains("It works"), "{page}");
    run(&["plan"], 0);
    run(&["down", "--yes"], 0);
    assert_eq!(guest.containers().len(), 0);
}

#[test]
fn the_notice_board_of_the_examples_runs_with_its_secret_and_its_job() {
    let world = World::new("board");
    let images = [(BUSYBOX, image::busybox(&["sh", "httpd", "wget"])), (REDIS, image::redis())];
    let guest = Guest::new(&world, "noticeboard", &images);
    fs::write(world.path("deploy.toml"), settings()).unwrap();
    world.set("SCENARIO", "noticeboard");
    let ran = world.tool(&["apply", "--yes"]).expect(1);
    assert!(ran.text().contains("store-password.txt"), "without its secret it says so: {}", ran.text());
    world.secret("store-password.txt", "correct-horse-battery", 0o600);
    world.set("FIRST_NOTICE", "Bring <cake> & tea");
    world.tool(&["apply", "--yes"]).expect(0);
    let (code, page) = guest.page();
    assert!(code == 200 && page.contains("<li>Bring &lt;cake> &amp; tea"), "{page}");
    assert_eq!(guest.containers()["publish"].state.exit_code, Some(0));
    world.tool(&["plan"]).expect(0);

    // A rotated password reaches the store, the job and nobody else; the notices outlive it.
    let web = guest.containers()["web"].id.clone();
    world.secret("store-password.txt", "another-one", 0o600);
    world.tool(&["apply", "--yes"]).expect(0);
    assert!(guest.page().1.contains("cake"));
    assert_eq!(guest.containers()["web"].id, web);
    world.tool(&["plan"]).expect(0);
    world.tool(&["down", "--yes", "--volumes"]).expect(0);
}
