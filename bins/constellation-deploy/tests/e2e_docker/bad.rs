//! Bad input: each is told with the service, the field and what to do, and nothing is half done.

use std::net::TcpListener;

use crate::world::World;

fn world(test: &str, bad: &str) -> World {
    let world = World::new(test);
    world.set("SCENARIO", "bad");
    world.set("BAD", bad);
    world
}

/// That `apply` fails with all these words and leaves nothing behind.
#[track_caller]
fn assert_refused(world: &World, words: &[&str]) {
    let ran = world.tool(&["apply", "--yes"]).expect(1);
    for word in words {
        assert!(ran.text().contains(word), "`{word}` is not in {}", ran.text());
    }
    assert_eq!(world.ids().len(), 0, "{}", ran.text());
}

#[test]
fn a_missing_secret_is_told_with_the_command_that_writes_it() {
    let world = world("no-secret", "secret");
    assert_refused(&world, &[&format!("{}/web: secrets:", world.name), "absent.txt", "umask 077"]);
}

#[test]
fn a_secret_that_others_may_read_is_told_with_the_command_that_closes_it() {
    let world = world("open-secret", "mode");
    world.secret("open.txt", "x", 0o644);
    assert_refused(&world, &[&format!("{}/web: secrets:", world.name), "open.txt", "chmod 600"]);
    world.secret("open.txt", "x", 0o600);
    world.tool(&["apply", "--yes"]).expect(0);
}

#[test]
fn an_unknown_network_is_told_with_those_that_there_are() {
    let world = world("network", "network");
    assert_refused(&world, &[&format!("{}/web: networks:", world.name), "`lan`", "front", "backend"]);
}

#[test]
fn an_image_that_is_not_here_and_may_not_be_pulled_says_so() {
    let world = world("image", "image");
    let place = format!("{}/web: image:", world.name);
    assert_refused(&world, &[&place, "constellation-e2e/no-such-image:1", "load it on this machine"]);
}

#[test]
fn an_image_that_no_registry_gives_says_what_to_look_at() {
    let world = world("registry", "registry");
    let place = format!("{}/web: image:", world.name);
    assert_refused(&world, &[&place, "127.0.0.1:1/no-such-image:1", "docker login"]);
}

#[test]
fn a_port_that_is_taken_names_the_service_and_the_port() {
    let world = world("port", "port");
    let port = world.gate();
    let _taken = TcpListener::bind(port).unwrap();
    assert_refused(&world, &[&format!("{}/web", world.name), &port.port().to_string()]);
}

#[test]
fn a_label_that_smuggles_another_one_in_is_refused() {
    let world = world("label", "label");
    assert_refused(&world, &[&format!("{}/web: labels:", world.name), "`note`", "on one line"]);
}

#[test]
fn a_name_with_a_slash_is_refused() {
    let world = world("slash", "slash");
    assert_refused(&world, &["name:", "`a/web`", "leave the `/` out"]);
}

#[test]
fn a_folder_that_is_not_there_is_told_before_anything_is_done() {
    let world = world("folder", "folder");
    assert_refused(
        &world,
        &[&format!("{}/web: volumes:", world.name), "root/absent", "make it, or check the path"],
    );
}

#[test]
fn a_program_that_the_image_does_not_have_names_the_service() {
    let world = world("entrypoint", "entrypoint");
    assert_refused(&world, &[&format!("{}/web", world.name), "/bin/absent"]);
}
