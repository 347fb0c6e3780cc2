use super::*;
use crate::fixtures;
use constellation_docker::{Port, PublishedPort};

fn container(labels: &[(&str, &str)], exposed: &[u16]) -> Container {
    Container {
        name: "redis".to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        exposed: exposed.iter().map(|port| Port::tcp(*port)).collect(),
        published: [6379, 7000]
            .map(|port| PublishedPort {
                container: Port::tcp(port),
                host_ip: "127.0.0.1".parse().unwrap(),
                host_port: port + 1,
            })
            .to_vec(),
        ..fixtures::container()
    }
}

fn redis() -> Asked {
    Asked {
        instance: "abcdef012345".parse().unwrap(),
        name: "redis".to_owned(),
        address: "127.0.0.1:6379".parse().unwrap(),
    }
}

fn asked(labels: &[(&str, &str)], exposed: &[u16]) -> Option<Result<SocketAddr, String>> {
    probe(&container(labels, exposed), "100.64.0.1".parse().unwrap())
}

fn at(millis: u64) -> Moment {
    Moment::after_start(Duration::from_millis(millis))
}

fn silent() -> Result<Role, String> {
    Err("it did not answer".to_owned())
}

#[test]
fn only_who_says_so_is_asked_at_its_only_port_or_at_the_one_of_the_label() {
    assert_eq!(asked(&[], &[6379]), None);
    let redis = (PROBE_LABEL, "redis");
    assert_eq!(asked(&[redis], &[7000]), Some(Ok("127.0.0.1:7001".parse().unwrap())));
    assert_eq!(asked(&[redis], &[6379, 7000]), Some(Ok("127.0.0.1:6380".parse().unwrap())), "Redis's own");
    let labelled = asked(&[redis, (PORT_LABEL, "7000")], &[6379]);
    assert_eq!(labelled, Some(Ok("127.0.0.1:7001".parse().unwrap())));
}

#[test]
fn labels_that_nobody_understands_are_named_and_ask_nobody() {
    for labels in [
        &[(PROBE_LABEL, "oracle")][..],
        &[(PROBE_LABEL, "redis"), (PORT_LABEL, "0")],
        &[(PROBE_LABEL, "redis"), (PORT_LABEL, "9")],
    ] {
        assert!(matches!(asked(labels, &[]), Some(Err(_))), "{labels:?}");
    }
}

#[test]
fn a_role_outlives_a_missed_answer_and_not_a_silence() {
    let (mut learnt, redis) = (Learnt::default(), redis());
    learnt.note(redis.clone(), Ok(Role::Primary), at(0));
    learnt.note(redis.clone(), silent(), at(1500));
    assert_eq!(learnt.roles(at(1500)).known.get(&redis.instance), Some(&Role::Primary));
    assert_eq!(learnt.roles(at(1500)).problems, BTreeMap::new());
    learnt.note(redis.clone(), silent(), at(3000));
    let roles = learnt.roles(at(3000));
    assert_eq!(roles.known, BTreeMap::new());
    assert_eq!(roles.problems["redis"], "its role is not known: it did not answer");
    learnt.note(redis.clone(), Ok(Role::Replica), at(3500));
    let roles = learnt.roles(at(3500));
    assert_eq!((roles.known.get(&redis.instance), roles.problems.len()), (Some(&Role::Replica), 0));
}

#[test]
fn one_that_has_just_been_started_has_no_role_and_is_no_problem_yet() {
    let (mut learnt, redis) = (Learnt::default(), redis());
    learnt.note(redis.clone(), silent(), at(0));
    assert_eq!(learnt.roles(at(0)), Roles { looked: true, ..Roles::default() });
    learnt.note(redis.clone(), silent(), at(3000));
    assert_eq!(learnt.roles(at(3000)).problems.len(), 1);
}

#[test]
fn what_is_gone_is_forgotten() {
    let (mut learnt, redis) = (Learnt::default(), redis());
    learnt.note(redis.clone(), Ok(Role::Primary), at(0));
    learnt.retain(&[]);
    assert_eq!(learnt.roles(at(0)), Roles { looked: true, ..Roles::default() });
}
