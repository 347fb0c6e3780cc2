use std::sync::atomic::{AtomicU64, Ordering};

use constellation_core::{LeaseHolder, Moment};
use constellation_tasks::SystemClock;

use super::*;
use crate::{
    record::{Found, RecordId, RecordName, Ttl, Value},
    rules::Rules,
    simulated::{Fault, SimulatedZone},
    testing::cluster,
};

struct World {
    zone: Arc<SimulatedZone>,
    token: Arc<AtomicU64>,
    view: watch::Sender<Arc<ClusterView>>,
    leader: watch::Sender<LeaseStatus>,
    writer: watch::Sender<LeaseStatus>,
    handle: DnsHandle,
    supervisor: Supervisor,
}

fn held_by(node: &str) -> LeaseStatus {
    LeaseStatus::HeldBy {
        holder: LeaseHolder { node: node.parse().unwrap(), boot: 1 },
        token: FencingToken(1),
    }
}

fn config() -> ControllerConfig {
    let dns = DnsConfig { any_address: true, ..DnsConfig::of("example.org".parse().unwrap()) };
    ControllerConfig { warm_up: Duration::ZERO, ..ControllerConfig::of("home".parse().unwrap(), dns) }
}

fn start(zone: &Arc<SimulatedZone>, token: u64, change: impl FnOnce(&mut ControllerConfig)) -> World {
    let mut config = config();
    change(&mut config);
    let supervisor = Supervisor::new();
    let view = watch::Sender::new(Arc::new(cluster(&[("a", true), ("b", true), ("c", true)])));
    let (leader, writer) = (watch::Sender::new(held_by("a")), watch::Sender::new(LeaseStatus::Unheld));
    let token = Arc::new(AtomicU64::new(token));
    let permitted = Arc::clone(&token);
    let permit = move || Some(permitted.load(Ordering::SeqCst)).filter(|token| *token > 0).map(FencingToken);
    let controller = Controller {
        config,
        provider: Arc::clone(zone) as Arc<dyn DnsProvider>,
        permit: Arc::new(permit),
        view: view.subscribe(),
        leader: leader.subscribe(),
        writer: writer.subscribe(),
        clock: Arc::new(SystemClock::start()),
    };
    let handle = controller.start(&supervisor);
    World { zone: Arc::clone(zone), token, view, leader, writer, handle, supervisor }
}

fn empty_zone() -> Arc<SimulatedZone> {
    Arc::new(SimulatedZone::new(Rules::CLOUDFLARE, vec![theirs()]))
}

fn theirs() -> Found {
    Found {
        id: RecordId("theirs".to_owned()),
        name: "mail.example.org".to_owned(),
        kind: "MX".to_owned(),
        value: None,
        content: "mail.example.net".to_owned(),
        ttl: Ttl(300),
        proxied: false,
        comment: Some("by hand".to_owned()),
    }
}

impl World {
    async fn until(&self, what: &str, is: impl Fn(&DnsStatus) -> bool) -> Arc<DnsStatus> {
        let mut status = self.handle.status();
        let seen = tokio::time::timeout(Duration::from_secs(600), status.wait_for(|status| is(status))).await;
        match seen {
            Ok(Ok(status)) => Arc::clone(&status),
            _ => panic!("{what} did not come: {:?}", self.handle.status().borrow()),
        }
    }

    async fn settled(&self) -> Arc<DnsStatus> {
        self.until("peace", |status| status.outcome == Some(Outcome::Settled)).await
    }

    fn apex(&self) -> Vec<String> {
        let apex = |found: &Found| found.name == "example.org";
        self.zone.look().into_iter().filter(apex).map(|found| found.content).collect()
    }

    async fn moved_to(&self, address: &str) {
        for _ in 0..40_000 {
            if self.apex() == [address] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the apex is {:?} and not {address}", self.apex());
    }
}

#[tokio::test(start_paused = true)]
async fn the_apex_follows_the_lease_and_a_steady_cluster_writes_nothing() {
    let world = start(&empty_zone(), 7, |_| {});
    world.settled().await;
    assert_eq!((world.apex(), world.zone.look().len()), (vec!["203.0.113.1".to_owned()], 2 + 6 + 1));
    world.leader.send_replace(held_by("b"));
    world.moved_to("203.0.113.2").await;
    world
        .until("a second look", |status| {
            status.counters.writes == 2 && status.outcome == Some(Outcome::Settled)
        })
        .await;
    let before = world.handle.status().borrow().counters;
    for _ in 0..100 {
        // What is not about DNS wakes it, and it asks nothing.
        world.view.send_replace(Arc::new(cluster(&[("a", true), ("b", true), ("c", true)])));
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let after = world.handle.status().borrow().counters;
    assert!(after.reads - before.reads <= 10 && after.reads - before.reads >= 9, "{before:?} {after:?}");
    assert_eq!(after.writes, before.writes);
    assert!(world.zone.look().contains(&theirs()));
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_does_not_even_ask() {
    let world = start(&empty_zone(), 0, |_| {});
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.zone.usage().requests, 0);
    world.token.store(7, Ordering::SeqCst);
    world.writer.send_replace(LeaseStatus::Held { token: FencingToken(7), until: Moment::START });
    world.moved_to("203.0.113.1").await;
}

#[tokio::test(start_paused = true)]
async fn the_right_to_write_is_asked_for_before_each_request() {
    /// Loses the lease when the zone is read.
    struct Losing(Arc<SimulatedZone>, Arc<AtomicU64>);
    #[async_trait::async_trait]
    impl DnsProvider for Losing {
        fn place(&self) -> String {
            self.0.place()
        }
        fn rules(&self) -> Rules {
            self.0.rules()
        }
        async fn records(&self) -> Result<Vec<Found>, crate::DnsError> {
            self.1.store(0, Ordering::SeqCst);
            self.0.records().await
        }
        async fn apply(
            &self,
            batch: &[crate::Change],
            marker: &crate::Marker,
        ) -> Result<(), crate::DnsError> {
            self.0.apply(batch, marker).await
        }
    }
    let (zone, token) = (empty_zone(), Arc::new(AtomicU64::new(7)));
    let supervisor = Supervisor::new();
    let (asked, view) = (Arc::clone(&token), watch::Sender::new(Arc::new(cluster(&[("a", true)]))));
    let (leader, writer) = (watch::Sender::new(held_by("a")), watch::Sender::new(LeaseStatus::Unheld));
    let controller = Controller {
        config: config(),
        provider: Arc::new(Losing(Arc::clone(&zone), token)),
        permit: Arc::new(move || {
            Some(asked.load(Ordering::SeqCst)).filter(|token| *token > 0).map(FencingToken)
        }),
        view: view.subscribe(),
        leader: leader.subscribe(),
        writer: writer.subscribe(),
        clock: Arc::new(SystemClock::start()),
    };
    let handle = controller.start(&supervisor);
    let mut status = handle.status();
    status.wait_for(|status| status.outcome == Some(Outcome::Overtaken)).await.unwrap();
    assert_eq!(zone.look(), [theirs()]);
}

#[tokio::test(start_paused = true)]
async fn a_human_edit_is_put_back_and_said_once() {
    let world = start(&empty_zone(), 7, |_| {});
    world.settled().await;
    world.zone.edit(|records| {
        for found in records.iter_mut().filter(|found| found.name == "example.org") {
            found.content = "192.0.2.66".to_owned();
            found.value = Some(Value::A([192, 0, 2, 66].into()));
        }
    });
    world.zone.faults([Fault::TooOften(Duration::from_secs(5))]);
    world.moved_to("203.0.113.1").await;
    let status = world.until("a note", |status| status.counters.drifted > 0).await;
    assert_eq!((status.counters.drifted, status.notes.len()), (1, 1));
    assert!(status.notes[0].contains("somebody changed A example.org to 192.0.2.66"), "{:?}", status.notes);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_on_half_a_picture() {
    let world = start(&empty_zone(), 7, |_| {});
    world.settled().await;
    let before = world.zone.look();
    world.zone.faults([Fault::CutShort, Fault::Lost, Fault::TooOften(Duration::from_secs(40))]);
    world.until("a failure", |status| status.counters.failures == 3).await;
    assert_eq!(world.zone.look(), before);
    world.leader.send_replace(held_by("c"));
    world.moved_to("203.0.113.3").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_deed_costs_nothing() {
    let zone = empty_zone();
    zone.faults([Fault::Stale, Fault::AnswerLost]);
    let world = start(&zone, 7, |_| {});
    world.settled().await;
    let mut names: Vec<(String, String)> =
        zone.look().into_iter().map(|found| (found.name, found.content)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 9);
    assert_eq!(zone.look().len(), 9, "nothing is there twice");
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_writer_freezes() {
    let world = start(&empty_zone(), 7, |_| {});
    world.settled().await;
    let before = (world.zone.look(), world.zone.usage().requests);
    world.view.send_replace(Arc::new(cluster(&[("a", true), ("b", false), ("c", false)])));
    world.until("a freeze", |status| status.stage == Stage::Frozen).await;
    world.leader.send_replace(held_by("b"));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!((world.zone.look(), world.zone.usage().requests), before);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_believe_they_write_the_newer_token_wins() {
    for old_first in [true, false] {
        let zone = empty_zone();
        let old = start(&zone, 7, |config| config.every = Duration::from_secs(3));
        if old_first {
            old.settled().await;
        }
        let new = start(&zone, 9, |_| {});
        new.leader.send_replace(held_by("c"));
        new.moved_to("203.0.113.3").await;
        new.settled().await;
        let refused = |status: &DnsStatus| {
            status.plan.as_ref().is_some_and(|plan| {
                plan.refused.iter().any(|why| matches!(why, crate::Refusal::NewerWriter { .. }))
            })
        };
        old.until("the refusal", refused).await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(new.apex(), ["203.0.113.3"]);
        assert!(matches!(old.handle.apply(true).await, Ok(plan) if plan.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_plans_and_writes_nothing() {
    let world = start(&empty_zone(), 7, |config| config.dry_run = true);
    let status = world.until("a plan", |status| status.plan.is_some()).await;
    assert_eq!((status.stage, status.plan.as_ref().unwrap().counts()), (Stage::DryRun, (8, 0, 0)));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.zone.look(), [theirs()]);
    assert!(matches!(world.handle.apply(false).await, Err(WriteError::DryRun)));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_adopted_and_let_go_of_by_command() {
    let name: RecordName = "example.org".parse().unwrap();
    let zone = empty_zone();
    let foreign = Found {
        id: RecordId("by-hand".to_owned()),
        name: name.to_string(),
        kind: "A".to_owned(),
        value: Some(Value::A([192, 0, 2, 1].into())),
        content: "192.0.2.1".to_owned(),
        ..theirs()
    };
    zone.edit(|records| records.push(foreign));
    let world = start(&zone, 7, |_| {});
    world.settled().await;
    assert_eq!(world.apex(), ["192.0.2.1"]);
    assert_eq!(world.handle.adopt(&name, None, false).await.unwrap().len(), 1);
    world.moved_to("203.0.113.1").await;
    assert!(matches!(world.handle.adopt(&name, None, false).await, Err(WriteError::Nothing { .. })));
    world.handle.disown(&name, None).await.unwrap();
    world.leader.send_replace(held_by("b"));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.apex(), ["203.0.113.1"], "it is not ours any more");
    assert!(
        world
            .handle
            .export()
            .await
            .unwrap()
            .contains("mail.example.org. 300 IN MX mail.example.net ; by hand")
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_mode_all_leaves_after_the_hold_and_never_before_the_view_is_whole() {
    let all = |config: &mut ControllerConfig| {
        config.dns.apex = crate::Mode::All;
        config.warm_up = Duration::from_secs(5);
    };
    let zone = empty_zone();
    let world = start(&zone, 7, all);
    world.until("a change", |status| status.outcome == Some(Outcome::Changed)).await;
    assert!(world.apex().is_empty(), "nobody knows yet who is there");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.apex().len(), 3);
    world.view.send_replace(Arc::new(cluster(&[("a", true), ("b", false), ("c", true)])));
    tokio::time::sleep(Duration::from_millis(4900)).await;
    assert_eq!(world.apex().len(), 3);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.apex().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_the_task() {
    let world = start(&empty_zone(), 7, |_| {});
    world.settled().await;
    assert_eq!(world.supervisor.drain(Duration::from_secs(1)).await, constellation_tasks::Drained::Clean);
}
