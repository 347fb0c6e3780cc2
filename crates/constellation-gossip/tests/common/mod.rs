//! A cluster on the machine's own network, or in memory, and the words to describe what is expected of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests; each suite uses some of them"
)]

pub mod tap;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use constellation_core::{
    Clock, ClusterId, ClusterView, Health, Instance, Moment, NodeFacts, NodeName, WallTime, fact::Publication,
};
use constellation_gossip::{
    DatagramNetwork, Gossip, GossipConfig, GossipError, GossipHandle, GossipSecurity, UdpNetwork,
};
use constellation_security::{Key, Keyring, KeyringHandle};
use constellation_tasks::{Supervisor, SystemClock};
use tempfile::TempDir;

/// The longest that any state is waited for. Nothing takes this long unless it never comes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The real clock with a calendar that the test sets: a machine's calendar is anybody's guess.
pub struct CalendarClock {
    steady: SystemClock,
    calendar: AtomicU64,
}

impl CalendarClock {
    fn start() -> Self {
        Self { steady: SystemClock::start(), calendar: AtomicU64::new(1_000_000) }
    }

    pub fn set(&self, calendar: u64) {
        self.calendar.store(calendar, Ordering::SeqCst);
    }
}

impl Clock for CalendarClock {
    fn now(&self) -> Moment {
        self.steady.now()
    }

    /// Rises by one with each look, so that who looked first is known.
    fn wall(&self) -> WallTime {
        WallTime(self.calendar.fetch_add(1, Ordering::SeqCst))
    }
}

/// One node, with the ground that it stands on.
pub struct Node {
    pub gossip: GossipHandle,
    pub supervisor: Supervisor,
    pub state: Arc<TempDir>,
}

/// What the nodes of one test have in common.
#[derive(Clone)]
pub struct Cluster {
    pub network: Arc<dyn DatagramNetwork>,
    pub id: ClusterId,
    pub security: GossipSecurity,
    pub clock: Arc<CalendarClock>,
}

pub fn ring(keys: &[&Key]) -> Keyring {
    Keyring::new(keys.iter().map(|key| (*key).clone())).unwrap()
}

impl Cluster {
    pub fn sealed() -> Self {
        Self::on(Arc::new(UdpNetwork))
    }

    pub fn on(network: Arc<dyn DatagramNetwork>) -> Self {
        let security = GossipSecurity::Sealed(KeyringHandle::new(ring(&[&Key::generate()])));
        Self { network, id: "test".parse().unwrap(), security, clock: Arc::new(CalendarClock::start()) }
    }

    pub fn config(&self, name: &str, state: &Path, seeds: &[SocketAddr]) -> GossipConfig {
        let here = "127.0.0.1:0".parse().unwrap();
        let mut config = GossipConfig::new(
            name.parse().unwrap(),
            self.id.clone(),
            here,
            here,
            self.security.clone(),
            state,
        );
        config.seeds = seeds.iter().map(ToString::to_string).collect();
        config
    }

    pub async fn try_start(&self, config: GossipConfig) -> Result<(GossipHandle, Supervisor), GossipError> {
        let supervisor = Supervisor::new();
        let gossip =
            Gossip::start_on(Arc::clone(&self.network), config, self.clock.clone(), &supervisor).await?;
        Ok((gossip, supervisor))
    }

    pub async fn start_with(&self, config: GossipConfig, state: Arc<TempDir>) -> Node {
        let (gossip, supervisor) = self.try_start(config).await.unwrap();
        Node { gossip, supervisor, state }
    }

    /// A node that has told its own record and one instance.
    pub async fn start(&self, name: &str, seeds: &[SocketAddr]) -> Node {
        let state = Arc::new(tempfile::tempdir().unwrap());
        let node = self.start_with(self.config(name, state.path(), seeds), state).await;
        node.gossip.publish(publication(&[&format!("{name}-1")]));
        node
    }

    /// So many nodes named `n0`, `n1`, …, which all see each other.
    pub async fn of(&self, count: usize) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for index in 0..count {
            let seeds: Vec<SocketAddr> = nodes.iter().map(|node| node.gossip.advertise()).collect();
            nodes.push(self.start(&format!("n{index}"), &seeds).await);
        }
        for node in &nodes {
            node.sees(&format!("{count} live nodes"), |view| view.live_nodes().count() == count).await;
        }
        nodes
    }
}

impl Node {
    pub fn address(&self) -> SocketAddr {
        self.gossip.advertise()
    }

    /// Waits until the view is as expected.
    pub async fn sees(&self, what: &str, expected: impl Fn(&ClusterView) -> bool) -> Arc<ClusterView> {
        let mut view = self.gossip.view();
        let wait = async { view.wait_for(|view| expected(view)).await.map(|view| Arc::clone(&view)) };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(view)) => view,
            _ => panic!("never saw {what}: {:#?}\n{:#?}", self.gossip.view().borrow(), self.gossip.stats()),
        }
    }

    pub async fn sees_instance(&self, id: &str) {
        self.sees(&format!("instance {id}"), |view| has(view, id)).await;
    }

    pub async fn misses_instance(&self, id: &str) {
        self.sees(&format!("that instance {id} is gone"), |view| !has(view, id)).await;
    }

    pub async fn sees_dead(&self, name: &str) {
        self.sees(&format!("that {name} is dead"), |view| is_live(view, name) == Some(false)).await;
    }

    pub async fn sees_live(&self, name: &str) {
        self.sees(&format!("that {name} lives"), |view| is_live(view, name) == Some(true)).await;
    }

    /// Ends it as a crash does: no farewell, and its socket is gone.
    pub async fn kill(&self) {
        self.supervisor.drain(PATIENCE).await;
    }
}

pub fn has(view: &ClusterView, id: &str) -> bool {
    view.instances().any(|placed| placed.instance.id.as_str() == id)
}

pub fn is_live(view: &ClusterView, name: &str) -> Option<bool> {
    let name: NodeName = name.parse().unwrap();
    view.member(&name).map(|member| member.live)
}

pub fn instance(id: &str) -> Instance {
    Instance {
        id: id.parse().unwrap(),
        service: "web".parse().unwrap(),
        health: Health::Healthy,
        since: WallTime(1),
        endpoints: vec![],
        networks: vec![],
        routes: None,
        definition: None,
        role: None,
    }
}

pub fn publication(instances: &[&str]) -> Publication {
    Publication {
        node: NodeFacts::at("127.0.0.1".parse().unwrap()),
        instances: instances.iter().map(|id| instance(id)).collect(),
        routes: Default::default(),
    }
}

/// Waits until something that has no watch is as expected.
pub async fn eventually(what: &str, expected: impl Fn() -> bool) {
    let wait = async {
        while !expected() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never came: {what}");
}
