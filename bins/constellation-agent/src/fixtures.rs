//! What tests of several modules begin with.

use constellation_core::{Endpoint, Health, Instance, Protocol, WallTime};
use constellation_docker::{Container, ContainerId, ContainerState, HealthReport, Port, RunState};

/// A container that runs, exposes port 80 and publishes nothing.
pub(crate) fn container() -> Container {
    Container {
        id: ContainerId::new("abcdef0123456789"),
        name: "web".to_owned(),
        image: "image".to_owned(),
        created_at_ms: Some(1),
        labels: [].into(),
        state: ContainerState {
            run: RunState::Running,
            health: HealthReport::None,
            pid: None,
            exit_code: None,
            oom_killed: false,
            started_at_ms: Some(1),
            finished_at_ms: None,
            restarts: 0,
        },
        exposed: vec![Port::tcp(80)],
        published: vec![],
        networks: vec![],
        host_network: false,
    }
}

/// A healthy instance of a service on the node of this number, where its port 80 is reached at port 40000.
pub(crate) fn instance(number: u8, service: &str) -> Instance {
    Instance {
        id: format!("i{number}").parse().unwrap(),
        service: service.parse().unwrap(),
        health: Health::Healthy,
        since: WallTime(1),
        endpoints: vec![Endpoint {
            port: 80,
            protocol: Protocol::Tcp,
            address: ([10, 0, 0, number], 40_000).into(),
        }],
        networks: vec![],
        routes: None,
        definition: None,
        role: None,
    }
}
