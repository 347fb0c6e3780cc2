//! The provider over real HTTP, with views made by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use constellation_core::{
    ClusterView, Endpoint, Generation, Health, Incarnation, Instance, NodeFacts, Protocol, RouteSet,
    WallTime,
    route::{HttpRouter, HttpService},
    view::NodeView,
};
use constellation_tasks::{Drained, Supervisor, SystemClock};
use constellation_traefik::{
    LastKnownGoodStatus, Provider, ProviderConfig, ProviderError, ProviderState, TraefikHandle, TraefikStatus,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The view of node n1 in which each of these nodes runs each of these services.
fn view(version: u64, nodes: &[(u8, bool, &[&str])]) -> Arc<ClusterView> {
    let incarnations = nodes.iter().map(|(number, live, services)| {
        let mut routes = BTreeMap::new();
        let mut instances = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            let mut set = RouteSet::default();
            let rule = format!("Host(`{service}.example.org`)");
            let router = HttpRouter { rule, service: (*service).to_owned(), ..HttpRouter::default() };
            set.routers.insert(service.parse().unwrap(), router);
            set.services.insert(service.parse().unwrap(), HttpService::to_port(80));
            let address = ([10, 0, 0, *number], 40_000 + u16::try_from(index).unwrap()).into();
            let instance = Instance {
                id: format!("{service}{number}").parse().unwrap(),
                service: service.parse().unwrap(),
                health: Health::Healthy,
                since: WallTime(1),
                endpoints: vec![Endpoint { port: 80, protocol: Protocol::Tcp, address }],
                networks: vec![],
                routes: Some(set.id()),
                definition: None,
                role: None,
            };
            routes.insert(set.id(), Arc::new(set));
            instances.insert(instance.id.clone(), instance);
        }
        let name = format!("n{number}").parse().unwrap();
        let facts = NodeFacts::at([10, 0, 0, *number].into());
        let node = NodeView { name, generation: Generation(1), facts, instances, routes };
        Incarnation { node: Arc::new(node), live: *live }
    });
    Arc::new(ClusterView::derive("n1".parse().unwrap(), version, incarnations))
}

struct Running {
    handle: TraefikHandle,
    views: watch::Sender<Arc<ClusterView>>,
    supervisor: Supervisor,
}

fn config(file: Option<&Path>) -> ProviderConfig {
    ProviderConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        last_known_good: file.map(Path::to_path_buf),
        ..ProviderConfig::default()
    }
}

async fn start(config: ProviderConfig, first: Arc<ClusterView>) -> Running {
    let (views, receiver) = watch::channel(first);
    let supervisor = Supervisor::new();
    let clock = Arc::new(SystemClock::start());
    let handle = Provider::start(config, receiver, &supervisor, clock).await.unwrap();
    Running { handle, views, supervisor }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        ask(self.handle.listen(), "GET", path).await
    }

    /// Waits until the status is as expected.
    async fn until(&self, expected: impl Fn(&TraefikStatus) -> bool) -> TraefikStatus {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let status = self.handle.status();
                if expected(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("not reached: {:?}", self.handle.status()))
    }

    async fn stop(self) {
        assert_eq!(self.supervisor.drain(PATIENCE).await, Drained::Clean);
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn traefik_is_served_the_whole_document_and_people_its_parts() {
    let running = start(config(None), view(1, &[(1, true, &["web"]), (2, true, &["web"])])).await;
    running.until(|status| status.routers == 2).await;
    let (status, whole) = running.get("/api/dynamic").await;
    assert_eq!(status, 200);
    assert!(whole.contains("Host(`web.example.org`)") && whole.contains("http://10.0.0.2:40000"), "{whole}");
    assert_eq!(running.get("/").await, (200, whole));
    for (path, expected) in
        [("routers", "\"web++unsafe\""), ("services", "\"web+n1\""), ("middlewares", "\"+retry\"")]
    {
        let (status, body) = running.get(&format!("/api/http/{path}")).await;
        assert!(status == 200 && body.contains(expected), "{path}: {body}");
    }
    for path in ["/api/tcp/routers", "/api/tcp/services", "/api/udp/routers", "/api/udp/services"] {
        assert_eq!(running.get(path).await, (200, "{}".to_owned()));
    }
    assert_eq!(running.get("/health").await.0, 200);
    assert_eq!(running.get("/api/nothing").await.0, 404);
    assert_eq!(ask(running.handle.listen(), "POST", "/api/dynamic").await.0, 405);
    let status = running.handle.status();
    assert_eq!((status.polls, status.servers, status.state), (2, 2, ProviderState::Serving));
    assert!(status.last_poll.is_some());
    running.stop().await;
}

#[tokio::test]
async fn a_change_of_the_view_is_served_and_an_equal_view_changes_no_byte() {
    let running = start(config(None), view(1, &[(1, true, &["web"])])).await;
    running.until(|status| status.routers == 1).await;
    let mut documents = running.handle.subscribe();
    let before = Arc::clone(&documents.borrow_and_update());
    running.views.send_replace(view(2, &[(1, true, &["web"])]));
    running.views.send_replace(view(3, &[(1, true, &["web", "shop"])]));
    let changed = tokio::time::timeout(PATIENCE, documents.changed()).await;
    changed.unwrap().unwrap();
    let after = Arc::clone(&documents.borrow_and_update());
    assert_ne!(before.body, after.body, "the first change that is seen is a real one");
    assert!(String::from_utf8_lossy(&after.body).contains("shop.example.org"));
    running.stop().await;
}

#[tokio::test]
async fn a_view_that_changes_no_route_is_told_with_the_document_that_stays() {
    let running = start(config(None), view(1, &[(1, true, &["web"])])).await;
    running.until(|status| status.routers == 1).await;
    let mut turns = running.handle.turns();
    let before = turns.borrow_and_update().document.clone();
    // A node without containers.
    running.views.send_replace(view(2, &[(1, true, &["web"]), (2, true, &[])]));
    let told = tokio::time::timeout(PATIENCE, turns.wait_for(|turn| turn.view.version() == 2)).await;
    assert_eq!(told.unwrap().unwrap().document, before);
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_knows_nothing_yet_makes_traefik_keep_what_it_has() {
    let mut slow = config(None);
    slow.grace = Duration::from_secs(3600);
    let running = start(slow, Arc::new(ClusterView::empty("n1".parse().unwrap()))).await;
    for path in ["/", "/api/dynamic", "/api/http/routers"] {
        assert_eq!(running.get(path).await.0, 503, "{path}");
    }
    assert_eq!(running.handle.status().state, ProviderState::Starting);
    running.views.send_replace(view(1, &[(1, true, &["web"])]));
    running.until(|status| status.state == ProviderState::Serving).await;
    assert_eq!(running.get("/api/dynamic").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn once_the_grace_is_over_no_routes_are_no_routes() {
    let mut quick = config(None);
    quick.grace = Duration::from_millis(50);
    let running = start(quick, Arc::new(ClusterView::empty("n1".parse().unwrap()))).await;
    running.until(|status| status.state == ProviderState::Serving).await;
    assert_eq!(running.get("/api/dynamic").await, (200, "{}".to_owned()));
    running.stop().await;
}

#[tokio::test]
async fn what_was_served_last_is_served_from_the_first_moment_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes");
    let both = [(1, true, &["web"][..]), (2, true, &["db"][..])];
    let running = start(config(Some(&file)), view(1, &both)).await;
    running.until(|status| matches!(status.last_known_good, LastKnownGoodStatus::Saved { .. })).await;
    let (_, before) = running.get("/api/dynamic").await;
    running.stop().await;

    let again = start(config(Some(&file)), Arc::new(ClusterView::empty("n1".parse().unwrap()))).await;
    assert_eq!(again.get("/api/dynamic").await, (200, before));
    assert_eq!(again.handle.status().last_known_good, LastKnownGoodStatus::Loaded);
    again.until(|status| status.state == ProviderState::Holding).await;
    again.views.send_replace(view(1, &both));
    again.until(|status| status.state == ProviderState::Serving && status.view == 1).await;
    again.stop().await;
}

#[tokio::test]
async fn the_last_change_before_the_end_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes");
    let running = start(config(Some(&file)), view(1, &[(1, true, &["web"])])).await;
    running.until(|status| matches!(status.last_known_good, LastKnownGoodStatus::Saved { .. })).await;
    running.views.send_replace(view(2, &[(1, true, &["web", "late"])]));
    running.until(|status| status.routers == 2).await;
    running.stop().await;
    assert!(std::fs::read_to_string(&file).unwrap().contains("late.example.org"));
}

#[tokio::test]
async fn a_damaged_file_is_said_and_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes");
    std::fs::write(&file, "nonsense\n{}").unwrap();
    let running = start(config(Some(&file)), view(1, &[(1, true, &["web"])])).await;
    let status = running.until(|status| status.routers == 1).await;
    let kept =
        running.until(|status| matches!(status.last_known_good, LastKnownGoodStatus::Saved { .. })).await;
    assert!(status.routers == 1 && kept.routers == 1);
    running.stop().await;
    assert!(std::fs::read_to_string(&file).unwrap().contains("web.example.org"), "it was written anew");
}

#[tokio::test]
async fn where_the_disk_cannot_be_written_routes_are_served_and_the_status_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for hopeless in [folder.path().join("file/routes"), Path::new("/proc/routes").to_path_buf()] {
        let running = start(config(Some(&hopeless)), view(1, &[(1, true, &["web"])])).await;
        let failed = |status: &TraefikStatus| {
            matches!(&status.last_known_good, LastKnownGoodStatus::Failed { error }
            if error.contains("the last known routes"))
        };
        running.until(failed).await;
        running.views.send_replace(view(2, &[(1, true, &["web", "shop"])]));
        running.until(|status| status.routers == 2).await;
        assert_eq!(running.get("/api/dynamic").await.0, 200);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_last_good_file_alone() {
    // Every write to /dev/full fails as on a full disk.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes");
    let running = start(config(Some(&file)), view(1, &[(1, true, &["web"])])).await;
    running.until(|status| matches!(status.last_known_good, LastKnownGoodStatus::Saved { .. })).await;
    let before = std::fs::read(&file).unwrap();
    std::os::unix::fs::symlink(full, folder.path().join("routes.new")).unwrap();
    running.views.send_replace(view(2, &[(1, true, &["web", "shop"])]));
    let failed = |status: &TraefikStatus| {
        matches!(&status.last_known_good, LastKnownGoodStatus::Failed { error }
        if error.contains("No space left"))
    };
    running.until(failed).await;
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(running.handle.status().routers, 2);
    running.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(None);
    config.listen = taken.local_addr().unwrap();
    let (_views, receiver) = watch::channel(view(1, &[]));
    let supervisor = Supervisor::new();
    let started =
        Provider::start(config.clone(), receiver, &supervisor, Arc::new(SystemClock::start())).await;
    let error = started.err().unwrap();
    assert!(matches!(error, ProviderError::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains(&config.listen.to_string()) && text.contains("another address"), "{text}");
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_traefik_out() {
    let running = start(config(None), view(1, &[(1, true, &["web"])])).await;
    running.until(|status| status.routers == 1).await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(TcpStream::connect(running.handle.listen()).await.unwrap());
    }
    assert_eq!(running.get("/api/dynamic").await.0, 200);
    let mut garbage = TcpStream::connect(running.handle.listen()).await.unwrap();
    garbage.write_all(&[0xff; 64 * 1024]).await.ok();
    assert_eq!(running.get("/api/dynamic").await.0, 200);
    drop(idle);
    running.stop().await;
}
