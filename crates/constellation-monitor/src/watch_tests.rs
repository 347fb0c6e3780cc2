use std::collections::BTreeMap;

use constellation_docker::ContainerState;
use proptest::prelude::*;

use super::*;

fn at(second: u64) -> Moment {
    Moment::after_start(Duration::from_secs(second))
}

fn container(name: &str, run: RunState, health: HealthReport, labels: &[(&str, &str)]) -> Arc<Container> {
    Arc::new(Container {
        id: ContainerId::new(format!("{name}0123456789abcdef")),
        name: name.to_owned(),
        image: "image".to_owned(),
        created_at_ms: Some(500),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
        state: ContainerState {
            run,
            health,
            pid: None,
            exit_code: None,
            oom_killed: false,
            started_at_ms: Some(1000),
            finished_at_ms: None,
            restarts: 0,
        },
        exposed: vec![],
        published: vec![],
        networks: vec![],
        host_network: false,
    })
}

const WANTS_HEALING: &[(&str, &str)] = &[("constellation.heal", "restart")];

fn unhealthy(labels: &[(&str, &str)]) -> Arc<Container> {
    container("web", RunState::Running, HealthReport::Unhealthy, labels)
}

fn listed(described: Vec<Arc<Container>>) -> Event {
    Event::Listed { described, unreadable: vec![] }
}

fn restarts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Restart { .. })).count()
}

fn health(watch: &Watch) -> Health {
    watch.report().containers.values().next().unwrap().health
}

#[test]
fn an_unhealthy_container_is_restarted_only_if_its_labels_ask_for_it() {
    for (labels, expected) in [
        (&[][..], 0),
        (WANTS_HEALING, 1),
        (&[("deunhealth.restart.on.unhealthy", "true")], 1),
        (&[("deunhealth.restart.on.unhealthy", "true"), ("constellation.heal", "none")], 0),
        (&[("constellation.heal", "maybe")], 0),
    ] {
        let effects = Watch::new(WatchConfig::default()).step(listed(vec![unhealthy(labels)]), at(0));
        assert_eq!(restarts(&effects), expected, "{labels:?}");
    }
}

#[test]
fn a_label_that_says_nonsense_is_named() {
    let mut watch = Watch::new(WatchConfig::default());
    watch.step(listed(vec![unhealthy(&[("constellation.heal", "maybe")])]), at(0));
    assert!(watch.report().problems["web"].contains("`restart` or `none`"));
}

#[test]
fn a_node_that_was_starved_restarts_nothing_for_a_while() {
    let mut watch = Watch::new(WatchConfig::default());
    watch.step(Event::Starved, at(0));
    assert_eq!(restarts(&watch.step(listed(vec![unhealthy(WANTS_HEALING)]), at(1))), 0);
    assert_eq!(restarts(&watch.step(listed(vec![unhealthy(WANTS_HEALING)]), at(31))), 1);
}

#[test]
fn while_the_engine_is_silent_what_was_seen_still_stands() {
    let mut watch = Watch::new(WatchConfig::default());
    watch.step(listed(vec![container("web", RunState::Running, HealthReport::None, &[])]), at(0));
    for second in 1..100 {
        watch.step(Event::Silent("connection refused".to_owned()), at(second));
    }
    assert_eq!(health(&watch), Health::Healthy);
    assert!(matches!(watch.report().runtime, RuntimeState::Silent { .. }));
}

#[test]
fn a_removed_container_lingers_as_stopped_and_then_is_forgotten() {
    let mut watch = Watch::new(WatchConfig::default());
    watch.step(listed(vec![container("web", RunState::Running, HealthReport::None, &[])]), at(0));
    watch.step(listed(vec![]), at(10));
    assert_eq!(health(&watch), Health::Stopped);
    watch.step(listed(vec![]), at(39));
    assert_eq!(watch.report().containers.len(), 1);
    watch.step(listed(vec![]), at(40));
    assert!(watch.report().containers.is_empty());
}

#[test]
fn a_frozen_container_gets_no_traffic() {
    let mut watch = Watch::new(WatchConfig::default());
    watch.step(listed(vec![container("web", RunState::Paused, HealthReport::None, &[])]), at(0));
    assert_eq!(health(&watch), Health::Unhealthy);
}

#[test]
fn a_new_run_of_a_container_is_judged_afresh() {
    let slow = Thresholds { rise: 5, ..Thresholds::default() };
    let mut watch = Watch::new(WatchConfig { thresholds: slow, ..WatchConfig::default() });
    watch.step(listed(vec![unhealthy(&[])]), at(0));
    let mut reborn = container("web", RunState::Running, HealthReport::Healthy, &[]);
    Arc::make_mut(&mut reborn).state.started_at_ms = Some(2000);
    watch.step(listed(vec![reborn]), at(1));
    assert_eq!(health(&watch), Health::Healthy);
}

#[test]
fn a_restart_does_not_make_an_instance_younger() {
    let mut watch = Watch::new(WatchConfig::default());
    let mut web = container("web", RunState::Running, HealthReport::Healthy, &[]);
    for started in [1000, 2000] {
        Arc::make_mut(&mut web).state.started_at_ms = Some(started);
        watch.step(listed(vec![Arc::clone(&web)]), at(started));
        assert_eq!(watch.report().containers.values().next().unwrap().since, WallTime(500));
    }
}

#[test]
fn a_container_that_the_engine_cannot_describe_is_unknown_after_a_while() {
    let mut watch = Watch::new(WatchConfig::default());
    let web = container("web", RunState::Running, HealthReport::None, &[]);
    watch.step(listed(vec![web.clone()]), at(0));
    for second in 1..=3 {
        watch.step(Event::Unreadable(web.id.clone()), at(second));
    }
    assert_eq!(health(&watch), Health::Unknown);
}

#[test]
fn a_crash_loop_is_said_once() {
    let mut watch = Watch::new(WatchConfig::default());
    let web = unhealthy(WANTS_HEALING);
    let mut said = 0;
    for second in 0..1000 {
        let effects = watch.step(Event::Looked(web.id.clone(), Some(web.clone())), at(second));
        said += effects.iter().filter(|effect| matches!(effect, Effect::CrashLoop { .. })).count();
        watch.step(Event::Restarted(web.id.clone()), at(second));
    }
    assert!((1..10).contains(&said), "{said}");
}

#[test]
fn an_unchanged_look_reports_nothing() {
    let mut watch = Watch::new(WatchConfig::default());
    let web = container("web", RunState::Running, HealthReport::None, &[]);
    assert_eq!(watch.step(listed(vec![web.clone()]), at(0)), [Effect::Report]);
    assert_eq!(watch.step(listed(vec![web]), at(10)), []);
}

proptest! {
    #[test]
    fn a_container_that_passes_its_check_is_never_restarted(
        steps in proptest::collection::vec((0u8..4, 0u64..40), 1..60),
    ) {
        let mut watch = Watch::new(WatchConfig::default());
        let mut now = 0;
        for (what, gap) in steps {
            now += gap;
            let healthy = container("web", RunState::Running, HealthReport::Healthy, WANTS_HEALING);
            let id = healthy.id.clone();
            let event = match what {
                0 => listed(vec![healthy]),
                1 => Event::Looked(id, Some(healthy)),
                2 => Event::Silent(String::new()),
                _ => Event::Starved,
            };
            prop_assert_eq!(restarts(&watch.step(event, at(now))), 0);
        }
    }
}
