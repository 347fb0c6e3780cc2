//! One test's share of the engine, and the tool that works on it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use constellation_docker::{
    Container, ContainerRuntime, ContainerSpec, DockerEndpoint, DockerEngine, ListFilter,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::image;

/// Far above what anything here takes; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The store's password.
pub(crate) const TOKEN: &str = "e2e-token-that-must-not-be-seen";

fn socket() -> PathBuf {
    let socket = std::env::var_os("CONSTELLATION_E2E_DOCKER_SOCKET");
    PathBuf::from(
        socket.expect("set CONSTELLATION_E2E_DOCKER_SOCKET to the socket of an engine that may be used"),
    )
}

/// One test's share of the engine: everything in it has the test's name before its own, and goes with this value.
pub(crate) struct World {
    pub(crate) engine: DockerEngine,
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    socket: PathBuf,
    runtime: Runtime,
    variables: RefCell<BTreeMap<String, String>>,
}

/// How the tool ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<std::process::Output> for Ran {
    fn from(output: std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// Everything that it said.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// What is in a container of the world, by service.
pub(crate) type Containers = BTreeMap<String, Container>;

impl World {
    /// A share of the engine, with secrets, and the image of the actor.
    pub(crate) fn new(test: &str) -> Self {
        Self::on(socket(), test)
    }

    /// A share of the engine at this socket.
    pub(crate) fn on(socket: PathBuf, test: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = DockerEngine::connect(DockerEndpoint::Unix(socket.clone())).unwrap();
        let name = format!("e2e-{}-{test}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let actor = format!("{name}-actor:1");
        runtime.block_on(engine.import_image(&actor, image::actor().into())).unwrap();
        let world = Self { engine, name, folder, socket, runtime, variables: RefCell::default() };
        world.set("RUN", &world.name);
        world.set("ACTOR", &actor);
        world.set("GATE_PORT", free_port().to_string());
        for secret in ["token.txt", "store-auth.txt"] {
            let content =
                if secret == "token.txt" { TOKEN.to_owned() } else { format!("requirepass {TOKEN}\n") };
            world.secret(secret, &content, 0o600);
        }
        world
    }

    /// The ten services, with Redis among them.
    pub(crate) fn ten(test: &str) -> Self {
        let world = Self::new(test);
        let store = format!("{}-redis:1", world.name);
        static TAR: OnceLock<Vec<u8>> = OnceLock::new();
        let tar = TAR.get_or_init(image::redis).clone();
        world.wait_for(world.engine.import_image(&store, tar.into())).unwrap();
        world.set("REDIS", store);
        world
    }

    /// Two services: `web`, which is replaced start-first, and `gate` on a published port.
    pub(crate) fn pair(test: &str) -> Self {
        let world = Self::new(test);
        world.set("SCENARIO", "pair");
        world
    }

    /// The name of a service of the pair.
    pub(crate) fn service(&self, short: &str) -> String {
        format!("{}-{short}", self.name)
    }

    /// Writes a secret.
    pub(crate) fn secret(&self, file: &str, content: &str, mode: u32) {
        let folder = self.path("secrets");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Sets a variable of the definitions for all that follows.
    pub(crate) fn set(&self, name: &str, value: impl Into<String>) {
        self.variables.borrow_mut().insert(name.to_owned(), value.into());
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The port of the host that `gate` is published on.
    pub(crate) fn gate(&self) -> SocketAddr {
        let port = self.variables.borrow()["GATE_PORT"].parse().unwrap();
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The tool with these arguments, in this world.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_e2e-tool"));
        self.settle(command.args(arguments));
        command
    }

    /// The environment of this world, and nothing else.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .env_clear()
            .envs(self.variables.borrow().iter())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOMAIN", "example.test")
            .env("TS_HOSTNAME", "n1")
            .env("STACK_NAME", &self.name)
            .env("DATA_DIR", self.path("data"))
            .env("CONFIG_PATH", self.path("volumes"))
            .env("SECRETS_PATH", self.path("secrets"))
            .env("ROOT_PATH", self.path("root"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs the tool to its end.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// The engine's socket.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Every container of this world, running or not, by what stands behind the world's name in its own.
    pub(crate) fn containers(&self) -> Containers {
        self.wait_for(async {
            let mut containers = Containers::new();
            for listed in self.engine.list(&ListFilter::default()).await.unwrap() {
                let Some(name) = listed.name.strip_prefix(&format!("{}-", self.name)) else { continue };
                // One that went between the two is not there.
                if let Ok(container) = self.engine.inspect(&listed.id).await {
                    containers.insert(name.to_owned(), container);
                }
            }
            containers
        })
    }

    /// Names and ids: what a run that changes nothing leaves as it is.
    pub(crate) fn ids(&self) -> BTreeMap<String, String> {
        self.containers()
            .into_iter()
            .map(|(name, container)| (name, container.id.as_str().to_owned()))
            .collect()
    }

    /// A container's address on a network of the stack.
    pub(crate) fn address(&self, service: &str, network: &str) -> SocketAddr {
        let containers = self.containers();
        let container = &containers[service];
        let network = format!("{}_{network}", self.name);
        let joined = container.networks.iter().find(|joined| joined.name == network).unwrap();
        SocketAddr::new(joined.address.unwrap(), 8080)
    }

    /// Starts a container that the tool knows nothing of.
    pub(crate) fn stranger(&self, name: &str, part: &[&str], network: &str) -> String {
        let image = self.variables.borrow()["ACTOR"].clone();
        let spec = ContainerSpec {
            networks: [(format!("{}_{network}", self.name), vec![])].into(),
            stop_signal: Some("SIGKILL".to_owned()),
            ..ContainerSpec::new(format!("{}-{name}", self.name), image)
        };
        let command = ["/bin/actor"].iter().chain(part).copied();
        let spec = spec.command(command).env("NAME", name).env("VERSION", "stranger");
        self.wait_for(async {
            let id = self.engine.create(&spec).await.unwrap();
            self.engine.start(&id).await.unwrap();
            id.as_str().to_owned()
        })
    }

    /// What happened to this world's things in the engine between two moments, but for health checks.
    pub(crate) fn events(&self, since: &str, until: &str) -> Vec<String> {
        let text = self.ask_engine(&format!("/events?since={since}&until={until}"));
        let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let told = events.filter_map(|event| {
            let action = event["Action"].as_str()?.to_owned();
            let name = event["Actor"]["Attributes"]["name"].as_str().or(event["Actor"]["ID"].as_str())?;
            let of_health = action.starts_with("exec_") || action.starts_with("health_status");
            (name.starts_with(&self.name) && !of_health)
                .then(|| format!("{} {name}: {action}", event["Type"].as_str().unwrap_or_default()))
        });
        told.collect()
    }

    fn ask_engine(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: docker\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = now() + PATIENCE;
        while !is_so() {
            assert!(now() < deadline, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(LOOK);
        }
    }
}

/// Wall time: the engine's events are asked for by it.
pub(crate) fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

/// As the engine's API takes a moment.
pub(crate) fn moment() -> String {
    let now = now();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

impl Drop for World {
    fn drop(&mut self) {
        let engine = &self.engine;
        // Whatever is left cannot be helped here, and must not hide why the test failed.
        self.runtime.block_on(async {
            for container in engine.list(&ListFilter::default()).await.unwrap_or_default() {
                if container.name.starts_with(&self.name) {
                    drop(engine.remove(&container.id, true).await);
                }
            }
            for network in engine.list_networks(&BTreeMap::new()).await.unwrap_or_default() {
                if network.name.starts_with(&self.name) {
                    drop(engine.remove_network(&network.id).await);
                }
            }
            for volume in engine.list_volumes().await.unwrap_or_default() {
                if volume.name.starts_with(&self.name) {
                    drop(engine.remove_volume(&volume.name).await);
                }
            }
            for image in ["actor", "redis"] {
                drop(engine.remove_image(&format!("{}-{image}:1", self.name), true).await);
            }
        });
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A request: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}
