//! What the agent answers when it is asked about itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use constellation_api::{
    Agent, Cluster, MemberRow, Problem, Rung, ServiceRow, Status,
    model::{Addresses, GossipStatus, TraefikStatus},
};
use constellation_core::{Clock, ClusterView, Moment, view::Member};
use constellation_dns::DnsHandle;
use constellation_docker::{ContainerRuntime, ProcessRuntime};
use constellation_gossip::{GossipHandle, GossipStats, Reason};
use constellation_monitor::{Report, RuntimeState};
use constellation_proxy::{
    GatewayHandle,
    http::{ProxyHandle, ProxyStatus},
};
use constellation_tailscale::PeerSource;
use constellation_traefik::{
    LastKnownGoodStatus, TraefikHandle,
    explain::{Explained, L4Explained, L4Traffic, explain, explain_l4},
    hold_back::{Held, HeldReason},
    rules::Request,
};
use tokio::sync::watch;

use crate::{
    cluster::desk::Desk,
    config::{Config, Security},
    tls::{self, TlsHandle},
};

/// How long after the start it is worth a person's attention that nobody answers.
const ALONE_AFTER: Duration = Duration::from_secs(5);
/// How long datagrams that were not let in are worth a person's attention.
const SUSPECT_FOR: Duration = Duration::from_secs(60);

pub(crate) struct LocalStatus {
    pub(crate) config: Config,
    pub(crate) started: Moment,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gossip: GossipHandle,
    pub(crate) traefik: TraefikHandle,
    pub(crate) gateway: GatewayHandle,
    pub(crate) reports: watch::Receiver<Arc<Report>>,
    pub(crate) problems: watch::Receiver<Vec<Problem>>,
    pub(crate) processes: Option<Arc<ProcessRuntime>>,
    pub(crate) engine: String,
    pub(crate) desk: Arc<Desk>,
    pub(crate) dns: Option<DnsHandle>,
    pub(crate) ingress: Option<ProxyHandle>,
    pub(crate) tls: TlsHandle,
}

impl LocalStatus {
    fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.gossip.view().borrow())
    }

    fn gossip_problems(&self, gossip: &GossipStats) -> Vec<Problem> {
        let mut messages: Vec<String> = gossip.omitted.iter().map(ToString::to_string).collect();
        if let Some(other) = gossip.conflict {
            messages.push(format!(
                "another node is called {} and was there first, at {other}: until one of them has another name \
                 (--node-name), the other nodes hear nothing of what runs here",
                self.config.node
            ));
        }
        let now = self.clock.now();
        let alone = gossip.live <= 1 && now.since(self.started) >= ALONE_AFTER;
        let others =
            self.config.peers.iter().filter(|peer| **peer != PeerSource::Address(self.config.gossip)).count();
        if alone && others > 0 {
            messages.push(format!(
                "no other node answers, although {others} places to find some are given: are they up, do their \
                 datagrams pass the firewall (UDP port {}), and do they have this node's key and cluster name?",
                self.config.gossip.port()
            ));
        }
        let recent = gossip.traffic.suspects.iter().filter(|suspect| now.since(suspect.last) < SUSPECT_FOR);
        messages.extend(recent.map(ToString::to_string));
        let subject = self.config.node.to_string();
        let problem = |message| Problem { area: "gossip".to_owned(), subject: subject.clone(), message };
        messages.into_iter().map(problem).collect()
    }
}

#[async_trait]
impl Agent for LocalStatus {
    async fn status(&self) -> Status {
        let (view, report) = (self.view(), Arc::clone(&self.reports.borrow()));
        let gossip = self.gossip.stats();
        let traefik = self.traefik.status();
        let silent = matches!(report.runtime, RuntimeState::Silent { .. });
        let rung = if view.evidence().looks_cut_off() {
            Rung::Isolated
        } else if silent {
            Rung::RuntimeDown
        } else if self.desk.without_quorum() {
            Rung::NoQuorum
        } else {
            Rung::Full
        };
        let mut problems = self.problems.borrow().clone();
        problems.extend(self.gossip_problems(&gossip));
        problems.extend(self.desk.problems().into_iter().map(|message| Problem {
            area: "leases".to_owned(),
            subject: self.config.node.to_string(),
            message,
        }));
        problems.extend(traefik.problems.iter().map(|problem| Problem {
            area: "routes".to_owned(),
            subject: format!("{} of {}", problem.about, problem.service),
            message: problem.text.clone(),
        }));
        problems.extend(self.dns.as_ref().map(crate::dns::problems).unwrap_or_default());
        let calendar = tls::seconds(&*self.clock);
        problems.extend(self.tls.problems(calendar));
        problems.extend(self.config.certificates_withheld().map(|message| Problem {
            area: "tls".to_owned(),
            subject: self.config.node.to_string(),
            message,
        }));
        if let LastKnownGoodStatus::Failed { error } = &traefik.last_known_good {
            problems.push(Problem {
                area: "routes".to_owned(),
                subject: "last known good".to_owned(),
                message: format!("routes are served, but would not survive a restart: {error}"),
            });
        }
        Status {
            node: self.config.node.clone(),
            cluster: self.config.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: gossip.generation,
            uptime_seconds: self.clock.now().since(self.started).as_secs(),
            rung,
            still_works: rung.still_works().to_owned(),
            addresses: Addresses {
                mesh: self.config.facts.mesh,
                gossip: self.config.gossip,
                provider: self.config.provider,
                runtime: self.engine.clone(),
            },
            nodes_known: view.members().count(),
            nodes_live: view.live_nodes().count(),
            containers: report.containers.values().filter(|observed| !observed.removed).count(),
            routable: view.instances().filter(constellation_core::view::Placed::is_routable).count(),
            gossip: GossipStatus {
                sealed: self.config.security != Security::Insecure,
                datagrams_in: gossip.traffic.datagrams_in,
                datagrams_out: gossip.traffic.datagrams_out,
                dropped: gossip.traffic.dropped.iter().filter(|(_, count)| *count > 0).map(counted).collect(),
                restarts: gossip.restarts,
            },
            leases: self.desk.summary(),
            dns: self.dns.as_ref().map(crate::dns::summary).unwrap_or_default(),
            traefik: TraefikStatus {
                routers: traefik.routers,
                services: traefik.services,
                bytes: traefik.bytes,
                held: traefik.held.as_ref().map(held),
                last_known_good: kept(&traefik.last_known_good),
            },
            gateway: self.gateway.status().await.unwrap_or_default(),
            ingress: self.ingress(),
            certificates: self.tls.rows(calendar),
            problems,
        }
    }

    fn members(&self) -> Vec<MemberRow> {
        let view = self.view();
        view.members().map(|member| row(member, &view)).collect()
    }

    fn services(&self) -> Vec<ServiceRow> {
        let view = self.view();
        let mut rows: Vec<ServiceRow> = view
            .instances()
            .map(|placed| ServiceRow {
                service: placed.instance.service.clone(),
                node: placed.node.name.clone(),
                instance: placed.instance.id.clone(),
                health: placed.instance.health,
                endpoints: placed.instance.endpoints.iter().map(ToString::to_string).collect(),
                routed: placed.instance.routes.is_some(),
                role: placed.instance.role,
            })
            .collect();
        rows.sort_by(|a, b| (&a.service, &a.node, &a.instance).cmp(&(&b.service, &b.node, &b.instance)));
        rows
    }

    fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::clone(&self.desk) as Arc<dyn Cluster>
    }

    fn explain(&self, request: &Request) -> Option<Explained> {
        let document = self.traefik.subscribe().borrow().document.clone()?;
        Some(explain(&document, &self.view(), request))
    }

    fn explain_l4(&self, traffic: &L4Traffic, entry_point: Option<&str>) -> Option<L4Explained> {
        let document = self.traefik.subscribe().borrow().document.clone()?;
        Some(explain_l4(&document, &self.view(), traffic, entry_point))
    }

    fn ingress(&self) -> Option<ProxyStatus> {
        self.ingress.as_ref().map(ProxyHandle::status)
    }

    fn dns(&self) -> Option<DnsHandle> {
        self.dns.clone()
    }

    fn processes(&self) -> Option<Arc<dyn ContainerRuntime>> {
        self.processes.clone().map(|processes| processes as Arc<dyn ContainerRuntime>)
    }
}

fn row(member: &Member, view: &ClusterView) -> MemberRow {
    let node = &member.node;
    let state = match (member.live, node.facts.leaving) {
        (_, true) => "leaving",
        (true, false) => "live",
        (false, false) => "lost",
    };
    let of_node = || view.instances().filter(|placed| placed.node.name == node.name);
    MemberRow {
        node: node.name.clone(),
        state: state.to_owned(),
        mesh: node.facts.mesh,
        priority: node.facts.priority,
        cordoned: node.facts.cordoned,
        agent: node.facts.agent.clone(),
        started: node.facts.started,
        generation: node.generation,
        instances: of_node().count(),
        routable: of_node().filter(constellation_core::view::Placed::is_routable).count(),
        me: node.name == *view.me(),
    }
}

fn counted((reason, count): (Reason, u64)) -> (String, u64) {
    (reason.as_str().to_owned(), count)
}

fn held(held: &Held) -> String {
    let routers = held.routers;
    match held.reason {
        HeldReason::Starting => {
            format!(
                "{routers} routers keep servers that have not been seen since the start; they may still come"
            )
        }
        HeldReason::CutOff { peers_known, peers_live } => format!(
            "{routers} routers keep servers that are out of sight: {peers_live} of {peers_known} peers are in sight, so \
             it may be this node that is cut off"
        ),
    }
}

fn kept(kept: &LastKnownGoodStatus) -> String {
    match kept {
        LastKnownGoodStatus::Off => "not kept".to_owned(),
        LastKnownGoodStatus::Unwritten => "nothing to keep yet".to_owned(),
        LastKnownGoodStatus::Loaded => "read from disk".to_owned(),
        LastKnownGoodStatus::Saved { .. } => "on disk".to_owned(),
        LastKnownGoodStatus::Failed { error } => format!("NOT KEPT: {error}"),
    }
}
