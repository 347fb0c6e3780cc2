//! Agents that serve HTTP themselves, without a Traefik.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use support::{Cluster, Node, free_port, http, tls};

const HOST: &str = "whoami.example.test";

/// Starts nodes that each serve HTTP at an address of their own.
fn start(cluster: &Cluster, count: u8) -> (Vec<Node>, Vec<SocketAddr>) {
    let mut nodes: Vec<Node> = (1..=count).map(|number| cluster.node(number)).collect();
    let mut webs = Vec::new();
    for node in &mut nodes {
        let web = SocketAddr::new(node.address, free_port(node.address));
        node.set("ingress", format!("web={web}"));
        node.start();
        webs.push(web);
    }
    nodes.iter().for_each(|node| node.wait_for_members(usize::from(count)));
    (nodes, webs)
}

/// Who answers there.
fn asked(web: SocketAddr) -> Option<String> {
    let (status, body) = http::get(web, HOST, "/").ok()?;
    let name = String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned();
    (status == 200).then_some(name)
}

/// Requests one after the other until it is told to stop: how many there were, and those that failed.
fn load(web: SocketAddr, over: Arc<AtomicBool>) -> std::thread::JoinHandle<(usize, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut count, mut failed) = (0, Vec::new());
        while !over.load(Ordering::Relaxed) {
            count += 1;
            match http::get(web, HOST, "/") {
                Ok((200, _)) => {}
                other => failed.push(format!("{other:?}")),
            }
        }
        (count, failed)
    })
}

#[test]
fn a_node_serves_what_it_runs_itself_and_when_that_dies_what_others_run_without_a_failed_request() {
    let cluster = Cluster::new();
    let (nodes, webs) = start(&cluster, 3);
    nodes.iter().for_each(|node| node.whoami(&[]));
    nodes[0].wait("it answers itself", |_| asked(webs[0]).as_deref() == Some("Name: n1"));
    nodes[0].wait("all three are behind it", |node| {
        let status = node.ask(&["status"]).unwrap();
        let backends = status["ingress"]["backends"].as_array().unwrap().clone();
        backends.iter().filter(|backend| backend["service"] == "whoami").count() == 3
    });
    let over = Arc::new(AtomicBool::new(false));
    let loading = load(webs[0], Arc::clone(&over));
    // Its own is stopped, then the whole agent of another is killed.
    nodes[0].ask(&["process", "stop", "whoami"]);
    nodes[0].wait("another answers", |_| asked(webs[0]).is_some_and(|name| name != "Name: n1"));
    let mut nodes = nodes;
    nodes[1].kill();
    nodes[0].wait("the dead node is out", |node| node.servers().len() == 1);
    nodes[0].wait("the last one answers", |_| asked(webs[0]).as_deref() == Some("Name: n3"));
    over.store(true, Ordering::Relaxed);
    let (count, failed) = loading.join().unwrap();
    assert!(failed.is_empty(), "{} of {count} failed: {failed:?}", failed.len());
    let explained = nodes[0].ask(&["explain", HOST]).unwrap();
    let rows = explained["backends"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["breaker"] == "closed" && row["node"] == "n3"), "{explained}");
}

#[test]
fn a_rolling_restart_of_the_other_agents_fails_no_request() {
    let cluster = Cluster::new();
    let (mut nodes, webs) = start(&cluster, 3);
    nodes[1].whoami(&[]);
    nodes[2].whoami(&[]);
    nodes[0].wait("both are behind it", |node| node.servers().len() == 2);
    nodes[0].wait("it serves", |_| asked(webs[0]).is_some());
    let over = Arc::new(AtomicBool::new(false));
    let loading = load(webs[0], Arc::clone(&over));
    for number in [1, 2] {
        nodes[number].signal(rustix::process::Signal::TERM);
        assert!(nodes[number].wait_for_end().success());
        nodes[number].start();
        nodes[number].wait_for_members(3);
        nodes[0].wait("both are behind it again", |node| node.servers().len() == 2);
    }
    over.store(true, Ordering::Relaxed);
    let (count, failed) = loading.join().unwrap();
    assert!(count > 50 && failed.is_empty(), "{} of {count} failed: {failed:?}", failed.len());
}

#[test]
fn a_router_that_needs_traefik_is_refused_also_by_an_agent_that_was_killed_and_came_back() {
    let cluster = Cluster::new();
    let (mut nodes, webs) = start(&cluster, 2);
    nodes[1].whoami(&[]);
    let guarded = [
        "traefik.http.routers.admin.rule=Host(`admin.test`)",
        "traefik.http.routers.admin.middlewares=auth@file",
    ];
    let labels: Vec<&str> = ["constellation.service=admin", "traefik.enable=true"]
        .into_iter()
        .chain(guarded)
        .flat_map(|label| ["--label", label])
        .collect();
    nodes[1].run_whoami("admin", &labels, &[]);
    nodes[0].wait("it serves", |_| asked(webs[0]).is_some());
    nodes[0].wait("the guarded one is refused", |_| {
        http::get(webs[0], "admin.test", "/").is_ok_and(|(status, _)| status == 501)
    });
    assert_eq!(http::get(webs[0], "nobody.test", "/").unwrap().0, 404);
    // Killed and started again, it says of all of them what it said before, and never lets the guarded one through.
    nodes[0].kill();
    nodes[0].spawn();
    nodes[0].wait("it serves again", |_| asked(webs[0]).is_some());
    nodes[0].wait("it refuses the guard again", |_| {
        http::get(webs[0], "admin.test", "/").is_ok_and(|(status, _)| status == 501)
    });
    assert_eq!(http::get(webs[0], "nobody.test", "/").unwrap().0, 404);
}

#[test]
fn a_certificate_is_served_by_name_and_its_successor_while_open_connections_go_on() {
    let cluster = Cluster::new();
    let folder = cluster.directory.path().join("tls");
    std::fs::create_dir(&folder).unwrap();
    let first = tls::write(&folder, "site", &["*.example.test"]);
    let other = tls::write(&folder, "other", &["other.test"]);
    let mut node = cluster.node(1);
    let secure = SocketAddr::new(node.address, free_port(node.address));
    node.set("ingress", format!("websecure={secure}"));
    node.set("tls-entry-points", "websecure");
    node.set("tls-certificates", folder.display());
    node.start();
    node.whoami(&[]);
    let open = |host: &str| tls::Connection::open(secure, host);
    node.wait("it serves over TLS", |_| open(HOST).and_then(|mut it| it.get(HOST)) == Some(200));
    let mut early = open(HOST).unwrap();
    assert_eq!(early.shown(), first);
    assert_eq!(open("other.test").unwrap().shown(), other);
    assert!(open("nobody.test").is_none(), "nobody is shown the certificate of another site");

    let next = tls::write(&folder, "site", &["*.example.test"]);
    node.signal(rustix::process::Signal::HUP);
    node.wait("the successor is served", |_| open(HOST).is_some_and(|it| it.shown() == next));
    assert_eq!(early.get(HOST), Some(200), "what was open goes on");
    let status = node.ask(&["status"]).unwrap();
    assert_eq!(status["certificates"].as_array().unwrap().len(), 2);

    std::fs::write(folder.join("site.crt"), "rubbish").unwrap();
    node.signal(rustix::process::Signal::HUP);
    node.wait("what is wrong is said", |node| node.problems().contains("still served"));
    assert_eq!(open(HOST).unwrap().shown(), next);
}

#[test]
fn an_entry_point_with_tls_and_without_certificates_is_refused_at_the_start() {
    let cluster = Cluster::new();
    let mut node = cluster.node(1);
    node.set("ingress", format!("websecure={}:1", node.address));
    node.set("tls-entry-points", "websecure");
    assert!(node.refuses_to_start().contains("--tls-certificates"));
}
