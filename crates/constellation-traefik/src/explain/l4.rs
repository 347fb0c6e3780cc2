//! The same for connections and datagrams.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use constellation_core::ClusterView;
use constellation_rules::{Connection, TcpRule};

use super::{Backend, standings};
use crate::{
    document::{DynamicConfig, L4Service, Name, TcpRouter},
    render::{self, Candidate},
};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L4Traffic {
    /// A connection in the clear: nobody sees which name it is for.
    Plain(Connection),
    /// A connection with TLS.
    Tls(Connection),
    /// Datagrams.
    Datagrams,
}

/// A router that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L4Taker {
    /// Its name.
    pub name: Name,
    /// Its rule; none for datagrams, of which an entry point is all that is looked at.
    pub rule: Option<String>,
    /// Its priority, or the one that Traefik gives it. Datagrams have none.
    pub priority: i64,
    /// The entry points that it is on.
    pub entry_points: Vec<Name>,
    /// What happens on the way.
    pub middlewares: Vec<Name>,
    /// Where it leads.
    pub service: Name,
}

/// What a document does with a connection or with datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L4Explained {
    /// The routers that take it, the one that wins first. With several entry points each decides for itself.
    pub routers: Vec<L4Taker>,
    /// The addresses of the servers behind the first, sorted.
    pub servers: Vec<Name>,
    /// The service of another provider that it leads to, if it does.
    pub elsewhere: Option<Name>,
    /// Every instance of the service behind the first, those that get something first.
    pub backends: Vec<Backend>,
}

/// Asks a document, and the view for the instances behind it; of one entry point, or of all.
pub fn explain_l4(
    document: &DynamicConfig,
    view: &ClusterView,
    traffic: &L4Traffic,
    entry_point: Option<&str>,
) -> L4Explained {
    let (mut routers, services) = match traffic {
        L4Traffic::Datagrams => (datagrams(document), &document.udp.services),
        L4Traffic::Plain(connection) => (connections(document, connection, false), &document.tcp.services),
        L4Traffic::Tls(connection) => (connections(document, connection, true), &document.tcp.services),
    };
    routers.retain(|taker| {
        entry_point.is_none_or(|wanted| taker.entry_points.iter().any(|name| **name == *wanted))
    });
    let mut explained = L4Explained { routers, ..L4Explained::default() };
    if let Some(winner) = explained.routers.first() {
        behind(view, traffic, &winner.service.clone(), services, &mut explained);
    }
    explained
}

fn behind(
    view: &ClusterView,
    traffic: &L4Traffic,
    service: &Name,
    services: &BTreeMap<Name, L4Service>,
    explained: &mut L4Explained,
) {
    let Some(balancer) = services.get(service) else {
        explained.elsewhere = Some(service.clone());
        return;
    };
    let servers: BTreeSet<Name> = balancer.addresses().map(Name::from).collect();
    let name_of = |address: SocketAddr| address.to_string();
    explained.backends = match traffic {
        L4Traffic::Datagrams => {
            let owner = render::owner(view, service, |routes| &routes.udp.services);
            owner.map(|(owner, name, port)| {
                let server = |it: &Candidate<'_>| render::udp_server(&owner, it, name, port).map(name_of);
                standings(&owner, &servers, server)
            })
        }
        L4Traffic::Plain(_) | L4Traffic::Tls(_) => {
            let owner = render::owner(view, service, |routes| &routes.tcp.services);
            owner.map(|(owner, name, spec)| {
                let server = |it: &Candidate<'_>| render::tcp_server(&owner, it, name, spec).map(name_of);
                standings(&owner, &servers, server)
            })
        }
    }
    .unwrap_or_default();
    explained.servers = servers.into_iter().collect();
}

/// Those with TLS are asked first for a connection that has it; then those without, which see no name.
fn connections(document: &DynamicConfig, connection: &Connection, tls: bool) -> Vec<L4Taker> {
    let mut found: Vec<(bool, L4Taker)> = document
        .tcp
        .routers
        .iter()
        .filter(|(_, router)| tls || router.tls.is_none())
        .filter_map(|(name, router)| Some((router.tls.is_some(), taker(name, router, connection)?)))
        .collect();
    found.sort_by(|(a_tls, a), (b_tls, b)| {
        b_tls.cmp(a_tls).then_with(|| b.priority.cmp(&a.priority)).then_with(|| a.name.cmp(&b.name))
    });
    found.into_iter().map(|(_, taker)| taker).collect()
}

fn taker(name: &Name, router: &TcpRouter, connection: &Connection) -> Option<L4Taker> {
    let rule: TcpRule = router.rule.parse().ok()?;
    rule.takes(connection).then(|| L4Taker {
        name: name.clone(),
        priority: render::tcp_priority(&router.rule, &rule, router.priority),
        rule: Some(router.rule.clone()),
        entry_points: router.entry_points.to_vec(),
        middlewares: router.middlewares.to_vec(),
        service: router.service.clone(),
    })
}

fn datagrams(document: &DynamicConfig) -> Vec<L4Taker> {
    let taker = |(name, router): (&Name, &crate::document::UdpRouter)| L4Taker {
        name: name.clone(),
        rule: None,
        priority: 0,
        entry_points: router.entry_points.to_vec(),
        middlewares: Vec::new(),
        service: router.service.clone(),
    };
    document.udp.routers.iter().map(taker).collect()
}
