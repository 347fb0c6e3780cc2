//! The gateway over real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use constellation_core::Protocol;
use constellation_proxy::{Forward, Gateway, GatewayConfig, GatewayHandle, PortRange, ProxyProtocol};
use constellation_tasks::{Drained, Early, Supervisor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A service that answers every connection with its name and then echoes.
async fn service(supervisor: &Supervisor, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let owner = supervisor.clone();
    supervisor.spawn(name, Early::Fine, async move {
        while let Ok((mut client, _)) = listener.accept().await {
            owner.spawn("connection", Early::Fine, async move {
                client.write_all(name.as_bytes()).await.unwrap();
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

fn forward(instance: &str, upstream: SocketAddr) -> Forward {
    let (service, instance) = ("web".parse().unwrap(), instance.parse().unwrap());
    Forward { service, instance, port: 80, protocol: Protocol::Tcp, upstream, greeting: None }
}

/// A range of its own per test, so that tests may run side by side.
fn config(ports: &str) -> GatewayConfig {
    let ports: PortRange = ports.parse().unwrap();
    let linger = Duration::from_millis(200);
    GatewayConfig { ports, linger, ..GatewayConfig::at("127.0.0.1".parse().unwrap()) }
}

async fn open(gateway: &GatewayHandle, forwards: impl IntoIterator<Item = Forward>) -> Vec<SocketAddr> {
    let opened = gateway.sync(forwards.into_iter().collect()).await.unwrap();
    assert!(opened.failed.is_empty(), "{:?}", opened.failed);
    opened.listening.into_values().collect()
}

async fn first_word(address: SocketAddr, length: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut word = vec![0; length];
    stream.read_exact(&mut word).await.unwrap();
    String::from_utf8(word).unwrap()
}

#[tokio::test]
async fn a_connection_to_the_mesh_address_reaches_the_container_and_back() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway = Gateway::start(config("41000-41019"), &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    let mut stream = TcpStream::connect(listen).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "onehello", "a half-closed connection still gets its answer");
}

#[tokio::test]
async fn a_container_that_asks_for_it_is_told_the_client_before_the_first_byte() {
    let supervisor = Supervisor::new();
    let container = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(config("41180-41199"), &supervisor).await;
    for (instance, version) in [("a", ProxyProtocol::V1), ("b", ProxyProtocol::V2)] {
        let greeted =
            Forward { greeting: Some(version), ..forward(instance, container.local_addr().unwrap()) };
        let listen = open(&gateway, [greeted]).await[0];
        let mut client = TcpStream::connect(listen).await.unwrap();
        let expected = [&version.header(client.local_addr().unwrap(), listen)[..], b"hello"].concat();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut received = Vec::new();
        container.accept().await.unwrap().0.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn a_container_with_a_new_address_keeps_its_port() {
    let supervisor = Supervisor::new();
    let (one, two) = (service(&supervisor, "one").await, service(&supervisor, "two").await);
    let gateway = Gateway::start(config("41020-41039"), &supervisor).await;
    let before = open(&gateway, [forward("a", one)]).await;
    assert_eq!(first_word(before[0], 3).await, "one");
    let after = open(&gateway, [forward("a", two)]).await;
    assert_eq!(before, after);
    assert_eq!(first_word(after[0], 3).await, "two");
}

#[tokio::test]
async fn an_endpoint_that_is_not_wanted_any_more_refuses_connections() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway = Gateway::start(config("41040-41059"), &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    assert_eq!(first_word(listen, 3).await, "one");
    open(&gateway, []).await;
    let refused = async {
        while TcpStream::connect(listen).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.unwrap();
}

#[tokio::test]
async fn a_port_of_another_program_is_left_alone() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let squatter = TcpListener::bind("127.0.0.1:41060").await.unwrap();
    let gateway = Gateway::start(config("41060-41061"), &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    assert_eq!(listen.port(), 41061);
    drop(squatter);
}

#[tokio::test]
async fn a_range_that_is_too_small_serves_what_fits_and_names_the_rest() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway = Gateway::start(config("41062-41062"), &supervisor).await;
    let wanted: BTreeSet<Forward> = [forward("a", upstream), forward("b", upstream)].into();
    let opened = gateway.sync(wanted).await.unwrap();
    assert_eq!((opened.listening.len(), opened.failed.len()), (1, 1));
    assert!(opened.failed[0].to_string().contains("--gateway-ports"));
}

#[tokio::test]
async fn ports_survive_a_restart_of_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let config = GatewayConfig { memory: Some(directory.path().join("ports.json")), ..config("41070-41099") };
    let mut seen = Vec::new();
    for instance in ["before", "after"] {
        let (services, agent) = (Supervisor::new(), Supervisor::new());
        let upstream = service(&services, "one").await;
        let gateway = Gateway::start(config.clone(), &agent).await;
        seen.push(open(&gateway, [forward(instance, upstream)]).await);
        assert_eq!(agent.drain(Duration::from_secs(5)).await, Drained::Clean);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_corrupt_memory_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let memory = directory.path().join("ports.json");
    std::fs::write(&memory, b"{ nonsense").unwrap();
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway =
        Gateway::start(GatewayConfig { memory: Some(memory), ..config("41100-41119") }, &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    assert_eq!(first_word(listen, 3).await, "one");
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed_at_once() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway =
        Gateway::start(GatewayConfig { connections_max: 1, ..config("41120-41139") }, &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    let mut first = TcpStream::connect(listen).await.unwrap();
    let mut word = [0; 3];
    first.read_exact(&mut word).await.unwrap();
    let mut second = TcpStream::connect(listen).await.unwrap();
    let answer = second.read(&mut word).await;
    assert!(matches!(answer, Ok(0) | Err(_)), "{answer:?}");
    let status = gateway.status().await.unwrap();
    assert_eq!((status[0].open, status[0].refused), (1, 1));
}

/// A connection that has heard its first word, so that it is open at the container, too.
async fn talking(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut word = [0; 3];
    stream.read_exact(&mut word).await.unwrap();
    stream
}

async fn echoes(stream: &mut TcpStream) {
    let mut heard = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
}

/// Ended by the gateway; how, does not matter.
async fn ends(stream: &mut TcpStream) {
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}

#[tokio::test]
async fn what_was_open_when_an_endpoint_closed_goes_on_and_is_told_to_drain() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let config = GatewayConfig { linger: Duration::from_secs(60), ..config("41300-41309") };
    let gateway = Gateway::start(config, &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    let mut client = talking(listen).await;
    open(&gateway, []).await;
    let status = gateway.status().await.unwrap();
    assert_eq!(status.iter().map(|of| (of.draining, of.open)).collect::<Vec<_>>(), [(true, 1)]);
    echoes(&mut client).await;
    client.shutdown().await.unwrap();
    ends(&mut client).await;
    let forgotten = async {
        while !gateway.status().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), forgotten).await.unwrap();
}

#[tokio::test]
async fn what_lingers_longer_than_it_may_is_ended() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway = Gateway::start(config("41330-41339"), &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    let mut client = talking(listen).await;
    open(&gateway, []).await;
    ends(&mut client).await;
}

#[tokio::test]
async fn connections_that_are_let_go_end_and_new_ones_are_taken_and_stay() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let gateway = Gateway::start(config("41310-41319"), &supervisor).await;
    let both = open(&gateway, [forward("a", upstream), forward("b", upstream)]).await;
    let (mut before, mut other) = (talking(both[0]).await, talking(both[1]).await);
    gateway.let_go([("web".parse().unwrap(), "a".parse().unwrap())].into()).await.unwrap();
    ends(&mut before).await;
    let mut after = talking(both[0]).await;
    echoes(&mut after).await;
    echoes(&mut other).await;
    let open: Vec<usize> = gateway.status().await.unwrap().iter().map(|of| of.open).collect();
    assert_eq!(open, [1, 1], "the place of the one that was cut is free");
}

#[tokio::test]
async fn what_was_let_go_keeps_its_time_when_more_is_let_go() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let patient = GatewayConfig { linger: Duration::from_secs(60), ..config("41330-41339") };
    let gateway = Gateway::start(patient, &supervisor).await;
    let listen = open(&gateway, [forward("a", upstream)]).await[0];
    let mut leaving = Vec::new();
    for _ in 0..5 {
        leaving.push(talking(listen).await);
        gateway.let_go([("web".parse().unwrap(), "a".parse().unwrap())].into()).await.unwrap();
    }
    // One that is taken after all of that: whatever was to be cut has been.
    echoes(&mut talking(listen).await).await;
    for connection in &mut leaving {
        echoes(connection).await;
    }
}

#[tokio::test]
async fn all_endpoints_together_take_no_more_than_the_gateway_may() {
    let supervisor = Supervisor::new();
    let upstream = service(&supervisor, "one").await;
    let config = GatewayConfig { connections_all_max: 1, ..config("41320-41329") };
    let gateway = Gateway::start(config, &supervisor).await;
    let both = open(&gateway, [forward("a", upstream), forward("b", upstream)]).await;
    let mut first = talking(both[0]).await;
    ends(&mut TcpStream::connect(both[1]).await.unwrap()).await;
    drop(first.shutdown().await);
    ends(&mut first).await;
    let again = async {
        while TcpStream::connect(both[1]).await.unwrap().read(&mut [0; 3]).await.unwrap_or(0) != 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
}
