//! A TCP route that follows the primary of a real Redis, through a real Traefik. `cargo xtask test` says where its binary is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::process::{Signal, kill_process};
use support::{Cluster, Node, traefik::Traefik};

/// One command on a connection of its own, and the first line of its answer, or of the answer's last part where it has several.
fn redis(at: SocketAddr, command: &str, lines: usize) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let answer: Option<Vec<String>> =
        BufReader::new(stream).lines().take(lines).map(Result::ok).collect::<Option<_>>();
    answer?.pop()
}

/// The port by which a Redis knows itself: who answers, through whatever is between.
fn who(at: SocketAddr) -> Option<u16> {
    redis(at, "CONFIG GET port", 5)?.parse().ok()
}

/// Starts a Redis on a node, in a service whose route follows the primary; where this machine reaches it.
fn run_redis(node: &Node, follows: Option<SocketAddr>) -> SocketAddr {
    let port = support::free_port(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let tcp = "traefik.tcp";
    let labels: Vec<String> = [
        "traefik.enable=true".to_owned(),
        "constellation.service=redis".to_owned(),
        "constellation.role-probe=redis".to_owned(),
        "constellation.route-role=primary".to_owned(),
        format!("{tcp}.routers.redis.rule=HostSNI(`*`)"),
        format!("{tcp}.routers.redis.entrypoints=redis"),
        format!("{tcp}.services.redis.loadbalancer.server.port={port}"),
    ]
    .into_iter()
    .flat_map(|label| ["--label".to_owned(), label])
    .collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let text = port.to_string();
    let mut program =
        vec!["redis-server", "--port", &text, "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];
    let leader = follows.map(|leader| format!("{} {}", leader.ip(), leader.port()));
    if let Some(leader) = &leader {
        program.extend(["--replicaof", leader]);
    }
    node.run("redis", port, &labels, &[], &program);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    node.wait("Redis answers", |_| redis(at, "PING", 1).as_deref() == Some("+PONG"));
    at
}

/// How many servers the route has in a node's document.
fn servers(node: &Node) -> Option<usize> {
    let document = node.document()?;
    Some(document["tcp"]["services"]["redis"]["loadBalancer"]["servers"].as_array()?.len())
}

#[test]
fn a_route_leads_to_the_primary_through_a_failover_and_to_nobody_while_that_is_in_doubt() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    let first = run_redis(&nodes[0], None);
    let second = run_redis(&nodes[1], Some(first));
    let traefik = Traefik::start(&cluster, &nodes[0], "redis");
    let leads_to = |redis: SocketAddr| {
        for node in &nodes {
            node.wait("one server", |node| servers(node) == Some(1));
        }
        nodes[0].wait("Traefik leads to the primary", |_| who(traefik.listen) == Some(redis.port()));
    };
    leads_to(first);
    assert_eq!(redis(traefik.listen, "SET before 1", 1).as_deref(), Some("+OK"));
    let roles = |node: &Node| -> Vec<String> {
        let services = node.ask(&["services"]).unwrap();
        services
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["role"].as_str().unwrap_or("none").to_owned())
            .collect()
    };
    nodes[1].wait("any node knows the roles", |node| roles(node) == ["primary", "replica"]);
    let answer = nodes[1].ask(&["explain", "tcp://", "--entry-point", "redis"]).unwrap();
    assert_eq!(answer["routers"][0]["name"], "redis", "{answer}");
    let why = |row: usize| answer["backends"][row]["why"].as_str().unwrap();
    assert!(answer["backends"][0]["node"] == "n1" && answer["backends"][0]["server"].is_string(), "{answer}");
    assert!(
        answer["backends"][1]["server"].is_null() && why(1).contains("it is not the primary"),
        "{answer}"
    );
    assert!(nodes[1].ask(&["explain", "tcp://", "--entry-point", "web"]).unwrap()["routers"][0].is_null());
    nodes[1].wait("the replica has it", |_| redis(second, "GET before", 2).as_deref() == Some("1"));

    // A switch-over by hand: for as long as both say that they are the primary, writes would be lost at one of them.
    assert_eq!(redis(second, "REPLICAOF NO ONE", 1).as_deref(), Some("+OK"));
    nodes[0].wait("neither of two primaries", |node| servers(node) == Some(0));
    nodes[0].wait("it is said", |node| node.problems().contains("not the only one that says"));
    let follow = format!("REPLICAOF {} {}", second.ip(), second.port());
    assert_eq!(redis(first, &follow, 1).as_deref(), Some("+OK"));
    leads_to(second);
    assert_eq!(redis(traefik.listen, "SET after 1", 1).as_deref(), Some("+OK"));

    // The primary dies, and the other is promoted.
    nodes[1].ask(&["process", "stop", "redis"]);
    nodes[0].wait("nobody is left", |node| servers(node) == Some(0));
    assert_eq!(redis(first, "REPLICAOF NO ONE", 1).as_deref(), Some("+OK"));
    leads_to(first);
    assert_eq!(redis(traefik.listen, "GET after", 2).as_deref(), Some("1"));

    // It hangs: its process is there, and says nothing.
    let pid = nodes[0].process_pid("redis").unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    nodes[1].wait("one that does not answer has no role", |node| servers(node) == Some(0));
    nodes[0].wait("it is said", |node| node.problems().contains("its role is not known"));
    kill_process(pid, Signal::CONT).unwrap();
    leads_to(first);
}
