//! An agent that watches a real Docker Engine. `cargo xtask test` says where the engine is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{path::PathBuf, process::Command, time::Duration};

use constellation_docker::{
    ContainerId, ContainerRuntime, ContainerSpec, DockerEndpoint, DockerEngine, HealthCheck, ListFilter,
    NetworkSpec, Port, RestartPolicy,
};
use support::{Cluster, Node, http};
use tokio::runtime::Runtime;

const PURPOSE: &str = "constellation.e2e";

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this suite by `cargo xtask test`"))
}

/// One test's share of the engine: everything in it carries the test's own label, and goes with it.
struct Share {
    runtime: Runtime,
    engine: DockerEngine,
    socket: PathBuf,
    label: String,
    image: String,
}

impl Share {
    fn new(test: &str) -> Self {
        let socket = PathBuf::from(setting("CONSTELLATION_E2E_DOCKER_SOCKET"));
        let busybox = setting("CONSTELLATION_E2E_BUSYBOX");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = DockerEngine::connect(DockerEndpoint::Unix(socket.clone())).unwrap();
        let label = format!("{test}-{}", std::process::id());
        let image = format!("constellation-e2e:{label}");
        let tar = Command::new("tar")
            .args(["-C", "/", "-c", busybox.trim_start_matches('/')])
            .output()
            .unwrap()
            .stdout;
        runtime.block_on(engine.import_image(&image, tar.into())).unwrap();
        let network = NetworkSpec {
            name: label.clone(),
            labels: [(PURPOSE.to_owned(), label.clone())].into(),
            ..NetworkSpec::default()
        };
        runtime.block_on(engine.create_network(&network)).unwrap();
        Self { runtime, engine, socket, label, image }
    }

    fn agent(&self, cluster: &Cluster) -> Node {
        let mut node = cluster.node(1);
        node.set("runtime", "docker");
        node.set("docker-socket", self.socket.display());
        node.start();
        node
    }

    /// A web server on the test's bridge network, published nowhere.
    fn web(&self, name: &str) -> ContainerSpec {
        let serve = format!(
            "mkdir -p /www && echo 'Name: {name}' > /www/index.html && exec httpd -f -p 8080 -h /www"
        );
        ContainerSpec {
            entrypoint: Some(vec![setting("CONSTELLATION_E2E_BUSYBOX"), "sh".to_owned(), "-c".to_owned()]),
            networks: [(self.label.clone(), vec![])].into(),
            stop_grace: Some(Duration::from_secs(1)),
            ..ContainerSpec::new(format!("{}-{name}", self.label), &self.image)
        }
        .command([serve])
        .env("PATH", "/bin")
        .expose(Port::tcp(8080))
        .label(PURPOSE, &self.label)
        .label("constellation.service", name)
        .label("traefik.enable", "true")
    }

    fn start(&self, spec: &ContainerSpec) -> ContainerId {
        self.runtime.block_on(async {
            let id = self.engine.create(spec).await.unwrap();
            self.engine.start(&id).await.unwrap();
            id
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            let mine = ListFilter {
                labels: [(PURPOSE.to_owned(), self.label.clone())].into(),
                ..ListFilter::default()
            };
            for container in self.engine.list(&mine).await.unwrap_or_default() {
                drop(self.engine.remove(&container.id, true).await);
            }
            drop(self.engine.remove_network(&self.label).await);
            drop(self.engine.remove_image(&self.image, true).await);
        });
    }
}

/// Other tests' containers are on the same engine: only this one's service is looked at.
fn server_of(node: &Node, service: &str) -> Option<std::net::SocketAddr> {
    let services = node.ask(&["services"])?;
    let row = services
        .as_array()?
        .iter()
        .find(|row| row["service"] == service && row["health"] == "healthy")?
        .clone();
    row["endpoints"].as_array()?.first()?.as_str()?.split('@').nth(1)?.parse().ok()
}

#[test]
fn a_container_on_a_bridge_network_is_reached_through_the_mesh_gateway_and_leaves_when_it_dies() {
    let (share, cluster) = (Share::new("bridge"), Cluster::new());
    let node = share.agent(&cluster);
    let id = share.start(&share.web("bridge"));
    node.wait("it is in the document", |node| {
        server_of(node, "bridge").is_some_and(|server| node.servers().contains(&server))
    });
    let server = server_of(&node, "bridge").unwrap();
    assert_eq!(server.ip(), node.address, "other nodes are given the mesh address");
    node.wait("a request is answered", |_| {
        http::get(server, "bridge.example.test", "/index.html")
            .is_ok_and(|(status, body)| status == 200 && body == b"Name: bridge\n")
    });
    share.runtime.block_on(share.engine.kill(&id, "SIGKILL")).unwrap();
    node.wait("its server is gone and its route stays", |node| {
        !node.servers().contains(&server) && node.has_rule("bridge.example.test")
    });
    assert!(http::get(server, "bridge.example.test", "/").is_err(), "the gateway has closed its port");
}

#[test]
fn a_container_that_fails_its_health_check_leaves_the_routes_and_is_restarted() {
    let (share, cluster) = (Share::new("heal"), Cluster::new());
    let node = share.agent(&cluster);
    let busybox = setting("CONSTELLATION_E2E_BUSYBOX");
    let spec = ContainerSpec {
        health: Some(HealthCheck {
            interval: Duration::from_millis(250),
            retries: 1,
            ..HealthCheck::command([busybox.as_str(), "test", "!", "-e", "/sick"])
        }),
        ..share.web("heal")
    }
    .label("deunhealth.restart.on.unhealthy", "true");
    // The container is well again after its restart: the mark of sickness is taken away as it starts.
    let well = format!("rm -f /sick; {}", spec.command.clone().unwrap()[0]);
    let id = share.start(&spec.command([well]));
    node.wait("it is healthy", |node| server_of(node, "heal").is_some());
    let started =
        |share: &Share| share.runtime.block_on(share.engine.inspect(&id)).unwrap().state.started_at_ms;
    let before = started(&share);
    let sicken = Command::new("docker")
        .args([
            "-H",
            &format!("unix://{}", share.socket.display()),
            "exec",
            id.as_str(),
            &busybox,
            "touch",
            "/sick",
        ])
        .status();
    assert!(sicken.unwrap().success());
    node.wait("it has been restarted", |_| started(&share) != before);
    node.wait("it is routed again", |node| server_of(node, "heal").is_some());
}

#[test]
fn compose_labels_name_the_service_and_a_restart_policy_brings_it_back() {
    let (share, cluster) = (Share::new("compose"), Cluster::new());
    let node = share.agent(&cluster);
    let mut spec = share.web("shop_web");
    spec.labels.remove("constellation.service");
    spec.restart = RestartPolicy::Always;
    let spec = spec.label("com.docker.compose.project", "shop").label("com.docker.compose.service", "web");
    let id = share.start(&spec);
    node.wait("the service is named by compose", |node| server_of(node, "shop/web").is_some());
    let pid = share.runtime.block_on(share.engine.inspect(&id)).unwrap().state.pid.unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    node.wait("another process serves it", |node| {
        let container = share.runtime.block_on(share.engine.inspect(&id)).unwrap();
        container.state.pid.is_some_and(|now| now != u32::try_from(pid.as_raw_nonzero().get()).unwrap())
            && server_of(node, "shop/web").is_some()
    });
}

#[test]
fn without_an_engine_the_agent_starts_says_so_and_serves_the_others() {
    let cluster = Cluster::new();
    let mut blind = cluster.node(1);
    blind.set("runtime", "docker");
    blind.set("docker-socket", cluster.directory.path().join("absent.sock").display());
    blind.start();
    let mut other = cluster.node(2);
    other.start();
    other.whoami(&[]);
    blind.wait("it serves the other node's route", |node| node.servers().len() == 1);
    blind.wait("it says that its engine is away", |node| {
        node.ask(&["status"]).is_some_and(|status| status["rung"] == "runtime-down")
    });
}
