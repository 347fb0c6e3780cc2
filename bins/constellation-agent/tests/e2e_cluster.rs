//! Agents as real processes, with real processes as their containers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use rustix::process::{Signal, kill_process, test_kill_process};
use support::{Cluster, http};

#[test]
fn every_node_routes_to_the_instances_of_all_nodes() {
    let cluster = Cluster::new();
    let nodes = cluster.start(3);
    for node in &nodes {
        node.whoami(&[]);
    }
    for node in &nodes {
        node.wait("three servers and the generated routes", |node| {
            node.servers().len() == 3
                && node.has_rule("whoami.example.test")
                && (1..=3).all(|other| node.has_rule(&format!("whoami.n{other}.example.test")))
        });
    }
    // Every address in the document is a mesh gateway that leads to a process on loopback of its own node.
    let mut answered: Vec<String> = nodes[0]
        .servers()
        .into_iter()
        .map(|server| {
            let (status, body) = http::get(server, "whoami.example.test", "/").unwrap();
            assert_eq!(status, 200);
            String::from_utf8(body).unwrap().lines().next().unwrap().to_owned()
        })
        .collect();
    answered.sort();
    assert_eq!(answered, ["Name: n1", "Name: n2", "Name: n3"]);
}

#[test]
fn a_process_that_dies_leaves_every_document_and_comes_back_healed() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    nodes[1].whoami(&[]);
    nodes[0].wait("the server of the other node", |node| node.servers().len() == 1);
    let before = nodes[1].process_pid("whoami").unwrap();
    nodes[1].ask(&["process", "stop", "whoami"]);
    nodes[0].wait("no server, and still the route", |node| {
        node.servers().is_empty() && node.has_rule("whoami.example.test")
    });
    nodes[1].ask(&["process", "start", "whoami"]);
    nodes[0].wait("the server is back", |node| node.servers().len() == 1);
    let killed = nodes[1].process_pid("whoami").unwrap();
    assert_ne!(before, killed);
    kill_process(killed, Signal::KILL).unwrap();
    nodes[1].wait("another process in its place", |node| {
        node.process_pid("whoami").is_some_and(|pid| pid != killed)
    });
    nodes[0].wait("the server is back again", |node| node.servers().len() == 1);
}

#[test]
fn an_unhealthy_process_is_restarted_if_its_label_asks_for_it() {
    let cluster = Cluster::new();
    let nodes = cluster.start(1);
    let flag = cluster.directory.path().join("well");
    std::fs::write(&flag, "").unwrap();
    let health = format!("test -e {}", flag.display());
    nodes[0].whoami(&[
        "--label",
        "constellation.heal=restart",
        "--health",
        &health,
        "--health-interval",
        "200ms",
    ]);
    nodes[0].wait("it is routed", |node| node.servers().len() == 1);
    let before = nodes[0].process_pid("whoami").unwrap();
    std::fs::remove_file(&flag).unwrap();
    nodes[0]
        .wait("it has been restarted", |node| node.process_pid("whoami").is_some_and(|pid| pid != before));
    std::fs::write(&flag, "").unwrap();
    nodes[0].wait("it is routed again", |node| node.servers().len() == 1);
}

#[test]
fn a_killed_agent_leaves_every_view_and_its_next_run_adopts_its_processes() {
    let cluster = Cluster::new();
    let mut nodes = cluster.start(3);
    for node in &nodes {
        node.whoami(&[]);
    }
    nodes[0].wait("three servers", |node| node.servers().len() == 3);
    let mut lost = nodes.pop().unwrap();
    let pid = lost.process_pid("whoami").unwrap();
    lost.kill();
    for node in &nodes {
        node.wait_for_members(2);
        node.wait("its servers are gone and its name still routes", |node| {
            node.servers().len() == 2 && node.has_rule("whoami.n3.example.test")
        });
    }
    assert!(test_kill_process(pid).is_ok(), "its process goes on");
    lost.start();
    nodes[0].wait("three servers again", |node| node.servers().len() == 3);
    assert_eq!(lost.process_pid("whoami"), Some(pid), "the process was adopted, not started again");
}

#[test]
fn sigterm_tells_the_others_and_ends_cleanly_while_processes_go_on() {
    let cluster = Cluster::new();
    let mut nodes = cluster.start(2);
    nodes[1].whoami(&[]);
    nodes[0].wait("the server of the other node", |node| node.servers().len() == 1);
    let mut leaver = nodes.pop().unwrap();
    let pid = leaver.process_pid("whoami").unwrap();
    leaver.signal(Signal::TERM);
    nodes[0].wait("the leaver's server is gone", |node| node.servers().is_empty());
    nodes[0].wait("it is known to leave", |node| {
        node.ask(&["members"]).is_some_and(|members| members.to_string().contains("\"leaving\""))
    });
    assert!(leaver.wait_for_end().success());
    assert!(test_kill_process(pid).is_ok());
    assert!(!leaver.socket.exists(), "its socket is taken away");
}

#[test]
fn keys_rotate_under_way_without_a_restart() {
    let cluster = Cluster::new();
    let new_key = cluster.directory.path().join("new.key");
    support::keygen(&new_key);
    let mut nodes: Vec<_> = (1..=2).map(|node| cluster.node(node)).collect();
    let (old, new) =
        (std::fs::read_to_string(&cluster.key).unwrap(), std::fs::read_to_string(&new_key).unwrap());
    let keyring = |node: &support::Node| cluster.directory.path().join(format!("{}.key", node.name));
    let write = |node: &support::Node, text: &str| {
        let path = keyring(node);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    for node in &mut nodes {
        write(node, &old);
        let path = keyring(node);
        node.set("keyring", path.display());
        node.start();
    }
    nodes.iter().for_each(|node| node.wait_for_members(2));
    for ring in [format!("{old}{new}"), format!("{new}{old}"), new.clone()] {
        for node in &nodes {
            write(node, &ring);
            let reloads = node.read_log().matches("keys were read again").count();
            node.signal(Signal::HUP);
            node.wait("the keys are reloaded", |node| {
                node.read_log().matches("keys were read again").count() > reloads
            });
        }
    }
    nodes[1].whoami(&[]);
    nodes[0].wait("facts arrive under the new key", |node| node.servers().len() == 1);
    // A keyring that cannot be read leaves the old keys in use.
    write(&nodes[0], "nonsense\n");
    nodes[0].signal(Signal::HUP);
    nodes[0].wait("the refusal is said", |node| node.read_log().contains("the gossip keys were not changed"));
    nodes[0].wait_for_members(2);
}

#[test]
fn an_agent_with_another_key_sees_nobody_and_says_why() {
    let cluster = Cluster::new();
    let nodes = cluster.start(1);
    let mut stranger = cluster.node(2);
    let key = cluster.directory.path().join("other.key");
    support::keygen(&key);
    stranger.set("keyring", key.display());
    stranger.start();
    nodes[0].wait("the cluster names the stranger", |node| {
        let problems = node.problems();
        problems.contains(&stranger.address.to_string()) && problems.contains("none of our keys opens them")
    });
    stranger.wait("it says that nobody answers, and why that may be", |node| {
        node.problems().contains("key and cluster")
    });
    stranger.wait_for_members(1);
    nodes[0].wait_for_members(1);
}

#[test]
fn gossip_without_a_key_needs_to_be_said() {
    let cluster = Cluster::new();
    let mut node = cluster.node(1);
    node.set("keyring", cluster.directory.path().join("absent.key").display());
    let said = node.refuses_to_start();
    assert!(said.contains("keygen") && said.contains("--insecure-gossip"), "{said}");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let cluster = Cluster::new();
    let mut node = cluster.node(1);
    std::fs::set_permissions(&cluster.key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let said = node.refuses_to_start();
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn a_second_node_of_the_same_name_refuses_to_start() {
    let cluster = Cluster::new();
    let nodes = cluster.start(1);
    let mut second = cluster.node(2);
    second.set("node-name", "n1");
    let said = second.refuses_to_start();
    assert!(said.contains("n1") && said.contains("--node-name"), "{said}");
    nodes[0].wait_for_members(1);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let cluster = Cluster::new();
    let mut node = cluster.node(1);
    let _squatter = std::net::TcpListener::bind(node.provider).unwrap();
    let said = node.refuses_to_start();
    assert!(said.contains(&node.provider.to_string()) && said.contains("--provider-listen"), "{said}");
}

#[test]
fn a_broken_label_costs_its_router_only_and_is_named_in_the_status() {
    let cluster = Cluster::new();
    let nodes = cluster.start(1);
    let labels = [
        "--label=traefik.enable=true",
        "--label=constellation.service=shop",
        "--label=traefik.http.routers.good.rule=Host(`good.example.test`)",
        "--label=traefik.http.routers.bad.rule=Host(`bad.example.test",
    ];
    nodes[0].run_whoami("shop", &labels, &[]);
    nodes[0].wait("the good router is served", |node| node.has_rule("good.example.test"));
    assert!(!nodes[0].has_rule("bad.example.test"));
    nodes[0].wait("the bad one is named", |node| node.problems().contains("bad"));
}

#[test]
fn of_two_services_with_one_router_name_the_older_keeps_it() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    let labels = |service: &str| {
        [
            "--label=traefik.enable=true".to_owned(),
            format!("--label=constellation.service={service}"),
            format!("--label=traefik.http.routers.front.rule=Host(`{service}.other.test`)"),
        ]
    };
    let run = |node: &support::Node, service: &str| {
        let labels = labels(service);
        node.run_whoami(service, &labels.each_ref().map(String::as_str), &[]);
    };
    run(&nodes[0], "older");
    nodes[1].wait("the first router", |node| node.has_rule("older.other.test"));
    run(&nodes[1], "younger");
    nodes[0].wait("the conflict is named", |node| node.problems().contains("front"));
    for node in &nodes {
        node.wait("the older has the router", |node| {
            node.has_rule("older.other.test") && !node.has_rule("younger.other.test")
        });
    }
}

#[test]
fn a_restarted_agent_serves_the_last_known_good_document_before_it_knows_anything() {
    let cluster = Cluster::new();
    let mut nodes = cluster.start(2);
    nodes[1].whoami(&[]);
    nodes[0].wait("the server of the other node", |node| node.servers().len() == 1);
    let known = nodes[0].document();
    nodes[0].wait("it is on disk", |node| {
        let kept =
            std::fs::read_to_string(node.data.join("traefik-last-known-good.json")).unwrap_or_default();
        kept.contains(&node.servers()[0].to_string())
    });
    nodes[0].kill();
    // Its peer is gone as well: all that it has is the disk.
    nodes[1].kill();
    nodes[0].start();
    assert_eq!(nodes[0].document(), known);
}

#[test]
fn why_a_request_goes_where_it_goes_is_told_on_any_node() {
    let cluster = Cluster::new();
    let nodes = cluster.start(2);
    nodes.iter().for_each(|node| node.whoami(&[]));
    let explained = |url: &str| nodes[0].ask(&["explain", url]).unwrap_or_default();
    let rows = |answer: &serde_json::Value| answer["backends"].as_array().cloned().unwrap_or_default();
    nodes[0].wait("both instances are behind the router", |_| {
        let answer = explained("http://whoami.example.test/any?where=1");
        rows(&answer).iter().filter(|row| row["server"].is_string()).count() == 2
    });
    let answer = explained("whoami.example.test");
    assert!(answer["routers"][0]["rule"].as_str().unwrap().contains("whoami.example.test"), "{answer}");
    assert!(answer["others"].as_array().unwrap().is_empty(), "{answer}");

    let nobody = explained("http://nobody.example.test/");
    assert!(nobody["routers"].as_array().unwrap().is_empty(), "{nobody}");
    assert!(nobody["outcome"].as_str().unwrap().contains("404"), "{nobody}");

    nodes[1].ask(&["process", "stop", "whoami"]);
    nodes[0].wait("the stopped one is out, with the reason", |_| {
        rows(&explained("http://whoami.example.test/")).iter().any(|row| {
            row["node"] == "n2"
                && row["server"].is_null()
                && row["why"].as_str().unwrap().contains("not healthy")
        })
    });

    nodes[0].ask(&["process", "stop", "whoami"]);
    nodes[0].wait("both are out, each with its reason", |_| {
        let answer = explained("http://whoami.example.test/");
        let out = rows(&answer).iter().filter(|row| row["server"].is_null()).count();
        out == 2 && answer["outcome"].as_str().unwrap().contains("503")
    });
}
