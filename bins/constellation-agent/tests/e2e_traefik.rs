//! Agents with a real Traefik that polls one of them. `cargo xtask test` says where the binary is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use constellation_traefik::{StaticConfig, static_config};
use rustix::process::{Signal, kill_process};
use support::{Cluster, Node, http, tls};

const HOST: &str = "whoami.example.test";

struct Traefik {
    process: Child,
    web: SocketAddr,
    secure: SocketAddr,
    api: SocketAddr,
}

impl Traefik {
    fn start(cluster: &Cluster, node: &Node) -> Self {
        let binary = std::env::var("CONSTELLATION_E2E_TRAEFIK").unwrap_or_else(|_| {
            panic!("CONSTELLATION_E2E_TRAEFIK is not set: run this suite by `cargo xtask test`")
        });
        let listen = || SocketAddr::new(node.address, support::free_port(node.address));
        let (web, secure, api) = (listen(), listen(), listen());
        let config = StaticConfig {
            entry_points: vec![("web".to_owned(), web), ("websecure".to_owned(), secure)],
            api,
            ..StaticConfig::for_provider(node.provider)
        };
        let log = std::fs::File::create(cluster.directory.path().join("traefik.log")).unwrap();
        let process = Command::new(binary)
            .args(static_config(&config))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, web, secure, api }
    }

    fn answer(&self) -> Option<(u16, String)> {
        let (status, body) = http::get(self.web, HOST, "/").ok()?;
        Some((status, String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned()))
    }

    fn answered_by(&self, requests: usize) -> BTreeSet<String> {
        (0..requests)
            .filter_map(|_| self.answer())
            .filter(|(status, _)| *status == 200)
            .map(|(_, name)| name)
            .collect()
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn requests_are_answered_by_each_node_in_turn_and_traefik_accepts_every_router() {
    let cluster = Cluster::new();
    let nodes = cluster.start(3);
    nodes.iter().for_each(|node| node.whoami(&[]));
    let traefik = Traefik::start(&cluster, &nodes[0]);
    let all: BTreeSet<String> = (1..=3).map(|node| format!("Name: n{node}")).collect();
    nodes[0].wait("each node answers", |_| traefik.answered_by(9) == all);
    let (_, body) = http::get(traefik.api, "localhost", "/api/http/routers").unwrap();
    let routers: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let ours: Vec<_> =
        routers.as_array().unwrap().iter().filter(|router| router["provider"] == "http").collect();
    assert!(ours.len() >= 4, "one for the service and one for each node: {routers:#}");
    assert!(ours.iter().all(|router| router["status"] == "enabled"), "{routers:#}");
}

#[test]
fn when_the_last_backend_dies_the_answer_is_503_and_not_404() {
    let cluster = Cluster::new();
    let nodes = cluster.start(1);
    nodes[0].whoami(&[]);
    let traefik = Traefik::start(&cluster, &nodes[0]);
    nodes[0].wait("it is answered", |_| traefik.answer().is_some_and(|(status, _)| status == 200));
    nodes[0].ask(&["process", "stop", "whoami"]);
    nodes[0].wait("503", |_| traefik.answer().is_some_and(|(status, _)| status == 503));
}

/// Requests of one load, at least: enough that one in a hundred that fails is seen.
const REQUESTS_MIN: usize = 200;

/// Asks all the time, from four threads, while something happens and until it was enough; how many of how many requests
/// failed.
fn under_load(traefik: &Traefik, what: impl FnOnce()) -> (usize, usize) {
    let (stop, asked, failed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if traefik.answer().is_none_or(|(status, _)| status != 200) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        // The load must end before a failed expectation leaves this scope, or it would wait for ever.
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        // Each request ends, answered or not, so this count is reached.
        while happened.is_ok() && asked.load(Ordering::Relaxed) < REQUESTS_MIN {
            support::pause();
        }
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = happened {
            std::panic::resume_unwind(panic);
        }
    });
    (failed.into_inner(), asked.into_inner())
}

#[test]
fn no_get_fails_when_a_backend_is_killed() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    nodes.iter().for_each(|node| node.whoami(&[]));
    let traefik = Traefik::start(&cluster, &nodes[0]);
    nodes[0].wait("both answer", |_| traefik.answered_by(6).len() == 2);
    let (failed, asked) = under_load(&traefik, || {
        let pid = nodes[1].process_pid("whoami").unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        nodes[1].wait("it has been started again", |node| {
            node.process_pid("whoami").is_some_and(|now| now != pid)
        });
        nodes[0].wait("both answer again", |_| traefik.answered_by(6).len() == 2);
    });
    assert_eq!(failed, 0, "of {asked}");
}

#[test]
fn no_get_fails_when_another_agent_is_killed_and_returns() {
    let cluster = Cluster::new();
    // With two nodes, the one that is left could not tell that it is not itself the one that is cut off.
    let mut nodes = cluster.start(3);
    nodes.iter().for_each(|node| node.whoami(&[]));
    let traefik = Traefik::start(&cluster, &nodes[0]);
    nodes[0].wait("all answer", |_| traefik.answered_by(9).len() == 3);
    let mut other = nodes.pop().unwrap();
    let (failed, asked) = under_load(&traefik, || {
        other.kill();
        nodes[0].wait("its server is gone", |node| node.servers().len() == 2);
        other.start();
        nodes[0].wait("all answer again", |_| traefik.answered_by(9).len() == 3);
    });
    assert_eq!(failed, 0, "of {asked}");
}

#[test]
fn no_get_fails_when_an_agent_leaves_in_order() {
    let cluster = Cluster::new();
    let mut nodes = cluster.start(2);
    nodes.iter().for_each(|node| node.whoami(&[]));
    let traefik = Traefik::start(&cluster, &nodes[0]);
    nodes[0].wait("both answer", |_| traefik.answered_by(6).len() == 2);
    let mut leaver = nodes.pop().unwrap();
    let (failed, asked) = under_load(&traefik, || {
        leaver.signal(Signal::TERM);
        assert!(leaver.wait_for_end().success());
    });
    assert_eq!(failed, 0, "of {asked}");
}

#[test]
fn certificates_from_files_are_served_by_traefik_and_change_while_connections_go_on() {
    let cluster = Cluster::new();
    let folder = cluster.directory.path().join("tls");
    std::fs::create_dir(&folder).unwrap();
    let first = tls::write(&folder, "site", &["*.example.test"]);
    let mut node = cluster.node(1);
    node.set("tls-entry-points", "websecure");
    node.set("tls-certificates", folder.display());
    node.start();
    node.whoami(&[]);
    let traefik = Traefik::start(&cluster, &node);
    let open = || tls::Connection::open(traefik.secure, HOST);
    node.wait("Traefik serves over TLS", |_| {
        open().is_some_and(|mut it| it.shown() == first && it.get(HOST) == Some(200))
    });
    let mut early = open().unwrap();
    let next = tls::write(&folder, "site", &["*.example.test"]);
    node.wait("Traefik serves the successor", |_| open().is_some_and(|it| it.shown() == next));
    assert_eq!(early.get(HOST), Some(200), "what was open goes on");

    let kept = std::fs::read_to_string(node.data.join("traefik-last-known-good.json")).unwrap();
    assert!(kept.contains(HOST) && !kept.contains("PRIVATE KEY"), "no key is written anywhere else");
}

#[test]
fn a_service_that_asks_for_it_goes_through_the_agents_own_proxy_and_fails_over_there() {
    let cluster = Cluster::new();
    let mut nodes: Vec<Node> = (1..=2).map(|number| cluster.node(number)).collect();
    for node in &mut nodes {
        node.set("proxy-listen", SocketAddr::new(node.address, support::free_port(node.address)));
        node.start();
        node.whoami(&["--label", "constellation.proxy=true"]);
    }
    nodes.iter().for_each(|node| node.wait_for_members(2));
    let traefik = Traefik::start(&cluster, &nodes[0]);
    let counted = |node: &Node| {
        let status = node.ask(&["status"]).unwrap();
        let backends = status["ingress"]["backends"].as_array().unwrap().len();
        (backends, status["ingress"]["answers"][1].as_u64().unwrap())
    };
    nodes[0].wait("Traefik serves it, and the proxy knows both", |node| {
        traefik.answer().is_some_and(|(status, _)| status == 200) && counted(node).0 >= 2
    });
    let before = counted(&nodes[0]).1;
    assert_eq!(traefik.answered_by(10), BTreeSet::from(["Name: n1".to_owned()]), "what is near goes first");
    assert!(counted(&nodes[0]).1 >= before + 10, "every request went through the proxy");

    nodes[0].ask(&["process", "stop", "whoami"]);
    for _ in 0..50 {
        assert_eq!(traefik.answer().map(|(status, _)| status), Some(200));
    }
    nodes[0].wait("the other answers", |_| traefik.answer().is_some_and(|(_, name)| name == "Name: n2"));
}
