//! A service: what runs, and everything that is said of it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::Serialize;

use super::{
    caps::Capabilities,
    dashboard::{Homepage, Metrics, Uptime},
    env::EnvValue,
    files::{ConfigFile, Secret, Volume},
    health::Health,
    image::Image,
    lifecycle::{Condition, Heal, Logging, Placement, Restart, Update},
    middleware::Middleware,
    network::{Egress, Reach},
    ports::Publish,
    route::AnyRoute,
    units::{CpuShares, Cpus, Size},
};
use crate::lint::Lint;
use constellation_docker::Port;

/// Whether a service runs on or comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// It runs on.
    Service,
    /// It ends; exit code 0 is success.
    Job,
}

/// Limits of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Limits {
    pub(crate) memory: Option<Size>,
    pub(crate) memory_reservation: Option<Size>,
    pub(crate) cpus: Option<Cpus>,
    pub(crate) cpu_shares: Option<CpuShares>,
    pub(crate) pids: Option<u64>,
    pub(crate) shm: Option<Size>,
    pub(crate) ulimits: BTreeMap<String, (i64, i64)>,
}

/// A lint that this service answers for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Allowed {
    pub(crate) lint: Lint,
    pub(crate) reason: String,
}

/// A service, or a job that runs once. `Service::new(name, image)`, and then what differs from the defaults.
///
/// Nothing is checked while it is written: [`validate`](crate::validate) names everything that is wrong at once.
///
/// ```
/// use constellation_services::prelude::*;
/// # let cfg = Config::example();
/// let db = Service::new("db", "docker.io/library/postgres:17.2")
///     .env("POSTGRES_USER", "blog")
///     .secret(secret("db-password.txt").env_file("POSTGRES_PASSWORD_FILE"))
///     .volume(bind(cfg.volume("blog/db")).at("/var/lib/postgresql/data"))
///     .health(Health::cmd(["pg_isready", "-U", "blog"]))
///     .caps(STEP_DOWN)
///     .memory(512.mib());
/// let web = Service::new("web", "ghcr.io/example/blog:1.4.0")
///     .route(Route::http(8080).host(cfg.host("blog")).public("everybody reads it"))
///     .health(Health::http(8080, "/healthz"))
///     .depends_on("db", Healthy)
///     .memory(256.mib());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) image: Image,
    pub(crate) container_name: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) workdir: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) env: BTreeMap<String, EnvValue>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) configs: Vec<ConfigFile>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) ports: Vec<Publish>,
    pub(crate) exposed: Vec<Port>,
    pub(crate) reach: Reach,
    pub(crate) egress: Egress,
    pub(crate) dns: Vec<IpAddr>,
    pub(crate) extra_hosts: BTreeMap<String, String>,
    pub(crate) health: Option<Health>,
    pub(crate) routes: Vec<AnyRoute>,
    pub(crate) middlewares: Vec<Middleware>,
    pub(crate) generated_routes: bool,
    pub(crate) depends_on: BTreeMap<String, Condition>,
    pub(crate) restart: Option<Restart>,
    pub(crate) heal: Option<Heal>,
    pub(crate) limits: Limits,
    pub(crate) capabilities: Capabilities,
    pub(crate) new_privileges: bool,
    pub(crate) privileged: bool,
    pub(crate) read_only_root: bool,
    pub(crate) init: bool,
    pub(crate) devices: Vec<String>,
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) security_opts: Vec<String>,
    pub(crate) stop_signal: Option<String>,
    pub(crate) stop_grace: Option<Duration>,
    pub(crate) logging: Option<Logging>,
    pub(crate) placement: Placement,
    pub(crate) constraints: BTreeMap<String, String>,
    pub(crate) quorum: bool,
    pub(crate) update: Update,
    pub(crate) homepage: Option<Homepage>,
    pub(crate) uptime: Option<Uptime>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) allowed: Vec<Allowed>,
    /// Settings that were given twice with two meanings: said by `validate`, since a builder cannot fail.
    pub(crate) repeated: Vec<(&'static str, String)>,
}

impl Service {
    /// A service that runs on.
    pub fn new(name: impl Into<String>, image: impl Into<Image>) -> Self {
        Self::of(Kind::Service, name.into(), image.into())
    }

    /// A job: it runs once per definition, ends, and is not started again. Exit code 0 is success.
    pub fn job(name: impl Into<String>, image: impl Into<Image>) -> Self {
        Self::of(Kind::Job, name.into(), image.into())
    }

    fn of(kind: Kind, name: String, image: Image) -> Self {
        Self {
            name,
            about: None,
            kind,
            image,
            container_name: None,
            hostname: None,
            entrypoint: None,
            command: None,
            workdir: None,
            user: None,
            groups: Vec::new(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            configs: Vec::new(),
            volumes: Vec::new(),
            ports: Vec::new(),
            exposed: Vec::new(),
            reach: Reach::default(),
            egress: Egress::default(),
            dns: Vec::new(),
            extra_hosts: BTreeMap::new(),
            health: None,
            routes: Vec::new(),
            middlewares: Vec::new(),
            generated_routes: true,
            depends_on: BTreeMap::new(),
            restart: None,
            heal: None,
            limits: Limits::default(),
            capabilities: Capabilities::default(),
            new_privileges: false,
            privileged: false,
            read_only_root: false,
            init: false,
            devices: Vec::new(),
            sysctls: BTreeMap::new(),
            security_opts: Vec::new(),
            stop_signal: None,
            stop_grace: None,
            logging: None,
            placement: Placement::default(),
            constraints: BTreeMap::new(),
            quorum: false,
            update: Update::default(),
            homepage: None,
            uptime: None,
            metrics: None,
            labels: BTreeMap::new(),
            allowed: Vec::new(),
            repeated: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in a line.
    pub fn purpose(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether it is a job.
    pub fn is_job(&self) -> bool {
        self.kind == Kind::Job
    }

    /// The name of its container: the service's name unless said.
    pub fn container(&self) -> &str {
        self.container_name.as_deref().unwrap_or(&self.name)
    }

    /// Whether the outside finds it.
    pub fn is_routed(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The secrets that it is shown.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter()
    }

    /// The lints that it answers for, each with its reason.
    pub fn allowed(&self) -> impl Iterator<Item = (Lint, &str)> {
        self.allowed.iter().map(|allowed| (allowed.lint, allowed.reason.as_str()))
    }
}
