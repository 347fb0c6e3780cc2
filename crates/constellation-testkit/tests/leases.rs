//! The simulation itself: it is the same for the same seed, it holds on some seeds, and its document is complete.
//!
//! Unoptimised it is slow, so only a few seeds are played here; `cargo xtask sim` plays thousands.

use constellation_consensus::Mutation;
use constellation_testkit::leases::{Campaign, Hit, Scenario, campaign, run, shrink};
use proptest::prelude::*;

fn play(seeds: std::ops::Range<u64>, mutation: Option<Mutation>) -> constellation_testkit::leases::Tally {
    let plan = Campaign {
        from: seeds.start,
        seeds: seeds.end - seeds.start,
        mutation,
        stop_early: mutation.is_some(),
        threads: 2,
    };
    campaign(plan, &|_, _| {})
}

#[test]
fn the_promises_hold_on_some_seeds() {
    let tally = play(0..8, None);
    assert_eq!(tally.failures, []);
    assert_eq!(tally.runs, 8);
    assert!(tally.coverage.count(Hit::Granted) > 8, "leases were granted at all");
}

#[test]
fn a_broken_rule_is_noticed_and_its_story_can_be_made_shorter() {
    let first = play(0..20, Some(Mutation::ReusesTokens)).failures.remove(0);
    let whole = Scenario::drawn(first.seed);
    let short = shrink(&whole, Some(Mutation::ReusesTokens));
    assert!(short.faults.len() <= whole.faults.len());
    let report = run(&short, Some(Mutation::ReusesTokens));
    assert_eq!(report.violation.map(|violation| violation.name()), Some(first.violation.name()));
}

#[test]
fn the_document_lists_every_mutation_with_the_seed_that_catches_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulation.md");
    let text = std::fs::read_to_string(path).unwrap();
    for mutation in Mutation::ALL {
        let name = format!("| `{mutation:?}` | {} | ", mutation.explanation());
        let row = text.lines().find_map(|line| line.strip_prefix(&name));
        let row = row.unwrap_or_else(|| {
            panic!("{mutation:?} is not in docs/simulation.md: run `cargo xtask sim --mutations --write`")
        });
        let seed = row.split(" | ").next().and_then(|seed| seed.parse::<u64>().ok());
        assert!(seed.is_some(), "{mutation:?} has no seed that catches it: {row}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn the_same_seed_is_the_same_story(seed: u64) {
        let report = run(&Scenario::drawn(seed), None);
        prop_assert_eq!(&report, &run(&Scenario::drawn(seed), None));
        prop_assert!(report.steps > 0 && report.digest != 0);
        prop_assert_ne!(report.digest, run(&Scenario::drawn(seed ^ 1), None).digest);
    }
}
