//! The programs that are compared, each set up for the same work.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::wrk::{self, Load, Run};
use crate::{
    child::{self, Group},
    clock, procfs,
    tools::{apt, traefik},
    workspace::{Workspace, cargo},
};

const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const UP_LIMIT: Duration = Duration::from_secs(20);
const RUN_LIMIT: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);
/// What `/large` is.
const LARGE_BYTES: usize = 1 << 20;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The backend itself, without anybody between.
    Direct,
    Nginx,
    Haproxy,
    Traefik,
    Proxy,
    HaproxyTcp,
    Gateway,
}

impl Program {
    pub(super) const HTTP: [Self; 5] = [Self::Direct, Self::Nginx, Self::Haproxy, Self::Traefik, Self::Proxy];
    pub(super) const L4: [Self; 3] = [Self::Direct, Self::HaproxyTcp, Self::Gateway];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx, 1 worker",
            Self::Haproxy => "haproxy, 2 threads",
            Self::Traefik => "Traefik",
            Self::Proxy => "constellation-proxy",
            Self::HaproxyTcp => "haproxy, mode tcp",
            Self::Gateway => "mesh gateway",
        }
    }
}

/// Where everything is.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    traefik: PathBuf,
    ingress: PathBuf,
    gateway: PathBuf,
    backend: Server,
}

/// A program that serves. Dropped, it ends.
pub(super) struct Server {
    group: Group,
    pub(super) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.group.stop(GRACE);
    }
}

impl Server {
    pub(super) fn kill(&mut self) {
        self.group.kill();
    }

    /// Resident memory of it and its children, in MiB.
    pub(super) fn rss_mib(&self) -> f64 {
        let all = procfs::with_children(self.group.pid()).into_iter().filter_map(procfs::resident_kib);
        f64::from(u32::try_from(all.sum::<u64>()).unwrap_or(u32::MAX)) / 1024.0
    }

    fn cpu(&self) -> Duration {
        procfs::with_children(self.group.pid()).into_iter().filter_map(procfs::cpu_time).sum()
    }
}

impl Stage {
    pub(super) fn prepare(workspace: &Workspace) -> Result<Self> {
        for (program, package) in [("nginx", "nginx-light"), ("haproxy", "haproxy"), ("wrk", "wrk")] {
            if !on_path(program) {
                apt::install(&[package], "the bench of the ingress")?;
            }
        }
        let traefik = traefik::prepare(workspace)?;
        for example in ["ingress", "gateway"] {
            let mut command = cargo(&workspace.root);
            command.args([
                "build",
                "--quiet",
                "--release",
                "-p",
                "constellation-proxy",
                "--example",
                example,
            ]);
            child::run(&format!("building the example {example}"), &mut command, BUILD_LIMIT)?;
        }
        let folder = tempfile::tempdir().context("no folder for the bench")?;
        fs::write(folder.path().join("large"), "x".repeat(LARGE_BYTES)).context("could not write")?;
        let example = |name: &str| workspace.target(&format!("release/examples/{name}"));
        let backend = backend(folder.path(), "backend")?;
        Ok(Self { traefik, ingress: example("ingress"), gateway: example("gateway"), backend, folder })
    }

    /// Another backend.
    pub(super) fn backend(&self, name: &str) -> Result<Server> {
        backend(self.folder.path(), name)
    }

    /// Our proxy in front of these.
    pub(super) fn proxy(&self, backends: &[SocketAddr]) -> Result<Server> {
        let address = free()?;
        let list: Vec<String> = backends.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&self.ingress);
        command.args(["--listen", &address.to_string(), "--backend", &list.join(",")]);
        serve("the proxy", command, address)
    }

    pub(super) fn proxy_alone(&self) -> Result<Server> {
        self.proxy(&[self.backend.address])
    }

    /// Starts a program, loads it, and ends it.
    pub(super) fn run(&self, program: Program, load: Load) -> Result<Run> {
        let server = self.start(program)?;
        let of = server.as_ref().unwrap_or(&self.backend);
        let (arguments, path) = load.arguments();
        let before = of.cpu();
        let mut command = Command::new("wrk");
        command.args(arguments).arg(format!("http://{}{path}", of.address)).stderr(Stdio::null());
        let mut run = wrk::read(&child::output("wrk", &mut command, RUN_LIMIT)?)?;
        run.cpu_us = (of.cpu() - before).as_secs_f64() * 1e6 / run.requests.max(1.0);
        run.rss_mib = of.rss_mib();
        Ok(run)
    }

    fn start(&self, program: Program) -> Result<Option<Server>> {
        let (folder, to) = (self.folder.path(), self.backend.address);
        let address = free()?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
            Ok(path)
        };
        let mut command = match program {
            Program::Direct => return Ok(None),
            Program::Nginx => nginx(&file("nginx.conf", nginx_proxy(folder, address, to))?),
            Program::Haproxy => haproxy(&file("haproxy.cfg", haproxy_config("http", address, to))?),
            Program::HaproxyTcp => haproxy(&file("haproxy-tcp.cfg", haproxy_config("tcp", address, to))?),
            Program::Traefik => {
                let routes = file("routes.yaml", traefik_routes(to))?;
                let mut command = Command::new(&self.traefik);
                command
                    .arg(format!("--entrypoints.web.address={address}"))
                    .arg(format!("--providers.file.filename={}", routes.display()))
                    .args(["--log.level=ERROR", "--global.checknewversion=false"])
                    .arg("--global.sendanonymoususage=false");
                command
            }
            Program::Proxy => return self.proxy_alone().map(Some),
            Program::Gateway => {
                let mut command = Command::new(&self.gateway);
                command.args(["--listen", &address.to_string(), "--upstream", &to.to_string()]);
                command
            }
        };
        command.current_dir(folder);
        serve(program.name(), command, address).map(Some)
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = [PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path).chain(more).any(|folder| folder.join(program).is_file())
}

fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    listener.local_addr().context("no address")
}

fn serve(name: &str, mut command: Command, address: SocketAddr) -> Result<Server> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Server { group: Group::spawn(name, &mut command)?, address };
    // Until it serves, and not only listens: Traefik does so earlier.
    clock::wait_for(&format!("{name} serves"), UP_LIMIT, Duration::from_millis(20), || {
        if let Some(status) = server.group.ended()? {
            anyhow::bail!("{name} ended: {status}");
        }
        let mut client = crate::http::Client::tcp(address, Duration::from_secs(1));
        Ok(client.get("/").ok().filter(|answer| answer.status == 200).map(|_| ()))
    })?;
    Ok(server)
}

fn backend(folder: &Path, name: &str) -> Result<Server> {
    let address = free()?;
    let config = folder.join(format!("{name}.conf"));
    let text = format!(
        "{}http {{ access_log off; keepalive_requests 100000000; sendfile on; {} server {{ listen {address} backlog=4096; \
         location / {{ return 200 \"hello world\"; }} location = /large {{ root {}; }} }} }}\n",
        nginx_head(folder, name),
        nginx_temporary(folder),
        folder.display(),
    );
    fs::write(&config, text).with_context(|| format!("could not write {}", config.display()))?;
    serve(name, nginx(&config), address)
}

fn nginx(config: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-c").arg(config).args(["-e", "/dev/null"]);
    command
}

fn nginx_head(folder: &Path, name: &str) -> String {
    let pid = folder.join(format!("{name}.pid"));
    // As the user that starts it: the default one cannot read our folder.
    format!(
        "user root; worker_processes 1; daemon off; error_log /dev/null; pid {};\nevents {{ worker_connections 4096; }}\n",
        pid.display()
    )
}

fn nginx_temporary(folder: &Path) -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind}; ", folder.display()))
        .concat()
}

fn nginx_proxy(folder: &Path, listen: SocketAddr, to: SocketAddr) -> String {
    format!(
        "{}http {{ access_log off; keepalive_requests 100000000; {} upstream b {{ server {to}; keepalive 64; \
         keepalive_requests 100000000; }} server {{ listen {listen} backlog=4096; location / {{ proxy_pass http://b; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }} }}\n",
        nginx_head(folder, "proxy"),
        nginx_temporary(folder),
    )
}

fn haproxy(config: &Path) -> Command {
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(config);
    command
}

fn haproxy_config(mode: &str, listen: SocketAddr, to: SocketAddr) -> String {
    let http = if mode == "http" { "  option http-keep-alive\n  http-reuse always\n" } else { "" };
    format!(
        "global\n  nbthread 2\n  maxconn 4000\ndefaults\n  mode {mode}\n  timeout client 30s\n  timeout server 30s\n  \
         timeout connect 3s\n{http}frontend f\n  bind {listen}\n  default_backend b\nbackend b\n  server s {to}\n"
    )
}

/// JSON, which is YAML; by its ending the file provider would not read it.
fn traefik_routes(to: SocketAddr) -> String {
    serde_json::json!({ "http": {
        "routers": { "all": { "entryPoints": ["web"], "rule": "PathPrefix(`/`)", "service": "b" } },
        "services": { "b": { "loadBalancer": { "servers": [{ "url": format!("http://{to}") }] } } },
    } })
    .to_string()
}
