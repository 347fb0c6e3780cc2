//! Starting gossip, and speaking with it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{Clock, ClusterView, fact::Publication};
use constellation_tasks::{Early, Supervisor};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{
    config::GossipConfig,
    driver::{Driver, Inputs},
    engine::Surroundings,
    error::GossipError,
    generation::Generations,
    seeds::{self, Seeds},
    stats::{Condition, GossipStats},
    transport::{DatagramNetwork, Farewell, Meter, UdpNetwork},
};

/// One farewell is enough for a process; the rest of the room is for impatient callers.
const FAREWELLS_BOUND: usize = 4;
/// How long [`GossipHandle::leave`] takes at most. The driver bounds each of its parts below this.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Takes part in a cluster.
#[derive(Debug)]
pub struct Gossip;

impl Gossip {
    /// Joins the cluster over UDP.
    ///
    /// Returns once the cluster was met, at the latest after 1.5 s where no seed answers, and then goes on trying; it
    /// takes up to 3 s where somebody may have this node's name already. Nothing is told before [`GossipHandle::publish`].
    pub async fn start(
        config: GossipConfig,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> Result<GossipHandle, GossipError> {
        Self::start_on(Arc::new(UdpNetwork), config, clock, supervisor).await
    }

    /// Joins the cluster over another network, such as [`MemoryNetwork`](crate::MemoryNetwork).
    pub async fn start_on(
        network: Arc<dyn DatagramNetwork>,
        config: GossipConfig,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> Result<GossipHandle, GossipError> {
        config.check()?;
        let state = config.state_dir.clone();
        let opened = tokio::task::spawn_blocking(move || Generations::open(&state)).await;
        let generations =
            opened.map_err(|error| GossipError::Start { source: std::io::Error::other(error) })??;
        let known = Seeds::new(&config.seeds);
        let (name, meter) = (config.name.clone(), Arc::new(Meter::default()));
        let around = Surroundings {
            config,
            clock,
            meter: Arc::clone(&meter),
            farewell: Arc::new(Farewell::default()),
            changes: Arc::new(Notify::new()),
        };
        let (publication, publications) = watch::channel(None);
        let (seeds, seed_changes) = watch::channel(known.addresses.clone());
        let (farewell, farewells) = mpsc::channel(FAREWELLS_BOUND);
        let (view_out, view) = watch::channel(Arc::new(ClusterView::empty(name)));
        if !known.names.is_empty() {
            let look_up = seeds::look_up(known.names.clone(), seeds.clone(), supervisor.shutdown());
            supervisor.spawn("gossip seeds", Early::Fatal, look_up);
        }
        let inputs = Inputs { publications, seeds: seed_changes, farewells };
        let (mut driver, condition) = Driver::open(around, network, generations, inputs, view_out).await?;
        let alone = known.names.is_empty() && driver.is_alone_among(&known.addresses);
        driver.join(alone).await?;
        supervisor.spawn("gossip", Early::Fatal, driver.run(supervisor.shutdown()));
        Ok(GossipHandle { publication, seeds, farewell, view, condition, meter })
    }
}

/// Speaks with a running gossip. Clones speak with the same.
#[derive(Clone, Debug)]
pub struct GossipHandle {
    publication: watch::Sender<Option<Arc<Publication>>>,
    seeds: watch::Sender<BTreeSet<SocketAddr>>,
    farewell: mpsc::Sender<oneshot::Sender<()>>,
    view: watch::Receiver<Arc<ClusterView>>,
    condition: watch::Receiver<Condition>,
    meter: Arc<Meter>,
}

impl GossipHandle {
    /// Tells the cluster this, in place of what was told before. It is in our own view within moments, and in the
    /// others' a round trip later; of several in a flurry the last counts.
    ///
    /// What does not fit is left out, logged once and kept in [`GossipStats::omitted`].
    pub fn publish(&self, publication: Publication) {
        self.publication.send_replace(Some(Arc::new(publication)));
    }

    /// The view of the cluster, now and as it changes.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.clone()
    }

    /// How gossip is, now.
    pub fn stats(&self) -> GossipStats {
        let condition = self.condition.borrow().clone();
        condition.with(self.meter.read())
    }

    /// Where the others reach this node; with the real port where any was asked for.
    pub fn advertise(&self) -> SocketAddr {
        self.condition.borrow().advertise
    }

    /// More addresses to ask when somebody is missing, 1,024 in all.
    pub fn add_seeds(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.seeds.send_if_modified(|known| seeds::add(known, addresses));
    }

    /// Tells every peer in sight that this node leaves, so that they send it nothing more and count its silence as no
    /// accident. Returns when it has gone out to each of them, after 2 s at the latest. Gossip goes on until its supervisor drains.
    pub async fn leave(&self) {
        let (done, heard) = oneshot::channel();
        let leave = async {
            if self.farewell.send(done).await.is_ok() {
                let _ = heard.await;
            }
        };
        // Whoever did not hear it will notice the silence.
        let _ = tokio::time::timeout(LEAVE_PATIENCE, leave).await;
    }
}
