//! Three members with real disks, clocks, certificates and sockets, in one process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use constellation_consensus::{
    ClusterMachine, LeaseHandle, LeaseService, MachineClocks, ServiceConfig,
    lease::{LeaseConfig, Wish},
    raft::{Log as _, RaftConfig, RaftId, Timing, birth},
    storage::{DataIdentity, DataOwner, RedbLog},
    transport::{ClusterCa, Peer, PeerIdentity, Roster, TcpTransport, TlsIdentity, TransportConfig},
};
use constellation_core::{Clock as _, ClusterId, LeaseHolder, LeaseKind, LeaseStatus, NodeName};
use constellation_tasks::{Supervisor, SystemClock};
use tempfile::TempDir;
use tokio::sync::watch;

const LB: LeaseKind = LeaseKind::LbLeader;
const FOUNDERS: [RaftId; 3] = [RaftId(1), RaftId(2), RaftId(3)];
/// No wait for a state is longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn cluster_id() -> ClusterId {
    "home".parse().unwrap()
}

fn node_name(id: RaftId) -> NodeName {
    format!("node-{}", id.0).parse().unwrap()
}

fn identity(id: RaftId) -> PeerIdentity {
    format!("constellation://home/node-{}/{}", id.0, id.0).parse().unwrap()
}

struct Member {
    handle: LeaseHandle,
    holder: LeaseHolder,
    transport: TcpTransport,
    supervisor: Supervisor,
}

struct Cluster {
    folder: TempDir,
    ca: ClusterCa,
    roster: watch::Sender<Arc<Roster>>,
    members: BTreeMap<RaftId, Member>,
    next_boot: u128,
}

impl Cluster {
    async fn new() -> Self {
        let ca = ClusterCa::create(cluster_id(), SystemClock::start().wall()).unwrap();
        let (folder, roster) = (TempDir::new().unwrap(), watch::Sender::new(Arc::default()));
        let mut cluster = Self { folder, ca, roster, members: BTreeMap::new(), next_boot: 1 };
        for id in FOUNDERS {
            cluster.start(id).await;
        }
        cluster
    }

    fn log(&self, id: RaftId) -> RedbLog {
        let root = self.folder.path().join(id.to_string());
        if DataIdentity::of(&root).unwrap().is_some() {
            return RedbLog::open(&root, &cluster_id(), &node_name(id)).unwrap();
        }
        let owner = DataOwner { cluster: cluster_id(), node: node_name(id), id: id.0 };
        let mut log = RedbLog::create(&root, &DataIdentity { owner, epoch: 1 }).unwrap();
        log.write(&birth(&FOUNDERS, &ClusterMachine::new())).unwrap();
        log
    }

    /// Starts a member as a new process; the others learn its address.
    async fn start(&mut self, id: RaftId) {
        let supervisor = Supervisor::new();
        let clock = Arc::new(SystemClock::start());
        let credentials = self.ca.credentials(&identity(id), clock.wall()).unwrap();
        let (_, tls) = watch::channel(Arc::new(TlsIdentity::new(&credentials).unwrap()));
        let config = TransportConfig::at("127.0.0.1:0".parse().unwrap(), 1);
        let (transport, deliveries) =
            TcpTransport::start(config, tls, self.roster.subscribe(), None, clock, &supervisor)
                .await
                .unwrap();
        self.roster.send_modify(|roster| {
            let mut changed = Roster::clone(roster);
            let address = Some(transport.local_addr());
            changed.peers.insert(id, Peer { node: node_name(id), address });
            *roster = Arc::new(changed);
        });
        let holder = LeaseHolder { node: node_name(id), boot: self.next_boot };
        self.next_boot += 1;
        let config = ServiceConfig {
            id,
            holder: holder.clone(),
            epoch: 1,
            raft: RaftConfig { seed: id.0, timing: Timing::LAN, ..RaftConfig::default() },
            lease: LeaseConfig { ttl: Duration::from_secs(2), ..LeaseConfig::default() },
        };
        let log = self.log(id);
        let clocks = Arc::new(MachineClocks);
        let handle =
            LeaseService::start(&config, log, transport.clone(), deliveries, clocks, &supervisor).unwrap();
        self.members.insert(id, Member { handle, holder, transport, supervisor });
    }

    /// Ends a member's process without a word to anybody.
    async fn kill(&mut self, id: RaftId) -> LeaseHolder {
        let member = self.members.remove(&id).unwrap();
        member.supervisor.drain(Duration::from_secs(10)).await;
        drop(member.transport);
        member.holder
    }

    async fn all_want(&self) {
        for (rank, member) in (0..).zip(self.members.values()) {
            let patience = Duration::from_millis(100) * rank;
            member.handle.wish(LB, Wish::Yes { patience, better: None }).await;
        }
    }

    /// Who believes to hold the lease now. Never two, whenever it is asked.
    fn believer(&self) -> Option<RaftId> {
        let believers: Vec<RaftId> = self
            .members
            .iter()
            .filter(|(_, member)| member.handle.may_act(LB).is_some())
            .map(|(id, _)| *id)
            .collect();
        assert!(believers.len() < 2, "{believers:?} believe at once");
        believers.first().copied()
    }

    async fn until_held(&self, but_not_by: Option<RaftId>) -> RaftId {
        let held = async {
            loop {
                match self.believer() {
                    Some(id) if Some(id) != but_not_by => return id,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        in_time("somebody holds the lease", held).await
    }
}

async fn in_time<O>(what: &str, future: impl Future<Output = O>) -> O {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_the_lease_renews_it_and_hands_it_on_when_it_resigns() {
    let cluster = Cluster::new().await;
    cluster.all_want().await;
    let first = cluster.until_held(None).await;
    let member = &cluster.members[&first];
    let mut status = member.handle.status(LB);
    let until = |status: &LeaseStatus| match status {
        LeaseStatus::Held { until, .. } => Some(*until),
        _ => None,
    };
    let granted = until(&status.borrow_and_update()).expect("a holder");
    let renewed = status.wait_for(|status| until(status).is_some_and(|until| until > granted));
    in_time("it is renewed", renewed).await.unwrap();

    in_time("it is given up", member.handle.resign()).await;
    let second = cluster.until_held(Some(first)).await;
    let tokens = |id: RaftId| cluster.members[&id].handle.table().borrow().record(LB).token;
    in_time("all agree", async {
        while tokens(first) != tokens(second) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_dies_is_replaced_at_its_ttl_and_at_once_on_proof_and_comes_back_with_what_it_knew() {
    let mut cluster = Cluster::new().await;
    cluster.all_want().await;
    let first = cluster.until_held(None).await;
    cluster.kill(first).await;
    let second = cluster.until_held(Some(first)).await;

    cluster.start(first).await;
    cluster.all_want().await;
    let dead = cluster.kill(second).await;
    for member in cluster.members.values() {
        member.handle.died(dead.clone()).await;
    }
    let third = cluster.until_held(Some(second)).await;
    let table = cluster.members[&third].handle.table();
    assert!(table.borrow().is_dead(&dead), "the death was believed, and not a TTL waited for");

    let returned = &cluster.members[&first].handle;
    in_time("a read is good", async { while returned.read().await.is_err() {} }).await;
    assert!(returned.table().borrow().history().count() >= 3, "it has the whole history");
}
