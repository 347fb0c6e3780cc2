//! From nothing to everything, and then nothing more.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use constellation_docker::{HealthReport, RunState};

use crate::world::{Containers, TOKEN, World, get, moment};

const SERVICES: [&str; 11] =
    ["api", "cache", "cron", "flaky", "gate", "mail", "migrate", "slow", "store", "web", "worker"];

fn names(containers: &Containers) -> Vec<&str> {
    containers.keys().map(String::as_str).collect()
}

/// Every file below a folder with its time of change, but for the lock, which names who held it last.
fn files(folder: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != "lock" {
                found.insert(path.display().to_string(), fs::metadata(&path).unwrap().modified().unwrap());
            }
        }
    }
    found
}

#[test]
fn a_fresh_stack_comes_up_in_order_and_an_unchanged_second_run_writes_nothing() {
    let world = World::ten("fresh");
    let planned = world.tool(&["plan"]).expect(2);
    assert!(planned.out.contains("create"), "{}", planned.out);
    assert_eq!(world.containers().len(), 0, "a plan makes nothing");
    world.tool(&["apply", "--yes"]).expect(0);

    let containers = world.containers();
    assert_eq!(names(&containers), SERVICES);
    for (name, container) in &containers {
        let state = &container.state;
        match name.as_str() {
            "migrate" => assert_eq!((state.run, state.exit_code), (RunState::Exited, Some(0)), "{name}"),
            "cron" | "mail" | "worker" => assert_eq!(state.run, RunState::Running, "{name}"),
            _ => assert_eq!(state.health, HealthReport::Healthy, "{name}"),
        }
    }
    let started = |name: &str| containers[name].state.started_at_ms.unwrap();
    let migrated = containers["migrate"].state.finished_at_ms.unwrap();
    assert!(started("store") < started("migrate") && migrated <= started("api"), "{containers:#?}");
    assert!(started("api") < started("web") && started("web") <= started("gate"), "{containers:#?}");

    let networks =
        |name: &str| containers[name].networks.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let (front, inside) = (format!("{}_front", world.name), format!("{}_inside", world.name));
    assert_eq!((networks("web"), networks("cache")), (vec![front.clone()], vec![inside.clone()]));
    assert_eq!(networks("api"), [front, inside]);

    let api = world.address("api", "front");
    assert_eq!(get(api, "/file/run/secrets/token").unwrap(), (200, TOKEN.to_owned()));
    assert_eq!(get(api, "/mode/run/secrets/token").unwrap().1, "400");
    assert_eq!(get(api, "/env/TOKEN_FILE").unwrap().1, "/run/secrets/token");
    assert_eq!(get(api, "/file/etc/api.toml").unwrap().1, "level = \"info\"\n");
    let seen = world.tool(&["explain", "api", "--json"]).text() + &world.tool(&["status", "--json"]).text();
    assert!(!seen.contains(TOKEN), "a secret is shown nowhere");
    assert_eq!(get(world.gate(), "/").unwrap().1, "gate 1");

    let (ids, written, since) = (world.ids(), files(&world.path("data")), moment());
    world.tool(&["plan"]).expect(0);
    world.tool(&["apply", "--yes"]).expect(0);
    assert_eq!(world.events(&since, &moment()), Vec::<String>::new());
    assert_eq!((world.ids(), files(&world.path("data"))), (ids, written));
}
