//! How fast gossip is: how long a change takes to reach every node, and how long the loss of a node stays unnoticed.
//!
//! `cargo run --release -p constellation-gossip --example gossip_bench -- [nodes] [changes] [kills]`
//!
//! All nodes run in this process, over UDP on the loopback interface, sealed. A kill drops a node's tasks and its
//! socket without a farewell. The last line is one JSON object; times are in milliseconds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for people, not a library"
)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{Clock, Health, Instance, NodeFacts, NodeName, WallTime, fact::Publication};
use constellation_gossip::{Gossip, GossipConfig, GossipHandle, GossipSecurity};
use constellation_security::{Key, Keyring, KeyringHandle};
use constellation_tasks::{Supervisor, SystemClock};
use rand::Rng;

struct Node {
    name: NodeName,
    gossip: GossipHandle,
    supervisor: Supervisor,
    state: tempfile::TempDir,
}

struct Bench {
    clock: Arc<SystemClock>,
    security: GossipSecurity,
}

impl Bench {
    async fn start(
        &self,
        name: NodeName,
        state: tempfile::TempDir,
        listen: SocketAddr,
        seeds: &[SocketAddr],
    ) -> Node {
        let cluster = "bench".parse().unwrap();
        let mut config =
            GossipConfig::new(name.clone(), cluster, listen, listen, self.security.clone(), state.path());
        config.seeds = seeds.iter().map(ToString::to_string).collect();
        let supervisor = Supervisor::new();
        let gossip = Gossip::start(config, self.clock.clone(), &supervisor).await.unwrap();
        gossip.publish(publication("first"));
        Node { name, gossip, supervisor, state }
    }

    /// How long until the slowest of these sees it, and each one's time.
    async fn until_all(
        &self,
        nodes: &[&Node],
        seen: impl Fn(&constellation_core::ClusterView) -> bool,
    ) -> Vec<f64> {
        let begun = self.clock.now();
        let waits = nodes.iter().map(|node| async {
            let mut view = node.gossip.view();
            let wait = tokio::time::timeout(Duration::from_secs(60), view.wait_for(|view| seen(view)));
            wait.await.unwrap_or_else(|_| panic!("{} never saw it", node.name)).unwrap();
            self.clock.now().since(begun).as_secs_f64() * 1000.0
        });
        futures_join(waits).await
    }
}

async fn futures_join<F: Future<Output = f64>>(waits: impl Iterator<Item = F>) -> Vec<f64> {
    let mut waits: Vec<_> = waits.map(Box::pin).collect();
    let mut times = vec![None; waits.len()];
    std::future::poll_fn(|cx| {
        for (wait, time) in waits.iter_mut().zip(&mut times).filter(|(_, time)| time.is_none()) {
            if let std::task::Poll::Ready(at) = wait.as_mut().poll(cx) {
                *time = Some(at);
            }
        }
        if times.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    times.into_iter().flatten().collect()
}

fn publication(id: &str) -> Publication {
    let instance = Instance {
        id: id.parse().unwrap(),
        service: "web".parse().unwrap(),
        health: Health::Healthy,
        since: WallTime(1),
        endpoints: vec![],
        networks: vec![],
        routes: None,
        definition: None,
        role: None,
    };
    Publication {
        node: NodeFacts::at("127.0.0.1".parse().unwrap()),
        instances: vec![instance],
        routes: std::collections::BTreeMap::new(),
    }
}

fn percentiles(times: &mut [f64]) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |hundredth: usize| times.get((times.len() * hundredth / 100).min(times.len() - 1)).copied();
    (at(50).unwrap_or_default(), at(99).unwrap_or_default(), times.last().copied().unwrap_or_default())
}

/// CPU time of this process, in seconds, from its user and system ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let mut next = |default| arguments.next().unwrap_or(default);
    let (count, changes, kills) = (next(5), next(50), next(20));
    let ring = KeyringHandle::new(Keyring::new([Key::generate()]).unwrap());
    let bench = Bench { clock: Arc::new(SystemClock::start()), security: GossipSecurity::Sealed(ring) };
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..count {
        let seeds: Vec<SocketAddr> = nodes.iter().take(3).map(|node| node.gossip.advertise()).collect();
        let name = format!("n{index}").parse().unwrap();
        nodes.push(
            bench.start(name, tempfile::tempdir().unwrap(), "127.0.0.1:0".parse().unwrap(), &seeds).await,
        );
    }
    let all: Vec<&Node> = nodes.iter().collect();
    bench.until_all(&all, |view| view.live_nodes().count() == count).await;
    println!("{count} nodes see each other");

    let (cpu, begun) = (cpu_seconds(), bench.clock.now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = (cpu_seconds() - cpu) / bench.clock.now().since(begun).as_secs_f64() / count as f64 * 100.0;
    println!("idle: {idle:.2} % of a core per node");

    let (mut each, mut slowest) = (Vec::new(), Vec::new());
    for change in 0..changes {
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(300..700))).await;
        let (node, id) = (&nodes[change % count], format!("change-{change}"));
        node.gossip.publish(publication(&id));
        let times =
            bench.until_all(&all, |view| view.instances().any(|p| p.instance.id.as_str() == id)).await;
        slowest.push(times.iter().copied().fold(0.0, f64::max));
        each.extend(times);
    }
    let change_each = percentiles(&mut each);
    let change_all = percentiles(&mut slowest);
    println!(
        "change, each node: p50 {:.1} p99 {:.1} max {:.1} ms",
        change_each.0, change_each.1, change_each.2
    );
    println!("change, all nodes: p50 {:.1} p99 {:.1} max {:.1} ms", change_all.0, change_all.1, change_all.2);

    let mut dead_all = Vec::new();
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(1500..2500))).await;
        let victim = nodes.remove(kill % count);
        let (name, at) = (victim.name.clone(), victim.gossip.advertise());
        let rest: Vec<&Node> = nodes.iter().collect();
        let (deaths, drained) = tokio::join!(
            bench.until_all(&rest, |view| view.member(&name).is_none_or(|member| !member.live)),
            victim.supervisor.drain(Duration::from_secs(5)),
        );
        assert_eq!(drained, constellation_tasks::Drained::Clean);
        dead_all.push(deaths.iter().copied().fold(0.0, f64::max));
        let seeds: Vec<SocketAddr> = nodes.iter().take(3).map(|node| node.gossip.advertise()).collect();
        nodes.insert(kill % count, bench.start(name, victim.state, at, &seeds).await);
        let all: Vec<&Node> = nodes.iter().collect();
        bench.until_all(&all, |view| view.live_nodes().count() == count).await;
    }
    let kill_all = percentiles(&mut dead_all);
    println!("kill, all survivors: p50 {:.0} p99 {:.0} max {:.0} ms", kill_all.0, kill_all.1, kill_all.2);
    println!(
        "{{\"nodes\":{count},\"idle_cpu_percent_per_node\":{idle:.2},\"changes\":{changes},\"change_each_p50_ms\":{:.1},\
         \"change_each_p99_ms\":{:.1},\"change_all_p50_ms\":{:.1},\"change_all_p99_ms\":{:.1},\"kills\":{kills},\
         \"kill_all_p50_ms\":{:.0},\"kill_all_p99_ms\":{:.0}}}",
        change_each.0, change_each.1, change_all.0, change_all.1, kill_all.0, kill_all.1
    );
    for node in &nodes {
        node.supervisor.drain(Duration::from_secs(5)).await;
    }
}
