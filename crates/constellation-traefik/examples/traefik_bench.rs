//! How long a real Traefik takes to apply our document with thousands of routers, at first and after one change.
//!
//! `CONSTELLATION_TRAEFIK=/path/to/traefik cargo run --release -p constellation-traefik --example traefik_bench [routers]`; the last
//! line of each part is JSON.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on may end")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use constellation_core::{
    ClusterView, Endpoint, Generation, Health, Incarnation, Instance, NodeFacts, Protocol, RouteSet,
    WallTime,
    route::{HttpRouter, HttpService},
    view::NodeView,
};
use constellation_tasks::{Supervisor, SystemClock};
use constellation_traefik::{
    Provider, ProviderConfig, RenderConfig, StaticConfig, TraefikHandle, static_config,
};
use tokio::sync::watch;

const STARTS: u32 = 3;
const CHANGES: u32 = 10;
/// Between two looks at Traefik; part of every figure's error.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let routers: u16 = std::env::args().nth(1).map_or(5000, |text| text.parse().unwrap());
    assert!(routers >= 2, "at least two routers");
    let binary = std::env::var("CONSTELLATION_TRAEFIK").unwrap_or_else(|_| "traefik".to_owned());
    let backends: Vec<SocketAddr> = ["127.0.0.1:0", "127.0.0.2:0"].map(backend).into();
    // A service with one server is one router; with two it is two, one for each kind of methods, over failover pairs.
    for servers in [1, 2] {
        part(&binary, routers / servers, backends.get(..servers.into()).unwrap());
    }
}

fn part(binary: &str, services: u16, backends: &[SocketAddr]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let supervisor = Supervisor::new();
    let first = Shape { services, without_server: false };
    let (views, receiver) = watch::channel(first.view(1, backends));
    let config = ProviderConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        render: RenderConfig::default(),
        grace: Duration::ZERO,
        ..ProviderConfig::default()
    };
    let handle = runtime.block_on(async {
        let handle =
            Provider::start(config, receiver, &supervisor, Arc::new(SystemClock::start())).await.unwrap();
        handle.subscribe().wait_for(|served| served.document.is_some()).await.unwrap();
        handle
    });
    let status = handle.status();
    println!(
        "\n{} routers, {} services of Traefik's, {} servers, {} bytes; {} server(s) for each of {services} services",
        status.routers,
        status.services,
        status.servers,
        status.bytes,
        backends.len(),
    );
    let mut bench = Bench { views, handle, backends, version: 1, shape: first };
    let mut figures = vec![bench.starts(binary)];
    let traefik = Traefik::start(binary, bench.handle.listen());
    bench.serves(&traefik, services - 1);
    let (fresh, before) = bench.more(&traefik);
    figures.extend(fresh);
    figures.extend(bench.fewer(&traefik));
    println!("Traefik's memory: {before} MiB before the changes, {} MiB after them", traefik.rss_mib());
    let mut json = String::new();
    for (name, times) in &figures {
        write!(json, ",\"{name}\":{{\"p50\":{:.1},\"max\":{:.1}}}", at(times, 50), at(times, 100)).unwrap();
    }
    println!(
        "{{\"bench\":\"traefik_applies\",\"routers\":{},\"servers_each\":{},\"bytes\":{},\"rss_mib\":{}{json}}}",
        status.routers,
        backends.len(),
        status.bytes,
        traefik.rss_mib(),
    );
    drop(traefik);
    runtime.block_on(supervisor.drain(Duration::from_secs(5)));
}

type Figure = (&'static str, Vec<f64>);

struct Bench<'a> {
    views: watch::Sender<Arc<ClusterView>>,
    handle: TraefikHandle,
    backends: &'a [SocketAddr],
    version: u64,
    shape: Shape,
}

impl Bench<'_> {
    /// From the start of a Traefik until it serves the last route.
    fn starts(&self, binary: &str) -> Figure {
        let times = (0..STARTS)
            .map(|_| {
                let begun = now();
                let traefik = Traefik::start(binary, self.handle.listen());
                self.serves(&traefik, self.shape.services - 1);
                millis(begun)
            })
            .collect();
        told("first_load_ms", "start of Traefik -> serves", times)
    }

    /// One router more, again and again.
    fn more(&mut self, traefik: &Traefik) -> ([Figure; 2], u64) {
        let before = traefik.rss_mib();
        let (mut served, mut live) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            rest(number);
            self.shape.services += 1;
            let (begun, took) = self.show();
            self.serves(traefik, self.shape.services - 1);
            live.push(millis(begun));
            served.push(took);
        }
        let figures = [
            told("more_document_ms", "one router more -> document", served),
            told("more_live_ms", "one router more -> traffic", live),
        ];
        (figures, before)
    }

    /// A server of the first service goes, and comes back in between.
    fn fewer(&mut self, traefik: &Traefik) -> [Figure; 2] {
        let (mut served, mut live) = (Vec::new(), Vec::new());
        let url = format!("http://{}", self.backends.last().unwrap());
        let holds = || traefik.api("/api/http/services/service-0@http").1.contains(&url);
        for number in 0..CHANGES {
            rest(number);
            self.shape.without_server = true;
            let (begun, took) = self.show();
            until("Traefik has dropped the server", || !holds());
            live.push(millis(begun));
            served.push(took);
            self.shape.without_server = false;
            self.show();
            until("Traefik has the server again", holds);
        }
        [
            told("fewer_document_ms", "one server less -> document", served),
            told("fewer_live_ms", "one server less -> Traefik's API", live),
        ]
    }

    /// Shows the view; when, and how many milliseconds later the provider served what it renders to.
    fn show(&mut self) -> (Instant, f64) {
        self.version += 1;
        let (view, version) = (self.shape.view(self.version, self.backends), self.version);
        let begun = now();
        self.views.send_replace(view);
        while self.handle.status().view != version {
            thread::sleep(Duration::from_micros(200));
            assert!(begun.elapsed() < PATIENCE, "the view was not rendered");
        }
        (begun, millis(begun))
    }

    fn serves(&self, traefik: &Traefik, number: u16) {
        let host = format!("app-{number}.example.net");
        until("Traefik serves the route", || ask(traefik.web, &host, "/").0 == 200);
    }
}

/// Of what services a view is made.
#[derive(Clone, Copy)]
struct Shape {
    services: u16,
    /// Whether the first of them lacks its last server.
    without_server: bool,
}

impl Shape {
    /// Every service at every backend, each of which is a node.
    fn view(self, version: u64, backends: &[SocketAddr]) -> Arc<ClusterView> {
        let last = backends.len() - 1;
        let incarnations = backends.iter().enumerate().map(|(node, address)| {
            let (mut instances, mut routes) = (BTreeMap::new(), BTreeMap::new());
            for number in 0..self.services {
                let name = format!("service-{number}");
                let mut set = RouteSet { generated: name.parse().ok(), ..RouteSet::default() };
                let rule = format!("Host(`app-{number}.example.net`)");
                let router = HttpRouter { rule, service: name.clone(), ..HttpRouter::default() };
                set.routers.insert(name.parse().unwrap(), router);
                set.services.insert(name.parse().unwrap(), HttpService::to_port(80));
                let gone = self.without_server && number == 0 && node == last;
                let instance = Instance {
                    id: format!("{node:04}{number:08}").parse().unwrap(),
                    service: name.parse().unwrap(),
                    health: if gone { Health::Unhealthy } else { Health::Healthy },
                    since: WallTime(u64::from(number)),
                    endpoints: vec![Endpoint { port: 80, protocol: Protocol::Tcp, address: *address }],
                    networks: vec![],
                    routes: Some(set.id()),
                    definition: None,
                    role: None,
                };
                routes.insert(set.id(), Arc::new(set));
                instances.insert(instance.id.clone(), instance);
            }
            let facts = NodeFacts::at(address.ip());
            let name = format!("node-{node}").parse().unwrap();
            let node = NodeView { name, generation: Generation(1), facts, instances, routes };
            Incarnation { node: Arc::new(node), live: true }
        });
        Arc::new(ClusterView::derive("node-0".parse().unwrap(), version, incarnations))
    }
}

/// A Traefik with the settings of `docs/routes.md`. Dropped, it ends.
struct Traefik {
    process: Child,
    web: SocketAddr,
    api: SocketAddr,
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Traefik {
    fn start(binary: &str, provider: SocketAddr) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (web, api) = (free(), free());
        let entry_points = vec![("web".to_owned(), web)];
        let log_level = "ERROR".to_owned();
        let config = StaticConfig { entry_points, api, log_level, ..StaticConfig::for_provider(provider) };
        let mut command = Command::new(binary);
        command.args(static_config(&config)).current_dir(std::env::temp_dir());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: command.spawn().unwrap(), web, api }
    }

    fn api(&self, path: &str) -> (u16, String) {
        ask(self.api, "localhost", path)
    }

    /// Resident, in MiB.
    fn rss_mib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

/// A server that says hello, for as long as the bench runs.
fn backend(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    if line == "\r\n" && stream.get_mut().write_all(answer).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// One request on a connection of its own; status 0 where nobody answered.
fn ask(to: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let exchange = || {
        let mut stream = TcpStream::connect(to).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some((text.split(' ').nth(1)?.parse().ok()?, text))
    };
    exchange().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(PAUSE);
    }
}

/// Lets the last change settle, and begins each at another place between two polls.
fn rest(number: u32) {
    thread::sleep(Duration::from_millis(1000) + Duration::from_millis(67) * number);
}

fn told(name: &'static str, words: &str, mut times: Vec<f64>) -> Figure {
    times.sort_by(f64::total_cmp);
    println!(
        "{words:34} n {:3}   p50 {:8.1} ms   max {:8.1} ms",
        times.len(),
        at(&times, 50),
        at(&times, 100)
    );
    (name, times)
}

/// The nearest rank of sorted figures.
fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}
