//! The gateway for datagrams, over real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use constellation_core::Protocol;
use constellation_proxy::{Forward, Gateway, GatewayConfig, GatewayHandle, GatewayStatus};
use constellation_tasks::{Early, Supervisor};
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_secs(10);

/// A service that answers every datagram with its name, who asked it, and what was said.
async fn service(supervisor: &Supervisor, name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    supervisor.spawn(name, Early::Fine, async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let _ = socket.send_to(format!("{name} {} {said}", from.port()).as_bytes(), from).await;
        }
    });
    address
}

fn forward(upstream: SocketAddr) -> Forward {
    let (service, instance) = ("dns".parse().unwrap(), "a".parse().unwrap());
    Forward { service, instance, port: 53, protocol: Protocol::Udp, upstream, greeting: None }
}

fn config(ports: &str) -> GatewayConfig {
    GatewayConfig { ports: ports.parse().unwrap(), ..GatewayConfig::at("127.0.0.1".parse().unwrap()) }
}

async fn open(gateway: &GatewayHandle, upstream: SocketAddr) -> SocketAddr {
    let opened = gateway.sync(BTreeSet::from([forward(upstream)])).await.unwrap();
    assert!(opened.failed.is_empty(), "{:?}", opened.failed);
    opened.listening.into_values().next().unwrap()
}

async fn client(listen: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(listen).await.unwrap();
    socket
}

/// Asks until an answer comes: a datagram may get lost.
async fn ask(client: &UdpSocket, said: &str) -> String {
    let asking = async {
        loop {
            let _ = client.send(said.as_bytes()).await;
            let mut buffer = vec![0; 65_535];
            let answer = tokio::time::timeout(Duration::from_millis(300), client.recv(&mut buffer)).await;
            if let Ok(Ok(length)) = answer {
                return String::from_utf8_lossy(&buffer[..length]).into_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

async fn until(gateway: &GatewayHandle, what: &str, holds: impl Fn(&GatewayStatus) -> bool) {
    let waiting = async {
        while !holds(&gateway.status().await.unwrap()[0]) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}: {:?}", gateway.status().await);
}

/// Who the service was asked by.
fn session(answer: &str) -> String {
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn each_client_has_a_session_of_its_own_and_keeps_it() {
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config("41200-41209"), &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    let (a, b) = (client(listen).await, client(listen).await);
    let (first, other) = (ask(&a, "hello").await, ask(&b, "hi").await);
    assert!(first.starts_with("one ") && first.ends_with(" hello"), "{first}");
    assert_ne!(session(&first), session(&other));
    assert_eq!(session(&ask(&a, "again").await), session(&first));
    let status = gateway.status().await.unwrap();
    assert_eq!((status[0].protocol, status[0].open), (Protocol::Udp, 2));
    let large = "x".repeat(50_000);
    assert!(ask(&a, &large).await.ends_with(&large));
}

#[tokio::test]
async fn the_first_datagram_of_a_session_arrives() {
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config("41250-41259"), &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    for _ in 0..20 {
        let a = client(listen).await;
        a.send(b"once").await.unwrap();
        let mut buffer = [0; 100];
        tokio::time::timeout(PATIENCE, a.recv(&mut buffer)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_session_that_is_silent_ends_and_its_client_gets_another() {
    let supervisor = Supervisor::new();
    let quick = GatewayConfig { session_idle: Duration::from_millis(100), ..config("41210-41219") };
    let gateway = Gateway::start(quick, &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    let a = client(listen).await;
    ask(&a, "hello").await;
    until(&gateway, "the session ends", |status| status.open == 0).await;
    assert!(ask(&a, "back").await.ends_with("back"));
}

#[tokio::test]
async fn a_container_that_moves_is_followed_and_the_port_stays() {
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config("41220-41229"), &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    let a = client(listen).await;
    assert!(ask(&a, "x").await.starts_with("one"));
    assert_eq!(open(&gateway, service(&supervisor, "two").await).await, listen);
    let moved = async { while !ask(&a, "x").await.starts_with("two") {} };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
}

#[tokio::test]
async fn clients_beyond_the_bound_are_dropped_and_counted_and_those_before_them_served() {
    let supervisor = Supervisor::new();
    let few = GatewayConfig { connections_max: 50, ..config("41230-41239") };
    let gateway = Gateway::start(few, &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    let first = client(listen).await;
    ask(&first, "first").await;
    for _ in 0..300 {
        let _ = client(listen).await.send(b"flood").await;
    }
    until(&gateway, "the flood is dropped", |status| status.refused > 0).await;
    assert!(gateway.status().await.unwrap()[0].open <= 50);
    assert!(ask(&first, "still").await.ends_with("still"));
}

#[tokio::test]
async fn what_is_routed_no_more_is_closed_and_nobody_listens_elsewhere() {
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config("41240-41249"), &supervisor).await;
    let listen = open(&gateway, service(&supervisor, "one").await).await;
    // The same port at another address of this machine is free.
    UdpSocket::bind(("127.0.0.2", listen.port())).await.unwrap();
    gateway.sync(BTreeSet::new()).await.unwrap();
    let freed = async {
        while UdpSocket::bind(listen).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.unwrap();
}

#[tokio::test]
async fn all_endpoints_together_take_no_more_sessions_than_the_gateway_may() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let config = GatewayConfig { sessions_all_max: 1, ..config("41270-41279") };
    let gateway = Gateway::start(config, &supervisor).await;
    let (a, b) = (forward(upstream), Forward { instance: "b".parse().unwrap(), ..forward(upstream) });
    let opened = gateway.sync([a, b.clone()].into()).await.unwrap();
    let listen: Vec<SocketAddr> = opened.listening.into_values().collect();
    let (first, second) = (client(listen[0]).await, client(listen[1]).await);
    ask(&first, "hello").await;
    let refused = async {
        while gateway.status().await.unwrap()[1].refused == 0 {
            second.send(b"hello").await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    // The other endpoint is closed, and its session gives its place back.
    gateway.sync([b].into()).await.unwrap();
    assert!(ask(&second, "now").await.ends_with("now"));
}

/// Sends without a pause until this service answers.
async fn press(client: &UdpSocket, name: &str) {
    let mut buffer = [0; 100];
    loop {
        for _ in 0..20 {
            let _ = client.send(b"x").await;
        }
        while let Ok(length) = client.try_recv(&mut buffer) {
            if buffer[..length].starts_with(name.as_bytes()) {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_while_the_container_moves_gets_one_session_for_each_place() {
    const CLIENTS: usize = 8;
    const MOVES: usize = 20;
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config("41280-41289"), &supervisor).await;
    let mut clients = Vec::new();
    for place in 0..MOVES {
        // A name of its own: answers of the places before may still be on their way.
        let name: &'static str = format!("place-{place:02}").leak();
        let listen = open(&gateway, service(&supervisor, name).await).await;
        while clients.len() < CLIENTS {
            clients.push(client(listen).await);
        }
        let all = futures::future::join_all(clients.iter().map(|client| press(client, name)));
        tokio::time::timeout(PATIENCE, all).await.unwrap();
    }
    until(&gateway, "one session for each client", |status| status.open == CLIENTS).await;
    assert_eq!(gateway.status().await.unwrap()[0].accepted, (CLIENTS * MOVES) as u64);
}
