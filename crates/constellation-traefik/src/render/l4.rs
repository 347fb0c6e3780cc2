//! TCP and UDP: routers from labels, and their load balancers over all instances of a service.
//!
//! Traefik goes round the servers it is told of; a server that is gone leaves with the next document. Nothing is failed over, for
//! nobody knows what the bytes of a connection have done.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use constellation_core::{
    Protocol, Role, RouteName,
    route::{TcpHealthCheck, TcpRouter as Written, TcpService, TcpTls as WrittenTls},
};
use constellation_rules::TcpRule;

use super::{
    Candidate, Gathered, RouteProblem, RouteProblemKind, claims::Holder, is_foreign,
    middlewares::Middlewares, routers,
};
use crate::{
    document::{
        GoDuration, L4HealthCheck, L4LoadBalancer, L4Server, L4Service, PRIORITY_MAX, ProxyProtocol, Tcp,
        TcpRouter, TcpTls, Tls, Udp, UdpRouter,
    },
    schema::TCP_MIDDLEWARES,
};

/// Traefik's own default.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);

/// Renders both.
pub(super) fn render(services: &[Gathered<'_>], problems: &mut Vec<RouteProblem>) -> (Tcp, Udp) {
    let middlewares =
        Middlewares::gather(services, |routes| &routes.tcp.middlewares, TCP_MIDDLEWARES, problems);
    let mut tcp = L4 { problems, claims: HashMap::new(), protocol: Protocol::Tcp };
    let mut document = Tcp::default();
    for service in services {
        tcp.tcp(service, &middlewares, &mut document);
    }
    let mut udp = L4 { problems: tcp.problems, claims: HashMap::new(), protocol: Protocol::Udp };
    let mut datagrams = Udp::default();
    for service in services {
        udp.udp(service, &mut datagrams);
    }
    if !document.routers.is_empty() {
        document.middlewares = middlewares.values().collect();
    }
    (document, datagrams)
}

struct L4<'a, 'p> {
    problems: &'p mut Vec<RouteProblem>,
    /// Whose a name, a rule or an entry point is. Only looked up.
    claims: HashMap<String, Holder<'a>>,
    protocol: Protocol,
}

impl<'a> L4<'a, '_> {
    fn tcp(&mut self, service: &'a Gathered<'a>, middlewares: &Middlewares, into: &mut Tcp) {
        let routes = &service.routes.tcp;
        let mut own = BTreeSet::new();
        for (name, spec) in &routes.services {
            if spec.servers_transport.as_ref().is_some_and(|transport| !is_foreign(transport)) {
                self.problem(service, RouteProblemKind::Invalid, name.as_str(), "its transport is not there");
                continue;
            }
            if !self.claim(service, name, vec![format!("service {name}")]) {
                continue;
            }
            let balancer = L4LoadBalancer {
                servers: self.servers(service, name, |candidate| {
                    let address = tcp_server(service, candidate, name, spec)?;
                    Ok((address, service.own(candidate, name, spec, |routes| &routes.tcp.services).tls))
                }),
                servers_transport: spec.servers_transport.clone(),
                health_check: spec.health_check.as_ref().map(health_check),
                proxy_protocol: spec
                    .proxy_protocol
                    .filter(|version| (1..=2).contains(version))
                    .map(|version| ProxyProtocol { version }),
            };
            own.insert(name.as_str());
            into.services.insert(name.as_str().into(), L4Service { load_balancer: balancer });
        }
        for (name, router) in &routes.routers {
            match self.tcp_router(service, name, router, &own, middlewares) {
                Ok(Some(router)) => drop(into.routers.insert(name.as_str().into(), router)),
                Ok(None) => {}
                Err(reason) => self.problem(service, RouteProblemKind::Invalid, name.as_str(), &reason),
            }
        }
    }

    fn tcp_router(
        &mut self,
        service: &'a Gathered<'a>,
        name: &'a RouteName,
        router: &Written,
        own: &BTreeSet<&str>,
        middlewares: &Middlewares,
    ) -> Result<Option<TcpRouter>, String> {
        self.leads(&router.service, own)?;
        if router.entry_points.is_empty() {
            return Err("it names no entry point".to_owned());
        }
        if router.rule.is_empty() || router.rule.chars().any(char::is_control) {
            return Err("its rule is none".to_owned());
        }
        let through = middlewares.through(&router.middlewares)?;
        let priority = router.priority;
        if !priority.is_none_or(|priority| (1..=PRIORITY_MAX).contains(&priority)) {
            return Err("its priority is not one that Traefik takes".to_owned());
        }
        let tls = router.tls.is_some();
        // Two that want the same connections are rivals, wherever they meet, and however their rules are spelt. A rule that
        // is not understood here is Traefik's to judge; it refuses the router alone.
        let rule: Option<TcpRule> = router.rule.parse().ok();
        let ground = rule.as_ref().map_or_else(|| router.rule.clone(), ToString::to_string);
        let rank = rule.map_or(priority, |rule| Some(tcp_priority(&router.rule, &rule, priority)));
        let grounds = router
            .entry_points
            .iter()
            .map(|entry_point| format!("{entry_point} {ground} {rank:?} {tls}"))
            .chain([format!("router {name}")]);
        if !self.claim(service, name, grounds.collect()) {
            return Ok(None);
        }
        let tls = router.tls.as_ref().map(|WrittenTls { ends, passthrough }| {
            let Tls { cert_resolver, options, domains } = routers::ends(ends);
            TcpTls { passthrough: *passthrough, cert_resolver, options, domains }
        });
        Ok(Some(TcpRouter {
            entry_points: router.entry_points.iter().map(|it| it.as_str().into()).collect(),
            middlewares: through,
            service: router.service.as_str().into(),
            rule: router.rule.clone(),
            priority,
            tls,
        }))
    }

    fn udp(&mut self, service: &'a Gathered<'a>, into: &mut Udp) {
        let routes = &service.routes.udp;
        let mut own = BTreeSet::new();
        for (name, port) in &routes.services {
            if !self.claim(service, name, vec![format!("service {name}")]) {
                continue;
            }
            let servers = self
                .servers(service, name, |candidate| Ok((udp_server(service, candidate, name, port)?, false)));
            let load_balancer = L4LoadBalancer { servers, ..L4LoadBalancer::default() };
            own.insert(name.as_str());
            into.services.insert(name.as_str().into(), L4Service { load_balancer });
        }
        for (name, router) in &routes.routers {
            if let Err(reason) = self.leads(&router.service, &own) {
                self.problem(service, RouteProblemKind::Invalid, name.as_str(), &reason);
                continue;
            }
            // An entry point for datagrams has one router.
            let grounds = router
                .entry_points
                .iter()
                .map(|entry_point| format!("entry point {entry_point}"))
                .chain([format!("router {name}")]);
            if !router.entry_points.is_empty() && self.claim(service, name, grounds.collect()) {
                let entry_points = router.entry_points.iter().map(|it| it.as_str().into()).collect();
                let made = UdpRouter { entry_points, service: router.service.as_str().into() };
                into.routers.insert(name.as_str().into(), made);
            }
        }
    }

    fn leads(&self, service: &str, own: &BTreeSet<&str>) -> Result<(), String> {
        if is_foreign(service) || own.contains(service) {
            Ok(())
        } else {
            Err(format!("its service `{service}` is not there"))
        }
    }

    /// The servers that may be sent traffic, and whether over TLS; those on cordoned and leaving nodes only where there is no other.
    fn servers(
        &mut self,
        service: &'a Gathered<'a>,
        name: &RouteName,
        server: impl Fn(&Candidate<'a>) -> Result<(SocketAddr, bool), Out>,
    ) -> Vec<L4Server> {
        let (mut open, mut last) = (BTreeSet::new(), BTreeSet::new());
        for candidate in service.candidates.iter().filter(|candidate| candidate.routable) {
            let address = match server(candidate) {
                Ok(address) => address,
                Err(out) => {
                    if let Some(kind) = out.problem() {
                        let (instance, node) = (&candidate.instance.id, &candidate.node.name);
                        let text = format!("instance {instance} on {node} is healthy, but {out}");
                        self.problem(service, kind, name.as_str(), &text);
                    }
                    continue;
                }
            };
            let facts = &candidate.node.facts;
            let side = if facts.cordoned || facts.leaving { &mut last } else { &mut open };
            side.insert(address);
        }
        let serving = if open.is_empty() { last } else { open };
        serving.into_iter().map(|(address, tls)| L4Server { address: address.to_string(), tls }).collect()
    }

    /// Claims all of it or nothing: what is left out must not keep from others what it does not have itself.
    fn claim(&mut self, service: &'a Gathered<'a>, by: &'a RouteName, what: Vec<String>) -> bool {
        let claimant = (service.id, by);
        let taken = what.iter().find_map(|what| {
            let holder = self.claims.get(what).filter(|holder| **holder != claimant)?;
            Some((what, *holder))
        });
        if let Some((what, (holder, route))) = taken {
            let text = if holder == service.id {
                format!("`{route}` of the same service has it: {what}; this one is left out")
            } else {
                format!("the older service {holder} has it: {what}; this one is left out")
            };
            self.problem(service, RouteProblemKind::Contested, by.as_str(), &text);
            return false;
        }
        self.claims.extend(what.into_iter().map(|what| (what, claimant)));
        true
    }

    fn problem(&mut self, service: &Gathered<'_>, kind: RouteProblemKind, about: &str, text: &str) {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        self.problems.push(RouteProblem {
            service: service.id.clone(),
            kind,
            about: format!("{protocol} `{about}`"),
            text: text.to_owned(),
        });
    }
}

fn health_check(check: &TcpHealthCheck) -> L4HealthCheck {
    let TcpHealthCheck { send, expect, interval, unhealthy_interval, timeout } = check;
    L4HealthCheck {
        send: send.clone(),
        expect: expect.clone(),
        interval: GoDuration(interval.unwrap_or(HEALTH_INTERVAL)),
        unhealthy_interval: unhealthy_interval.map(GoDuration),
        timeout: timeout.map(GoDuration),
    }
}

/// The priority that Traefik goes by: the given one, else the length of the rule, and the last place for what takes everything.
pub(crate) fn tcp_priority(text: &str, rule: &TcpRule, given: Option<i64>) -> i64 {
    let by_length = || if rule.takes_all() { -1 } else { i64::try_from(text.len()).unwrap_or(PRIORITY_MAX) };
    given.filter(|priority| *priority != 0).unwrap_or_else(by_length)
}

/// Why an instance that is well gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// This port of it has no address that other nodes reach.
    Unreachable(u16),
    /// It understands another greeting than the load balancer's, which has one for all of its servers.
    Greeting,
    /// Nobody knows its role, and only this one gets something.
    RoleUnknown(Role),
    /// It has another role than this one.
    OtherRole(Role),
    /// It is not the only one that says that it is the primary.
    SecondPrimary,
}

impl Out {
    /// What sort of problem it is; `None` where it is meant to be so.
    const fn problem(self) -> Option<RouteProblemKind> {
        match self {
            Self::Unreachable(_) => Some(RouteProblemKind::Unreachable),
            Self::Greeting | Self::RoleUnknown(_) => Some(RouteProblemKind::Invalid),
            Self::SecondPrimary => Some(RouteProblemKind::Contested),
            Self::OtherRole(_) => None,
        }
    }
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(port) => write!(f, "its port {port} is not one that other nodes reach"),
            Self::Greeting => f.write_str(
                "its own labels ask for another version of the PROXY protocol than those of the newest instance, and \
                 Traefik greets all servers alike",
            ),
            Self::RoleUnknown(role) => write!(
                f,
                "only the {role} gets connections, and its role is not known: no label says who asks it \
                 (constellation.role-probe), or it does not say"
            ),
            Self::OtherRole(role) => write!(f, "it is not the {role}, which alone gets connections"),
            Self::SecondPrimary => f.write_str(
                "it is not the only one that says that it is the primary: until one of them is left none gets connections",
            ),
        }
    }
}

/// Whether an instance has the role that a service leads to. Of two primaries one is mistaken, and what is written to that one
/// is lost: so neither gets anything.
fn role(service: &Gathered<'_>, candidate: &Candidate<'_>, spec: &TcpService) -> Result<(), Out> {
    let Some(wanted) = spec.role else { return Ok(()) };
    match candidate.instance.role {
        None => return Err(Out::RoleUnknown(wanted)),
        told if !wanted.is_of(told) => return Err(Out::OtherRole(wanted)),
        Some(_) => {}
    }
    let holds = |other: &&Candidate<'_>| other.routable && wanted.is_of(other.instance.role);
    if wanted == Role::Primary && service.candidates.iter().filter(holds).count() > 1 {
        return Err(Out::SecondPrimary);
    }
    Ok(())
}

/// Where an instance is reached for a TCP service. Its greeting is part of what it speaks: one that differs would take the
/// header for data, or data for the header.
pub(crate) fn tcp_server<'a>(
    service: &Gathered<'a>,
    candidate: &Candidate<'a>,
    name: &RouteName,
    spec: &'a TcpService,
) -> Result<SocketAddr, Out> {
    let own = service.own(candidate, name, spec, |routes| &routes.tcp.services);
    if own.proxy_protocol != spec.proxy_protocol {
        return Err(Out::Greeting);
    }
    role(service, candidate, spec)?;
    candidate.instance.tcp(own.port).ok_or(Out::Unreachable(own.port))
}

/// Where an instance is reached for a UDP service.
pub(crate) fn udp_server<'a>(
    service: &Gathered<'a>,
    candidate: &Candidate<'a>,
    name: &RouteName,
    port: &'a u16,
) -> Result<SocketAddr, Out> {
    let port = *service.own(candidate, name, port, |routes| &routes.udp.services);
    candidate.instance.udp(port).ok_or(Out::Unreachable(port))
}
