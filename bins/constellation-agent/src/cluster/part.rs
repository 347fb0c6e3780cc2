//! Taking part: a member's log, connections and leases, and the tasks beside them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use constellation_consensus::{
    Body, Frame, LeaseHandle, LeaseService, MachineClocks, Obituary, ServiceConfig, Transport as _,
    member::{ClusterSettings, SeatPolicy},
    raft::{RaftConfig, RaftId},
    storage::{DataIdentity, RedbLog},
    transport::{Roster, TcpTransport, TlsIdentity, TransportConfig},
};
use constellation_core::{Clock, ClusterView, LeaseHolder, NodeFacts, RaftFacts, WallTime};
use constellation_tasks::{Early, Supervisor};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    admission::Doorkeeper, attendance::Patience, files::ClusterFiles, roster, steward::Steward, wishes,
};

/// How long the others may take to connect before they are told of this node's earlier process.
const TELL_OF_DEATH: Duration = Duration::from_secs(3);

/// What a member needs to take part.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) files: ClusterFiles,
    pub(crate) address: SocketAddr,
    pub(crate) policy: SeatPolicy,
    /// How many nodes found the cluster together; zero where none do.
    pub(crate) founders: usize,
    pub(crate) keyring: Option<std::path::PathBuf>,
    pub(crate) boot: u128,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) view: watch::Receiver<Arc<ClusterView>>,
    pub(crate) facts: watch::Sender<NodeFacts>,
    pub(crate) supervisor: Supervisor,
}

/// A member that takes part.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) handle: LeaseHandle,
    pub(crate) transport: TcpTransport,
    pub(crate) identity: DataIdentity,
    pub(crate) settings: ClusterSettings,
    pub(crate) signs: bool,
    pub(crate) certificate_expires: WallTime,
}

impl Place {
    /// Starts to take part, as the member that the log says this node is.
    pub(crate) async fn take(&self, identity: DataIdentity) -> anyhow::Result<Part> {
        let owner = &identity.owner;
        let id = RaftId(owner.id);
        let settings = self.files.settings()?;
        let credentials = self.files.credentials()?;
        let said = credentials.identity();
        anyhow::ensure!(
            (&said.cluster, &said.node, said.id) == (&owner.cluster, &owner.node, id),
            "{} is that of {said}, and the log is that of {owner}: put both back from the same place",
            self.files.credentials_path().display()
        );
        let certificate_expires = credentials.expires();
        let authority = self.files.authority()?;
        let signs = authority.is_some();

        // Opening the log takes the folder's lock, so whatever process had this folder before is gone from here on.
        let root = self.files.raft();
        let (cluster, node) = (owner.cluster.clone(), owner.node.clone());
        let opened = tokio::task::spawn_blocking(move || RedbLog::open(&root, &cluster, &node)).await;
        let log = opened.context("could not open the Raft log")??;
        let identity = log.identity().clone();
        let predecessor = self.files.last_boot()?.filter(|boot| *boot != self.boot);

        // Before anything runs that would have to end again where the disk is full.
        self.files.write_boot(self.boot)?;
        let known = self.files.peers()?;
        let (rosters, roster) =
            watch::channel(Arc::new(Roster { peers: known.peers(), ..Roster::default() }));
        let (speaks, spoken_for) = watch::channel(None);
        let doorkeeper = Doorkeeper {
            cluster: owner.cluster.clone(),
            epoch: identity.epoch,
            me: id,
            authority,
            settings,
            files: self.files.clone(),
            handle: spoken_for,
            view: self.view.clone(),
            clock: Arc::clone(&self.clock),
            founders: self.founders,
            keyring: self.keyring.clone(),
        };
        // Nobody renews a certificate while the agent runs, so the sender is of no use beyond this.
        let (_, tls) = watch::channel(Arc::new(TlsIdentity::new(&credentials)?));
        let (transport, deliveries) = TcpTransport::start(
            TransportConfig::at(self.address, identity.epoch),
            tls,
            roster.clone(),
            Some(Arc::new(doorkeeper)),
            Arc::clone(&self.clock),
            &self.supervisor,
        )
        .await
        .inspect_err(|_| {
            // A start that fails leaves the earlier process to the next one, to tell of.
            if let Some(boot) = predecessor
                && let Err(error) = self.files.write_boot(boot)
            {
                warn!(%error, "this node's earlier process is forgotten: its lease may take its whole TTL to end");
            }
        })
        .context("Raft could not listen (see --raft-port)")?;

        let holder = LeaseHolder { node: owner.node.clone(), boot: self.boot };
        let config = ServiceConfig {
            id,
            holder: holder.clone(),
            epoch: identity.epoch,
            raft: RaftConfig {
                timing: settings.profile.timing(),
                seed: u64::try_from(self.boot & u128::from(u64::MAX)).unwrap_or(1),
                ..RaftConfig::default()
            },
            lease: settings.lease(),
        };
        let clocks = Arc::new(MachineClocks);
        let handle =
            LeaseService::start(&config, log, transport.clone(), deliveries, clocks, &self.supervisor)?;
        speaks.send_replace(Some(handle.clone()));
        self.start_tasks(id, &identity, settings, &handle, &transport, rosters);
        if let Some(boot) = predecessor {
            self.tell_of(LeaseHolder { boot, ..holder }, id, &identity, &handle, &transport, roster);
        }
        let facts = RaftFacts { id: id.0, port: self.address.port(), epoch: identity.epoch };
        self.facts.send_modify(|own| {
            own.raft = Some(facts);
            own.founding = None;
        });
        info!(
            cluster = %identity.owner.cluster,
            %id,
            epoch = identity.epoch,
            address = %self.address,
            ttl = ?settings.ttl,
            profile = settings.profile.as_str(),
            lets_in = signs,
            "this node is a member of the cluster"
        );
        Ok(Part { handle, transport, identity, settings, signs, certificate_expires })
    }

    fn start_tasks(
        &self,
        id: RaftId,
        identity: &DataIdentity,
        settings: ClusterSettings,
        handle: &LeaseHandle,
        transport: &TcpTransport,
        rosters: watch::Sender<Arc<Roster>>,
    ) {
        let stop = || self.supervisor.shutdown();
        let (view, files) = (self.view.clone(), self.files.clone());
        let keep = roster::keep(id, identity.epoch, handle.clone(), view, rosters, files, stop());
        self.supervisor.spawn("raft roster", Early::Fatal, keep);
        let step = settings.profile.patience_step();
        let keep = wishes::keep(
            handle.clone(),
            self.view.clone(),
            self.facts.subscribe(),
            step,
            Arc::clone(&self.clock),
            stop(),
        );
        self.supervisor.spawn("lease wishes", Early::Fatal, keep);
        let steward = Steward {
            me: id,
            handle: handle.clone(),
            transport: transport.clone(),
            view: self.view.clone(),
            policy: self.policy,
            settings,
            patience: Patience::default(),
            clock: Arc::clone(&self.clock),
        };
        self.supervisor.spawn("raft steward", Early::Fatal, steward.run(stop()));
    }

    /// Tells everybody that this node's earlier process is dead: it held the lock that this one has now.
    fn tell_of(
        &self,
        dead: LeaseHolder,
        id: RaftId,
        identity: &DataIdentity,
        handle: &LeaseHandle,
        transport: &TcpTransport,
        roster: watch::Receiver<Arc<Roster>>,
    ) {
        let (epoch, handle, transport) = (identity.epoch, handle.clone(), transport.clone());
        let shutdown = self.supervisor.shutdown();
        let obituary =
            Obituary { node: dead.node.to_string(), boot: dead.boot.to_be_bytes().to_vec(), returned: true };
        let tell = async move {
            handle.died(dead).await;
            let mut told = std::collections::BTreeSet::new();
            let deadline = tokio::time::sleep(TELL_OF_DEATH);
            tokio::pin!(deadline);
            loop {
                for (peer, status) in transport.peers() {
                    if status.connected && told.insert(peer) {
                        let body = Some(Body::Obituary(obituary.clone()));
                        transport.send(peer, Frame { epoch, from: id.0, to: peer.0, body });
                    }
                }
                if roster.borrow().peers.keys().all(|peer| told.contains(peer)) {
                    return;
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = &mut deadline => {
                        warn!("not every member could be told of this node's earlier process: its lease may take its whole TTL to end");
                        return;
                    }
                    () = tokio::time::sleep(Duration::from_millis(10)) => {}
                }
            }
        };
        self.supervisor.spawn("obituary", Early::Fine, tell);
    }
}
