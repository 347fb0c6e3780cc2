//! A real engine with an image and a network of this run.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
};

use constellation_docker::{
    ContainerRuntime, ContainerSpec, DockerEndpoint, DockerEngine, ListFilter, Mount, MountKind, NetworkMode,
    NetworkSpec, Port, PortBinding,
    contract::{ContractWorld, SharedFolder},
};
use futures::FutureExt;
use tempfile::TempDir;

use crate::image;

const INSIDE: &str = "/shared";

pub(crate) struct Docker {
    pub(crate) engine: DockerEngine,
    pub(crate) image: String,
    pub(crate) network: String,
    folder: TempDir,
}

impl Docker {
    async fn prepare() -> Self {
        let socket = std::env::var_os("CONSTELLATION_E2E_DOCKER_SOCKET");
        let socket =
            socket.expect("set CONSTELLATION_E2E_DOCKER_SOCKET to the socket of an engine that may be used");
        let engine = DockerEngine::connect(DockerEndpoint::Unix(PathBuf::from(socket))).unwrap();
        let run = std::process::id();
        let run = format!("{run}-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
        let (image, network) =
            (format!("constellation-contract:{run}"), format!("constellation-contract-{run}"));
        engine.import_image(&image, image::busybox()).await.unwrap();
        engine
            .create_network(&NetworkSpec { name: network.clone(), ..NetworkSpec::default() })
            .await
            .unwrap();
        Self { engine, image, network, folder: tempfile::tempdir().unwrap() }
    }

    /// Removes what this run made, containers first: they hold the rest.
    async fn clean_up(&self) {
        for container in self.engine.list(&ListFilter::default()).await.unwrap() {
            if container.image == self.image || container.name.starts_with(&self.network) {
                self.engine.remove(&container.id, true).await.unwrap();
            }
        }
        for network in self.engine.list_networks(&BTreeMap::new()).await.unwrap() {
            if network.name.starts_with(&self.network) {
                self.engine.remove_network(&network.id).await.unwrap();
            }
        }
        self.engine.remove_image(&self.image, true).await.unwrap();
    }

    pub(crate) fn spec(&self, name: &str) -> ContainerSpec {
        let mut spec = ContainerSpec::new(name, &self.image);
        spec.network_mode = NetworkMode::None;
        spec
    }
}

/// Runs a test, and cleans up whatever becomes of it.
pub(crate) async fn with_docker<T>(test: impl AsyncFnOnce(&Docker) -> T) -> T {
    let world = Docker::prepare().await;
    let outcome = AssertUnwindSafe(test(&world)).catch_unwind().await;
    world.clean_up().await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

impl ContractWorld for Docker {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.engine
    }

    fn shell(&self, script: &str) -> ContainerSpec {
        self.spec("").command(["/bin/sh", "-c", script])
    }

    fn shared_folder(&self) -> SharedFolder {
        let source = self.folder.path().to_str().unwrap().to_owned();
        let mount = Mount::new(MountKind::Bind { source }, INSIDE, false);
        SharedFolder { outside: self.folder.path().to_owned(), inside: INSIDE.to_owned(), mount: Some(mount) }
    }

    fn listener(&self) -> ContainerSpec {
        let port = Port::tcp(8080);
        let mut spec = ContainerSpec::new("", &self.image).command(["/bin/httpd", "-f", "-p", "8080"]);
        spec.networks.insert(self.network.clone(), vec!["listener".to_owned()]);
        spec.ports.push(PortBinding { container: port, host_ip: [127, 0, 0, 1].into(), host_port: None });
        spec
    }
}
