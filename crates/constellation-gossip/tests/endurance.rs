//! What only shows after a while: loss, load, storms, crash loops. Behind the feature `endurance`; a minute each at most.
//!
//! Where time is simulated, long stretches of it pass; where it is real, it is the machine's load that is tried.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests that also report what they measured")]

mod common;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{Cluster, Node, publication};
use constellation_gossip::{GossipSecurity, MemoryNetwork};

fn at(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 7946).into()
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn deaths(nodes: &[Node]) -> u64 {
    nodes.iter().map(|node| node.gossip.stats().deaths).sum()
}

fn minutes(default: u64) -> Duration {
    let wanted = std::env::var("ENDURANCE_MINUTES").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(60 * wanted.unwrap_or(default))
}

async fn in_memory(count: u8) -> (Cluster, MemoryNetwork, Vec<Node>) {
    let network = MemoryNetwork::new();
    let cluster = Cluster { security: GossipSecurity::Insecure, ..Cluster::on(Arc::new(network.clone())) };
    let mut nodes = Vec::new();
    for host in 1..=count {
        let state = Arc::new(tempfile::tempdir().unwrap());
        let mut config = cluster.config(&format!("n{host}"), state.path(), &[at(1)]);
        (config.listen, config.advertise) = (at(host), at(host));
        let node = cluster.start_with(config, state).await;
        node.gossip.publish(publication(&[&format!("n{host}-1")]));
        nodes.push(node);
    }
    for node in &nodes {
        node.sees("everybody", |view| view.live_nodes().count() == usize::from(count)).await;
    }
    (cluster, network, nodes)
}

#[tokio::test(start_paused = true)]
async fn at_one_datagram_in_five_lost_nobody_dies() {
    let (_cluster, network, nodes) = in_memory(5).await;
    network.lose(0.2);
    pass(minutes(20)).await;
    assert_eq!(deaths(&nodes), 0);
    nodes[0].kill().await;
    for node in &nodes[1..] {
        node.sees_dead("n1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_and_the_silence_after_it_kill_nobody() {
    let (_cluster, _network, nodes) = in_memory(5).await;
    for change in 0..1500 {
        for (index, node) in nodes.iter().enumerate() {
            node.gossip.publish(publication(&[&format!("c{index}-{change}")]));
        }
        pass(Duration::from_millis(20)).await;
    }
    pass(Duration::from_secs(120)).await;
    assert_eq!(deaths(&nodes), 0);
    for node in &nodes {
        node.sees_instance("c4-1499").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_leaves_handshakes_that_fit_and_the_others_in_peace() {
    let (cluster, _network, mut nodes) = in_memory(4).await;
    let mut looping = nodes.pop().unwrap();
    let (mut digest, mut runs) = (0, 0);
    for crash in 0..300 {
        looping.kill().await;
        let mut config = cluster.config("n4", looping.state.path(), &[at(1)]);
        (config.listen, config.advertise) = (at(4), at(4));
        looping = cluster.start_with(config, Arc::clone(&looping.state)).await;
        looping.gossip.publish(publication(&[&format!("run-{crash}")]));
        nodes[0].sees_instance(&format!("run-{crash}")).await;
        pass(Duration::from_secs(1)).await;
        let stats = nodes[0].gossip.stats();
        digest = digest.max(stats.traffic.digest_bytes);
        runs = runs.max(stats.runs);
    }
    println!("after 300 crashes: {runs} runs remembered at most, {digest} bytes of digest at most");
    assert!(digest < 16 * 1024, "{digest}");
    for node in &nodes[1..] {
        node.sees("four nodes", |view| view.live_nodes().count() == 4).await;
        assert_eq!(node.gossip.stats().restarts, 0);
    }
    pass(Duration::from_secs(5 * 60)).await;
    assert_eq!(nodes[0].gossip.stats().runs, 4, "the dead runs are forgotten");
}

#[tokio::test(start_paused = true)]
async fn thirty_nodes_idle_for_minutes_without_a_death() {
    let (_cluster, _network, nodes) = in_memory(30).await;
    pass(minutes(2)).await;
    assert_eq!(deaths(&nodes), 0);
}

/// Keeps a thread busy until it is dropped.
struct Busy(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Busy {
    fn start() -> Self {
        let on = Arc::new(AtomicBool::new(true));
        let thread = std::thread::spawn({
            let on = Arc::clone(&on);
            move || {
                while on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        Self(on, Some(thread))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().map(std::thread::JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_machine_with_far_too_much_to_do_nobody_dies() {
    let nodes = Cluster::sealed().of(5).await;
    let busy: Vec<Busy> = (0..6).map(|_| Busy::start()).collect();
    pass(Duration::from_secs(40)).await;
    assert_eq!(deaths(&nodes), 0);
    nodes[0].kill().await;
    for node in &nodes[1..] {
        node.sees_dead("n0").await;
    }
    drop(busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_for_a_while_blames_nobody() {
    // All nodes live in this process, and while both of its workers are held, none of them can listen. Each must find
    // that it was itself that was silent.
    let nodes = Cluster::sealed().of(4).await;
    for _ in 0..3 {
        let mut held = tokio::task::JoinSet::new();
        for _ in 0..2 {
            held.spawn(async { std::thread::sleep(Duration::from_secs(4)) });
        }
        while held.join_next().await.is_some() {}
        pass(Duration::from_secs(3)).await;
    }
    assert_eq!(deaths(&nodes), 0);
}
