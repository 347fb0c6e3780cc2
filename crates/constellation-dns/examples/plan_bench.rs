//! How long a plan takes: a thousand records, of which some are wrong. `cargo run --release -p constellation-dns --example
//! plan_bench` prints it.

use std::{fmt::Write as _, process::ExitCode};

use constellation_core::{Clock as _, FencingToken};
use constellation_dns::{
    Desired, Found, Marker, Policy, Record, RecordId, RecordKind, Rules, Ttl, Value, owner::owner_of,
    plan::after, plan::plan,
};
use constellation_tasks::SystemClock;

const ZONE: &str = "example.org";
const NAMES: u32 = 500;
const ROUNDS: usize = 100;

fn record(number: u32, second: bool) -> Option<Record> {
    let address = format!("198.51.{}.{}", number / 250 + 100 * u32::from(second), number % 250);
    let name = format!("n{number}.{ZONE}").parse().ok()?;
    Some(Record { name, value: Value::read(RecordKind::A, &address)?, ttl: Ttl::FAST, proxied: false })
}

fn main() -> ExitCode {
    let mut desired = Desired::default();
    for number in 0..NAMES {
        let Some(records) =
            [record(number, false), record(number, true)].into_iter().collect::<Option<Vec<_>>>()
        else {
            return ExitCode::FAILURE;
        };
        let Some(name) = records.first().map(|record| record.name.clone()) else { return ExitCode::FAILURE };
        desired.records.insert(name.clone(), Rules::CLOUDFLARE.name(ZONE, &name, records).0);
    }
    let Ok(cluster) = "bench".parse() else { return ExitCode::FAILURE };
    let policy = Policy { token: Some(FencingToken(7)), ..Policy::of(cluster) };
    let marker = Marker { cluster: policy.cluster.clone(), token: FencingToken(7) };
    let mut made = 0;
    let mut zone: Vec<Found> = after(&[], &plan(&desired, &[], &policy), &marker, || {
        made += 1;
        RecordId(format!("{made}"))
    });
    // One in ten leads elsewhere.
    for found in zone.iter_mut().step_by(10) {
        (found.value, found.content) = (Some(Value::A([192, 0, 2, 1].into())), "192.0.2.1".to_owned());
    }
    let clock = SystemClock::start();
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = clock.now();
            let changes = plan(&desired, &zone, &policy).changes.len();
            (clock.now().since(began), changes)
        })
        .collect();
    times.sort();
    let ours = zone
        .iter()
        .filter(|found| owner_of(found, &policy.cluster) != constellation_dns::owner::Owner::Foreign)
        .count();
    let mut text = String::new();
    for (what, at) in [("p50", ROUNDS / 2), ("p99", ROUNDS * 99 / 100)] {
        if let Some((took, changes)) = times.get(at) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{what} {took:?} ({changes} changes)  ");
        }
    }
    println!("a plan for {} records, {ours} of ours there: {text}", desired.len());
    ExitCode::SUCCESS
}
