//! What only Docker has: images, networks, and the fields that a process cannot keep.

use std::{collections::BTreeMap, time::Duration};

use constellation_docker::{
    ContainerRuntime, ContainerSpec, HealthCheck, Mount, MountKind, NetworkJoin, NetworkSpec, Port,
    PortBinding, RestartPolicy, RunState, RuntimeError, Ulimit,
};

use crate::world::{Docker, with_docker};

#[tokio::test]
async fn the_daemon_accepts_every_field_of_a_specification() {
    with_docker(async |world| {
        let mut spec = everything(world);
        spec.name = format!("{}-everything", world.network);
        let id = world.engine.create(&spec).await?;
        let started = world.engine.start(&id).await;
        let container = world.engine.inspect(&id).await;
        let lines = world.engine.logs(&id, 100).await;
        world.engine.remove(&id, true).await?;
        started?;
        let container = container?;
        assert_eq!(container.state.run, RunState::Running, "{:?} {lines:?}", container.state);
        assert_eq!(container.published.len(), 2);
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}

fn everything(world: &Docker) -> ContainerSpec {
    let strings = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mount = |kind, target: &str, read_only| Mount { kind, target: target.into(), read_only };
    let binding =
        |host_ip: [u8; 4]| PortBinding { container: Port::tcp(80), host_ip: host_ip.into(), host_port: None };
    let mut spec = ContainerSpec::new("", &world.image).env("A", "1").label("l", "v").expose(Port::udp(53));
    spec.entrypoint = Some(strings(&["/bin/sh", "-c"]));
    spec.command = Some(strings(&["trap 'exit 0' TERM; sleep 100000 & wait"]));
    spec.networks = BTreeMap::from([(world.network.clone(), strings(&["alias"]))]);
    spec.ports = vec![binding([127, 0, 0, 1]), binding([127, 0, 0, 2])];
    spec.mounts = vec![
        mount(MountKind::Bind { source: "/proc/version".into() }, "/version", true),
        mount(MountKind::Tmpfs { size_bytes: Some(1 << 20) }, "/tmp", false),
    ];
    spec.health = Some(HealthCheck::command(["/bin/true"]));
    spec.restart = RestartPolicy::OnFailure(3);
    spec.resources.memory_bytes = Some(64 << 20);
    spec.resources.memory_reservation_bytes = Some(32 << 20);
    spec.resources.cpu_millis = Some(500);
    spec.resources.cpu_shares = Some(512);
    spec.resources.pids = Some(64);
    spec.resources.shm_bytes = Some(1 << 20);
    spec.resources.ulimits = vec![Ulimit { name: "nofile".into(), soft: 128, hard: 256 }];
    spec.user = Some("0:0".into());
    spec.working_dir = Some("/tmp".into());
    spec.hostname = Some("everything".into());
    spec.stop_signal = Some("SIGTERM".into());
    spec.stop_grace = Some(Duration::from_millis(1500));
    spec.cap_add = strings(&["NET_ADMIN"]);
    spec.cap_drop = strings(&["CHOWN"]);
    spec.devices = strings(&["/dev/null"]);
    spec.sysctls = BTreeMap::from([("net.ipv4.ip_forward".into(), "1".into())]);
    spec.extra_hosts = strings(&["other:10.0.0.1"]);
    spec.dns = vec![[1, 1, 1, 1].into()];
    spec.group_add = strings(&["5"]);
    spec.security_opt = strings(&["no-new-privileges:true"]);
    spec.read_only_root = true;
    spec.logging = Some(("json-file".into(), BTreeMap::from([("max-size".into(), "1m".into())])));
    spec
}

#[tokio::test]
async fn a_container_joins_a_network_with_the_address_that_was_asked_for() {
    with_docker(async |world| {
        let engine = &world.engine;
        let network = format!("{}-static", world.network);
        // A range that documentation reserves, so that no real network is in the way.
        let spec = NetworkSpec {
            name: network.clone(),
            labels: BTreeMap::from([("purpose".into(), network.clone())]),
            subnet: Some("198.51.100.0/28".into()),
            internal: true,
            options: BTreeMap::new(),
        };
        let network_id = engine.create_network(&spec).await?;
        let again = engine.create_network(&spec).await;
        let mut container = world.spec(&format!("{network}-c")).command(["/bin/sleep", "100000"]);
        container.networks = BTreeMap::from([(world.network.clone(), vec![])]);
        container.network_mode = constellation_docker::NetworkMode::Networks;
        let id = engine.create(&container).await?;
        engine.start(&id).await?;
        let address = [198, 51, 100, 9].into();
        let join = NetworkJoin { address: Some(address), aliases: vec!["db".into()] };
        engine.connect_network(&network, &id, &join).await?;
        let attached = engine.inspect(&id).await?;
        let listed = engine.list_networks(&spec.labels).await?;
        engine.remove(&id, true).await?;
        engine.remove_network(&network).await?;
        engine.remove_network(&network).await?;

        assert!(matches!(again, Err(RuntimeError::Refused { .. })), "{again:?}");
        let joined = attached.networks.iter().find(|it| it.name == network).unwrap();
        assert_eq!(joined.address, Some(address.into()));
        assert_eq!(attached.networks.len(), 2);
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id.as_str(), listed[0].internal), (network_id.as_str(), true));
        assert_eq!(listed[0].subnets, ["198.51.100.0/28"]);
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_container_that_cannot_join_all_its_networks_is_not_left_half_made() {
    with_docker(async |world| {
        let mut spec = world.spec(&format!("{}-half", world.network)).command(["/bin/true"]);
        spec.network_mode = constellation_docker::NetworkMode::Networks;
        spec.networks =
            BTreeMap::from([(world.network.clone(), vec![]), ("zz-no-such-network".into(), vec![])]);
        // Newer engines find out when the container is started; either way the error names the network.
        let error = match world.engine.create(&spec).await {
            Err(error) => error,
            Ok(id) => {
                let error = world.engine.start(&id).await.unwrap_err();
                world.engine.remove(&id, true).await?;
                error
            }
        };
        assert!(error.to_string().contains("zz-no-such-network"), "{error}");
        spec.networks.remove("zz-no-such-network");
        let id = world.engine.create(&spec).await?;
        world.engine.remove(&id, true).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn images_are_found_and_removed_and_missing_ones_named() {
    with_docker(async |world| {
        let engine = &world.engine;
        assert!(engine.image_exists(&world.image).await?);
        assert!(!engine.image_exists("no-such-image:1").await?);
        assert!(!engine.image_exists("../containers/json").await?);
        let spec = ContainerSpec::new(format!("{}-imageless", world.network), "no-such-image:1");
        let error = engine.create(&spec).await.unwrap_err();
        assert!(
            matches!(&error, RuntimeError::ImageNotFound { image } if image == "no-such-image:1"),
            "{error:?}"
        );
        engine.remove_image("no-such-image:1", false).await?;
        let error =
            engine.import_image("constellation-contract:bad", b"this is no archive".as_slice().into()).await;
        assert!(matches!(error, Err(RuntimeError::Refused { .. })), "{error:?}");
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}
