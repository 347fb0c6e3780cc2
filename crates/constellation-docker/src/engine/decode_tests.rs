//! Documents as engines of different ages write them, and documents that nobody should.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode::{container, has_terminal, summary};
use crate::{
    container::{HealthReport, NetworkAttachment, PublishedPort, RunState},
    spec::Port,
};

/// Shortened from what an engine 20.10 answers.
fn docker_20_10() -> Value {
    json!({
        "Id": "4f53cda18c2b", "Created": "2023-03-01T10:00:00Z", "Path": "httpd", "Args": ["-f"],
        "State": {
            "Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false,
            "Dead": false, "Pid": 4711, "ExitCode": 0, "Error": "",
            "StartedAt": "2023-03-01T10:00:00.123456789Z", "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": {"Status": "healthy", "FailingStreak": 0, "Log": []},
        },
        "Image": "sha256:00ff", "Name": "/web", "RestartCount": 2,
        "HostConfig": {"NetworkMode": "backend"},
        "Config": {
            "Image": "busybox:1", "Labels": {"a": "1"}, "Tty": false,
            "ExposedPorts": {"8080/tcp": {}, "53/udp": {}, "132/sctp": {}},
        },
        "NetworkSettings": {
            "Bridge": "", "IPAddress": "",
            "Ports": {
                "53/udp": null,
                "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}, {"HostIp": "::1", "HostPort": "32769"}],
            },
            "Networks": {
                "backend": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": ""},
                "six": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"},
                "asleep": {"IPAddress": "", "GlobalIPv6Address": ""},
            },
        },
    })
}

#[test]
fn a_running_container_of_an_old_engine_is_read() {
    let it = container(&docker_20_10()).unwrap();
    assert_eq!((it.id.as_str(), it.name.as_str(), it.image.as_str()), ("4f53cda18c2b", "web", "busybox:1"));
    assert_eq!(it.labels.get("a").map(String::as_str), Some("1"));
    assert_eq!((it.state.run, it.state.health), (RunState::Running, HealthReport::Healthy));
    assert_eq!((it.state.pid, it.state.exit_code, it.state.restarts), (Some(4711), None, 2));
    assert_eq!((it.state.started_at_ms, it.state.finished_at_ms), (Some(1_677_664_800_123), None));
    assert_eq!(it.created_at_ms, Some(1_677_664_800_000));
    assert_eq!(it.exposed, [Port::udp(53), Port::tcp(8080)]);
    let port = Port::tcp(8080);
    let expected = [
        PublishedPort { container: port, host_ip: [127, 0, 0, 1].into(), host_port: 32768 },
        PublishedPort { container: port, host_ip: "::1".parse().unwrap(), host_port: 32769 },
    ];
    assert_eq!(it.published, expected);
    let attachment = |name: &str, address: Option<&str>| NetworkAttachment {
        name: name.to_owned(),
        address: address.map(|address| address.parse().unwrap()),
    };
    let expected = [
        attachment("asleep", None),
        attachment("backend", Some("172.18.0.2")),
        attachment("six", Some("fd00::2")),
    ];
    assert_eq!(it.networks, expected);
    assert!(!it.host_network);
}

#[test]
fn an_engine_from_25_on_may_leave_fields_out_or_null() {
    // 25 and later drop the default bridge's own address fields; 29 leaves unset parts of `Config` out.
    let it = container(&json!({
        "Id": "c1", "Name": "/web", "RestartCount": 0,
        "State": {"Status": "exited", "Running": false, "Pid": 0, "ExitCode": 137, "OOMKilled": true,
            "StartedAt": "2025-11-24T21:59:50.1Z", "FinishedAt": "2025-11-24T22:00:00Z"},
        "HostConfig": {"NetworkMode": "host"},
        "Config": {"Image": "x", "Labels": null, "ExposedPorts": null},
        "NetworkSettings": {"Ports": null, "Networks": {"host": {"IPAddress": "", "DNSNames": null}}},
    }))
    .unwrap();
    assert_eq!((it.state.run, it.state.health), (RunState::Exited, HealthReport::None));
    assert_eq!((it.state.pid, it.state.exit_code, it.state.oom_killed), (None, Some(137), true));
    assert!(it.host_network && it.exposed.is_empty() && it.published.is_empty() && it.labels.is_empty());
}

#[test]
fn almost_nothing_is_enough() {
    let it = container(&json!({"Id": "c1"})).unwrap();
    assert_eq!((it.state.run, it.state.exit_code, it.state.restarts), (RunState::Created, None, 0));
    assert_eq!(it.name, "");
}

#[test]
fn a_document_without_an_identity_is_refused() {
    for document in [json!({}), json!({"Id": ""}), json!({"Id": 7}), json!([]), json!(null), json!("x")] {
        assert!(container(&document).is_err(), "{document}");
        assert!(summary(&document).is_err(), "{document}");
    }
}

#[test]
fn an_unknown_status_is_told_from_the_flags() {
    let run = |state: Value| container(&json!({"Id": "c", "State": state})).unwrap().state.run;
    assert_eq!(run(json!({"Status": "hibernating", "Running": true})), RunState::Running);
    assert_eq!(run(json!({"Running": true, "Paused": true})), RunState::Paused);
    assert_eq!(run(json!({"Running": true, "Restarting": true})), RunState::Restarting);
    assert_eq!(run(json!({"Dead": true})), RunState::Dead);
    assert_eq!(run(json!({"StartedAt": "2025-01-01T00:00:00Z"})), RunState::Exited);
}

#[test]
fn every_status_has_its_state() {
    for (status, state) in [
        ("created", RunState::Created),
        ("running", RunState::Running),
        ("paused", RunState::Paused),
        ("restarting", RunState::Restarting),
        ("removing", RunState::Removing),
        ("exited", RunState::Exited),
        ("dead", RunState::Dead),
    ] {
        assert_eq!(summary(&json!({"Id": "c", "State": status})).unwrap().state, state);
        assert_eq!(container(&json!({"Id": "c", "State": {"Status": status}})).unwrap().state.run, state);
    }
}

#[test]
fn an_exit_code_is_told_only_of_what_ended() {
    let code = |status: &str| {
        container(&json!({"Id": "c", "State": {"Status": status, "ExitCode": 3}})).unwrap().state.exit_code
    };
    assert_eq!((code("exited"), code("dead"), code("restarting")), (Some(3), Some(3), Some(3)));
    assert_eq!((code("created"), code("running"), code("paused")), (None, None, None));
}

#[test]
fn a_name_is_told_from_the_aliases_of_links() {
    let it = summary(
        &json!({"Id": "c", "Names": ["/other/db", "/web"], "Image": "x", "Labels": {"a": "1", "b": 2}}),
    );
    let it = it.unwrap();
    assert_eq!(it.name, "web");
    assert_eq!(it.labels.len(), 1, "a label that is no text is left out");
    assert_eq!(summary(&json!({"Id": "c", "Names": null})).unwrap().name, "");
}

#[test]
fn bindings_in_odd_shapes_are_read_or_left_out() {
    let it = container(&json!({"Id": "c", "NetworkSettings": {"Ports": {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "nowhere", "HostPort": "1"}, {"HostPort": 8081}, {}],
        "what": [{"HostIp": "0.0.0.0", "HostPort": "1"}], "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": "99999"}],
        "82/tcp": [{"HostIp": "0.0.0.0", "HostPort": "0"}], "83/tcp": "yes",
    }}}))
    .unwrap();
    let ports: Vec<u16> = it.published.iter().map(|port| port.host_port).collect();
    assert_eq!(ports, [8080, 8081]);
    assert!(it.published.iter().all(|port| port.host_ip.is_unspecified()));
}

#[test]
fn a_terminal_is_noticed() {
    assert!(has_terminal(&json!({"Config": {"Tty": true}})));
    assert!(!has_terminal(&json!({"Config": {}})) && !has_terminal(&json!({})));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9./:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[A-Za-z0-9/]{1,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_in_any_place_is_survived(odd in any_json(), place in 0_usize..12) {
        const PLACES: [&str; 12] = [
            "/State", "/State/Status", "/State/Health", "/State/StartedAt", "/State/Pid", "/Config", "/Config/Labels",
            "/Config/ExposedPorts", "/NetworkSettings", "/NetworkSettings/Ports", "/NetworkSettings/Networks",
            "/RestartCount",
        ];
        let mut document = docker_20_10();
        *document.pointer_mut(PLACES[place]).unwrap() = odd;
        prop_assert!(container(&document).is_ok());
        prop_assert!(summary(&document).is_ok());
    }
}
