//! What the suites with a real Traefik stand on: backends that can fail in every way, a Traefik, and views by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may panic")]
#![allow(dead_code, unused_imports, reason = "each suite uses its part")]

mod backend;
mod traefik;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{
    ClusterView, Endpoint, Generation, Health, Incarnation, Instance, NodeFacts, Protocol, RouteSet,
    WallTime,
    route::{HttpRouter, HttpService},
    view::NodeView,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) use self::{
    backend::{Backend, Behaviour},
    traefik::{Stack, Traefik, free_port, unchunked},
};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An instance of a service at an address.
pub(crate) struct Placed<'a> {
    pub(crate) node: u8,
    pub(crate) service: &'a str,
    pub(crate) health: Health,
    pub(crate) at: SocketAddr,
    pub(crate) routes: &'a RouteSet,
}

/// The view of node n1 with these instances, each reached at its port 80.
pub(crate) fn view(version: u64, instances: &[Placed<'_>]) -> Arc<ClusterView> {
    let mut nodes: BTreeMap<u8, NodeView> = BTreeMap::new();
    for (index, placed) in instances.iter().enumerate() {
        let node = nodes.entry(placed.node).or_insert_with(|| NodeView {
            name: format!("n{}", placed.node).parse().unwrap(),
            generation: Generation(1),
            facts: NodeFacts::at([127, 0, 0, 10 + placed.node].into()),
            instances: BTreeMap::new(),
            routes: BTreeMap::new(),
        });
        let instance = Instance {
            id: format!("i{index}").parse().unwrap(),
            service: placed.service.parse().unwrap(),
            health: placed.health,
            since: WallTime(1),
            endpoints: vec![Endpoint { port: 80, protocol: Protocol::Tcp, address: placed.at }],
            networks: vec![],
            routes: Some(placed.routes.id()),
            definition: None,
            role: None,
        };
        node.routes.insert(placed.routes.id(), Arc::new(placed.routes.clone()));
        node.instances.insert(instance.id.clone(), instance);
    }
    let live = nodes.into_values().map(|node| Incarnation { node: Arc::new(node), live: true });
    Arc::new(ClusterView::derive("n1".parse().unwrap(), version, live))
}

/// One load balancer, and a router to it under `<service>.test`.
pub(crate) fn routes(service: &str, change: impl Fn(&mut HttpService)) -> RouteSet {
    let mut set = RouteSet { generated: service.parse().ok(), ..RouteSet::default() };
    let rule = format!("Host(`{service}.test`)");
    let router = HttpRouter { rule, service: service.to_owned(), ..HttpRouter::default() };
    set.routers.insert(service.parse().unwrap(), router);
    let mut balancer = HttpService::to_port(80);
    change(&mut balancer);
    set.services.insert(service.parse().unwrap(), balancer);
    set
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request on a connection of its own; status 0 where there was no answer in time.
pub(crate) async fn ask(
    to: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await.ok().flatten();
    answer.unwrap_or(Answer { status: 0, head: String::new(), body: String::new() })
}

/// Waits until something is so, looking again and again.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}
