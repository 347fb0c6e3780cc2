//! What an agent tells a monitoring system: OpenMetrics text, made of the same values that the other answers are made of.
//!
//! Each area is one function over plain values; a family is one line in it, and one in `docs/metrics.md`. Labels come from
//! sets that are bounded: states, leases, areas, kinds, reasons.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use constellation_dns::{DnsStatus, Outcome, Stage};
use constellation_proxy::http::ProxyStatus;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Leases, RaftStatus},
    model::{MemberRow, Status},
    server::{Agent, Refusal},
};

/// What the text is, as scrapers want to be told.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is told, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The agent as a whole.
    pub status: &'a Status,
    /// The nodes that it sees.
    pub members: &'a [MemberRow],
    /// The leases, where it knows them.
    pub leases: Option<&'a Leases>,
    /// Its part in Raft.
    pub raft: &'a RaftStatus,
    /// What it says of the zone, where it looks after one.
    pub dns: Option<&'a DnsStatus>,
}

/// The text.
///
/// # Errors
/// Never in practice: writing to a string does not fail.
pub fn text(told: &Told<'_>) -> Result<String, fmt::Error> {
    let mut page = Page(Registry::with_prefix("constellation"));
    agent(&mut page, told.status);
    nodes(&mut page, told.status, told.members);
    gossip(&mut page, told.status);
    routes(&mut page, told.status);
    gateway(&mut page, told.status);
    certificates(&mut page, told.status);
    if let Some(status) = &told.status.ingress {
        ingress(&mut page, status);
    }
    raft(&mut page, told.raft);
    if let Some(known) = told.leases {
        leases(&mut page, known);
    }
    if let Some(status) = told.dns {
        dns(&mut page, status);
    }
    let mut text = String::new();
    encode(&mut text, &page.0)?;
    Ok(text)
}

type Labels = Vec<(&'static str, String)>;

struct Page(Registry);

impl Page {
    fn gauges(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&escaped(labels)).set(value);
        }
        self.0.register(name, help, family);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    fn gauge_if(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.gauge(name, help, value);
        }
    }

    /// The text adds `_total` to the name, as the format wants it.
    fn counters(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&escaped(labels)).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }
}

/// The library writes labels as they are, and the format wants three characters escaped.
fn escaped(labels: Labels) -> Labels {
    let escape = |value: String| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    labels.into_iter().map(|(name, value)| (name, escape(value))).collect()
}

/// A count as the format has numbers. What is above 2^53 would be told inexactly, and nothing here comes near.
#[expect(clippy::cast_precision_loss, reason = "said above")]
const fn number(count: u64) -> f64 {
    count as f64
}

const fn count(count: usize) -> f64 {
    number(count as u64)
}

fn seconds(milliseconds: u64) -> f64 {
    number(milliseconds) / 1000.0
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn label(name: &'static str, value: &impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

fn agent(page: &mut Page, status: &Status) {
    let rung = serde_json::to_value(status.rung).ok().and_then(|rung| rung.as_str().map(str::to_owned));
    let about = vec![
        ("node", status.node.to_string()),
        ("cluster", status.cluster.to_string()),
        ("version", status.version.clone()),
        ("rung", rung.unwrap_or_default()),
    ];
    page.gauges("agent_info", "The agent; always 1", [(about, 1.0)]);
    page.gauge("agent_uptime_seconds", "Since the agent started", number(status.uptime_seconds));
    page.gauge("containers", "Containers of this node", count(status.containers));
    let mut areas = std::collections::BTreeMap::<&str, usize>::new();
    for problem in &status.problems {
        *areas.entry(problem.area.as_str()).or_default() += 1;
    }
    let problems = areas.into_iter().map(|(area, problems)| (label("area", &area), count(problems)));
    page.gauges("problems", "What a person should know of; see `constellation-agent status`", problems);
}

fn nodes(page: &mut Page, status: &Status, members: &[MemberRow]) {
    let of = |state: &'static str| {
        let those = members.iter().filter(|member| member.state == state);
        (label("state", &state), count(those.count()))
    };
    page.gauges("nodes", "Nodes that are known, by state", ["live", "leaving", "lost"].map(of));
    let cordoned = members.iter().filter(|member| member.cordoned).count();
    page.gauge("nodes_cordoned", "Nodes that are cordoned", count(cordoned));
    let instances = members.iter().map(|member| member.instances).sum();
    page.gauge("instances", "Instances that count, on all nodes", count(instances));
    page.gauge("instances_routable", "Of these, those that may be sent traffic", count(status.routable));
}

fn gossip(page: &mut Page, status: &Status) {
    let gossip = &status.gossip;
    let ways = [("in", gossip.datagrams_in), ("out", gossip.datagrams_out)];
    let datagrams = ways.map(|(way, datagrams)| (label("direction", &way), datagrams));
    page.counters("gossip_datagrams", "Datagrams received and opened, and sent", datagrams);
    let dropped = gossip.dropped.iter().map(|(reason, dropped)| (label("reason", reason), *dropped));
    page.counters("gossip_dropped", "Datagrams that were not let in, by reason", dropped);
    page.counter("gossip_restarts", "How often the gossip task had to be started again", gossip.restarts);
    page.gauge("gossip_sealed", "Whether datagrams are sealed with a key", flag(gossip.sealed));
}

fn routes(page: &mut Page, status: &Status) {
    let traefik = &status.traefik;
    page.gauge("traefik_routers", "HTTP routers in the document that Traefik polls", count(traefik.routers));
    page.gauge("traefik_services", "HTTP services in it", count(traefik.services));
    page.gauge("traefik_document_bytes", "Its size", count(traefik.bytes));
    page.gauge("traefik_held_back", "Whether a change is held back", flag(traefik.held.is_some()));
}

fn gateway(page: &mut Page, status: &Status) {
    let all = &status.gateway;
    let listeners = all.iter().filter(|listener| !listener.draining).count();
    page.gauge("gateway_listeners", "Endpoints that the mesh gateway listens for", count(listeners));
    let open = all.iter().map(|listener| listener.open).sum();
    page.gauge("gateway_connections_open", "Connections through it that are open", count(open));
    let draining = all.iter().filter(|listener| listener.draining).map(|listener| listener.open).sum();
    page.gauge(
        "gateway_connections_draining",
        "Those of them whose endpoint is closed already",
        count(draining),
    );
    let sum = |of: fn(&constellation_proxy::GatewayStatus) -> u64| all.iter().map(of).sum::<u64>();
    let ends = [
        ("accepted", sum(|listener| listener.accepted)),
        ("refused", sum(|listener| listener.refused)),
        ("unreachable", sum(|listener| listener.unreachable)),
    ];
    // Of those listeners that there are: one that was closed takes its count along, so this is no counter.
    let ends = ends.map(|(end, connections)| (label("outcome", &end), number(connections)));
    page.gauges(
        "gateway_connections",
        "Connections since each listener was opened, by what became of them",
        ends,
    );
}

fn certificates(page: &mut Page, status: &Status) {
    #[expect(clippy::cast_precision_loss, reason = "seconds of this era are far below 2^53")]
    let ends = status.certificates.iter().map(|row| (label("file", &row.file), row.not_after as f64));
    page.gauges("certificate_expiry_timestamp_seconds", "Until when each certificate is valid", ends);
}

fn ingress(page: &mut Page, status: &ProxyStatus) {
    page.gauge("ingress_connections_open", "Connections of clients that are open", count(status.connections));
    page.gauge(
        "ingress_connections_resting",
        "Open connections of clients that say nothing and hold no buffers",
        count(status.resting),
    );
    page.gauge(
        "ingress_tunnels_open",
        "Open connections of clients that changed to WebSocket or the like",
        count(status.tunnels),
    );
    page.counter("ingress_connections_accepted", "Connections of clients", status.accepted);
    page.counter("ingress_connections_turned_away", "Closed at once: too many were open", status.turned_away);
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(status.answers);
    let answers = classes.map(|(class, answers)| (label("class", &class), answers));
    page.counters("ingress_answers", "Answers, by the class of their status", answers);
    page.counter("ingress_refused", "Of these, those that the proxy gave by itself", status.refused);
    page.counter("ingress_retries", "Requests that were given to another backend", status.retries);
    let of = |state: &'static str| {
        let those = status.backends.iter().filter(|backend| backend.breaker == state);
        (label("breaker", &state), count(those.count()))
    };
    page.gauges("ingress_backends", "Backends, by their breaker", ["closed", "open", "half-open"].map(of));
}

fn raft(page: &mut Page, raft: &RaftStatus) {
    page.gauge("raft_member", "Whether this node is a member of a cluster", flag(raft.member));
    page.gauge("raft_leader", "Whether it leads Raft", flag(raft.role == "leader"));
    page.gauge("raft_term", "Raft's term", number(raft.term));
    page.gauge("raft_commit_index", "What is committed, as far as it knows", number(raft.commit));
    page.gauge("raft_applied_index", "What it has applied", number(raft.applied));
    page.gauge("raft_voters", "How many members vote", count(raft.voters.len()));
    let expires = raft.certificate_expires.map(seconds);
    page.gauge_if(
        "raft_certificate_expiry_timestamp_seconds",
        "Until when the others believe its certificate",
        expires,
    );
}

fn leases(page: &mut Page, leases: &Leases) {
    let rows = || leases.leases.iter();
    let held = rows().map(|row| (label("lease", &row.lease), flag(row.may_act)));
    page.gauges("lease_held", "Whether this node may act under the lease", held);
    let tokens = rows().map(|row| (label("lease", &row.lease), number(row.token)));
    page.gauges("lease_token", "The fencing token of its last grant", tokens);
}

fn dns(page: &mut Page, status: &DnsStatus) {
    page.gauge("dns_writing", "Whether this node writes the zone", flag(status.stage == Stage::Writing));
    let failed = status.error.is_some() || matches!(status.outcome, Some(Outcome::Failed));
    page.gauge("dns_failed", "Whether something keeps it from its work", flag(failed));
    let settled = status.settled.map(|at| seconds(at.0));
    page.gauge_if(
        "dns_settled_timestamp_seconds",
        "When the zone was last known to be as it should be",
        settled,
    );
    if let Some(plan) = &status.plan {
        let (create, change, remove) = plan.counts();
        let kinds =
            [("create", create), ("change", change), ("remove", remove), ("refused", plan.refused.len())];
        let kinds = kinds.map(|(kind, changes)| (label("kind", &kind), count(changes)));
        page.gauges("dns_plan_changes", "The last plan, by kind of change", kinds);
        let records = [("ours", plan.owned), ("foreign", plan.foreign), ("desired", plan.desired)];
        let records = records.map(|(owner, records)| (label("owner", &owner), count(records)));
        page.gauges(
            "dns_records",
            "Records in the zone when it was last read, and how many there should be",
            records,
        );
    }
    let counters = &status.counters;
    page.counter("dns_reads", "How often the whole zone was read", counters.reads);
    page.counter("dns_writes", "How many batches were written", counters.writes);
    page.counter("dns_changes", "How many changes were in them", counters.changes);
    page.counter("dns_failures", "How often something failed", counters.failures);
    page.counter("dns_drifted", "How many records of ours others had changed", counters.drifted);
    page.counter("dns_requests", "Requests that were sent to the provider", status.requests);
    let left = status.requests_left.map(f64::from);
    page.gauge_if("dns_requests_left", "Requests that may be sent now", left);
}

pub(crate) async fn answer(State(agent): State<Arc<dyn Agent>>) -> Response {
    let (status, members, cluster) = (agent.status().await, agent.members(), agent.cluster());
    let (known, raft) = (cluster.leases(false).await.ok(), cluster.raft().await);
    let handle = agent.dns().map(|handle| handle.status());
    let zone = handle.as_ref().map(|status| status.borrow().clone());
    let told = Told {
        status: &status,
        members: &members,
        leases: known.as_ref(),
        raft: &raft,
        dns: zone.as_deref(),
    };
    match text(&told) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Opens a TCP address at which nothing but the metrics is answered, and returns the service that answers there until it
/// is told to end. Whoever reaches it may read; nothing can be changed there.
///
/// # Errors
/// When the address is not free.
pub async fn serve_metrics(
    listen: SocketAddr,
    agent: Arc<dyn Agent>,
    shutdown: CancellationToken,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send + 'static)> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/metrics", get(answer)).with_state(agent);
    let service = async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the metrics broke off");
        }
    };
    Ok((address, service))
}
