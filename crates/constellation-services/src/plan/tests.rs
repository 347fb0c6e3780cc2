use std::collections::BTreeMap;

use constellation_docker::{ContainerState, HealthReport, Network, RunState};

use super::*;
use crate::{
    prelude::*,
    render::{SecretGenerations, render},
};

fn web() -> Service {
    Service::new("web", "example/web:1.0")
}

fn desired(services: impl IntoIterator<Item = Service>) -> Desired {
    let stack = Stack::new("s").services(services);
    render(&[stack], &Config::example(), &SecretGenerations::default()).unwrap()
}

fn state(run: RunState, exit_code: Option<i64>) -> ContainerState {
    ContainerState {
        run,
        health: HealthReport::None,
        pid: None,
        exit_code,
        oom_killed: false,
        started_at_ms: None,
        finished_at_ms: None,
        restarts: 0,
    }
}

/// A machine on which exactly this runs.
fn running(desired: &Desired) -> Actual {
    let ours = desired.services.iter().map(|service| {
        let run = if service.job { state(RunState::Exited, Some(0)) } else { state(RunState::Running, None) };
        Found {
            id: ContainerId::new(format!("id-{}", service.spec.name)),
            name: service.spec.name.clone(),
            role: Role::Current,
            service: service.id.clone(),
            definition: service.definition.clone(),
            spec: service.spec.clone(),
            known: Some(service.spec.clone()),
            state: run,
            image_id: "sha256:1".to_owned(),
        }
    });
    let networks = desired.networks.iter().map(|network| Network {
        id: network.key.clone(),
        name: network.spec.name.clone(),
        driver: "bridge".to_owned(),
        labels: network.spec.labels.clone(),
        subnets: network.spec.subnet.clone().into_iter().collect(),
        gateways: network.spec.gateway.clone().into_iter().collect(),
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        options: network.spec.options.clone(),
    });
    Actual { ours: ours.collect(), networks: networks.collect(), has_networks: true, ..Actual::default() }
}

fn deeds(plan: &Plan) -> Vec<(String, Deed)> {
    plan.services.iter().map(|step| (step.service.to_string(), step.deed)).collect()
}

fn all(desired: &Desired, actual: &Actual) -> Plan {
    plan(desired, actual, &PlanOptions::default())
}

#[test]
fn an_empty_machine_gets_everything_in_the_order_of_dependencies() {
    let desired = desired([
        web().depends_on("db", Started),
        Service::new("db", "x:1.0").volume(named("data").at("/data")),
        Service::new("cache", "x:1.0"),
    ]);
    let plan = all(&desired, &Actual { has_networks: true, ..Actual::default() });
    assert_eq!(plan.networks.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["infra_backend"]);
    assert_eq!(plan.volumes, ["s_data"]);
    let order: Vec<_> = plan.services.iter().map(|step| (step.service.name(), step.wave)).collect();
    assert_eq!(order, [("cache", 0), ("db", 0), ("web", 1)]);
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let desired = desired([web(), Service::job("migrate", "x:1.0")]);
    let plan = all(&desired, &running(&desired));
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.unchanged.len(), 2);
    assert!(plan.to_text(Paint::Plain).starts_with("Nothing to do: 2 services"));
}

#[test]
fn one_changed_variable_recreates_that_service_alone_and_is_named() {
    let before = desired([web().env("LEVEL", "info"), Service::new("db", "x:1.0")]);
    let after = desired([web().env("LEVEL", "debug"), Service::new("db", "x:1.0")]);
    let plan = all(&after, &running(&before));
    assert_eq!(deeds(&plan), [("s/web".to_owned(), Deed::Recreate)]);
    let change =
        FieldChange { field: "env.LEVEL".into(), from: Some("info".into()), to: Some("debug".into()) };
    assert_eq!(plan.services[0].changes, [change]);
    assert!(
        plan.to_text(Paint::Plain).contains("~ env.LEVEL: info → debug"),
        "{}",
        plan.to_text(Paint::Plain)
    );
}

#[test]
fn every_kind_of_field_is_told_apart() {
    let before = desired([web()]);
    let changed = web()
        .command(["serve"])
        .label("note", "x")
        .publish(localhost(80))
        .volume(named("data").at("/data"))
        .memory(64.mib())
        .caps(&[Cap::Chown])
        .health(Health::cmd(["true"]))
        .read_only_root()
        .network(BACKEND)
        .network(PUBLICNET)
        .hostname("other")
        .logging(Logging::driver("journald"));
    let plan = all(&desired([changed]), &running(&before));
    let fields: Vec<&str> = plan.services[0].changes.iter().map(|change| change.field.as_str()).collect();
    for field in [
        "command",
        "labels.note",
        "ports.127.0.0.1:80",
        "volumes./data",
        "memory",
        "caps",
        "health.command",
        "read_only_root",
        "networks.infra_publicnet",
        "hostname",
        "logging",
        "logging.max-size",
    ] {
        assert!(fields.contains(&field), "{field} is not in {fields:?}");
    }
}

#[test]
fn without_the_old_definition_the_engine_s_words_are_compared_and_the_image_s_left_out() {
    let before = desired([web().env("LEVEL", "info")]);
    let after = desired([web().env("LEVEL", "debug")]);
    let mut actual = running(&before);
    let found = &mut actual.ours[0];
    found.known = None;
    found.spec.env.insert("PATH".into(), "/bin".into());
    found.spec.labels.insert("org.opencontainers.image.title".into(), "web".into());
    found.spec.labels.insert("traefik.enable".into(), "true".into());
    found.spec.command = Some(vec!["serve".into()]);
    let plan = all(&after, &actual);
    let fields: Vec<&str> = plan.services[0].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["env.LEVEL", "labels.traefik.enable"]);
    assert!(plan.services[0].reason.contains("not known here any more"));
}

#[test]
fn what_somebody_changed_on_the_container_is_put_right() {
    let desired = desired([web().memory(64.mib())]);
    let mut actual = running(&desired);
    actual.ours[0].spec.resources.memory_bytes = Some(1 << 30);
    actual.ours[0].spec.networks.insert("other".into(), vec![]);
    let plan = all(&desired, &actual);
    assert_eq!(deeds(&plan), [("s/web".to_owned(), Deed::Recreate)]);
    assert_eq!(plan.services[0].changes.len(), 2, "{:?}", plan.services[0].changes);
}

#[test]
fn what_daemons_say_in_other_words_is_no_change() {
    let desired = desired([web().caps(&[Cap::NetAdmin]).memory(64.mib())]);
    let mut actual = running(&desired);
    let spec = &mut actual.ours[0].spec;
    spec.cap_add = vec!["CAP_NET_ADMIN".into()];
    spec.networks.values_mut().for_each(|aliases| aliases.push("0123456789ab".into()));
    assert!(all(&desired, &actual).is_empty());
    assert_eq!(observed(&actual.ours[0].spec, &desired.services[0].spec), []);
}

#[test]
fn a_service_that_stands_still_is_started_and_a_job_that_failed_runs_again() {
    let desired = desired([web(), Service::job("migrate", "x:1.0")]);
    let mut actual = running(&desired);
    actual.ours[0].state = state(RunState::Exited, Some(1));
    actual.ours[1].state = state(RunState::Exited, Some(3));
    let plan = all(&desired, &actual);
    assert_eq!(deeds(&plan), [("s/migrate".to_owned(), Deed::Recreate), ("s/web".to_owned(), Deed::Change)]);
    assert!(plan.services[0].reason.contains("ended with 3"));
}

#[test]
fn what_is_not_defined_any_more_goes_and_other_stacks_stay() {
    let before = desired([web(), Service::new("db", "x:1.0")]);
    let after = desired([web()]);
    let mut actual = running(&before);
    let mut foreign = actual.ours[0].clone();
    foreign.service = "other/web".parse().unwrap();
    actual.ours.push(foreign);
    let plan = all(&after, &actual);
    assert_eq!(deeds(&plan), [("s/db".to_owned(), Deed::Remove)]);
}

#[test]
fn who_shares_a_network_follows_the_one_that_has_it() {
    let stack = |level: &str| {
        desired([
            Service::new("vpn", "x:1.0").env("LEVEL", level),
            web().network_of("vpn"),
            Service::new("a", "x:1.0"),
        ])
    };
    let plan = all(&stack("2"), &running(&stack("1")));
    assert_eq!(deeds(&plan), [("s/vpn".to_owned(), Deed::Recreate), ("s/web".to_owned(), Deed::Recreate)]);
    assert_eq!((plan.services[0].wave, plan.services[1].wave), (0, 1));
    assert_eq!(plan.unchanged.len(), 1);
    assert!(all(&stack("1"), &running(&stack("1"))).is_empty());
}

#[test]
fn the_host_name_of_a_candidate_is_no_difference_and_another_one_is() {
    let desired = desired([web()]);
    let wanted = &desired.services[0];
    let mut there = wanted.spec.clone();
    there.hostname = Some(candidate_hostname("web", &wanted.definition));
    assert_eq!(observed(&there, &wanted.spec), []);
    there.hostname = Some("other".to_owned());
    assert_eq!(observed(&there, &wanted.spec).len(), 1);
}

#[test]
fn what_others_wait_for_goes_last() {
    let desired =
        desired([web().depends_on("db", Started), Service::new("db", "x:1.0"), Service::new("a", "x:1.0")]);
    let actual = running(&desired);
    let remove = desired.services.iter().map(|service| service.id.clone()).collect();
    let plan = plan(&desired, &actual, &PlanOptions { remove, ..PlanOptions::default() });
    let order: Vec<_> = plan.services.iter().map(|step| step.service.name()).collect();
    assert_eq!(order, ["web", "a", "db"]);
    assert!(plan.services.iter().all(|step| step.deed == Deed::Remove));
}

#[test]
fn a_foreign_container_is_never_touched_and_its_name_blocks() {
    let desired = desired([web()]);
    let mut actual = Actual { has_networks: true, ..Actual::default() };
    actual.foreign.insert("web".into(), ContainerId::new("0123456789abcdef"));
    let plan = all(&desired, &actual);
    assert_eq!(plan.services, []);
    assert!(plan.blockers[0].advice.contains("`adopt s/web`"), "{:?}", plan.blockers);
    assert!(!plan.is_empty());
}

#[test]
fn networks_are_compared_by_their_settings() {
    let desired = desired([web()]);
    let mut actual = running(&desired);
    actual.networks[0].subnets = vec!["10.99.0.0/24".into()];
    let blocked = all(&desired, &actual);
    assert_eq!(blocked.services, []);
    assert!(
        blocked.blockers[0].what.contains("subnet is 10.99.0.0/24 and should be 10.0.7.0/24"),
        "{:?}",
        blocked.blockers
    );
    let options = PlanOptions { recreate_networks: true, ..PlanOptions::default() };
    let remade = plan(&desired, &actual, &options);
    assert_eq!(remade.networks[0].deed, Deed::Recreate);
    assert_eq!(deeds(&remade), [("s/web".to_owned(), Deed::Recreate)]);
    actual.networks[0].labels.clear();
    assert!(!plan(&desired, &actual, &options).blockers.is_empty(), "it is not ours");
}

#[test]
fn a_filter_takes_what_its_services_wait_for_along() {
    let desired = desired([
        web().depends_on("db", Started),
        Service::new("db", "x:1.0"),
        Service::new("cache", "x:1.0"),
    ]);
    let only = Some(["s/web".parse().unwrap()].into());
    let options = PlanOptions { only, ..PlanOptions::default() };
    let plan = plan(&desired, &Actual { has_networks: true, ..Actual::default() }, &options);
    assert_eq!(deeds(&plan), [("s/db".to_owned(), Deed::Create), ("s/web".to_owned(), Deed::Create)]);
}

/// The containers of a replacement that was interrupted: role, and whether it has the wanted definition.
fn interrupted(desired: &Desired, there: &[(Role, bool)]) -> Actual {
    let mut actual = running(desired);
    let template = actual.ours.remove(0);
    for (role, wanted) in there {
        let mut found = template.clone();
        found.role = *role;
        found.id = ContainerId::new(format!("{role:?}"));
        if !wanted {
            found.definition = "before".into();
            found.spec.env.insert("A".into(), "before".into());
            found.known = Some(found.spec.clone());
        }
        actual.ours.push(found);
    }
    actual
}

#[test]
fn an_interrupted_replacement_is_put_in_order() {
    let desired = desired([web().env("A", "after")]);
    let step =
        |there: &[(Role, bool)]| all(&desired, &interrupted(&desired, there)).services.into_iter().next();
    let id = |role: Role| ContainerId::new(format!("{role:?}"));

    // Before the new one was ready: it goes, and the replacement begins anew.
    let found = step(&[(Role::Current, false), (Role::Next, true)]).unwrap();
    assert_eq!((found.deed, found.leftovers, found.restore), (Deed::Recreate, vec![id(Role::Next)], None));
    // The old one had made room, and nothing has taken it.
    let found = step(&[(Role::Old, false)]).unwrap();
    assert_eq!(
        (found.deed, found.restore, found.current),
        (Deed::Recreate, Some(id(Role::Old)), Some(id(Role::Old)))
    );
    // Between the two renamings.
    let found = step(&[(Role::Old, false), (Role::Next, true)]).unwrap();
    assert_eq!((found.deed, found.restore), (Deed::Recreate, Some(id(Role::Old))));
    assert_eq!(found.leftovers, [id(Role::Next)]);
    // The new one is in place, and nobody has seen that it works.
    let found = step(&[(Role::Current, true), (Role::Old, false)]).unwrap();
    assert_eq!((found.deed, found.restore), (Deed::Finish, Some(id(Role::Old))));
    // It is in place, and not wanted any more.
    let found = step(&[(Role::Current, false), (Role::Old, true)]).unwrap();
    assert_eq!((found.deed, found.leftovers), (Deed::Change, vec![id(Role::Current)]));
    assert_eq!(found.restore, Some(id(Role::Old)));
}

#[test]
fn the_hash_names_what_is_done_to_what() {
    let before = desired([web().env("A", "1")]);
    let after = desired([web().env("A", "2")]);
    let actual = running(&before);
    let first = all(&after, &actual);
    assert_eq!(first.hash(), all(&after, &actual).hash());
    let mut other = actual.clone();
    other.ours[0].id = ContainerId::new("another");
    assert_ne!(first.hash(), all(&after, &other).hash());
    let text = serde_json::to_string(&first).unwrap();
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(read.hash(), first.hash());
}

#[test]
fn a_newer_image_of_the_same_name_recreates_where_somebody_looked() {
    let desired = desired([web()]);
    let mut actual = running(&desired);
    actual.images = BTreeMap::from([("example/web:1.0".to_owned(), "sha256:2".to_owned())]);
    assert_eq!(all(&desired, &actual).services[0].reason, "its image is another one now");
}

#[test]
fn a_value_that_may_be_a_secret_is_not_printed() {
    let before = desired([web().env("DB_PASSWORD", "old")]);
    let plan = all(&desired([web().env("DB_PASSWORD", "hunter2")]), &running(&before));
    assert!(!plan.to_text(Paint::Plain).contains("hunter2"));
}

#[test]
fn a_paused_container_is_made_anew_because_it_cannot_be_started() {
    let desired = desired([web()]);
    let mut actual = running(&desired);
    actual.ours[0].state = state(RunState::Paused, None);
    assert_eq!(deeds(&all(&desired, &actual)), [("s/web".to_owned(), Deed::Recreate)]);
}
