//! How long a document takes: rendered from a view, checked, turned into bytes; the same after one change; and answered when nothing
//! changed.
//!
//! `cargo run --release -p constellation-traefik --example render_bench [services] [nodes]`; the last line is JSON.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on may end")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use constellation_core::{
    ClusterView, Endpoint, Generation, Health, Incarnation, Instance, NodeFacts, Protocol, RouteSet,
    WallTime,
    route::{HttpRouter, HttpService},
    view::NodeView,
};
use constellation_tasks::{Supervisor, SystemClock};
use constellation_traefik::{Provider, ProviderConfig, RenderConfig, Renderer, render};
use tokio::sync::watch;

const ROUNDS: usize = 200;

fn main() {
    let argument = |index: usize, default: u16| {
        std::env::args().nth(index).map_or(default, |text| text.parse().unwrap())
    };
    let (services, nodes) = (argument(1, 560), argument(2, 5));
    let view = view(services, nodes);
    let config = RenderConfig { domain: "example.org".parse().ok(), ..RenderConfig::default() };

    let document = render(&view, &config).document;
    let bytes = document.to_bytes().len();
    println!(
        "{services} services on {nodes} nodes: {} routers, {} services, {bytes} bytes",
        document.http.routers.len(),
        document.http.services.len()
    );
    let rendered = measure("render", || drop(std::hint::black_box(render(&view, &config))));
    let checked = measure("validate", || document.validate().unwrap());
    let written = measure("to bytes", || drop(std::hint::black_box(document.to_bytes())));
    let whole = measure("all of it anew", || {
        let document = Renderer::new(config.clone()).render(&view).document;
        document.validate().unwrap();
        drop(std::hint::black_box(document.to_bytes()));
    });
    let changed = changes(&view, &config);
    println!("wanted: all of it under 50 ms, one change under 5 ms");
    let answered = answers(&view, config);
    println!(
        "{{\"bench\":\"traefik_render\",\"services\":{services},\"nodes\":{nodes},\"bytes\":{bytes},\
         \"render_ms\":{},\"validate_ms\":{},\"to_bytes_ms\":{},\"whole_ms\":{},\"change_ms\":{},\
         \"answer_unchanged_ms\":{}}}",
        rendered.json(),
        checked.json(),
        written.json(),
        whole.json(),
        changed.json(),
        answered.json()
    );
}

/// How long it takes from a view in which one instance has fallen ill, or is well again, to the bytes that Traefik is given; what the
/// provider does for each change, with the document before that it replaces.
fn changes(view: &Arc<ClusterView>, config: &RenderConfig) -> Percentiles {
    let mut renderer = Renderer::new(config.clone());
    let mut served = renderer.render(view).document;
    let mut bytes = served.to_bytes();
    let mut views = (0..=ROUNDS).map(|round| with_one_ill(view, round / 2, round % 2 == 0));
    let mut next = views.next();
    measure_each("one change", || {
        let Some(view) = next.take() else { return Duration::ZERO };
        let (took, ()) = timed(|| {
            let update = renderer.render(&view);
            update.document.validate_parts(&update.changed.unwrap()).unwrap();
            if update.document != served {
                bytes = update.document.to_bytes();
                served = update.document;
            }
        });
        next = views.next();
        took
    })
}

/// A view in which only what one node says is another value, as gossip brings it.
fn with_one_ill(view: &ClusterView, number: usize, ill: bool) -> Arc<ClusterView> {
    let incarnations = view.members().enumerate().map(|(index, member)| {
        let mut node = Arc::clone(&member.node);
        if index == 0 {
            let said = Arc::make_mut(&mut node);
            let instances = said.instances.len();
            let instance = said.instances.values_mut().nth(number % instances).unwrap();
            instance.health = if ill { Health::Unhealthy } else { Health::Healthy };
        }
        Incarnation { node, live: member.live }
    });
    Arc::new(ClusterView::derive(view.me().clone(), view.version() + 1, incarnations))
}

/// How long an unchanged document takes to be answered over one kept connection, as Traefik asks.
fn answers(view: &Arc<ClusterView>, render: RenderConfig) -> Percentiles {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let supervisor = Supervisor::new();
    let (_views, receiver) = watch::channel(Arc::clone(view));
    let config = ProviderConfig { listen: ([127, 0, 0, 1], 0).into(), render, ..ProviderConfig::default() };
    let handle = runtime.block_on(async {
        let clock = Arc::new(SystemClock::start());
        let handle = Provider::start(config, receiver, &supervisor, clock).await.unwrap();
        handle.subscribe().wait_for(|served| served.document.is_some()).await.unwrap();
        handle
    });
    let (mut whole, mut health) = (client(handle.listen()), client(handle.listen()));
    measure("answer /health, for comparison", || ask(&mut health, "/health"));
    let answered = measure("answer, unchanged", || ask(&mut whole, "/api/dynamic"));
    runtime.block_on(supervisor.drain(Duration::from_secs(5)));
    answered
}

fn client(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::with_capacity(1 << 20, stream)
}

fn ask(stream: &mut BufReader<TcpStream>, path: &str) {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
}

struct Percentiles {
    half: f64,
    most: f64,
}

impl Percentiles {
    fn json(&self) -> String {
        format!("{{\"p50\":{:.3},\"p99\":{:.3}}}", self.half, self.most)
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

fn measure(what: &str, mut work: impl FnMut()) -> Percentiles {
    measure_each(what, || timed(&mut work).0)
}

fn measure_each(what: &str, mut work: impl FnMut() -> Duration) -> Percentiles {
    work();
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| work().as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(ROUNDS * percent / 100).min(ROUNDS - 1)];
    println!("{what:32} best {:8.3} ms   p50 {:8.3} ms   p99 {:8.3} ms", at(0), at(50), at(99));
    Percentiles { half: at(50), most: at(99) }
}

fn view(services: u16, nodes: u16) -> Arc<ClusterView> {
    let sets: Vec<(String, Arc<RouteSet>)> = (0..services)
        .map(|number| {
            let name = format!("service-{number}");
            let mut set = RouteSet { generated: name.parse().ok(), ..RouteSet::default() };
            let rule = format!("Host(`app-{number}.example.net`) && PathPrefix(`/`)");
            let router = HttpRouter { rule, service: name.clone(), ..HttpRouter::default() };
            set.routers.insert(name.parse().unwrap(), router);
            set.services.insert(name.parse().unwrap(), HttpService::to_port(8080));
            (name, Arc::new(set))
        })
        .collect();
    let incarnations = (0..nodes).map(|node| {
        let mut instances = BTreeMap::new();
        let mut routes = BTreeMap::new();
        for (number, (name, set)) in (0..).zip(&sets) {
            let address = ([10, 0, 0, u8::try_from(node + 1).unwrap()], 40_000 + number).into();
            let instance = Instance {
                id: format!("{node:04}{number:08}").parse().unwrap(),
                service: name.parse().unwrap(),
                health: Health::Healthy,
                since: WallTime(u64::from(number)),
                endpoints: vec![Endpoint { port: 8080, protocol: Protocol::Tcp, address }],
                networks: vec![],
                routes: Some(set.id()),
                definition: None,
                role: None,
            };
            routes.insert(set.id(), Arc::clone(set));
            instances.insert(instance.id.clone(), instance);
        }
        let facts = NodeFacts::at([10, 0, 0, u8::try_from(node + 1).unwrap()].into());
        let name = format!("node-{node}").parse().unwrap();
        let node = NodeView { name, generation: Generation(1), facts, instances, routes };
        Incarnation { node: Arc::new(node), live: true }
    });
    Arc::new(ClusterView::derive("node-0".parse().unwrap(), 1, incarnations))
}
