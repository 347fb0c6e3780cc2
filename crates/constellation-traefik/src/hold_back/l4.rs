//! The same for TCP and UDP: a router that leads to a load balancer, and that to servers, and no more.

use std::collections::{BTreeMap, HashMap};

use super::settle::Situation;
use crate::document::{DynamicConfig, L4Service, Name, Tcp, TcpRouter, UdpRouter};

/// What of two connections makes them different for a router: rule, priority, whether they are TLS, and the entry point. Of
/// two datagrams it is the entry point alone.
type Ground<'d> = (&'d str, Option<i64>, bool, &'d str);

/// A router below HTTP, as far as holding back looks at it.
trait L4Router: Clone {
    fn service(&self) -> &str;
    fn grounds(&self) -> impl Iterator<Item = Ground<'_>>;
}

impl L4Router for TcpRouter {
    fn service(&self) -> &str {
        &self.service
    }

    fn grounds(&self) -> impl Iterator<Item = Ground<'_>> {
        let ground = |entry_point| (self.rule.as_str(), self.priority, self.tls.is_some(), entry_point);
        self.entry_points.iter().map(move |entry_point| ground(entry_point.as_ref()))
    }
}

impl L4Router for UdpRouter {
    fn service(&self) -> &str {
        &self.service
    }

    fn grounds(&self) -> impl Iterator<Item = Ground<'_>> {
        self.entry_points.iter().map(|entry_point| ("", None, false, entry_point.as_ref()))
    }
}

/// The routers of one protocol and what they lead to.
struct Half<'d, R> {
    routers: &'d BTreeMap<Name, R>,
    services: &'d BTreeMap<Name, L4Service>,
}

impl<'d, R: L4Router> Half<'d, R> {
    /// Whether a router leads to a server that counts.
    fn reaches(&self, router: &str, counts: impl Fn(&str) -> bool) -> bool {
        let service = self.routers.get(router).and_then(|router| self.services.get(router.service()));
        service.is_some_and(|service| service.addresses().any(counts))
    }

    /// The routers that lead to a server that is not certain, and would lead to none.
    fn doomed(&self, next: &Half<'_, R>, situation: &Situation) -> Vec<&'d Name> {
        let doubtful = |address: &str| !is_certain(address, situation);
        let doomed = |router: &&Name| self.reaches(router, doubtful) && !next.reaches(router, |_| true);
        self.routers.keys().filter(doomed).collect()
    }

    fn leading(&self) -> usize {
        self.routers.keys().filter(|router| self.reaches(router, |_| true)).count()
    }

    /// Those of some routers that rival none of the other's, with what they lead to.
    fn kept(&self, doomed: &[&Name], next: &Half<'_, R>, situation: &Situation) -> Kept<R> {
        let grounds: HashMap<Ground<'_>, &Name> = next
            .routers
            .iter()
            .flat_map(|(name, router)| router.grounds().map(move |ground| (ground, name)))
            .collect();
        let mut kept = Kept { routers: Vec::new(), services: Vec::new() };
        for name in doomed {
            let Some((name, router)) = self.routers.get_key_value(*name) else { continue };
            if router.grounds().any(|ground| grounds.get(&ground).is_some_and(|holder| *holder != name)) {
                continue;
            }
            if let Some((service, balancer)) = self.services.get_key_value(router.service()) {
                let empty = |service: &L4Service| service.load_balancer.servers.is_empty();
                if next.services.get(service).is_none_or(empty) {
                    let mut balancer = balancer.clone();
                    balancer.load_balancer.servers.retain(|it| !is_certain(&it.address, situation));
                    kept.services.push((service.clone(), balancer));
                }
            }
            kept.routers.push((name.clone(), router.clone()));
        }
        kept
    }
}

struct Kept<R> {
    routers: Vec<(Name, R)>,
    services: Vec<(Name, L4Service)>,
}

/// What would be lost below HTTP.
pub(super) struct Doomed<'p> {
    tcp: Vec<&'p Name>,
    udp: Vec<&'p Name>,
}

impl<'p> Doomed<'p> {
    pub(super) fn of(previous: &'p DynamicConfig, next: &DynamicConfig, situation: &Situation) -> Self {
        Self {
            tcp: tcp(previous).doomed(&tcp(next), situation),
            udp: udp(previous).doomed(&udp(next), situation),
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.tcp.len() + self.udp.len()
    }

    /// Brings them over from the previous document, with all that they need; how many they are.
    pub(super) fn keep(
        &self,
        previous: &DynamicConfig,
        settled: &mut DynamicConfig,
        situation: &Situation,
    ) -> usize {
        let streams = tcp(previous).kept(&self.tcp, &tcp(settled), situation);
        let datagrams = udp(previous).kept(&self.udp, &udp(settled), situation);
        for (_, router) in &streams.routers {
            keep_middlewares(&previous.tcp, &mut settled.tcp, router);
        }
        let count = streams.routers.len() + datagrams.routers.len();
        settled.tcp.routers.extend(streams.routers);
        settled.tcp.services.extend(streams.services);
        settled.udp.routers.extend(datagrams.routers);
        settled.udp.services.extend(datagrams.services);
        count
    }
}

/// A middleware of this name in the next document is the newer one, and stays.
fn keep_middlewares(previous: &Tcp, settled: &mut Tcp, router: &TcpRouter) {
    for name in router.middlewares.iter() {
        if let Some(middleware) = previous.middlewares.get(name) {
            settled.middlewares.entry(name.clone()).or_insert_with(|| middleware.clone());
        }
    }
}

/// How many routers below HTTP lead to a server.
pub(super) fn leading(document: &DynamicConfig) -> usize {
    tcp(document).leading() + udp(document).leading()
}

/// Takes out of an earlier document the routers that lead to a server in a later one: from then on that one knows better.
pub(super) fn forget_what_lives(earlier: &mut DynamicConfig, later: &DynamicConfig) {
    earlier.tcp.routers.retain(|name, _| !tcp(later).reaches(name, |_| true));
    earlier.udp.routers.retain(|name, _| !udp(later).reaches(name, |_| true));
}

/// Whether this node knows for itself how the server is.
pub(super) fn is_certain(address: &str, situation: &Situation) -> bool {
    situation.is_certain_at(address.parse().ok())
}

fn tcp(document: &DynamicConfig) -> Half<'_, TcpRouter> {
    Half { routers: &document.tcp.routers, services: &document.tcp.services }
}

fn udp(document: &DynamicConfig) -> Half<'_, UdpRouter> {
    Half { routers: &document.udp.routers, services: &document.udp.services }
}
