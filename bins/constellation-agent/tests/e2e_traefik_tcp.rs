//! What a container on another node reads of a TCP connection through a real Traefik and the mesh gateway. `cargo xtask test` says
//! where the binary is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use constellation_proxy::ProxyProtocol;
use support::{Cluster, Node, traefik::Traefik};

/// A container on a node whose TCP port is this test, and that is routed by the entry point `db`.
fn container(node: &Node, more: &[String]) -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut labels = vec![
        "traefik.enable=true".to_owned(),
        "constellation.service=db".to_owned(),
        "traefik.tcp.routers.db.rule=HostSNI(`*`)".to_owned(),
        "traefik.tcp.routers.db.entrypoints=db".to_owned(),
        format!("traefik.tcp.services.db.loadbalancer.server.port={port}"),
    ];
    labels.extend_from_slice(more);
    let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    node.run("db", port, &labels, &[], &["sleep", "3600"]);
    listener
}

/// Where a node is told to send connections to.
fn server(node: &Node) -> Option<SocketAddr> {
    let document = node.document()?;
    document["tcp"]["services"]["db"]["loadBalancer"]["servers"][0]["address"].as_str()?.parse().ok()
}

/// Says something and hangs up; the client's own address. `None` while nobody listens.
fn say_hello(to: SocketAddr) -> Option<SocketAddr> {
    let mut client = TcpStream::connect(to).ok()?;
    client.write_all(b"hello").ok()?;
    client.shutdown(Shutdown::Write).ok()?;
    client.local_addr().ok()
}

/// All that the container reads of the next connection; `None` while there is none.
fn received(container: &TcpListener) -> Option<Vec<u8>> {
    container.set_nonblocking(true).unwrap();
    let (mut connection, _) = container.accept().ok()?;
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut all = Vec::new();
    connection.read_to_end(&mut all).unwrap();
    Some(all)
}

fn greeted(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    [&version.header(from, to)[..], b"hello"].concat()
}

fn traefik_greets(number: u8, version: ProxyProtocol) {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    let label = format!("traefik.tcp.services.db.loadbalancer.proxyprotocol.version={number}");
    let container = container(&nodes[1], &[label]);
    nodes[0].wait("it is routed", |node| server(node).is_some());
    assert_eq!(server(&nodes[0]).unwrap().ip(), nodes[1].address, "through the other node's gateway");
    let traefik = Traefik::start(&cluster, &nodes[0], "db");
    // Until Traefik has read the document it closes what it accepts, so several may have asked before the first arrives.
    let (mut clients, mut first) = (Vec::new(), None);
    nodes[0].wait("it arrives", |_| {
        clients.extend(say_hello(traefik.listen));
        first = received(&container);
        first.is_some()
    });
    let expected: Vec<_> = clients.iter().map(|client| greeted(version, *client, traefik.listen)).collect();
    assert!(expected.contains(first.as_ref().unwrap()), "{first:?} is none of {expected:?}");
}

#[test]
fn the_header_that_traefik_greets_with_passes_the_gateway_as_it_is_version_1() {
    traefik_greets(1, ProxyProtocol::V1);
}

#[test]
fn the_header_that_traefik_greets_with_passes_the_gateway_as_it_is_version_2() {
    traefik_greets(2, ProxyProtocol::V2);
}

#[test]
fn the_gateway_greets_a_container_that_asks_for_it_with_the_client_that_it_sees() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    let container = container(&nodes[1], &["constellation.gateway-proxy-protocol=1".to_owned()]);
    nodes[0].wait("it is routed", |node| server(node).is_some());
    let gateway = server(&nodes[0]).unwrap();
    let client = say_hello(gateway).unwrap();
    let mut first = None;
    nodes[1].wait("it arrives", |_| {
        first = received(&container);
        first.is_some()
    });
    assert_eq!(first, Some(greeted(ProxyProtocol::V1, client, gateway)));
}
