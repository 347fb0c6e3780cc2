//! Nodes on a network in memory, in time that jumps from event to event: partitions, broken interfaces, calendars.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::{Cluster, Node, eventually, has, publication, tap::Tap};
use constellation_core::Clock;
use constellation_gossip::{DatagramNetwork, GossipSecurity, MemoryNetwork, Reason};

fn at(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 7946).into()
}

/// An unsealed cluster in memory: what is told here does not depend on the seal, and the seal costs time.
fn in_memory() -> (Cluster, MemoryNetwork) {
    let network = MemoryNetwork::new();
    let cluster = Cluster { security: GossipSecurity::Insecure, ..Cluster::on(Arc::new(network.clone())) };
    (cluster, network)
}

async fn start(cluster: &Cluster, name: &str, host: u8, seeds: &[SocketAddr]) -> Node {
    let state = Arc::new(tempfile::tempdir().unwrap());
    let mut config = cluster.config(name, state.path(), seeds);
    (config.listen, config.advertise) = (at(host), at(host));
    let node = cluster.start_with(config, state).await;
    node.gossip.publish(publication(&[&format!("{name}-{host}")]));
    node
}

/// Four nodes `a` to `d` on hosts 1 to 4.
async fn four(cluster: &Cluster) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (host, name) in (1u8..).zip(["a", "b", "c", "d"]) {
        nodes.push(start(cluster, name, host, &[at(1)]).await);
    }
    for node in &nodes {
        node.sees("four nodes", |view| view.live_nodes().count() == 4).await;
    }
    nodes
}

fn cut(network: &MemoryNetwork, left: &[u8], right: &[u8]) {
    for one in left {
        for other in right {
            network.cut(at(*one), at(*other));
        }
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_a_partition_lose_and_find_each_other() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    cut(&network, &[1, 2], &[3, 4]);
    for (index, lost) in [(0, ["c", "d"]), (1, ["c", "d"]), (2, ["a", "b"]), (3, ["a", "b"])] {
        for name in lost {
            nodes[index].sees_dead(name).await;
        }
    }
    assert!(nodes[0].gossip.view().borrow().evidence().looks_cut_off(), "it sees one of three");
    network.heal();
    for node in &nodes {
        node.sees("four nodes", |view| view.live_nodes().count() == 4).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_longer_than_chitchats_memory_nodes_still_find_each_other() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    cut(&network, &[1], &[2, 3, 4]);
    nodes[1].sees_dead("a").await;
    pass(Duration::from_secs(10 * 60)).await;
    assert_eq!(nodes[1].gossip.stats().runs, 3, "chitchat has forgotten it");
    nodes[1].gossip.publish(publication(&["meanwhile"]));
    network.heal();
    nodes[0].sees_instance("meanwhile").await;
    nodes[3].sees_live("a").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_machines_with_one_name_that_meet_the_younger_withdraws_until_the_other_is_gone() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    cut(&network, &[1, 2], &[3, 4, 5]);
    nodes[2].sees_dead("a").await;
    let younger = start(&cluster, "a", 5, &[at(3)]).await;
    nodes[2].sees_instance("a-5").await;
    nodes[3].sees_instance("a-5").await;
    network.heal();
    eventually("that the younger knows of the older", || younger.gossip.stats().conflict == Some(at(1)))
        .await;
    for node in &nodes {
        node.sees("the older alone", |view| has(view, "a-1") && !has(view, "a-5")).await;
    }
    assert_eq!(nodes[0].gossip.stats().conflict, None);
    assert!(has(&younger.gossip.view().borrow(), "a-5"), "its own containers are still its own");
    nodes[0].kill().await;
    eventually("that the younger has the name", || younger.gossip.stats().conflict.is_none()).await;
    for node in &nodes[1..] {
        node.sees_instance("a-5").await;
    }
}

#[tokio::test(start_paused = true)]
async fn gossip_that_ended_is_started_again_as_a_new_generation_and_tells_everything_anew() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    let before = nodes[0].gossip.stats().generation;
    for restart in 1..=3 {
        let run = nodes[0].gossip.stats().generation;
        network.fail_receiving(at(1), 50);
        eventually("a new run", || nodes[0].gossip.stats().generation > run).await;
        assert_eq!(nodes[0].gossip.stats().restarts, restart);
        for node in &nodes {
            node.sees("everybody", |view| view.live_nodes().count() == 4 && has(view, "a-1")).await;
        }
    }
    let stats = nodes[0].gossip.stats();
    assert!(stats.generation > before);
    assert!(stats.last_restart.unwrap().contains("receives nothing"));
    assert_eq!(stats.deaths, 0, "nobody was lost because we were away");
}

#[tokio::test(start_paused = true)]
async fn a_few_failures_to_receive_end_nothing() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    network.fail_receiving(at(1), 10);
    eventually("ten failures", || nodes[0].gossip.stats().traffic.receive_errors == 10).await;
    nodes[1].gossip.publish(publication(&["after"]));
    nodes[0].sees_instance("after").await;
    assert_eq!(nodes[0].gossip.stats().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_calendar_that_jumps_kills_nobody_and_generations_still_rise() {
    let (cluster, network) = in_memory();
    let nodes = four(&cluster).await;
    let before = nodes[0].gossip.stats().generation;
    for calendar in [u64::MAX / 2, 0] {
        cluster.clock.set(calendar);
        pass(Duration::from_secs(30)).await;
    }
    for node in &nodes {
        assert_eq!(node.gossip.stats().deaths, 0);
    }
    network.fail_receiving(at(1), 50);
    eventually("a new run", || nodes[0].gossip.stats().generation > before).await;
    nodes[1].sees_instance("a-1").await;
}

#[tokio::test(start_paused = true)]
async fn ten_idle_minutes_pass_without_a_death_or_a_change() {
    let (cluster, _network) = in_memory();
    let nodes = four(&cluster).await;
    let versions = || nodes.iter().map(|node| node.gossip.view().borrow().version()).collect::<Vec<_>>();
    for node in &nodes {
        node.sees("all instances", |view| view.instances().count() == 4).await;
    }
    let before = versions();
    pass(Duration::from_secs(600)).await;
    assert_eq!(versions(), before);
    assert_eq!(nodes.iter().map(|node| node.gossip.stats().deaths).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn seeds_that_are_named_later_are_asked() {
    let (cluster, _network) = in_memory();
    let (a, b) = (start(&cluster, "a", 1, &[]).await, start(&cluster, "b", 2, &[]).await);
    pass(Duration::from_secs(60)).await;
    assert_eq!(a.gossip.view().borrow().members().count(), 1);
    b.gossip.add_seeds([at(1), at(2)]);
    a.sees_instance("b-2").await;
    b.sees_instance("a-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_alone_does_not_wait_for_anybody() {
    let (cluster, _network) = in_memory();
    let a = start(&cluster, "a", 1, &[]).await;
    let before = cluster.clock.now();
    a.gossip.leave().await;
    assert!(
        cluster.clock.now().since(before) < Duration::from_millis(100),
        "virtual time: nothing was waited for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_chitchats_task_is_survived() {
    let tap = Tap::default();
    let cluster = Cluster { security: GossipSecurity::Insecure, ..Cluster::on(Arc::new(tap.clone())) };
    let nodes = four(&cluster).await;
    tap.panic_once();
    let restarts = || nodes.iter().map(|node| node.gossip.stats().restarts).sum::<u64>();
    eventually("one restart", || restarts() == 1).await;
    for node in &nodes {
        node.sees("everybody", |view| view.live_nodes().count() == 4 && view.instances().count() == 4).await;
    }
    pass(Duration::from_secs(10)).await;
    assert_eq!(restarts(), 1);
    assert_eq!(
        nodes.iter().map(|node| node.gossip.stats().deaths).max(),
        Some(1),
        "the run that panicked, nobody else"
    );
}

#[tokio::test(start_paused = true)]
async fn a_recording_of_a_dead_node_brings_nobody_back_to_life() {
    let tap = Tap::default();
    let cluster = Cluster::on(Arc::new(tap.clone()));
    let (a, b) = (start(&cluster, "a", 1, &[]).await, start(&cluster, "b", 2, &[at(1)]).await);
    a.sees_instance("b-2").await;
    pass(Duration::from_secs(20)).await;
    b.kill().await;
    a.sees_dead("b").await;
    let recorded: Vec<_> = tap.recorded().into_iter().filter(|(_, to, _)| *to == at(1)).collect();
    assert!(recorded.len() > 100);

    // The recording is played from the dead node's own address, at the pace of life: first to those who knew it, then
    // to a fresh run that does not.
    let player = tap.network.bind(at(2)).await.unwrap();
    let play = async |count: usize| {
        for (_, to, datagram) in recorded.iter().rev().take(count).rev() {
            player.try_send(*to, datagram).unwrap();
            pass(Duration::from_millis(20)).await;
        }
    };
    play(recorded.len()).await;
    assert_eq!(common::is_live(&a.gossip.view().borrow(), "b"), Some(false));
    a.kill().await;
    let fresh = start(&cluster, "a", 1, &[]).await;
    fresh.sees_instance("a-1").await;
    play(recorded.len()).await;
    let dropped = fresh.gossip.stats().traffic.dropped;
    assert!(dropped.by(Reason::Stale) > 50, "{dropped:?}");
    assert_eq!(fresh.gossip.view().borrow().members().count(), 1, "the dead node is not even heard of");
}
