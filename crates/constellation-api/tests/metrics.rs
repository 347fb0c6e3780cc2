//! What is told to a monitoring system: over TCP, in its format, and family by family as the documentation lists it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};

use constellation_api::{
    Leases, MemberRow, Problem, RaftStatus, Rung, Status,
    metrics::{Told, text},
    model::{Addresses, CertificateRow, GossipStatus, TraefikStatus},
};
use constellation_core::{Generation, Priority, WallTime};
use constellation_dns::{DnsStatus, Plan};
use constellation_proxy::http::ProxyStatus;
use serde_json::json;

fn status() -> Status {
    Status {
        node: "web-1".parse().unwrap(),
        cluster: "home".parse().unwrap(),
        version: "1\"quoted\"".to_owned(),
        generation: Generation(7),
        uptime_seconds: 12,
        rung: Rung::NoQuorum,
        still_works: String::new(),
        addresses: Addresses {
            mesh: "127.0.0.1".parse().unwrap(),
            gossip: "127.0.0.1:1".parse().unwrap(),
            provider: "127.0.0.1:2".parse().unwrap(),
            runtime: "none".to_owned(),
        },
        nodes_known: 2,
        nodes_live: 1,
        containers: 3,
        routable: 2,
        gossip: GossipStatus {
            dropped: BTreeMap::from([("forged".to_owned(), 4)]),
            ..GossipStatus::default()
        },
        leases: String::new(),
        dns: String::new(),
        traefik: TraefikStatus { held: Some("cut off".to_owned()), ..TraefikStatus::default() },
        gateway: vec![],
        certificates: vec![CertificateRow {
            names: vec!["a.test".to_owned()],
            file: "/etc/tls/a.crt".to_owned(),
            not_before: 0,
            not_after: 1_900_000_000,
            days_left: 1,
            fingerprint: String::new(),
        }],
        ingress: Some(ProxyStatus { retries: 7, ..ProxyStatus::default() }),
        problems: vec![Problem { area: "dns".to_owned(), subject: String::new(), message: String::new() }],
    }
}

fn member(name: &str, state: &str) -> MemberRow {
    MemberRow {
        node: name.parse().unwrap(),
        state: state.to_owned(),
        mesh: "127.0.0.1".parse().unwrap(),
        priority: Priority(1),
        cordoned: true,
        agent: "1".to_owned(),
        started: WallTime(0),
        generation: Generation(1),
        instances: 2,
        routable: 1,
        me: false,
    }
}

fn told() -> String {
    let raft: RaftStatus = serde_json::from_value(json!({
        "node": "web-1", "member": true, "id": 1, "cluster": "home", "epoch": 1, "term": 3, "role": "leader",
        "leader": "web-1", "commit": 9, "applied": 8, "profile": "lan", "ttl_ms": 3000, "voters": ["web-1"],
        "learners": [], "signs": true, "certificate_expires": 1_800_000_000_000_u64, "members": [], "why_not": null,
    }))
    .unwrap();
    let leases: Leases = serde_json::from_value(json!({
        "node": "web-1", "member": true, "cluster": "home", "epoch": 1, "boot": "00", "applied": 8,
        "leader": "web-1", "worker_pid": 1, "as_of_boottime_ns": 0, "history": [],
        "leases": [{ "lease": "lb-leader", "holder": "web-1", "holder_boot": null, "reserved_for": null,
            "token": 5, "mine": true, "may_act": true, "remaining_ms": 1000 }],
    }))
    .unwrap();
    let dns: DnsStatus = serde_json::from_value(json!({
        "place": "example.org", "stage": "writing", "token": 5, "looked": null, "outcome": null,
        "settled": 1_700_000_000_000_u64, "took_ms": null, "plan": serde_json::to_value(Plan::default()).unwrap(),
        "last_change": null, "error": null, "notes": [],
        "counters": { "reads": 1, "writes": 2, "changes": 3, "failures": 4, "drifted": 5 },
        "requests": 6, "requests_left": 500,
    }))
    .unwrap();
    let members = [member("web-1", "live"), member("web-2", "lost")];
    text(&Told { status: &status(), members: &members, leases: Some(&leases), raft: &raft, dns: Some(&dns) })
        .unwrap()
}

/// The samples of a text, by name with labels; every line must be one that the format knows.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

#[test]
fn each_value_arrives_under_its_name_and_labels() {
    let text = told();
    let samples = samples(&text);
    for (name, value) in [
        ("constellation_nodes{state=\"live\"}", 1.0),
        ("constellation_nodes{state=\"lost\"}", 1.0),
        ("constellation_nodes{state=\"leaving\"}", 0.0),
        ("constellation_instances", 4.0),
        ("constellation_problems{area=\"dns\"}", 1.0),
        ("constellation_gossip_dropped_total{reason=\"forged\"}", 4.0),
        ("constellation_traefik_held_back", 1.0),
        ("constellation_raft_leader", 1.0),
        ("constellation_raft_certificate_expiry_timestamp_seconds", 1_800_000_000.0),
        ("constellation_lease_held{lease=\"lb-leader\"}", 1.0),
        ("constellation_lease_token{lease=\"lb-leader\"}", 5.0),
        ("constellation_certificate_expiry_timestamp_seconds{file=\"/etc/tls/a.crt\"}", 1_900_000_000.0),
        ("constellation_ingress_retries_total", 7.0),
        ("constellation_ingress_answers_total{class=\"5xx\"}", 0.0),
        ("constellation_dns_writing", 1.0),
        ("constellation_dns_writes_total", 2.0),
        ("constellation_dns_settled_timestamp_seconds", 1_700_000_000.0),
        ("constellation_dns_requests_left", 500.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{text}");
    }
    assert!(text.contains(r#"version="1\"quoted\"",rung="no-quorum""#), "{text}");
}

#[test]
fn the_documentation_lists_every_family_with_its_kind_and_no_other() {
    let told = told();
    let types = told.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<(String, String)> = types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.into(), kind.into()))
        .collect();
    let listed: BTreeSet<(String, String)> = include_str!("../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" |")?.0.to_owned())))
        .collect();
    assert_eq!(told, listed);
}
