//! The one task that runs gossip: owns chitchat, what is known, and what is told.

mod restarting;
mod telling;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use chitchat::ChitchatId;
use constellation_core::{ClusterView, Moment, fact::Publication};
use constellation_tasks::Backoff;
use rand::seq::{IndexedRandom, IteratorRandom};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Interval, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::restarting::RESTART;

use crate::{
    engine::{Engine, Surroundings},
    error::GossipError,
    generation::Generations,
    knowledge::Knowledge,
    ledger::Ledger,
    liveness::{LivenessConfig, LivenessFilter},
    pace::Pace,
    rivalry::{NameCheck, Rival, Seniority, Verdict},
    stats::Condition,
    transport::DatagramNetwork,
};

/// How often everything is looked at, whether or not something happened. Half a round: a death is noticed at most this
/// much later than it could be.
const TICK: Duration = Duration::from_millis(100);
/// How often a change is pushed to the peers at most. Each push costs a handshake with each of them.
const PUSH_SPACING: Duration = Duration::from_millis(100);
/// To how many peers a change is pushed. The others hear of it within a round or two.
const PUSH_PEERS: usize = 16;
/// How often seeds and lost nodes are asked, and how many at a time. In the first moments, and alone, in every tick.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_PEERS: usize = 3;
const EAGER: Duration = Duration::from_secs(10);
/// How long chitchat may take to stop.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// What reaches the driver from its handles.
pub(crate) struct Inputs {
    pub(crate) publications: watch::Receiver<Option<Arc<Publication>>>,
    pub(crate) seeds: watch::Receiver<BTreeSet<SocketAddr>>,
    pub(crate) farewells: mpsc::Receiver<oneshot::Sender<()>>,
}

/// What leaves it.
pub(crate) struct Outputs {
    pub(crate) view: watch::Sender<Arc<ClusterView>>,
    pub(crate) condition: watch::Sender<Condition>,
}

enum Happened {
    Ended(String),
    Published,
    PeersChanged,
    Farewell(oneshot::Sender<()>),
    PushDue,
    Tick,
}

pub(crate) struct Driver {
    around: Surroundings,
    network: Arc<dyn DatagramNetwork>,
    listen: SocketAddr,
    advertise: SocketAddr,
    engine: Engine,
    generations: Generations,
    restart: Backoff,
    started: Moment,
    inputs: Inputs,
    outputs: Outputs,
    ticks: Interval,
    knowledge: Knowledge,
    liveness: LivenessFilter<ChitchatId>,
    ledger: Ledger,
    wanted: Option<Arc<Publication>>,
    leaving: bool,
    push: Pace,
    asked: Option<Moment>,
    own_heartbeat: u64,
    rivals: Vec<Rival>,
    live: BTreeSet<SocketAddr>,
}

impl Driver {
    /// Binds the socket and starts chitchat.
    pub(crate) async fn open(
        around: Surroundings,
        network: Arc<dyn DatagramNetwork>,
        generations: Generations,
        inputs: Inputs,
        view: watch::Sender<Arc<ClusterView>>,
    ) -> Result<(Self, watch::Receiver<Condition>), GossipError> {
        let config = &around.config;
        let bind = |source| GossipError::Bind { address: config.listen, source };
        let socket = network.bind(config.listen).await.map_err(bind)?;
        let listen = socket.local_addr().map_err(bind)?;
        let mut advertise = config.advertise;
        if advertise.port() == 0 {
            advertise.set_port(listen.port());
        }
        let (generations, generation, kept) = generations.next_blocking(around.clock.wall()).await?;
        kept?;
        let engine = Engine::start(&around, socket, generation, advertise).await?;
        let condition = Condition {
            advertise,
            generation,
            restarts: 0,
            last_restart: None,
            omitted: Vec::new(),
            conflict: None,
            runs: 1,
            live: 1,
            deaths: 0,
        };
        let (condition, status) = watch::channel(condition);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let driver = Self {
            listen,
            advertise,
            engine,
            generations,
            restart: Backoff::new(RESTART),
            started: around.clock.now(),
            inputs,
            outputs: Outputs { view, condition },
            ticks,
            knowledge: Knowledge::new(config.name.clone()),
            liveness: LivenessFilter::new(LivenessConfig::for_interval(config.interval)),
            ledger: Ledger::default(),
            wanted: None,
            leaving: false,
            push: Pace::new(PUSH_SPACING),
            asked: None,
            own_heartbeat: 0,
            rivals: Vec::new(),
            live: BTreeSet::new(),
            around,
            network,
        };
        Ok((driver, status))
    }

    /// Whether nobody but ourselves is among these.
    pub(crate) fn is_alone_among(&self, seeds: &BTreeSet<SocketAddr>) -> bool {
        seeds.iter().all(|seed| *seed == self.advertise)
    }

    /// Waits until the cluster was met, or there was time to, and makes sure that nobody else has our name.
    pub(crate) async fn join(&mut self, alone: bool) -> Result<(), GossipError> {
        let mut check = NameCheck::new(self.seniority(), self.now());
        loop {
            self.turn().await;
            let company = !self.live.is_empty();
            match check.step(&self.rivals, alone, company, self.now()) {
                Verdict::Wait => {}
                Verdict::Free => return Ok(()),
                Verdict::Taken(other) => {
                    return Err(GossipError::NameTaken { name: self.around.config.name.clone(), other });
                }
            }
        }
    }

    /// Runs until the shutdown, then ends chitchat. It says no farewell: that is for those who mean to leave.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.turn() => {}
            }
        }
        self.engine.stop(STOP_PATIENCE).await;
    }

    /// Waits for one thing to happen and deals with it.
    async fn turn(&mut self) {
        let push_due = self.push.wait(self.now());
        let happened = tokio::select! {
            why = self.engine.ended() => Happened::Ended(why),
            Ok(()) = self.inputs.publications.changed() => Happened::Published,
            () = self.around.changes.notified() => Happened::PeersChanged,
            Some(done) = self.inputs.farewells.recv() => Happened::Farewell(done),
            () = tokio::time::sleep(push_due.unwrap_or_default()), if push_due.is_some() => Happened::PushDue,
            _ = self.ticks.tick() => Happened::Tick,
        };
        match happened {
            Happened::Ended(why) => self.start_again(why).await,
            Happened::Published => {
                self.wanted = self.inputs.publications.borrow_and_update().clone();
                self.tell().await;
            }
            Happened::PeersChanged => self.look().await,
            Happened::Farewell(done) => {
                self.say_farewell().await;
                // Whoever asked may have given up; then there is nobody to tell.
                let _ = done.send(());
            }
            Happened::PushDue => {}
            Happened::Tick => {
                self.look().await;
                self.ask_around();
            }
        }
        if self.push.take(self.now()) {
            let peers: Vec<SocketAddr> =
                self.live.iter().copied().choose_multiple(&mut rand::rng(), PUSH_PEERS);
            self.engine.ask(peers, self.own_heartbeat);
        }
    }

    /// Looks at what chitchat knows, judges who lives, and publishes the view where it has changed.
    async fn look(&mut self) {
        let knowledge = &self.knowledge;
        let snapshot = self.engine.snapshot(|run| knowledge.stamp_of(run)).await;
        let now = self.now();
        self.own_heartbeat = snapshot.own_heartbeat;
        let changes = self.liveness.step(snapshot.own_heartbeat, &snapshot.sightings, now);
        let runs = snapshot.runs();
        self.find_rivals(&snapshot);
        for words in snapshot.words {
            self.knowledge.hear(words);
        }
        self.knowledge.keep_only(&runs);
        let live = runs.iter().filter(|run| self.liveness.is_live(run));
        self.live = live.map(|run| run.gossip_advertise_addr).filter(|at| *at != self.advertise).collect();
        let deaths = changes.iter().filter(|(_, live)| !live).count() as u64;
        for (run, live) in changes {
            let (node, at, generation) = (&run.node_id, run.gossip_advertise_addr, run.generation_id);
            if live {
                info!(%node, %at, generation, "a node is in sight");
            } else {
                warn!(%node, %at, generation, "a node is out of sight");
            }
        }
        let (known, live) = (runs.len() + 1, self.live.len() + 1);
        self.outputs.condition.send_if_modified(|condition| {
            let before = (condition.runs, condition.live, condition.deaths);
            condition.runs = known;
            condition.live = live;
            condition.deaths += deaths;
            before != (condition.runs, condition.live, condition.deaths)
        });
        self.settle_conflict().await;
        self.publish_view(now);
    }

    fn publish_view(&mut self, now: Moment) {
        if let Some(view) = self.knowledge.look(|run| self.liveness.is_live(run), now) {
            self.outputs.view.send_replace(view);
        }
    }

    /// Asks seeds that are not in sight, and addresses where lost nodes were: after a partition, who else would.
    fn ask_around(&mut self) {
        let now = self.now();
        let eager = self.live.is_empty() && now.since(self.started) < EAGER;
        if !eager && self.asked.is_some_and(|asked| now.since(asked) < ASK_EVERY) {
            return;
        }
        self.asked = Some(now);
        let seeds: BTreeSet<SocketAddr> =
            self.inputs.seeds.borrow().iter().copied().chain(self.knowledge.lost_addresses()).collect();
        let missing: Vec<SocketAddr> =
            seeds.into_iter().filter(|at| *at != self.advertise && !self.live.contains(at)).collect();
        let some: Vec<SocketAddr> = missing.choose_multiple(&mut rand::rng(), ASK_PEERS).copied().collect();
        self.engine.ask(some, self.own_heartbeat);
    }

    fn seniority(&self) -> Seniority {
        seniority(&self.engine.id)
    }

    fn now(&self) -> Moment {
        self.around.clock.now()
    }
}

fn seniority(run: &ChitchatId) -> Seniority {
    Seniority { generation: run.generation_id, address: run.gossip_advertise_addr }
}
