//! The load balancers of a service, and what happens to a request that a server fails.
//!
//! # Why it is built like this
//!
//! Measured with Traefik 3.7.15: two servers, 100 requests/s, one of them killed or silent for 4 s; of 400 requests fail
//!
//! | | killed | silent |
//! |---|---|---|
//! | round robin alone | 200 | 196 |
//! | `retry`, 2 attempts | 104 | 197 |
//! | `passiveHealthCheck` after 1 failure, and `retry` | 0 | 102 |
//! | `failover` on errors 502-504 with dial and response timeouts | **0** | **0** |
//!
//! From Traefik's source, confirmed against the binary (`tests/real_traefik.rs`):
//!
//! - `failover.errors` repeats **every** method once the first server answered with such a status, and also when that
//!   server had read the whole request: a POST would be carried out twice. It also keeps each body in memory first, and
//!   refuses one above its bound with 413. So it is for safe methods alone, which have no effect and rarely a body.
//! - `retry` without `status` repeats any method, and only while no byte of the request was written to a server. That is
//!   safe for all. Its next attempt goes wherever round robin stands by then, often to the dead server again, so it
//!   needs several attempts where `failover` needs one.
//! - `passiveHealthCheck` counts the application's own 5xx answers as failures: one page that answers 500 would take a
//!   sound server out, and a client that asks for it twice the whole service. It is not used.
//!
//! So a service with two servers or more gets two routers with the same rule and priority, kept apart by the method:
//! GET, HEAD and OPTIONS go round over `failover` pairs, the rest to a plain load balancer behind `retry`.
//!
//! Sticky services keep one plain load balancer for all methods: the cookie names a server by what it is called in its
//! load balancer, so two of them would send one client's GET and POST to different servers.
//!
//! What remains: a request that was already sent on a kept connection to a host that went silent waits until the client
//! gives up or the response timeout ends it; nothing tells such a host from a slow answer, so a service states that
//! timeout by label. And a server that accepts connections and closes them fails what is not safe to repeat.

use std::{collections::BTreeMap, fmt::Write, net::SocketAddr, sync::Arc, time::Duration};

use constellation_core::{
    InstanceId, NodeName,
    route::{
        Failover as FailoverMode, HttpHealthCheck, HttpService, PassiveHealthCheck, Scheme, StickyCookie,
    },
};

use serde_json::json;

use super::{config::RenderConfig, gather::Reached, problem::RouteProblem};
use crate::{
    document::{
        self, Cookie, Failover, FailoverErrors, ForwardingTimeouts, GoDuration, HealthCheck, LoadBalancer,
        Middleware, Name, Names, ResponseForwarding, Retry, Router, Server, ServersTransport, Service,
        Shared, Sticky, Weighted, WeightedService,
    },
    names,
};

/// With two servers of which one refuses connections, one request in 2^8 still fails under load; each attempt on a
/// refused connection costs well under a millisecond.
const RETRY_ATTEMPTS: u32 = 8;
/// How Traefik may choose a server, beside taking each in its turn.
const STRATEGIES: [&str; 3] = ["p2c", "hrw", "leasttime"];
/// Bodies of safe requests are rare and small. Traefik keeps them in memory for the second try and refuses larger ones.
const FAILOVER_BODY_BYTES_MAX: u64 = 1024 * 1024;
/// What Traefik answers for a server that it cannot reach or that does not answer in time, and what a proxy in an
/// application's container answers for the same reason. 500 is an application's own answer and is passed on.
const FAILOVER_STATUS: &str = "502-504";

/// A server that may be sent traffic.
#[derive(Clone)]
pub(super) struct Target<'a> {
    pub(super) node: &'a NodeName,
    pub(super) instance: &'a InstanceId,
    pub(super) url: Name,
    /// What its own labels say of its share and of the path in its URL.
    pub(super) weight: Option<u32>,
    pub(super) preserve_path: bool,
}

impl Target<'_> {
    fn server(&self) -> Server {
        Server { url: Arc::clone(&self.url), weight: self.weight, preserve_path: self.preserve_path }
    }
}

/// What is made of one service.
#[derive(Default)]
pub(super) struct Fragment {
    pub(super) routers: Vec<(Name, Shared<Router>)>,
    pub(super) services: Vec<(Name, Shared<Service>)>,
    pub(super) middlewares: Vec<(Name, Middleware)>,
    /// Which of the transports it uses.
    pub(super) transports: Vec<Name>,
    /// Whether it uses the middleware that tries again.
    pub(super) retries: bool,
    pub(super) problems: Vec<RouteProblem>,
}

/// What is made on the way.
pub(super) struct Made {
    /// The statuses that make a request fail over, for all to share.
    failover_status: Names,
    /// Where names are put together; kept, because there are many.
    scratch: String,
    /// Of the service that it is the turn of.
    pub(super) fragment: Fragment,
    /// All that any service has used.
    pub(super) transports: BTreeMap<Name, ServersTransport>,
}

impl Made {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            failover_status: [FAILOVER_STATUS.into()].into(),
            scratch: String::new(),
            fragment: Fragment::default(),
            transports: BTreeMap::new(),
        }
    }

    /// The middleware that tries again.
    pub(super) fn retry() -> (Name, Middleware) {
        (names::RETRY.into(), Middleware::Retry(Retry { attempts: RETRY_ATTEMPTS }))
    }

    fn push(&mut self, name: Name, service: Service) {
        self.fragment.services.push((name, service.into()));
    }

    /// A name from its parts.
    pub(super) fn name(&mut self, parts: &[&str]) -> Name {
        self.scratch.clear();
        parts.iter().for_each(|part| self.scratch.push_str(part));
        self.scratch.as_str().into()
    }

    /// A server's URL. Most addresses are IPv4, and the general way of printing one takes ten times as long: it was a tenth
    /// of a whole rendering.
    pub(super) fn url(&mut self, reached: &Reached<'_>) -> Name {
        let (scheme, address) = match *reached {
            Reached::Written(url) => return url.into(),
            Reached::At(scheme, address) => (scheme, address),
        };
        let text = &mut self.scratch;
        text.clear();
        text.push_str(scheme.as_str());
        text.push_str("://");
        match address {
            SocketAddr::V4(v4) => {
                for (index, part) in v4.ip().octets().into_iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "." });
                    decimal(text, u16::from(part));
                }
                text.push(':');
                decimal(text, v4.port());
            }
            // Writing to a string does not fail.
            SocketAddr::V6(v6) => drop(write!(text, "{v6}")),
        }
        text.as_str().into()
    }

    /// The name of a load balancer over the servers of one node.
    pub(super) fn node_name(&mut self, name: &str, node: &NodeName) -> Name {
        self.name(&[name, names::AT, node.as_str()])
    }
}

/// Appends a number.
fn decimal(text: &mut String, number: u16) {
    let mut divisor = 10_000;
    let mut begun = false;
    while divisor > 0 {
        let digit = number / divisor % 10;
        begun |= digit != 0 || divisor == 1;
        if begun {
            text.push(char::from_digit(u32::from(digit), 10).unwrap_or('0'));
        }
        divisor /= 10;
    }
}

/// Where a router of a load balancer leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// All requests to one service.
    One {
        service: Name,
        /// Whether what no server received is tried again.
        retry: bool,
    },
    /// All requests to this node's own proxy, with the name of the service.
    Proxied {
        service: Name,
        /// What says the name; of the same name.
        middleware: Name,
        /// Whether what one server failed may be given to another, which the proxy then does.
        retry: bool,
    },
    /// Safe methods to a service that fails over, the others to one that tries again what no server received.
    ByMethod { safe: Name, other: Name },
}

/// Makes the services for one load balancer and says where its routers lead.
pub(super) fn balance(
    made: &mut Made,
    name: &str,
    service: &HttpService,
    targets: &[Target<'_>],
    config: &RenderConfig,
) -> Lead {
    let plain: Name = name.into();
    push_balancer(made, Arc::clone(&plain), service, targets, config, service.sticky.as_ref());
    if service.proxied
        && let Some(proxy) = config.proxy
    {
        return through_proxy(made, name, service, proxy, config);
    }
    let repeatable = targets.len() >= 2 && service.failover == FailoverMode::Safe && service.sticky.is_none();
    // Pairs take their turns; whoever asks for another strategy, or would have nobody served, gets the balancer alone.
    let in_turn = service.strategy.is_none() && targets.iter().any(|target| target.weight != Some(0));
    if !repeatable {
        return Lead::One { service: plain, retry: false };
    }
    made.fragment.retries = true;
    if !config.failover_on_errors || !in_turn {
        return Lead::One { service: plain, retry: true };
    }
    let units = units(made, name, service, targets, config);
    let services = units
        .iter()
        .enumerate()
        .map(|(index, unit)| {
            let failover = made.name(&[&unit.name, names::FAILOVER]);
            let status = Arc::clone(&made.failover_status);
            let errors = FailoverErrors { status, max_request_body_bytes: FAILOVER_BODY_BYTES_MAX };
            let fallback = Arc::clone(&fallback_of(&units, index).name);
            let pair = Failover { service: Arc::clone(&unit.name), fallback, errors };
            made.push(Arc::clone(&failover), Service::Failover(pair));
            WeightedService { name: failover, weight: unit.weight }
        })
        .collect::<Vec<_>>();
    // Traefik refuses a part without weight; it stays as what stands in for another.
    let services = services.into_iter().filter(|part| part.weight > 0).collect();
    let safe = made.name(&[name, names::FAILOVER]);
    made.push(Arc::clone(&safe), Service::Weighted(Weighted { services }));
    Lead::ByMethod { safe, other: plain }
}

/// Makes the way through this node's own proxy. The load balancer over the servers stays in the document: it is what the proxy has its
/// table of.
fn through_proxy(
    made: &mut Made,
    name: &str,
    service: &HttpService,
    proxy: SocketAddr,
    config: &RenderConfig,
) -> Lead {
    let proxied = made.name(&[name, names::PROXY]);
    let url = made.url(&Reached::At(Scheme::Http, proxy));
    let balancer = LoadBalancer {
        servers: vec![Server::at(url)],
        pass_host_header: service.pass_host_header,
        servers_transport: Some(transport(made, None, config)),
        ..LoadBalancer::default()
    };
    made.push(Arc::clone(&proxied), Service::LoadBalancer(balancer));
    let header = json!({ "headers": { "customRequestHeaders": { "X-Constellation-Service": name } } });
    made.fragment.middlewares.push((Arc::clone(&proxied), Middleware::Written(header)));
    let retry = service.failover == FailoverMode::Safe;
    made.fragment.retries |= retry;
    Lead::Proxied { service: Arc::clone(&proxied), middleware: proxied, retry }
}

/// Makes the load balancer over one node's servers, which is what `<service>.<node>.<domain>` leads to.
pub(super) fn balance_node(
    made: &mut Made,
    name: &str,
    node: &NodeName,
    service: &HttpService,
    targets: &[Target<'_>],
    config: &RenderConfig,
) -> Name {
    let name = made.node_name(name, node);
    push_balancer(made, Arc::clone(&name), service, targets, config, service.sticky.as_ref());
    name
}

/// A load balancer over one server, as half of a failover pair.
struct Unit<'a> {
    name: Name,
    weight: u32,
    node: &'a NodeName,
}

/// One load balancer for each server (given by node), in the order in which they stand in for each other: first one of each node, then
/// the second of each node, so that neighbours are on different nodes.
fn units<'a>(
    made: &mut Made,
    name: &str,
    service: &HttpService,
    targets: &[Target<'a>],
    config: &RenderConfig,
) -> Vec<Unit<'a>> {
    let mut ranked: Vec<(usize, bool, &Target<'a>)> = Vec::with_capacity(targets.len());
    for on_node in targets.chunk_by(|one, other| one.node == other.node) {
        let alone = on_node.len() == 1;
        ranked.extend(on_node.iter().enumerate().map(|(rank, target)| (rank, alone, target)));
    }
    // Stable: targets of one rank stay in the order of their nodes.
    ranked.sort_by_key(|(rank, ..)| *rank);
    let mut units = Vec::with_capacity(ranked.len());
    for (_, alone, target) in ranked {
        // The name changes with the instance only where one node has several.
        let name = if alone {
            made.node_name(name, target.node)
        } else {
            made.name(&[name, names::AT, target.node.as_str(), names::AT, target.instance.as_str()])
        };
        push_balancer(made, Arc::clone(&name), service, std::slice::from_ref(target), config, None);
        units.push(Unit { name, weight: target.weight.unwrap_or(1), node: target.node });
    }
    units
}

/// The next unit on another node; where all are on one node, the next unit.
fn fallback_of<'u, 'a>(units: &'u [Unit<'a>], index: usize) -> &'u Unit<'a> {
    let own = &units[index];
    let mut others = units.iter().cycle().skip(index + 1).take(units.len() - 1);
    let next = &units[(index + 1) % units.len()];
    others.find(|other| other.node != own.node).unwrap_or(next)
}

fn push_balancer(
    made: &mut Made,
    name: Name,
    service: &HttpService,
    targets: &[Target<'_>],
    config: &RenderConfig,
    sticky: Option<&StickyCookie>,
) {
    let servers_transport = Some(match &service.servers_transport {
        Some(foreign) => foreign.as_str().into(),
        None => transport(made, service.response_timeout, config),
    });
    let balancer = LoadBalancer {
        servers: targets.iter().map(Target::server).collect(),
        sticky: sticky.map(cookie).map(Box::new),
        health_check: service.health_check.as_ref().and_then(health_check).map(Box::new),
        passive_health_check: service.passive_health_check.as_ref().map(passive).map(Box::new),
        strategy: service.strategy.clone().filter(|strategy| STRATEGIES.contains(&strategy.as_str())),
        response_forwarding: service
            .flush_interval
            .map(|millis| ResponseForwarding { flush_interval: format!("{millis}ms") }),
        pass_host_header: service.pass_host_header,
        servers_transport,
    };
    made.push(name, Service::LoadBalancer(balancer));
}

/// The transport with these timeouts. Services with the same response timeout share one, and so its connections.
fn transport(made: &mut Made, response: Option<Duration>, config: &RenderConfig) -> Name {
    let at_least_a_millisecond = |timeout: Duration| GoDuration(timeout.max(Duration::from_millis(1)));
    let name = match response {
        None => names::TRANSPORT.to_owned(),
        Some(response) => {
            [names::TRANSPORT, names::AT, &at_least_a_millisecond(response).to_string()].concat()
        }
    };
    let known = made.transports.get_key_value(name.as_str()).map(|(known, _)| Arc::clone(known));
    let name = known.unwrap_or_else(|| {
        let name: Name = name.into();
        let forwarding_timeouts = ForwardingTimeouts {
            dial_timeout: at_least_a_millisecond(config.dial_timeout),
            response_header_timeout: response.map(at_least_a_millisecond),
        };
        made.transports.insert(Arc::clone(&name), ServersTransport { forwarding_timeouts });
        name
    });
    if !made.fragment.transports.contains(&name) {
        made.fragment.transports.push(Arc::clone(&name));
    }
    name
}

fn passive(check: &PassiveHealthCheck) -> document::PassiveHealthCheck {
    document::PassiveHealthCheck {
        failure_window: check.failure_window.filter(|window| window.as_millis() > 0).map(GoDuration),
        max_failed_attempts: check.max_failed_attempts,
    }
}

fn cookie(sticky: &StickyCookie) -> Sticky {
    let StickyCookie { name, http_only, secure, same_site, max_age, path, domain } = sticky.clone();
    Sticky { cookie: Cookie { name, secure, http_only, same_site, max_age, path, domain } }
}

/// A check that Traefik takes; another agent may have sent one that it would refuse, and the whole document with it.
fn health_check(check: &HttpHealthCheck) -> Option<HealthCheck> {
    if !check.path.starts_with('/') && check.mode.as_deref() != Some("grpc") {
        return None;
    }
    let check = check.clone();
    let time = |duration: Option<Duration>| duration.filter(|d| d.as_millis() > 0).map(GoDuration);
    Some(HealthCheck {
        path: check.path,
        scheme: check.scheme,
        mode: check.mode,
        method: check.method,
        status: check.status,
        port: check.port,
        interval: time(check.interval),
        unhealthy_interval: time(check.unhealthy_interval),
        timeout: time(check.timeout),
        hostname: check.hostname,
        follow_redirects: check.follow_redirects,
        headers: check.headers,
    })
}
