//! The running agent: builds every part, joins their ends, and takes them down in order.
//!
//! Three floors, drained from the top. **Work** looks at containers and tells of them. **Serve** answers: the mesh
//! gateway, the provider, the API. **Base** is gossip. Before any of them ends the others are told that this node
//! leaves, and get the time to stop sending it requests.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use constellation_core::{Clock, ClusterView, NodeFacts, error_chain};
use constellation_docker::{ContainerRuntime, DockerEndpoint, DockerEngine, ProcessConfig, ProcessRuntime};
use constellation_gossip::{Gossip, GossipConfig, GossipHandle, GossipSecurity};
use constellation_monitor::{Monitor, MonitorConfig};
use constellation_proxy::{Gateway, GatewayConfig};
use constellation_security::{Keyring, KeyringHandle};
use constellation_tailscale::{Overlay, PeerSource, StaticPeers};
use constellation_tasks::{Drained, Early, Pass, Reconciler, Schedule, Supervisor, SystemClock, nudge};
use constellation_traefik::{Provider, ProviderConfig};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    cli::RuntimeKind,
    cluster::{assemble, files::ClusterFiles, membership, part::Part},
    config::{Config, Security},
    cordon, dns, ingress,
    local_status::LocalStatus,
    publisher::Publisher,
    roles::{Learnt, RoleKeeper, Roles},
    tls::TlsHandle,
};

/// How often peers that are written down are looked up again.
const PEERS_EVERY: Duration = Duration::from_secs(30);
/// From saying "this node leaves" to acting on it: gossip (50 ms), Traefik's poll (250 ms) and throttle (100 ms), twice.
pub(crate) const LEAVE_NOTICE: Duration = Duration::from_millis(1000);
/// How long giving back the leases may take, and as long again handing over Raft's lead.
const RESIGN_GRACE: Duration = Duration::from_millis(750);
/// What each floor gets to end, together with the notice less than the 15 s that a drain may take.
const WORK_GRACE: Duration = Duration::from_secs(1);
const SERVE_GRACE: Duration = Duration::from_secs(10);
/// What open connections through the gateway get to end; less than their floor, so that it is the gateway who ends them.
const LINGER: Duration = Duration::from_secs(9);
const BASE_GRACE: Duration = Duration::from_secs(2);

/// A running agent.
pub struct Agent {
    work: Supervisor,
    serve: Supervisor,
    base: Supervisor,
    gossip: GossipHandle,
    keys: Option<(KeyringHandle, std::path::PathBuf)>,
    processes: Option<Arc<ProcessRuntime>>,
    facts: watch::Sender<NodeFacts>,
    part: watch::Receiver<Option<Part>>,
    tls: TlsHandle,
}

/// What of a started agent is needed to bring it down again.
struct Started {
    gossip: GossipHandle,
    keys: Option<(KeyringHandle, std::path::PathBuf)>,
    processes: Option<Arc<ProcessRuntime>>,
    facts: watch::Sender<NodeFacts>,
    part: watch::Receiver<Option<Part>>,
    tls: TlsHandle,
}

impl Agent {
    /// Starts everything. What fails here is a mistake of configuration, or another program in the way; what fails
    /// later is handled by the part that it happens to.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let base = Supervisor::new();
        let (serve, work) = (base.floor(), base.floor());
        let started = Self::build(config, clock, [&base, &serve, &work]).await;
        match started {
            Ok(Started { gossip, keys, processes, facts, part, tls }) => {
                Ok(Self { work, serve, base, gossip, keys, processes, facts, part, tls })
            }
            Err(error) => {
                for floor in [&work, &serve, &base] {
                    floor.drain(Duration::from_secs(1)).await;
                }
                Err(error)
            }
        }
    }

    async fn build(
        mut config: Config,
        clock: Arc<dyn Clock>,
        [base, serve, work]: [&Supervisor; 3],
    ) -> anyhow::Result<Started> {
        config.facts.started = clock.wall();
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("could not make the data folder {}", config.data_dir.display()))?;
        let files = ClusterFiles::new(&config.data_dir, &config.secrets);
        assemble::name_cluster(&mut config, &files)?;
        let known = files.peers().unwrap_or_default();
        config.facts.cordoned = files.cordoned();
        let facts = watch::Sender::new(config.facts.clone());
        let (security, keys) = security(&config.security)?;
        let (runtime, processes) = runtime(&config).await?;
        // Traefik is answered first, with what was known before the restart: joining the cluster takes up to 3 s.
        let (views, view) = watch::channel(Arc::new(ClusterView::empty(config.node.clone())));
        let tls = match &config.tls_certificates {
            Some(folder) => TlsHandle::start(folder.clone(), base, Arc::clone(&clock)).await?,
            None => TlsHandle::none(),
        };
        if let Some(why) = config.certificates_withheld() {
            warn!("{why}");
        }
        let provider = ProviderConfig {
            certificates: tls.inline.clone(),
            listen: config.provider,
            last_known_good: Some(config.data_dir.join("traefik-last-known-good.json")),
            render: config.render(),
            ..ProviderConfig::default()
        };
        let membership = assemble::membership(&config, files, &clock, &view, &facts, base);
        // Before gossip: a voter that comes back is needed sooner than its view of the others.
        let taken = membership.begin(base).await?;
        let desk = assemble::desk(&config, &membership, view.clone());
        let part = membership.part.subscribe();
        let stay = membership.stay(taken, base.clone(), base.shutdown());
        base.spawn("membership", Early::Fatal, stay);
        let traefik = Provider::start(provider, view, serve, Arc::clone(&clock))
            .await
            .context("Traefik's provider could not be started (see --provider-listen)")?;

        // Whoever joined a cluster has met its members, so nobody has to be written down for it.
        let port = config.gossip.port();
        let met = known.peers.iter().filter_map(|peer| Some(SocketAddr::new(peer.address?.ip(), port)));
        config.peers.extend(met.map(PeerSource::Address));
        let peers = Arc::new(StaticPeers::new(config.gossip, config.peers.clone()));
        let seeds = peers.peers().await.unwrap_or_else(|error| {
            warn!(error = error_chain(&error), "no peer is known yet; they are looked up again");
            Vec::new()
        });
        let gossip = GossipConfig {
            seeds: seeds.iter().map(ToString::to_string).collect(),
            ..GossipConfig::new(
                config.node.clone(),
                config.cluster.clone(),
                config.gossip,
                config.gossip,
                security,
                config.data_dir.join("gossip"),
            )
        };
        let gossip = Gossip::start(gossip, Arc::clone(&clock), base)
            .await
            .context("the cluster could not be joined (see --node-name, --mesh-address, --gossip-port)")?;
        relay(gossip.view(), views, base);
        keep_looking_for_peers(peers, gossip.clone(), base);

        let gateway = GatewayConfig {
            ports: config.gateway_ports,
            memory: Some(config.data_dir.join("gateway-ports.json")),
            linger: LINGER,
            ..GatewayConfig::at(config.facts.mesh)
        };
        let gateway = Gateway::start(gateway, serve).await;
        let letting_go = cordon::keep(facts.subscribe(), gossip.view(), gateway.clone(), serve.shutdown());
        serve.spawn("cordon", Early::Fatal, letting_go);
        let monitor = MonitorConfig { every: config.health_interval, ..MonitorConfig::default() };
        let monitor = Monitor::start(monitor, Arc::clone(&runtime), Arc::clone(&clock), work);

        let ingress = if config.ingress.is_empty() && config.proxy.is_none() {
            None
        } else {
            Some(ingress::start(&config, &tls, &traefik, serve, Arc::clone(&clock))?)
        };

        let (told, roles) = watch::channel(Roles::default());
        let keeper = RoleKeeper {
            mesh: config.facts.mesh,
            reports: monitor.reports(),
            clock: Arc::clone(&clock),
            roles: told,
            learnt: Learnt::default(),
        };
        work.spawn("roles", Early::Fatal, keeper.run(work.shutdown()));

        let (problems, seen_problems) = watch::channel(Vec::new());
        let publisher = Publisher {
            facts: facts.subscribe(),
            labels: config.labels.clone(),
            gateway: gateway.clone(),
            gossip: gossip.clone(),
            reports: monitor.reports(),
            roles,
            problems,
            read: std::collections::BTreeMap::new(),
        };
        work.spawn("publisher", Early::Fatal, publisher.run(work.shutdown()));

        let dns = match &config.dns {
            Some(settings) => {
                let joined = dns::Joined { part: part.clone(), view: gossip.view(), facts: facts.clone() };
                Some(dns::start(settings, &config, joined, Arc::clone(&clock), work)?)
            }
            None => None,
        };
        let engine = describe(&*runtime).await;
        let status = LocalStatus {
            config: config.clone(),
            started: clock.now(),
            clock,
            gossip: gossip.clone(),
            traefik: traefik.clone(),
            gateway,
            reports: monitor.reports(),
            problems: seen_problems,
            processes: processes.clone(),
            engine: engine.clone(),
            desk,
            dns,
            ingress,
            tls: tls.clone(),
        };
        let status: Arc<dyn constellation_api::Agent> = Arc::new(status);
        if let Some(listen) = config.metrics {
            let served =
                constellation_api::serve_metrics(listen, Arc::clone(&status), serve.shutdown()).await;
            let (address, metrics) = served.with_context(|| {
                format!("the metrics could not be told at {listen} (see --metrics-listen)")
            })?;
            serve.spawn("metrics", Early::Fatal, metrics);
            info!(%address, "metrics are told at /metrics");
        }
        let api = constellation_api::serve(&config.socket, status, serve.shutdown()).await?;
        serve.spawn("api", Early::Fatal, api);
        info!(
            node = %config.node,
            cluster = %config.cluster,
            gossip = %config.gossip,
            sealed = config.security != Security::Insecure,
            peers = ?seeds,
            provider = %config.provider,
            gateway = %format!("{}:{}", config.facts.mesh, config.gateway_ports),
            api = %config.socket.display(),
            runtime = engine,
            domain = config.domain.as_ref().map_or("none", |domain| domain.as_str()),
            data = %config.data_dir.display(),
            version = env!("CARGO_PKG_VERSION"),
            "constellation-agent is up"
        );
        if config.security == Security::Insecure {
            warn!(
                "gossip is not sealed: whoever reaches {} can change every route of the cluster",
                config.gossip
            );
        }
        Ok(Started { gossip, keys, processes, facts, part, tls })
    }

    /// Waits until some part without which the agent is no use has ended, and says which.
    pub async fn fatal(&self) -> String {
        self.base.fatal().await
    }

    /// Reads the gossip keys and the certificates again, and changes nothing else. What cannot be read leaves the old ones in use.
    pub fn reload_keys(&self) {
        self.tls.again();
        let Some((handle, path)) = &self.keys else {
            return warn!("gossip is not sealed: there are no keys to reload");
        };
        match Keyring::read(path) {
            Ok(ring) => {
                info!(keys = ?ring, "the gossip keys were read again");
                handle.replace(ring);
            }
            Err(error) => error!(error = error_chain(&error), "the gossip keys were not changed"),
        }
    }

    /// Leaves in order: says so, stops working, stops serving, stops gossiping.
    pub async fn drain(self) {
        // Whatever it holds first: the next holder waits for nothing then.
        self.facts.send_modify(|facts| facts.leaving = true);
        let part = self.part.borrow().clone();
        if let Some(part) = part {
            membership::resign(&part, RESIGN_GRACE).await;
        }
        self.gossip.leave().await;
        tokio::time::sleep(LEAVE_NOTICE).await;
        let floors = [
            ("work", &self.work, WORK_GRACE),
            ("serve", &self.serve, SERVE_GRACE),
            ("base", &self.base, BASE_GRACE),
        ];
        for (floor, supervisor, grace) in floors {
            if let Drained::Abandoned { tasks } = supervisor.drain(grace).await {
                warn!(floor, ?tasks, "these did not end in time and are left behind");
            }
        }
        // Processes outlive the agent, as containers outlive the engine's client: the next one adopts them.
        if let Some(processes) = self.processes.and_then(Arc::into_inner) {
            processes.close().await;
        }
        info!("constellation-agent has ended");
    }
}

fn security(
    security: &Security,
) -> anyhow::Result<(GossipSecurity, Option<(KeyringHandle, std::path::PathBuf)>)> {
    let Security::Keyring(path) = security else { return Ok((GossipSecurity::Insecure, None)) };
    let ring = Keyring::read(path).with_context(|| missing_key(path))?;
    let handle = KeyringHandle::new(ring);
    Ok((GossipSecurity::Sealed(handle.clone()), Some((handle, path.clone()))))
}

fn missing_key(path: &Path) -> String {
    format!(
        "gossip needs a key: make one with `constellation-agent keygen --out {}` on one node and copy it to the others \
         (or, where every machine that reaches this one is trusted, say --insecure-gossip)",
        path.display()
    )
}

async fn runtime(
    config: &Config,
) -> anyhow::Result<(Arc<dyn ContainerRuntime>, Option<Arc<ProcessRuntime>>)> {
    match config.runtime {
        RuntimeKind::Docker => {
            let engine = DockerEngine::connect(DockerEndpoint::Unix(config.docker_socket.clone()))?;
            Ok((Arc::new(engine), None))
        }
        RuntimeKind::Process => {
            let processes =
                ProcessRuntime::open(ProcessConfig::new(config.data_dir.join("processes"))).await?;
            let processes = Arc::new(processes);
            Ok((Arc::clone(&processes) as Arc<dyn ContainerRuntime>, Some(processes)))
        }
    }
}

/// What runs the containers, in words. An engine that is down is no reason not to start: the agent serves what the
/// other nodes have, and sees its own containers when the engine is back.
async fn describe(runtime: &dyn ContainerRuntime) -> String {
    match runtime.info().await {
        Ok(info) => format!("{} {} at {}", info.kind, info.version, info.endpoint),
        Err(error) => {
            error!(
                error = error_chain(&error),
                "the container runtime does not answer; the agent starts without it"
            );
            format!("does not answer: {}", error_chain(&error))
        }
    }
}

/// Hands every view on to the provider, which was there before there were views.
fn relay(
    mut from: watch::Receiver<Arc<ClusterView>>,
    to: watch::Sender<Arc<ClusterView>>,
    supervisor: &Supervisor,
) {
    let shutdown = supervisor.shutdown();
    supervisor.spawn("views", Early::Fatal, async move {
        loop {
            to.send_replace(Arc::clone(&from.borrow_and_update()));
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = from.changed() => if changed.is_err() { return },
            }
        }
    });
}

fn keep_looking_for_peers(peers: Arc<StaticPeers>, gossip: GossipHandle, supervisor: &Supervisor) {
    let (shutdown, nudge) = (supervisor.shutdown(), nudge());
    let passes = Reconciler { every: PEERS_EVERY, retry: Schedule::default() };
    supervisor.spawn("peers", Early::Fatal, async move {
        passes
            .run(nudge, shutdown, || {
                let (peers, gossip) = (Arc::clone(&peers), gossip.clone());
                async move {
                    match peers.peers().await {
                        Ok(found) => {
                            gossip.add_seeds(found);
                            Pass::Settled
                        }
                        Err(_) => Pass::Failed,
                    }
                }
            })
            .await;
    });
}
