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
        let observed = world.engine.observe(&id).await;
        let lines = world.engine.logs(&id, 100).await;
        world.engine.remove(&id, true).await?;
        started?;
        let container = container?;
        assert_eq!(container.state.run, RunState::Running, "{:?} {lines:?}", container.state);
        assert_eq!(container.published.len(), 2);
        let mut read_back = observed?.spec;
        // What daemons put into their own words, or add: the image's, and rounded or qualified names.
        read_back.cap_add.iter_mut().chain(&mut read_back.cap_drop).for_each(|cap| {
            *cap = cap.trim_start_matches("CAP_").to_owned();
        });
        read_back.networks.values_mut().for_each(|aliases| aliases.retain(|alias| alias != "everything"));
        read_back.env.retain(|name, _| spec.env.contains_key(name));
        spec.exposed = read_back.exposed.clone();
        spec.stop_grace = Some(Duration::from_secs(2));
        spec.mounts.sort_by(|a, b| a.target.cmp(&b.target));
        assert_eq!(read_back, spec);
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}

fn everything(world: &Docker) -> ContainerSpec {
    let strings = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mount = |kind, target: &str, read_only| Mount::new(kind, target, read_only);
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
            ..NetworkSpec::default()
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

#[tokio::test]
async fn volumes_and_names_are_made_changed_and_removed() {
    with_docker(async |world| {
        let engine = &world.engine;
        let volume = format!("{}-volume", world.network);
        let labels = BTreeMap::from([("purpose".to_owned(), volume.clone())]);
        engine.create_volume(&volume, &labels).await?;
        engine.create_volume(&volume, &labels).await?;
        let listed = engine.list_volumes().await?;
        let spec = world.spec(&format!("{}-named", world.network)).command(["/bin/sleep", "100000"]);
        let id = engine.create(&spec).await?;
        let other = world.spec(&format!("{}-other", world.network)).command(["/bin/true"]);
        let other_id = engine.create(&other).await?;
        let taken = engine.rename(&id, &other.name).await;
        let renamed = format!("{}-renamed", world.network);
        engine.rename(&id, &renamed).await?;
        let name = engine.inspect(&id).await?.name;
        engine.remove(&id, true).await?;
        engine.remove(&other_id, true).await?;
        let gone = engine.rename(&id, "anything").await;
        engine.remove_volume(&volume).await?;
        engine.remove_volume(&volume).await?;

        assert_eq!(listed.iter().find(|it| it.name == volume).unwrap().labels, labels);
        assert_eq!(name, renamed);
        assert!(matches!(taken, Err(RuntimeError::NameTaken { .. })), "{taken:?}");
        assert!(matches!(gone, Err(RuntimeError::NotFound { .. })), "{gone:?}");
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_network_has_the_settings_that_were_asked_for_and_lets_containers_go() {
    with_docker(async |world| {
        let engine = &world.engine;
        let network = format!("{}-settings", world.network);
        let spec = NetworkSpec {
            name: network.clone(),
            subnet: Some("198.51.100.16/28".into()),
            gateway: Some("198.51.100.30".into()),
            attachable: true,
            options: BTreeMap::from([("com.docker.network.bridge.name".into(), "br_cstl_e2e".into())]),
            ..NetworkSpec::default()
        };
        engine.create_network(&spec).await?;
        let listed = engine.list_networks(&BTreeMap::new()).await?;
        let mut container = world.spec(&format!("{network}-c")).command(["/bin/sleep", "100000"]);
        container.networks = BTreeMap::from([(network.clone(), vec![])]);
        container.network_mode = constellation_docker::NetworkMode::Networks;
        let id = engine.create(&container).await?;
        engine.start(&id).await?;
        engine.disconnect_network(&network, &id).await?;
        engine.disconnect_network(&network, &id).await?;
        let networks = engine.inspect(&id).await?.networks;
        engine.remove(&id, true).await?;
        engine.remove_network(&network).await?;

        let made = listed.iter().find(|it| it.name == network).unwrap();
        assert_eq!(
            (made.subnets.as_slice(), made.gateways.as_slice()),
            (["198.51.100.16/28".to_owned()].as_slice(), ["198.51.100.30".to_owned()].as_slice())
        );
        assert_eq!(
            (made.attachable, made.options.get("com.docker.network.bridge.name").map(String::as_str)),
            (true, Some("br_cstl_e2e"))
        );
        assert!(networks.iter().all(|it| it.name != network), "{networks:?}");
        Ok::<_, RuntimeError>(())
    })
    .await
    .unwrap();
}
