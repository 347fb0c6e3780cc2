//! A real Traefik, fed by a real provider.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use constellation_core::ClusterView;
use constellation_tasks::{Drained, Supervisor, SystemClock};
use constellation_traefik::{
    Provider, ProviderConfig, RenderConfig, StaticConfig, TraefikHandle, static_config,
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::watch,
};

use super::{Answer, PATIENCE, ask, until};

/// A Traefik that runs.
pub(crate) struct Traefik {
    process: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
    pub(crate) web: SocketAddr,
    pub(crate) api: SocketAddr,
}

/// A port that nobody has. Somebody may take it before Traefik does; then Traefik ends and the test says so.
pub(crate) async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

impl Traefik {
    /// Starts one that asks this provider.
    pub(crate) async fn start(provider: SocketAddr) -> Self {
        Self::start_with(provider, &[]).await
    }

    /// Starts one with more settings than those.
    pub(crate) async fn start_with(provider: SocketAddr, more: &[String]) -> Self {
        let binary = std::env::var_os("CONSTELLATION_E2E_TRAEFIK")
            .expect("set CONSTELLATION_E2E_TRAEFIK to the path of a Traefik binary, 3.7 or later");
        let (web, api, secure) = (free_port().await, free_port().await, free_port().await);
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let config = StaticConfig {
            entry_points: vec![("web".to_owned(), web), ("websecure".to_owned(), secure)],
            api,
            ..StaticConfig::for_provider(provider)
        };
        let process = Command::new(binary)
            .args(static_config(&config))
            .args(more)
            .arg(format!("--log.filePath={}", log.display()))
            .arg("--log.format=json")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let traefik = Self { process, log, _folder: folder, web, api };
        until("Traefik answers", || async { traefik.api("/ping").await.status == 200 }).await;
        traefik
    }

    /// Asks Traefik's own API.
    pub(crate) async fn api(&self, path: &str) -> Answer {
        ask(self.api, "GET", "localhost", path, "", "").await
    }

    /// A request through the entry point.
    pub(crate) async fn request(&self, method: &str, host: &str, path: &str, body: &str) -> Answer {
        ask(self.web, method, host, path, "", body).await
    }

    /// What of a kind Traefik has from our provider, with how it stands: `routers`, `services`.
    pub(crate) async fn has(&self, kind: &str) -> Vec<(String, String)> {
        let answer = self.api(&format!("/api/http/{kind}?per_page=1000")).await;
        let body = unchunked(&answer);
        let all: Vec<serde_json::Value> =
            serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let mut ours: Vec<(String, String)> = all
            .iter()
            .filter(|value| text(value, "provider") == "http")
            .map(|value| (text(value, "name").trim_end_matches("@http").to_owned(), text(value, "status")))
            .collect();
        ours.sort();
        ours
    }

    /// The errors in its log, and the warnings about what it was told; not those about its own command line.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let about_us =
            |line: &&str| ["providerName", "routerName", "serviceName"].iter().any(|key| line.contains(key));
        let bad = |line: &&str| {
            line.contains("\"level\":\"error\"") || (line.contains("\"level\":\"warn\"") && about_us(line))
        };
        log.lines().filter(bad).map(str::to_owned).collect()
    }

    async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }
}

/// A body that may have come in chunks.
pub(crate) fn unchunked(answer: &Answer) -> String {
    if !answer.head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return answer.body.clone();
    }
    let mut rest = answer.body.as_str();
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    whole
}

/// A provider and the Traefik that asks it.
pub(crate) struct Stack {
    pub(crate) traefik: Traefik,
    pub(crate) handle: TraefikHandle,
    views: watch::Sender<Arc<ClusterView>>,
    supervisor: Supervisor,
}

impl Stack {
    /// Starts both with a first view, and waits until Traefik has its routes.
    pub(crate) async fn start(first: Arc<ClusterView>) -> Self {
        let (views, receiver) = watch::channel(first);
        let supervisor = Supervisor::new();
        let render = RenderConfig { domain: "example.org".parse().ok(), ..RenderConfig::default() };
        let config =
            ProviderConfig { listen: ([127, 0, 0, 1], 0).into(), render, ..ProviderConfig::default() };
        let handle =
            Provider::start(config, receiver, &supervisor, Arc::new(SystemClock::start())).await.unwrap();
        let traefik = Traefik::start(handle.listen()).await;
        let stack = Self { traefik, handle, views, supervisor };
        stack.settled().await;
        stack
    }

    /// Shows another view and waits until Traefik has applied it.
    pub(crate) async fn show(&self, view: Arc<ClusterView>) {
        let version = view.version();
        self.views.send_replace(view);
        until("the view is rendered", || async { self.handle.status().view == version }).await;
        self.settled().await;
    }

    /// Waits until Traefik has exactly the routers and services that it was told of, with the servers of each.
    pub(crate) async fn settled(&self) {
        let served = Arc::clone(&self.handle.subscribe().borrow());
        let document = served.document.clone().expect("the provider knows nothing yet");
        until("Traefik applies the document", || async {
            let raw = unchunked(&self.traefik.api("/api/rawdata").await);
            let Ok(raw) = serde_json::from_str::<serde_json::Value>(&raw) else { return false };
            let count = |kind: &str| {
                raw[kind]
                    .as_object()
                    .map_or(0, |all| all.keys().filter(|name| name.ends_with("@http")).count())
            };
            let servers = |name: &str| {
                let servers =
                    raw["services"][format!("{name}@http")]["loadBalancer"]["servers"].as_array().cloned();
                let urls = servers.unwrap_or_default();
                urls.iter()
                    .map(|server| server["url"].as_str().unwrap_or_default().to_owned())
                    .collect::<Vec<_>>()
            };
            let http = &document.http;
            count("routers") == http.routers.len()
                && count("services") == http.services.len()
                && http.services.iter().all(|(name, service)| {
                    service.as_load_balancer().is_none_or(|balancer| balancer.urls().eq(servers(name)))
                })
        })
        .await;
    }

    /// Ends both.
    pub(crate) async fn stop(self) {
        self.traefik.stop().await;
        assert_eq!(self.supervisor.drain(PATIENCE).await, Drained::Clean);
    }

    /// Ends the provider alone.
    pub(crate) async fn stop_provider(self) -> Traefik {
        assert_eq!(self.supervisor.drain(PATIENCE).await, Drained::Clean);
        self.traefik
    }
}
