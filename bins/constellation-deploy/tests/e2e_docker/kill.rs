//! The tool killed at any moment: the next run goes on from there.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::world::{World, get, now};

const KILLS: u32 = 10;

/// Another seed by `CONSTELLATION_E2E_SEED`; each run says its own.
fn seed() -> u64 {
    let said = std::env::var("CONSTELLATION_E2E_SEED").ok().and_then(|text| text.parse().ok());
    said.unwrap_or_else(|| u64::from(now().subsec_nanos()) << 32 | u64::from(std::process::id()))
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_brought_to_its_end_by_the_next_one() {
    let seed = seed();
    println!("CONSTELLATION_E2E_SEED={seed}");
    let mut dice = SmallRng::seed_from_u64(seed);
    let world = World::ten("kill");
    let begun = now();
    world.tool(&["apply", "--yes"]).expect(0);
    // What a run takes; it becomes shorter when the machine has less else to do.
    let mut whole = now() - begun;
    let (mut killed, mut round) = (0, 0);
    // Everything is replaced each time, so that the knife falls into replacements of every kind.
    while killed < KILLS {
        round += 1;
        assert!(round <= 5 * KILLS, "only {killed} runs were still at work when the knife fell, seed {seed}");
        world.set("VERSION", format!("{round}"));
        let after = whole.mul_f64(dice.random_range(0.02..0.9));
        match killed_after(&world, after) {
            None => killed += 1,
            Some(took) => whole = took,
        }
        let context = format!("round {round}, killed after {after:?}, seed {seed}");
        assert!(is_served(&world), "{context}: nobody serves");
        // Half of the time another version is wanted by then.
        if dice.random_bool(0.5) {
            world.set("VERSION", format!("{round}b"));
        }
        let next = world.tool(&["apply", "--yes"]);
        assert_eq!(next.code, Some(0), "{context}\n{}", next.text());
        let plan = world.tool(&["plan"]);
        assert_eq!(plan.code, Some(0), "{context}\n{}", plan.text());
        let containers = world.containers();
        assert_eq!(containers.len(), 11, "{context}: {:?}", containers.keys());
        assert!(containers.keys().all(|name| !name.contains('.')), "{context}: {:?}", containers.keys());
        for address in [world.address("web", "front"), world.gate()] {
            let answer = get(address, "/");
            assert!(answer.as_ref().is_ok_and(|answer| answer.0 == 200), "{context}: {address}: {answer:?}");
        }
    }
}

/// Starts a run and kills it after a while; tells how long it took where it was over before.
fn killed_after(world: &World, after: Duration) -> Option<Duration> {
    let begun = now();
    let mut run = world.spawn(&["apply", "--yes"]);
    while now() - begun < after {
        if run.try_wait().unwrap().is_some() {
            return Some(now() - begun);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    None
}

/// Whether one of the containers of `web`, which is replaced start-first, answers.
fn is_served(world: &World) -> bool {
    let containers = world.containers();
    let of_web = containers.iter().filter(|(name, _)| name.split('.').next() == Some("web"));
    let mut addresses =
        of_web.flat_map(|(_, container)| &container.networks).filter_map(|joined| joined.address);
    addresses.any(|address| get((address, 8080).into(), "/").is_ok_and(|answer| answer.0 == 200))
}

#[test]
fn a_first_run_that_is_killed_is_brought_to_its_end_by_the_next_one() {
    let world = World::ten("early");
    for after in [150, 600, 1500] {
        let mut run = world.spawn(&["apply", "--yes"]);
        std::thread::sleep(Duration::from_millis(after));
        run.kill().unwrap();
        run.wait().unwrap();
    }
    world.tool(&["apply", "--yes"]).expect(0);
    world.tool(&["plan"]).expect(0);
    assert_eq!(world.containers().len(), 11);
}

#[test]
fn a_second_run_at_once_says_who_is_at_work() {
    let world = World::pair("twice");
    // It takes its time until its health check has failed.
    world.set("WEB_SICK", "1");
    let mut first = world.spawn(&["apply", "--yes"]);
    let holder = format!("process {}, `apply`", first.id());
    let lock = world.path("data/deploy/lock");
    world.until("the first one has the lock", || {
        std::fs::read_to_string(&lock).is_ok_and(|text| text.trim() == holder)
    });
    let second = world.tool(&["apply", "--yes"]).expect(1);
    for words in ["another run is at work", &holder, "wait for it"] {
        assert!(second.err.contains(words), "`{words}` is not in {}", second.err);
    }
    assert_eq!(first.wait().unwrap().code(), Some(1), "the first one went on to its end");
    world.set("WEB_SICK", "0");
    world.tool(&["apply", "--yes"]).expect(0);
}
