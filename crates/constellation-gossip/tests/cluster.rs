//! Nodes that gossip over real UDP on the loopback interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Cluster, Node, PATIENCE, eventually, has, publication, ring};
use constellation_core::{ClusterView, NodeFacts, fact::Publication};
use constellation_gossip::{GossipError, GossipSecurity, Reason};
use constellation_security::{Key, KeyringHandle};

type Test = tokio::task::JoinSet<()>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_see_each_other_and_each_others_instances() {
    let nodes = Cluster::sealed().of(5).await;
    for node in &nodes {
        for index in 0..5 {
            node.sees_instance(&format!("n{index}-1")).await;
        }
    }
    nodes[2].gossip.publish(publication(&["fresh"]));
    for node in &nodes {
        node.sees("the change as a whole", |view| has(view, "fresh") && !has(view, "n2-1")).await;
    }
}

#[tokio::test]
async fn what_a_node_tells_is_in_its_own_view_although_nobody_else_is_there() {
    let node = Cluster::sealed().start("a", &[]).await;
    node.sees_instance("a-1").await;
    node.gossip.publish(publication(&[]));
    node.misses_instance("a-1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_dead_to_all_and_its_last_word_is_remembered() {
    let nodes = Cluster::sealed().of(3).await;
    nodes[0].kill().await;
    for node in &nodes[1..] {
        node.sees_dead("n0").await;
        let view = node.gossip.view().borrow().clone();
        assert!(!has(&view, "n0-1"), "an instance of a dead node does not count");
        assert!(view.lost_nodes().any(|lost| lost.instances.len() == 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_returns_with_nothing_running_has_nothing_of_before() {
    let cluster = Cluster::sealed();
    let nodes = cluster.of(3).await;
    let (address, state) = (nodes[0].address(), Arc::clone(&nodes[0].state));
    let before = nodes[0].gossip.stats().generation;
    nodes[0].kill().await;
    let mut config = cluster.config("n0", state.path(), &[nodes[1].address()]);
    (config.listen, config.advertise) = (address, address);
    let returned = cluster.start_with(config, state).await;
    assert!(returned.gossip.stats().generation > before);
    returned.gossip.publish(publication(&["again"]));
    for node in &nodes[1..] {
        node.sees("the new run alone", |view| has(view, "again") && !has(view, "n0-1")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_is_told_apart_from_one_that_crashes() {
    let nodes = Cluster::sealed().of(3).await;
    nodes[0].gossip.leave().await;
    for node in &nodes[1..] {
        let leaves =
            |view: &ClusterView| view.live_nodes().any(|n| n.name.as_str() == "n0" && n.facts.leaving);
        node.sees("that n0 leaves, while it still lives", leaves).await;
    }
    nodes[0].kill().await;
    for node in &nodes[1..] {
        node.sees_dead("n0").await;
        assert_eq!(node.gossip.view().borrow().evidence().peers_known, 1, "who left is not missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_wrong_key_sees_nobody_and_both_sides_can_say_why() {
    let cluster = Cluster::sealed();
    let nodes = cluster.of(2).await;
    let stranger = Cluster {
        security: GossipSecurity::Sealed(KeyringHandle::new(ring(&[&Key::generate()]))),
        ..cluster
    };
    let outsider = stranger.start("outsider", &[nodes[0].address()]).await;
    nodes[0].gossip.add_seeds([outsider.address()]);
    for node in [&nodes[0], &outsider] {
        eventually("datagrams with a foreign key", || {
            node.gossip.stats().traffic.dropped.by(Reason::WrongKey) > 0
        })
        .await;
    }
    let suspects = outsider.gossip.stats().traffic.suspects;
    assert!(
        suspects.iter().any(|s| s.from == nodes[0].address() && s.reason == Reason::WrongKey),
        "{suspects:?}"
    );
    outsider.sees("itself alone", |view| view.members().count() == 1).await;
    assert_eq!(nodes[0].gossip.view().borrow().members().count(), 2, "not the outsider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_with_one_key_stay_apart() {
    let cluster = Cluster::sealed();
    let nodes = cluster.of(2).await;
    let other = Cluster { id: "other".parse().unwrap(), ..cluster };
    let outsider = other.start("outsider", &[nodes[0].address()]).await;
    eventually("datagrams of the other cluster", || {
        nodes[0].gossip.stats().traffic.dropped.by(Reason::OtherCluster) > 0
    })
    .await;
    outsider.sees("itself alone", |view| view.members().count() == 1).await;
    assert_eq!(nodes[0].gossip.view().borrow().members().count(), 2, "not the outsider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_keys_works_and_a_sealed_node_hears_none_of_it() {
    let cluster = Cluster { security: GossipSecurity::Insecure, ..Cluster::sealed() };
    let nodes = cluster.of(2).await;
    let sealed = Cluster { id: cluster.id.clone(), ..Cluster::sealed() };
    let outsider = sealed.start("outsider", &[]).await;
    nodes[0].gossip.add_seeds([outsider.address()]);
    eventually("unsealed datagrams", || outsider.gossip.stats().traffic.dropped.by(Reason::Unsealed) > 0)
        .await;
    assert_eq!(outsider.gossip.view().borrow().members().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_on_a_running_cluster_without_a_death() {
    let (old, new) = (Key::generate(), Key::generate());
    let clusters: Vec<(Cluster, KeyringHandle)> = (0..3)
        .map(|_| {
            let handle = KeyringHandle::new(ring(&[&old]));
            (Cluster { security: GossipSecurity::Sealed(handle.clone()), ..Cluster::sealed() }, handle)
        })
        .collect();
    let mut nodes: Vec<Node> = Vec::new();
    for (index, (cluster, _)) in clusters.iter().enumerate() {
        let seeds: Vec<_> = nodes.iter().map(Node::address).collect();
        nodes.push(cluster.start(&format!("n{index}"), &seeds).await);
    }
    for node in &nodes {
        node.sees("three nodes", |view| view.live_nodes().count() == 3).await;
    }
    for (step, keys) in [vec![&old, &new], vec![&new, &old], vec![&new]].into_iter().enumerate() {
        for (index, (_, handle)) in clusters.iter().enumerate() {
            handle.replace(ring(&keys));
            let id = format!("step{step}-{index}");
            nodes[index].gossip.publish(publication(&[&id]));
            for node in &nodes {
                node.sees_instance(&id).await;
            }
        }
    }
    for node in &nodes {
        let stats = node.gossip.stats();
        assert_eq!((stats.deaths, stats.traffic.dropped.by(Reason::WrongKey)), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_hand_made_messages_reach_nobody() {
    let nodes = Cluster::sealed().of(2).await;
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // What an unprotected chitchat would take for an ACK (magic number, version, type) and end in a panic over.
    let chitchat: Vec<u8> = [&45_139u16.to_le_bytes()[..], &[0, 2], &[0; 40]].concat();
    for datagram in [&b"hello"[..], &chitchat, &[0xc5; 300], &[]] {
        for _ in 0..50 {
            stranger.send_to(datagram, nodes[0].address()).await.unwrap();
        }
    }
    eventually("dropped garbage", || nodes[0].gossip.stats().traffic.dropped.by(Reason::Garbage) >= 100)
        .await;
    nodes[1].gossip.publish(publication(&["after"]));
    nodes[0].sees_instance("after").await;
    assert_eq!(nodes[0].gossip.stats().restarts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_refused_with_the_address_of_its_owner() {
    let cluster = Cluster::sealed();
    let nodes = cluster.of(2).await;
    let state = tempfile::tempdir().unwrap();
    let refused = cluster.try_start(cluster.config("n0", state.path(), &[nodes[1].address()])).await;
    let error = refused.map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, GossipError::NameTaken { other, .. } if *other == nodes[0].address()),
        "{error}"
    );
    assert!(error.to_string().contains("give this machine another name"));
    nodes[1].sees_live("n0").await;
    assert!(nodes[0].gossip.stats().conflict.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_crashed_may_come_back_at_once_at_another_address() {
    let cluster = Cluster::sealed();
    let nodes = cluster.of(3).await;
    let state = Arc::clone(&nodes[0].state);
    nodes[0].kill().await;
    let returned = cluster.start_with(cluster.config("n0", state.path(), &[nodes[1].address()]), state).await;
    returned.gossip.publish(publication(&["moved"]));
    nodes[2].sees_instance("moved").await;
    assert_ne!(returned.address(), nodes[0].address());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let cluster = Cluster::sealed();
    let node = cluster.start("a", &[]).await;
    let state = tempfile::tempdir().unwrap();
    let mut config = cluster.config("b", state.path(), &[]);
    config.listen = node.address();
    let error = cluster.try_start(config).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, GossipError::Bind { .. }));
    assert!(error.to_string().contains(&node.address().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_left_out_and_named_and_the_rest_arrives() {
    let nodes = Cluster::sealed().of(2).await;
    let many: Vec<String> = (0..2000).map(|i| format!("i{i:04}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    nodes[0].gossip.publish(publication(&names));
    eventually("that something was left out", || !nodes[0].gossip.stats().omitted.is_empty()).await;
    let told = nodes[0].gossip.view().borrow().instances().filter(|p| p.node.name.as_str() == "n0").count();
    assert!(told > 100 && told < 2000, "{told}");
    nodes[1]
        .sees("all that fits", |view| {
            view.instances().filter(|p| p.node.name.as_str() == "n0").count() == told
        })
        .await;
    nodes[0].gossip.publish(publication(&["one"]));
    nodes[1].sees_instance("one").await;
    eventually("that it fits again", || nodes[0].gossip.stats().omitted.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_record_of_the_node_itself_blocks_nothing() {
    let nodes = Cluster::sealed().of(2).await;
    let mut node = NodeFacts::at("127.0.0.1".parse().unwrap());
    node.capabilities = (0..1000).map(|i| format!("capability-{i}")).collect();
    nodes[0].gossip.publish(Publication { node, ..publication(&["hidden"]) });
    eventually("that the record was left out", || !nodes[0].gossip.stats().omitted.is_empty()).await;
    nodes[0].gossip.publish(publication(&["visible"]));
    nodes[1].sees_instance("visible").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flurry_of_changes_ends_with_the_last_everywhere_and_kills_nobody() {
    let nodes = Cluster::sealed().of(3).await;
    let mut flurry = Test::new();
    for (index, node) in nodes.iter().enumerate() {
        let gossip = node.gossip.clone();
        flurry.spawn(async move {
            for change in 0..300 {
                gossip.publish(publication(&[&format!("c{index}-{change}")]));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    while flurry.join_next().await.is_some() {}
    for node in &nodes {
        for index in 0..3 {
            node.sees_instance(&format!("c{index}-299")).await;
        }
    }
    // The hasty moment is the quiet one after the storm: three times the silence that makes a death.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for node in &nodes {
        assert_eq!(node.gossip.stats().deaths, 0);
    }
}

#[tokio::test]
async fn seeds_may_be_names_and_a_name_that_does_not_exist_does_not_matter() {
    let cluster = Cluster::sealed();
    let first = cluster.start("a", &[]).await;
    let state = Arc::new(tempfile::tempdir().unwrap());
    let mut config = cluster.config("b", state.path(), &[]);
    config.seeds = vec!["no-such-host.invalid:7946".into(), format!("localhost:{}", first.address().port())];
    let second = cluster.start_with(config, state).await;
    second.sees_live("a").await;
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let cluster = Cluster::sealed();
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = cluster.try_start(cluster.config("a", &file, &[])).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_drain_ends_every_task_and_frees_the_port() {
    let cluster = Cluster::sealed();
    let node = cluster.start("a", &[]).await;
    assert_eq!(node.supervisor.drain(PATIENCE).await, constellation_tasks::Drained::Clean);
    assert!(tokio::net::UdpSocket::bind(node.address()).await.is_ok());
}
