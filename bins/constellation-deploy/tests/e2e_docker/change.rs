//! What changes, and what must stay as it is while it does.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use crate::world::{World, get, moment};

/// The services whose container is another one, or gone, or new.
fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn each_change_recreates_the_service_that_it_is_about_and_no_other() {
    let world = World::ten("change");
    world.tool(&["apply", "--yes"]).expect(0);
    let mut before = world.ids();
    let mut apply = |what: &str, expected: &[&str]| {
        let since = moment();
        world.tool(&["plan"]).expect(2);
        assert_eq!(world.events(&since, &moment()), Vec::<String>::new(), "a plan writes nothing");
        world.tool(&["apply", "--yes"]).expect(0);
        let after = world.ids();
        assert_eq!(differing(&before, &after), expected, "{what}");
        assert!(!world.events(&since, &moment()).is_empty(), "the engine tells of what is done");
        world.tool(&["plan"]).expect(0);
        before = after;
    };

    world.set("WEB_VERSION", "2");
    apply("one variable", &["web"]);
    assert_eq!(get(world.address("web", "front"), "/").unwrap().1, "web 2");

    world.set("API_LEVEL", "debug");
    apply("the content of a configuration file", &["api"]);
    assert_eq!(get(world.address("api", "front"), "/file/etc/api.toml").unwrap().1, "level = \"debug\"\n");

    world.secret("token.txt", "rotated", 0o600);
    apply("a secret", &["api"]);
    assert_eq!(get(world.address("api", "front"), "/file/run/secrets/token").unwrap().1, "rotated");

    world.set("WITHOUT", "mail");
    apply("a service that is not defined any more", &["mail"]);
    assert!(!world.ids().contains_key("mail"));
}

#[test]
fn only_the_services_that_were_named_are_touched() {
    let world = World::pair("named");
    world.tool(&["apply", "--yes"]).expect(0);
    let before = world.ids();
    world.set("VERSION", "2");
    world.tool(&["apply", "--yes", &world.service("web")]).expect(0);
    assert_eq!(differing(&before, &world.ids()), ["web"]);
    world.tool(&["apply", "--yes", "--stack", &world.name]).expect(0);
    assert_eq!(differing(&before, &world.ids()), ["gate", "web"]);
}

#[test]
fn what_was_seen_is_what_is_done_or_nothing_is() {
    let world = World::pair("saved");
    world.tool(&["apply", "--yes"]).expect(0);
    let plan = world.path("plan.json").display().to_string();
    world.set("WEB_VERSION", "2");
    world.tool(&["plan", "--out", &plan]).expect(2);
    let mode = std::fs::metadata(&plan).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "definitions may hold what is secret");
    let before = world.ids();
    world.set("WEB_VERSION", "3");
    let changed = world.tool(&["apply", "--plan", &plan]).expect(3);
    assert!(changed.err.contains("plan again"), "{}", changed.err);
    assert_eq!(world.ids(), before, "nothing was done");
    world.set("WEB_VERSION", "2");
    world.tool(&["apply", "--plan", &plan]).expect(0);
    assert_eq!(get(world.address("web", "front"), "/").unwrap().1, "web 2");
}

#[test]
fn a_rollback_runs_again_what_ran_before() {
    let world = World::pair("rollback");
    world.tool(&["apply", "--yes"]).expect(0);
    world.set("WEB_VERSION", "2");
    world.tool(&["apply", "--yes"]).expect(0);
    let gate = world.ids()["gate"].clone();
    world.tool(&["rollback", "--yes"]).expect(0);
    assert_eq!(get(world.address("web", "front"), "/").unwrap().1, "web 1");
    assert_eq!(world.ids()["gate"], gate, "the run did not touch it, so going back does not");
    world.tool(&["plan"]).expect(2);
}

#[test]
fn down_takes_everything_away_but_the_volumes() {
    let world = World::ten("down");
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["down"]).expect(1);
    assert_eq!(world.ids().len(), 11, "without a yes nothing is done");
    world.tool(&["down", "--yes"]).expect(0);
    assert_eq!(world.ids(), BTreeMap::new());
    let (networks, volumes) = world.wait_for(async {
        let networks = world.engine.list_networks(&BTreeMap::new()).await.unwrap();
        (networks, world.engine.list_volumes().await.unwrap())
    });
    let ours = |name: &str| name.starts_with(&world.name);
    assert_eq!(networks.iter().filter(|network| ours(&network.name)).count(), 0);
    let volume = format!("{}_state", world.name);
    assert!(volumes.iter().any(|it| it.name == volume), "data stays unless it is named");
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["down", "--yes", "--volumes"]).expect(0);
    let volumes = world.wait_for(world.engine.list_volumes()).unwrap();
    assert_eq!(volumes.iter().filter(|it| ours(&it.name)).count(), 0);
}

#[test]
fn what_down_took_away_comes_back_by_going_back() {
    let world = World::pair("back");
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["down", "--yes"]).expect(0);
    assert_eq!(world.ids(), BTreeMap::new());
    world.tool(&["rollback", "--yes"]).expect(0);
    assert_eq!(get(world.address("web", "front"), "/").unwrap().1, "web 1");
    world.tool(&["plan"]).expect(0);
}

#[test]
fn down_leaves_volumes_that_the_stack_does_not_own() {
    let world = World::ten("shared");
    let volume = format!("{}_state", world.name);
    // Somebody made it before: it keeps what it is, and belongs to nobody here.
    world.wait_for(world.engine.create_volume(&volume, &BTreeMap::new())).unwrap();
    world.tool(&["apply", "--yes"]).expect(0);
    let down = world.tool(&["down", "--yes", "--volumes"]).expect(0);
    assert!(down.out.contains(&format!("keep     volume {volume}")), "{}", down.text());
    let volumes = world.wait_for(world.engine.list_volumes()).unwrap();
    assert!(volumes.iter().any(|it| it.name == volume));
    world.wait_for(world.engine.remove_volume(&volume)).unwrap();
}
