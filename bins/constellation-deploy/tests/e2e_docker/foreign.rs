//! Containers that somebody else made.

use constellation_docker::{ContainerId, ContainerRuntime, ContainerSpec};

use crate::world::{World, get};

/// When a container was started: it is the same run of it if this is.
fn started(world: &World, id: &str) -> Option<u64> {
    world.wait_for(world.engine.inspect(&ContainerId::new(id))).unwrap().state.started_at_ms
}

#[test]
fn containers_of_others_are_never_touched_even_on_our_networks() {
    let world = World::pair("foreign");
    world.tool(&["apply", "--yes"]).expect(0);
    let stranger = world.stranger("stranger", &["web"], "front");
    let before = started(&world, &stranger);
    world.set("VERSION", "2");
    world.tool(&["apply", "--yes"]).expect(0);
    world.set("WITHOUT", "gate");
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["rollback", "--yes"]).expect(0);
    let down = world.tool(&["down", "--yes"]);
    assert_eq!(down.code, Some(0), "{}", down.text());
    assert!(down.text().contains("stays"), "its network is still in use: {}", down.text());
    assert_eq!(started(&world, &stranger), before);
    assert_eq!(world.ids().len(), 1);
    assert_eq!(get(world.address("stranger", "front"), "/").unwrap().1, "stranger stranger");
}

#[test]
fn a_name_that_somebody_else_has_is_said_before_anything_is_done() {
    let world = World::pair("taken");
    world.wait_for(async {
        let spec = ContainerSpec::new(format!("{}-web", world.name), format!("{}-actor:1", world.name));
        world.engine.create(&spec.command(["/bin/actor", "sleep"])).await.unwrap();
    });
    let before = world.ids();
    let ran = world.tool(&["apply", "--yes"]).expect(1);
    for words in [&format!("{}/{}", world.name, world.service("web")), "that this tool did not make", "adopt"]
    {
        assert!(ran.text().contains(words), "`{words}` is not in {}", ran.text());
    }
    assert_eq!(world.ids(), before);
}

#[test]
fn a_container_that_is_as_defined_is_taken_over_without_a_restart() {
    let world = World::pair("adopt");
    world.tool(&["apply", "--yes"]).expect(0);
    let id = world.ids()["web"].clone();
    let before = started(&world, &id);
    // As if another machine's operator had made it: this one remembers nothing.
    std::fs::remove_dir_all(world.path("data")).unwrap();
    let explained = world.tool(&["explain", &world.service("web"), "--json"]).expect(0).json();
    let mut spec: ContainerSpec = serde_json::from_value(explained["service"]["spec"].clone()).unwrap();
    let ours = ["constellation.stack", "constellation.service", "constellation.definition"];
    spec.labels.retain(|name, _| !ours.contains(&name.as_str()));
    let bare = world.wait_for(async {
        world.engine.remove(&ContainerId::new(&id), true).await.unwrap();
        let id = world.engine.create(&spec).await.unwrap();
        world.engine.start(&id).await.unwrap();
        id
    });
    assert_ne!(before, started(&world, bare.as_str()));
    let before = started(&world, bare.as_str());
    world.tool(&["plan"]).expect(1);
    world.tool(&["adopt", &world.service("web")]).expect(0);
    world.tool(&["plan"]).expect(0);
    world.tool(&["apply", "--yes"]).expect(0);
    assert_eq!((world.ids()["web"].as_str(), started(&world, bare.as_str())), (bare.as_str(), before));
}
