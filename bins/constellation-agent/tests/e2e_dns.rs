//! Whole agents and a zone at Cloudflare's simulator: real processes, real HTTP, the real client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use constellation_tasks::Supervisor;
use constellation_testkit::cloudflare::{Limits, Simulator, StoredRecord};
use rustix::process::{Pid, Signal, kill_process};
use support::{Cluster, Node, pause};

const ZONE: &str = "example.test";
/// How long a zone is watched in which nothing may be written.
const STEADY: Duration = Duration::from_secs(5);

/// The simulator, for as long as this lives.
struct World {
    simulator: Simulator,
    api: String,
    cluster: Cluster,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let simulator = Simulator::new(&[ZONE], Limits::default());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let api = runtime.block_on(async {
            // The simulator's task lives as long as the runtime.
            simulator.listen(loopback, &Supervisor::new()).await.unwrap()
        });
        Self { simulator, api, cluster: Cluster::new(), _runtime: runtime }
    }

    /// A node that may be a member and looks after the zone.
    fn node(&self, number: u8, expect: u8) -> Node {
        let mut node = self.cluster.node(number);
        node.arguments.retain(|argument| argument != "--no-notary");
        let token = self.cluster.directory.path().join("cloudflare.token");
        if !token.exists() {
            let mut file =
                std::fs::File::options().write(true).create_new(true).mode(0o600).open(&token).unwrap();
            file.write_all(Simulator::token().as_bytes()).unwrap();
        }
        node.set("bootstrap-expect", expect);
        node.set("priority", u16::from(number) * 10);
        node.set("cloudflare-api", &self.api);
        node.set("cloudflare-token-file", token.display());
        node.set("public-ip", public(number));
        // These addresses are for documents, and would not be published otherwise.
        node.arguments.push("--dns-any-address".to_owned());
        node
    }

    fn start(&self, count: u8) -> Vec<Node> {
        let mut nodes: Vec<Node> = (1..=count).map(|number| self.node(number, count)).collect();
        nodes.iter_mut().for_each(Node::start);
        nodes
    }

    fn foreign(&self) -> StoredRecord {
        let record = serde_json::json!({ "name": format!("mail.{ZONE}"), "type": "A", "content": "192.0.2.99",
            "ttl": 300, "comment": "made by hand" });
        self.simulator.create(ZONE, serde_json::from_value(record).unwrap()).unwrap()
    }

    /// Where the apex leads, and who says so.
    fn apex(&self) -> Vec<(IpAddr, String)> {
        apex(&self.simulator)
    }
}

fn apex(simulator: &Simulator) -> Vec<(IpAddr, String)> {
    let records = simulator.records(ZONE).into_iter();
    let apex = records.filter(|record| record.name == ZONE && record.kind == "A");
    apex.map(|record| (record.content.parse().unwrap(), record.comment.unwrap_or_default())).collect()
}

/// The address that the world reaches node N at.
fn public(node: u8) -> IpAddr {
    IpAddr::from([203, 0, 113, node])
}

/// Which node may act under a lease, as the nodes themselves say.
fn acts(nodes: &[Node], lease: &str) -> Option<u8> {
    (1..).zip(nodes).find_map(|(number, node)| {
        let leases = node.ask(&["leases"])?;
        let rows = leases["leases"].as_array()?;
        rows.iter().any(|row| row["lease"] == lease && row["may_act"] == true).then_some(number)
    })
}

/// The tokens of the leases: they rise with each grant.
fn grants(node: &Node) -> Vec<u64> {
    let leases = node.ask(&["leases"]).unwrap_or_default();
    let rows = leases["leases"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["token"].as_u64()).collect()
}

/// Whether every node sees every other one live: a node that was out of sight for a moment changes what is wanted.
fn settled(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| {
        let members = node.ask(&["members"]).unwrap_or_default();
        let live = members.as_array().into_iter().flatten().filter(|member| member["state"] == "live");
        live.count() == nodes.len()
    })
}

fn worker(node: &Node) -> Pid {
    let pid = node.ask(&["leases"]).unwrap()["worker_pid"].as_i64().unwrap();
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// Where the apex led, and from when on it was seen to.
type Seen = Vec<(Instant, Vec<(IpAddr, String)>)>;

/// Looks at the apex all the time, and remembers when it was seen to lead elsewhere.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a test measures real time")]
    fn start(simulator: &Simulator) -> Self {
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (simulator, to, until) = (simulator.clone(), Arc::clone(&seen), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let now = apex(&simulator);
                let mut seen = to.lock().unwrap();
                if seen.last().is_none_or(|(_, last)| *last != now) {
                    seen.push((Instant::now(), now));
                }
                drop(seen);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { seen, over, thread: Some(thread) }
    }

    /// When the apex first led to this address alone, after a moment.
    fn led_to(&self, address: IpAddr, after: Instant) -> Option<Instant> {
        let seen = self.seen.lock().unwrap();
        let found = seen.iter().find(|(at, apex)| *at >= after && apex.len() == 1 && apex[0].0 == address);
        found.map(|(at, _)| *at)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn the_apex_follows_the_lease_and_nothing_else_in_the_zone_is_touched() {
    let world = World::new();
    let foreign = world.foreign();
    let nodes = world.start(3);
    nodes[0].wait("the apex leads to the holder, and each node has its name", |_| {
        let holder = acts(&nodes, "lb-leader");
        let apex = world.apex();
        let names: Vec<String> =
            world.simulator.records(ZONE).into_iter().map(|record| record.name).collect();
        let each = (1..=3).all(|number| names.contains(&format!("n{number}.{ZONE}")));
        each && apex.len() == 1 && holder.is_some_and(|holder| apex[0].0 == public(holder))
    });

    // Nothing changes, so nothing is written, and the zone is looked at once a minute at most. On a machine that is starved a
    // lease may change hands all the same; then it was no peace, and the next while may be one.
    nodes[0].wait("the last run has ended", |_| {
        let before = world.simulator.counts();
        std::thread::sleep(Duration::from_secs(1));
        world.simulator.counts() == before
    });
    let steady = (0..10).any(|_| {
        let grants = grants(&nodes[0]);
        let (asked, written) = world.simulator.counts();
        std::thread::sleep(STEADY);
        let (asked_then, written_then) = world.simulator.counts();
        println!("{} requests and {} writes in {STEADY:?}", asked_then - asked, written_then - written);
        let quiet = written_then == written && asked_then - asked <= 1;
        assert!(quiet || grants != self::grants(&nodes[0]) || !settled(&nodes), "{}", nodes[0].read_log());
        quiet
    });
    assert!(steady, "there was no peace in which to look");

    // With fewer voters the one that is killed may be all of them, and nobody could take over.
    for node in &nodes {
        node.wait("all three vote", |node| {
            let raft = node.ask(&["raft", "status"]).unwrap_or_default();
            raft["voters"].as_array().is_some_and(|voters| voters.len() == 3)
        });
    }
    let holder = acts(&nodes, "lb-leader").unwrap();
    let stamped = world.apex()[0].1.clone();
    let watch = Watch::start(&world.simulator);
    let killed = Instant::now();
    kill_process(worker(&nodes[usize::from(holder) - 1]), Signal::KILL).unwrap();
    let heir = std::cell::Cell::new(None);
    let others: Vec<&Node> =
        (1..).zip(&nodes).filter(|(number, _)| *number != holder).map(|(_, node)| node).collect();
    others[0].wait("the apex leads to another node", |_| {
        let apex = world.apex();
        heir.set((1..=3).find(|number| *number != holder && apex.len() == 1 && apex[0].0 == public(*number)));
        heir.get().is_some()
    });
    let heir = heir.get().unwrap();
    let moved = watch.led_to(public(heir), killed).unwrap();
    println!(
        "kill -9 of the holder's worker to the apex elsewhere: {} ms",
        moved.duration_since(killed).as_millis()
    );
    assert_ne!(world.apex()[0].1, stamped, "it is stamped with the token of the new writer");
    nodes[0].wait("all agree again", |_| {
        acts(&nodes, "lb-leader").is_some_and(|now| world.apex().iter().all(|(at, _)| *at == public(now)))
    });
    let after: Vec<StoredRecord> =
        world.simulator.records(ZONE).into_iter().filter(|record| record.id == foreign.id).collect();
    assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&[foreign]).unwrap());
}

#[test]
fn a_zone_that_a_person_edits_is_put_back_and_an_api_that_lies_is_no_harm() {
    use constellation_testkit::cloudflare::Fault;
    let world = World::new();
    let foreign = world.foreign();
    world.simulator.faults([
        Fault::Status(502),
        Fault::BrokenAfterwards,
        Fault::TooManyRequests(1),
        Fault::Broken,
    ]);
    let nodes = world.start(1);
    let led = || world.apex().len() == 1 && world.apex()[0].0 == public(1);
    nodes[0].wait("the apex is written all the same", |_| led());
    world.simulator.edit(ZONE, |records| {
        for record in records.iter_mut().filter(|record| record.name == ZONE) {
            record.content = "192.0.2.66".to_owned();
        }
    });
    assert!(!led());
    nodes[0].ask(&["dns", "apply"]);
    nodes[0].wait("it leads where it should again", |_| led());
    assert!(world.simulator.records(ZONE).contains(&foreign));
}

#[test]
fn a_dry_run_shows_what_it_would_do_and_writes_nothing() {
    let world = World::new();
    let mut node = world.node(1, 1);
    node.arguments.push("--dns-dry-run".to_owned());
    node.start();
    node.wait("it has a plan", |node| {
        let plan = node.ask(&["dns", "plan"]).unwrap_or_default();
        plan.to_string().contains(&public(1).to_string())
    });
    pause();
    assert_eq!(world.simulator.counts().1, 0, "{}", node.read_log());
    assert_eq!(world.simulator.records(ZONE), []);
}
