//! A thousand runs, each from one seed: a writer, a zone that fails in every way that it can, people and other programs who
//! change it meanwhile, and a lease that moves. In the end the zone is as it should be, and what is not ours is untouched.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails as a test does")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use constellation_core::{
    ClusterView, FencingToken, Generation, LeaseHolder, LeaseStatus, NodeFacts,
    view::{Incarnation, NodeView},
};
use constellation_dns::{
    Controller, ControllerConfig, DnsConfig, DnsProvider, Found, Outcome, RecordId, Rules, SimulatedZone,
    Ttl, Value, simulated::Fault,
};
use constellation_tasks::{Supervisor, SystemClock};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

const RUNS: u64 = 1000;
const NODES: [&str; 3] = ["a", "b", "c"];

fn view() -> ClusterView {
    let incarnations = (1u8..).zip(NODES).map(|(number, name)| {
        let public = vec![std::net::IpAddr::from([203, 0, 113, number])];
        let facts = NodeFacts { public, ..NodeFacts::at("127.0.0.1".parse().unwrap()) };
        let node = NodeView {
            name: name.parse().unwrap(),
            generation: Generation(1),
            facts,
            instances: [].into(),
            routes: [].into(),
        };
        Incarnation { node: Arc::new(node), live: true }
    });
    ClusterView::derive("a".parse().unwrap(), 1, incarnations)
}

fn foreign() -> Vec<Found> {
    let of = |id: &str, name: &str, kind: &str, value: Option<Value>, comment: Option<&str>| Found {
        id: RecordId(id.to_owned()),
        name: name.to_owned(),
        kind: kind.to_owned(),
        content: value.as_ref().map_or("10 mail.example.net".to_owned(), ToString::to_string),
        value,
        ttl: Ttl(300),
        proxied: false,
        comment: comment.map(str::to_owned),
    };
    vec![
        of("mx", "example.org", "MX", None, None),
        of("ns", "example.org", "NS", None, None),
        of("text", "example.org", "TXT", Some(Value::Txt("v=spf1 -all".to_owned())), Some("by hand")),
        of(
            "www",
            "www.example.org",
            "A",
            Some(Value::A([192, 0, 2, 1].into())),
            Some("constellation/other/99"),
        ),
    ]
}

fn held_by(number: usize) -> LeaseStatus {
    let node = NODES[number % NODES.len()].parse().unwrap();
    LeaseStatus::HeldBy { holder: LeaseHolder { node, boot: 1 }, token: FencingToken(1) }
}

fn some_fault(chance: &mut StdRng) -> Fault {
    match chance.random_range(0..6) {
        0 => Fault::TooOften(Duration::from_secs(chance.random_range(1..30))),
        1 => Fault::Lost,
        2 => Fault::AnswerLost,
        3 => Fault::CutShort,
        4 => Fault::Denied,
        _ => Fault::Stale,
    }
}

fn a_person_meddles(chance: &mut StdRng, records: &mut Vec<Found>) {
    let ours: Vec<usize> = (0..records.len()).filter(|at| records[*at].id.0.starts_with("made-")).collect();
    let Some(at) = ours.get(chance.random_range(0..ours.len().max(1))).copied() else { return };
    if chance.random_bool(0.5) {
        records.remove(at);
    } else {
        let address = [192, 0, 2, chance.random_range(1..250)];
        (records[at].value, records[at].content) =
            (Some(Value::A(address.into())), std::net::Ipv4Addr::from(address).to_string());
    }
}

async fn run(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let zone = Arc::new(SimulatedZone::new(Rules::CLOUDFLARE, foreign()));
    let (supervisor, token) = (Supervisor::new(), Arc::new(AtomicU64::new(7)));
    let (views, leader, writer) = (
        watch::Sender::new(Arc::new(view())),
        watch::Sender::new(held_by(0)),
        watch::Sender::new(LeaseStatus::Unheld),
    );
    let dns = DnsConfig { any_address: true, ..DnsConfig::of("example.org".parse().unwrap()) };
    let permitted = Arc::clone(&token);
    let controller = Controller {
        config: ControllerConfig::of("home".parse().unwrap(), dns),
        provider: Arc::clone(&zone) as Arc<dyn DnsProvider>,
        permit: Arc::new(move || {
            Some(FencingToken(permitted.load(Ordering::SeqCst))).filter(|token| token.0 > 0)
        }),
        view: views.subscribe(),
        leader: leader.subscribe(),
        writer: writer.subscribe(),
        clock: Arc::new(SystemClock::start()),
    };
    let handle = controller.start(&supervisor);
    let (mut newest, mut at, mut minutes) = (7, 0, 0);
    for _ in 0..chance.random_range(3..12) {
        zone.faults((0..chance.random_range(0..3)).map(|_| some_fault(&mut chance)).collect::<Vec<_>>());
        match chance.random_range(0..4) {
            0 => {
                at = chance.random_range(0..NODES.len());
                leader.send_replace(held_by(at));
            }
            1 => zone.edit(|records| a_person_meddles(&mut chance, records)),
            2 => {
                // The lease goes for a while and comes back under another token.
                token.store(0, Ordering::SeqCst);
                writer.send_replace(LeaseStatus::Unheld);
                tokio::time::sleep(Duration::from_secs(1)).await;
                newest += 1;
                token.store(newest, Ordering::SeqCst);
                writer.send_replace(LeaseStatus::Unheld);
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(chance.random_range(1..90))).await;
        minutes += 2;
    }
    // What is ordered and was not asked for yet is worn out, and then there is peace.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    minutes += 60;

    let status = handle.status().borrow().clone();
    assert_eq!(status.outcome, Some(Outcome::Settled), "seed {seed}: {status:?}");
    let all = zone.look();
    for theirs in foreign() {
        assert!(all.contains(&theirs), "seed {seed}: {theirs:?} is not as it was");
    }
    let ours: BTreeSet<(String, String)> = all
        .iter()
        .filter(|found| !foreign().contains(found))
        .map(|found| (found.name.clone(), found.content.clone()))
        .collect();
    assert_eq!(all.len(), foreign().len() + ours.len(), "seed {seed}: something is there twice");
    let mut wanted = BTreeSet::new();
    for (number, node) in (1..).zip(NODES) {
        for name in [format!("{node}.example.org"), format!("*.{node}.example.org")] {
            wanted.insert((name, format!("203.0.113.{number}")));
        }
    }
    for name in ["example.org", "*.example.org"] {
        wanted.insert((name.to_owned(), format!("203.0.113.{}", at + 1)));
    }
    assert_eq!(ours, wanted, "seed {seed}");
    // Half of what Cloudflare allows is two a second; this is what it really takes.
    assert!(
        zone.usage().requests < 4 * minutes + 60,
        "seed {seed}: {} requests in {minutes} min",
        zone.usage().requests
    );
    supervisor.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_the_zone_ends_as_it_should_be_and_nothing_of_others_is_touched() {
    for seed in 0..RUNS {
        run(seed).await;
    }
}
