//! Agents as real processes that agree on leases: how a cluster comes about, how leases change hands, how it begins again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{AGENT, Cluster, Node};

const LB: &str = "lb-leader";

/// A node that may be a member: with a notary, its own gossip key, and a rank.
fn node(cluster: &Cluster, number: u8) -> Node {
    let mut node = cluster.node(number);
    node.arguments.retain(|argument| argument != "--no-notary" && !argument.starts_with("--keyring"));
    node.set("priority", u16::from(number) * 10);
    node
}

/// Runs a command that needs no running agent, and gives whether it went well and what it said.
fn offline(node: &Node, words: &[&str], input: &str) -> (bool, String) {
    let place: Vec<&String> = node
        .arguments
        .iter()
        .filter(|argument| {
            let wanted: &[&str] = if words[0] == "recover" {
                &["--data-dir", "--secrets-path"]
            } else {
                &["--data-dir", "--secrets-path", "--node-name", "--mesh-address"]
            };
            wanted.iter().any(|flag| argument.starts_with(flag))
        })
        .collect();
    let mut child = Command::new(AGENT)
        .args(words)
        .args(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

fn well(node: &Node, words: &[&str], input: &str) -> String {
    let (success, said) = offline(node, words, input);
    assert!(success, "{words:?}: {said}");
    said
}

fn refused(node: &Node, words: &[&str], input: &str) -> String {
    let (success, said) = offline(node, words, input);
    assert!(!success, "{words:?} went well: {said}");
    said
}

fn token(member: &Node) -> String {
    member.ask(&["token"]).unwrap()["token"].as_str().unwrap().to_owned()
}

/// One cluster: the first founds it, the others join, all vote.
fn found(cluster: &Cluster, count: u8) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(|number| node(cluster, number)).collect();
    well(&nodes[0], &["init"], "");
    nodes[0].start();
    for number in 1..usize::from(count) {
        let token = token(&nodes[0]);
        well(&nodes[number], &["join", "-"], &token);
        nodes[number].start();
    }
    for node in &nodes {
        let voters = usize::from(count) - (1 - usize::from(count) % 2);
        node.wait("enough members vote", |node| raft(node)["voters"].as_array().unwrap().len() == voters);
    }
    nodes
}

fn raft(node: &Node) -> Value {
    node.ask(&["raft", "status"]).unwrap_or_default()
}

fn row(node: &Node) -> Value {
    let leases = node.ask(&["leases"]).unwrap_or_default();
    let rows = leases["leases"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["lease"] == LB).unwrap_or_default()
}

/// Waits until all of them say the same of who holds the lease, that it is none of `not`, and that it may act.
fn holder(nodes: &[&Node], not: &[&str]) -> (usize, u64) {
    // The rows are not of one moment, so two that may act are no proof of anything here: the chaos suite has the clocks for that.
    let found = std::cell::Cell::new(None);
    nodes[0].wait("all agree on a holder, who may act", |_| {
        let rows: Vec<Value> = nodes.iter().map(|node| row(node)).collect();
        let acting: Vec<usize> = (0..nodes.len()).filter(|index| rows[*index]["may_act"] == true).collect();
        let first = &rows[0];
        let agreed =
            rows.iter().all(|row| row["holder"] == first["holder"] && row["token"] == first["token"]);
        let name = first["holder"].as_str().unwrap_or_default();
        if agreed && acting.len() == 1 && !not.contains(&name) {
            found.set(Some((acting[0], first["token"].as_u64().unwrap())));
        }
        found.get().is_some()
    });
    found.get().unwrap()
}

fn worker(node: &Node) -> Pid {
    let pid = node.ask(&["leases"]).unwrap()["worker_pid"].as_i64().unwrap();
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn nodes_that_nobody_let_in_form_no_cluster_of_their_own_however_long_they_wait_for_a_leader() {
    let cluster = Cluster::new();
    let mut nodes: Vec<Node> = (1..=2).map(|number| node(&cluster, number)).collect();
    for node in &mut nodes {
        node.set("keyring", cluster.key.display());
        node.set("bootstrap-expect", 3);
        node.start();
    }
    nodes.iter().for_each(|node| node.wait_for_members(2));
    // Both see each other for longer than nodes take to settle, and still wait for the third.
    nodes[0].wait("it says for whom it waits", |node| {
        node.read_log().contains("waiting for 3 nodes to found a cluster; these wait so far: n1, n2")
    });
    for node in &nodes {
        let raft = raft(node);
        assert_eq!(raft["member"], false);
        assert!(
            raft["why_not"].as_str().unwrap().contains("waits to found a cluster with 3 nodes"),
            "{raft}"
        );
    }
    let mut third = node(&cluster, 3);
    third.set("keyring", cluster.key.display());
    third.set("bootstrap-expect", 3);
    third.start();
    let all = [&nodes[0], &nodes[1], &third];
    for node in all {
        node.wait("one cluster of three voters", |node| {
            raft(node)["voters"].as_array().is_some_and(|voters| voters.len() == 3)
        });
    }
    let leaders: Vec<Value> = all.iter().map(|node| raft(node)["leader"].clone()).collect();
    assert!(leaders.iter().all(|leader| *leader == leaders[0]), "{leaders:?}");
    holder(&all, &[]);
}

#[test]
fn a_token_lets_one_node_in_and_a_second_one_is_told_so() {
    let cluster = Cluster::new();
    let mut first = node(&cluster, 1);
    assert!(well(&first, &["init"], "").contains("has founded the cluster"));
    assert!(refused(&first, &["init"], "").contains("founded here already"));
    first.start();
    first.wait("it leads", |node| raft(node)["role"] == "leader");
    let token = token(&first);
    let (second, third) = (node(&cluster, 2), node(&cluster, 3));
    assert!(well(&second, &["join", "-"], &token).contains("has joined the cluster"));
    let used = refused(&third, &["join", "-"], &token);
    assert!(used.contains("used by `n2` already"), "{used}");
    let again = refused(&second, &["join", "-"], &token);
    assert!(again.contains("is node `n2`") && again.contains("--start-over"), "{again}");
    let cut = refused(&third, &["join", "-"], &token[..token.len() - 3]);
    assert!(cut.contains("not whole"), "{cut}");
    let expired = first.ask(&["token", "--expires", "1s"]).unwrap()["token"].as_str().unwrap().to_owned();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let expired = refused(&third, &["join", "-"], &expired);
    assert!(expired.contains("expired"), "{expired}");
}

#[test]
fn a_node_of_another_cluster_or_with_another_name_is_refused_in_words() {
    let cluster = Cluster::new();
    let mut first = node(&cluster, 1);
    well(&first, &["init", "--cluster", "home"], "");
    first.set("cluster", "away");
    let said = first.refuses_to_start();
    assert!(said.contains("of cluster `home`") && said.contains("--cluster says `away`"), "{said}");
    first.arguments.retain(|argument| !argument.starts_with("--cluster"));
    first.set("node-name", "other");
    let said = first.refuses_to_start();
    assert!(said.contains("this node is called `other`"), "{said}");
    first.set("node-name", "n1");
    first.start();
    first.wait("it leads the cluster that it founded", |node| raft(node)["cluster"] == "home");
    let token = token(&first);
    // The secret is good, and the authority is not that of this cluster: the other one answers at the same address.
    let other = node(&cluster, 2);
    first.signal(Signal::TERM);
    first.wait_for_end();
    let stranger_folder = cluster.directory.path().join("stranger");
    let mut stranger = node(&cluster, 1);
    stranger.set("data-dir", stranger_folder.join("data").display());
    stranger.set("secrets-path", stranger_folder.join("secrets").display());
    stranger.data = stranger_folder.join("data");
    stranger.socket = stranger.data.join("agent.sock");
    well(&stranger, &["init", "--cluster", "home"], "");
    stranger.start();
    let said = refused(&other, &["join", "-"], &token);
    assert!(said.contains("another cluster"), "{said}");
}

#[test]
fn a_killed_holder_is_replaced_at_once_and_a_higher_token_fences_it() {
    let cluster = Cluster::new();
    let nodes = found(&cluster, 3);
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, token) = holder(&all, &[]);
    kill_process(worker(&nodes[first]), Signal::KILL).unwrap();
    let (second, higher) = holder(&all, &[&nodes[first].name]);
    assert_ne!(first, second);
    assert!(higher > token);
    // It was taken away on the word of its notary, not after its TTL; and its worker came back as another process.
    let leases = nodes[second].ask(&["leases"]).unwrap();
    let history = leases["history"].as_array().unwrap();
    let buried =
        history.iter().any(|change| change["deed"] == "buried" && change["node"] == *nodes[first].name);
    assert!(buried, "{history:#?}");
    nodes[first].wait("its worker is back as a member", |node| raft(node)["role"] == "follower");
    // The same of the new holder, which may lead Raft: the others need not miss it first.
    kill_process(worker(&nodes[second]), Signal::KILL).unwrap();
    let (_, highest) = holder(&all, &[&nodes[second].name]);
    assert!(highest > higher);
}

#[test]
fn a_holder_that_leaves_or_is_cordoned_gives_its_lease_to_the_next() {
    let cluster = Cluster::new();
    let mut nodes = found(&cluster, 3);
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, _) = holder(&all, &[]);
    nodes[first].ask(&["cordon"]).unwrap();
    let (second, _) = holder(&all, &[&nodes[first].name]);
    nodes[first].ask(&["uncordon"]).unwrap();
    let name = nodes[second].name.clone();
    nodes[second].signal(Signal::TERM);
    let rest: Vec<&Node> = nodes.iter().filter(|node| node.name != name).collect();
    holder(&rest, &[&name]);
    let deeds: Vec<Value> = rest[0].ask(&["leases"]).unwrap()["history"].as_array().unwrap().clone();
    assert!(
        !deeds.iter().any(|change| change["deed"] == "expired" || change["deed"] == "buried"),
        "{deeds:#?}"
    );
    assert!(nodes[second].wait_for_end().success());
}

#[test]
fn without_a_majority_the_holder_stops_within_its_ttl_and_says_so() {
    let cluster = Cluster::new();
    let mut nodes = found(&cluster, 3);
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, _) = holder(&all, &[]);
    let name = nodes[first].name.clone();
    for node in nodes.iter_mut().filter(|node| node.name != name) {
        node.kill();
    }
    nodes[first].wait("it may not act any more", |node| row(node)["may_act"] == false);
    nodes[first].wait("it is on the rung without a majority", |node| {
        node.ask(&["status"])
            .is_some_and(|status| status["rung"] == "no-quorum" || status["rung"] == "isolated")
    });
    let fresh = nodes[first].ask(&["leases", "--fresh"]);
    assert_eq!(fresh, None, "nothing can be confirmed");
    for node in nodes.iter_mut().filter(|node| node.name != name) {
        node.start();
    }
    holder(&nodes.iter().collect::<Vec<_>>(), &[]);
}

#[test]
fn the_lead_can_be_handed_over_and_a_member_removed_for_good() {
    let cluster = Cluster::new();
    let nodes = found(&cluster, 3);
    let leader = raft(&nodes[0])["leader"].as_str().unwrap().to_owned();
    let heir = nodes.iter().find(|node| node.name != leader).unwrap();
    assert!(nodes[0].ask(&["raft", "transfer", &heir.name]).is_some());
    nodes[0].wait("the heir leads", |node| raft(node)["leader"] == *heir.name);
    assert!(nodes[0].ask(&["raft", "transfer", "nobody"]).is_none());
    // Removed while it runs: it is turned away, and told why.
    let gone = nodes.iter().find(|node| node.name != heir.name && node.name != "n1").unwrap();
    assert!(nodes[0].ask(&["raft", "remove", &gone.name]).is_some());
    nodes[0].wait("it has no seat any more", |node| {
        let members = raft(node)["members"].to_string();
        !members.contains(&format!("\"{}\"", gone.name))
    });
    gone.wait("it hears that it was removed", |node| node.problems().contains("removed from the cluster"));
}

#[test]
fn a_cluster_is_rebuilt_from_one_survivor_and_the_old_epoch_is_turned_away() {
    let cluster = Cluster::new();
    let mut nodes = found(&cluster, 3);
    let (_, token_before) = holder(&nodes.iter().collect::<Vec<_>>(), &[]);
    let asked = refused(&nodes[0], &["recover", "--yes"], "");
    assert!(asked.contains("uses") && asked.contains("pid"), "it runs: {asked}");
    nodes.iter_mut().for_each(Node::kill);
    let unasked = refused(&nodes[0], &["recover"], "");
    assert!(unasked.contains("n2, n3") && unasked.contains("say --yes"), "{unasked}");
    well(&nodes[0], &["recover", "--yes"], "");
    nodes[0].start();
    let (_, token_after) = holder(&[&nodes[0]], &[]);
    assert!(token_after > token_before + (1 << 39), "{token_before} {token_after}");
    assert_eq!(raft(&nodes[0])["epoch"], 2);
    // A member of the old epoch that nobody stopped is heard no more, and told what to do.
    nodes[1].start();
    nodes[1].wait("it is told that it belongs to it no more", |node| {
        node.problems().contains("n1 turns this node away")
    });
    nodes[1].signal(Signal::TERM);
    nodes[1].wait_for_end();
    let token = token(&nodes[0]);
    let said = well(&nodes[1], &["join", "-", "--start-over"], &token);
    assert!(said.contains("moved"), "{said}");
    nodes[1].start();
    nodes[1].wait("it is a member of the new epoch", |node| {
        raft(node)["epoch"] == 2 && raft(node)["role"] == "learner"
    });
}

#[test]
fn a_cluster_is_restored_from_a_backup_on_a_new_node() {
    let cluster = Cluster::new();
    let mut nodes = found(&cluster, 1);
    let (_, before) = holder(&[&nodes[0]], &[]);
    let file = cluster.directory.path().join("backup");
    let facts = nodes[0].ask(&["backup", "--out", file.to_str().unwrap()]).unwrap();
    assert_eq!(facts["confirmed"], true);
    assert!(nodes[0].ask(&["backup", "--out", file.to_str().unwrap()]).is_none(), "never written over");
    nodes[0].kill();
    let mut other = node(&cluster, 2);
    let said = refused(&nodes[0], &["restore", file.to_str().unwrap(), "--yes"], "");
    assert!(said.contains("already"), "{said}");
    well(&other, &["restore", file.to_str().unwrap(), "--yes"], "");
    other.start();
    let (_, after) = holder(&[&other], &[]);
    assert!(after > before + (1 << 39));
}

#[test]
fn a_worker_without_its_notary_gives_its_lease_back_and_ends() {
    let cluster = Cluster::new();
    let mut nodes = found(&cluster, 3);
    let all: Vec<&Node> = nodes.iter().collect();
    let (first, _) = holder(&all, &[]);
    let name = nodes[first].name.clone();
    // Only the parent: the kernel tells the worker.
    kill_process(nodes[first].pid(), Signal::KILL).unwrap();
    let rest: Vec<&Node> = nodes.iter().filter(|node| node.name != name).collect();
    holder(&rest, &[&name]);
    let history = rest[0].ask(&["leases"]).unwrap()["history"].to_string();
    assert!(history.contains("released") && !history.contains("expired"), "{history}");
    nodes[first].wait("the worker has ended", |node| node.ask(&["status"]).is_none());
    nodes[first].process.take().unwrap().wait().unwrap();
}
