//! From what Traefik would be told, and who is where, to the table of our own proxy. Pure.
//!
//! Both serve the same document, so a node that is cut off or has just started keeps the same routes either way. What only Traefik
//! can do (middlewares, TLS options, services of other providers) becomes a router that refuses: its requests must not fall
//! through to one that asks for less.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use constellation_core::{ClusterView, InstanceId, NodeName, route::Failover};
use constellation_proxy::http::{Backend, Name, Policy, Router, Service, Table, Target};
use constellation_traefik::{
    DynamicConfig,
    document::{self, LoadBalancer, ServerUrl, Shared},
    rules::{Rule, parse_generated},
};

/// Ranks of nodes begin here: this node's own backends are before all others.
const OTHERS: u32 = 1;
/// Added to the rank of a node that is cordoned or leaving: it is asked when nobody else can be.
const LAST: u32 = 1 << 20;
/// The cookie of a sticky service that names none.
const STICKY: &str = "constellation";

/// Makes tables, one after another.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// The routers of the last one whose rules were read. Most of them are in the next document as well, and reading rules is
    /// most of the work.
    known: HashMap<Name, (Shared<document::Router>, Rule)>,
}

impl Tables {
    /// The table of a document.
    pub(crate) fn table(&mut self, document: &DynamicConfig, view: &ClusterView) -> Table {
        let mut last = std::mem::take(&mut self.known);
        self.known.reserve(document.http.routers.len());
        table(document, view, |name, router| {
            let rule = match last.remove(name) {
                Some((known, rule)) if known.is_same(router) => rule,
                // Every router of a document that was served has a rule that can be read.
                _ => parse_generated(&router.rule).ok()?,
            };
            self.known.insert(Name::clone(name), (router.clone(), rule.clone()));
            Some(rule)
        })
    }
}

fn table(
    document: &DynamicConfig,
    view: &ClusterView,
    mut rule_of: impl FnMut(&Name, &Shared<document::Router>) -> Option<Rule>,
) -> Table {
    let homes = homes(view);
    let mut repeating = BTreeSet::new();
    let mut wanted: BTreeMap<&str, &LoadBalancer> = BTreeMap::new();
    let mut routers = Vec::with_capacity(document.http.routers.len());
    for (name, router) in &document.http.routers {
        let Some(rule) = rule_of(name, router) else { continue };
        // Also behind a router that is refused here: its requests may come from Traefik, which has done what is due.
        let lead = lead(document, router);
        if let Ok(lead) = &lead {
            if lead.repeats {
                repeating.insert(lead.name);
            }
            wanted.insert(lead.name, lead.balancer);
        }
        let target = match (lead, guard(document, router)) {
            (Ok(lead), None) => Target::Service(lead.name.into()),
            (Err(reason), _) | (Ok(_), Some(reason)) => Target::Refuse { reason: reason.into() },
        };
        routers.push(Router {
            name: Name::clone(name),
            rule,
            priority: router.priority,
            entry_points: router.entry_points.to_vec(),
            tls: router.tls.is_some(),
            target,
        });
    }
    let services = wanted
        .into_iter()
        .map(|(name, balancer)| Service {
            name: name.into(),
            backends: backends(balancer, &homes),
            policy: policy(document, balancer, repeating.contains(name)),
        })
        .collect();
    Table::new(routers, services)
}

/// Where a router leads.
struct Lead<'d> {
    name: &'d str,
    balancer: &'d LoadBalancer,
    /// Whether what one server failed is given to another.
    repeats: bool,
}

/// What a router asks for that only Traefik can do.
fn guard(document: &DynamicConfig, router: &document::Router) -> Option<String> {
    let ours = |name: &Name| document.is_retry(name) || DynamicConfig::names_service(name);
    if let Some(middleware) = router.middlewares.iter().find(|name| !ours(name)) {
        return Some(format!("it goes through the middleware `{middleware}`, which is Traefik's"));
    }
    let options = router.tls.as_ref().and_then(|tls| tls.options.as_ref())?;
    Some(format!("it has the TLS options `{options}`, which are Traefik's"))
}

fn lead<'d>(document: &'d DynamicConfig, router: &'d document::Router) -> Result<Lead<'d>, String> {
    let repeats = router.middlewares.iter().any(|name| document.is_retry(name));
    let Some((name, balancer)) = document.plain_balancer(&router.service) else {
        return Err(format!("it leads to `{}`, which is Traefik's", router.service));
    };
    if let Some(transport) = balancer.servers_transport.as_ref().filter(|name| name.contains('@')) {
        return Err(format!("its servers are connected to by `{transport}`, which is Traefik's"));
    }
    for server in &balancer.servers {
        match ServerUrl::parse(&server.url) {
            Some(ServerUrl { address: None, .. }) => {
                return Err(format!("it leads to `{}` by its name, which Traefik looks up", server.url));
            }
            Some(ServerUrl { has_path: true, .. }) if server.preserve_path => {
                return Err(format!("it leads below the path of `{}`, which Traefik puts first", server.url));
            }
            _ => {}
        }
    }
    let pairs = name != &*router.service && !DynamicConfig::names_service(&router.service);
    Ok(Lead { name, balancer, repeats: repeats || pairs })
}

/// Who is at which address, and how near.
fn homes(view: &ClusterView) -> HashMap<SocketAddr, (&NodeName, &InstanceId, u32)> {
    let mut homes = HashMap::new();
    for member in view.members() {
        let node = &member.node;
        let last = if node.facts.cordoned || node.facts.leaving { LAST } else { 0 };
        let rank = if node.name == *view.me() { 0 } else { OTHERS + u32::from(node.facts.priority.0) };
        for instance in node.instances.values() {
            for endpoint in &instance.endpoints {
                homes.insert(endpoint.address, (&node.name, &instance.id, rank + last));
            }
        }
    }
    homes
}

fn backends(
    balancer: &LoadBalancer,
    homes: &HashMap<SocketAddr, (&NodeName, &InstanceId, u32)>,
) -> Vec<Backend> {
    // Of shares only that of nobody is kept here: otherwise whoever has the least to do is asked.
    let idle = balancer.servers.iter().all(|server| server.weight == Some(0));
    let wanted = balancer.servers.iter().filter(|server| idle || server.weight != Some(0));
    wanted.filter_map(|server| backend(&server.url, homes)).collect()
}

fn backend(url: &str, homes: &HashMap<SocketAddr, (&NodeName, &InstanceId, u32)>) -> Option<Backend> {
    let ServerUrl { scheme, address, .. } = ServerUrl::parse(url)?;
    let address = address?;
    Some(match homes.get(&address) {
        Some(&(node, instance, rank)) => {
            Backend { node: node.clone(), instance: instance.clone(), address, scheme, rank }
        }
        // Of a run or a node that is not in sight, and kept until it is known to be gone.
        None => Backend {
            node: "unseen".parse().ok()?,
            instance: format!("port-{}", address.port()).parse().ok()?,
            address,
            scheme,
            rank: LAST,
        },
    })
}

fn policy(document: &DynamicConfig, balancer: &LoadBalancer, repeats: bool) -> Policy {
    let transport = balancer.servers_transport.as_ref();
    let timeouts = transport.and_then(|name| document.http.servers_transports.get(name));
    let timeouts = timeouts.map(|transport| &transport.forwarding_timeouts);
    let defaults = Policy::default();
    let sticky = balancer.sticky.as_ref();
    // Sticky services have no failover by Traefik's means; here a client is given another backend, and its cookie.
    let alone = balancer.servers.len() < 2;
    let failover = if repeats || alone || sticky.is_some() { Failover::Safe } else { Failover::Off };
    Policy {
        failover,
        connect_timeout: timeouts.map_or(defaults.connect_timeout, |it| it.dial_timeout.0),
        response_timeout: timeouts.and_then(|it| it.response_header_timeout).map(|it| it.0),
        pass_host_header: balancer.pass_host_header.unwrap_or(true),
        sticky: sticky.map(|sticky| Arc::from(sticky.cookie.name.as_deref().unwrap_or(STICKY))),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::{
        Generation, Incarnation, Instance, NodeFacts, RouteSet,
        route::{HttpRouter, HttpService, Scheme},
        view::NodeView,
    };
    use constellation_proxy::http::BackendTls;
    use constellation_traefik::{RenderConfig, render};

    use super::*;
    use crate::fixtures::instance;

    /// Three nodes with one instance each of `web`; the third is cordoned.
    fn view(change: impl Fn(&mut RouteSet)) -> ClusterView {
        let mut set = RouteSet::default();
        set.services.insert("web".parse().unwrap(), HttpService::to_port(80));
        set.generated = "web".parse().ok();
        let router = HttpRouter {
            rule: "Host(`web.test`)".to_owned(),
            service: "web".to_owned(),
            ..HttpRouter::default()
        };
        set.routers.insert("web".parse().unwrap(), router);
        change(&mut set);
        let nodes = (1..=3u8).map(|number| {
            let instance = Instance { routes: Some(set.id()), ..instance(number, "web") };
            let facts = NodeFacts { cordoned: number == 3, ..NodeFacts::at([10, 0, 0, number].into()) };
            let node = NodeView {
                name: format!("n{number}").parse().unwrap(),
                generation: Generation(1),
                facts,
                instances: [(instance.id.clone(), instance)].into(),
                routes: [(set.id(), Arc::new(set.clone()))].into(),
            };
            Incarnation { node: Arc::new(node), live: true }
        });
        ClusterView::derive("n2".parse().unwrap(), 1, nodes)
    }

    fn made(change: impl Fn(&mut RouteSet)) -> Table {
        let config = RenderConfig { domain: "example.org".parse().ok(), ..RenderConfig::default() };
        let view = view(change);
        Tables::default().table(&render(&view, &config).document, &view)
    }

    fn service<'t>(table: &'t Table, name: &str) -> &'t Service {
        table.services().iter().find(|service| &*service.name == name).unwrap()
    }

    #[test]
    fn both_halves_of_a_router_lead_to_one_service_whose_own_backend_comes_first() {
        let table = made(|_| {});
        let targets: Vec<_> = table
            .routers()
            .iter()
            .filter(|router| router.name.starts_with("web"))
            .map(|router| router.target.clone())
            .collect();
        assert_eq!(targets, vec![Target::Service("web".into()); 2]);
        let web = service(&table, "web");
        let mut ranks: Vec<(u32, &str)> = web.backends.iter().map(|it| (it.rank, it.node.as_str())).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [(0, "n2"), (101, "n1")], "the cordoned one is not needed");
        assert_eq!(web.policy.failover, Failover::Safe);
        assert_eq!(service(&table, "web+n3").backends.len(), 1, "but answers to its own name");
    }

    #[test]
    fn what_only_traefik_can_do_is_refused_and_not_left_out() {
        let guarded = made(|set| {
            set.routers.values_mut().for_each(|router| router.middlewares = vec!["auth@file".to_owned()]);
        });
        let web = guarded.routers().iter().filter(|router| router.rule.to_string().contains("web.test"));
        let refusals: Vec<_> = web.map(|router| router.target.clone()).collect();
        assert!(!refusals.is_empty());
        for refusal in refusals {
            let Target::Refuse { reason } = refusal else { panic!("{refusal:?}") };
            assert!(reason.contains("auth@file"), "{reason}");
        }
    }

    #[test]
    fn a_server_by_its_url_is_asked_unless_its_name_or_its_path_is_for_traefik() {
        let target = |url: &str, preserve_path: bool| {
            let table = made(|set| {
                set.services.values_mut().for_each(|service| {
                    (service.url, service.preserve_path) = (Some(url.to_owned()), preserve_path);
                });
            });
            let router = table.routers().iter().find(|router| &*router.name == "web").unwrap();
            match &router.target {
                Target::Refuse { reason } => reason.to_string(),
                Target::Service(name) => service(&table, name).backends[0].address.to_string(),
            }
        };
        assert_eq!(target("http://10.0.0.9/base", false), "10.0.0.9:80", "Traefik drops such a path, too");
        assert_eq!(target("http://[fd00::9]:81/", true), "[fd00::9]:81");
        let below = target("http://10.0.0.9:81/base", true);
        assert!(below.contains("path of `http://10.0.0.9:81/base`"), "{below}");
        let named = target("http://web.internal/base", false);
        assert!(named.contains("by its name"), "{named}");
    }

    #[test]
    fn servers_over_tls_are_asked_by_it_unless_how_is_for_traefik() {
        let secure = |transport: Option<&str>| {
            made(|set| {
                set.services.values_mut().for_each(|service| {
                    service.scheme = Scheme::Https;
                    service.servers_transport = transport.map(str::to_owned);
                });
            })
        };
        let table = secure(None);
        let web = service(&table, "web");
        assert!(!web.backends.is_empty() && web.backends.iter().all(|it| it.scheme == Scheme::Https));
        assert_eq!(web.policy.tls, BackendTls::default(), "the certificate is for the address");
        let table = secure(Some("mtls@file"));
        let router = table.routers().iter().find(|router| &*router.name == "web").unwrap();
        let Target::Refuse { reason } = &router.target else { panic!("{:?}", router.target) };
        assert!(reason.contains("mtls@file"), "{reason}");
    }

    #[test]
    fn what_a_service_says_of_time_and_failover_is_kept() {
        let table = made(|set| {
            set.services.values_mut().for_each(|service| {
                service.response_timeout = Some(std::time::Duration::from_secs(7));
                service.failover = Failover::Off;
            });
        });
        let policy = &service(&table, "web").policy;
        assert_eq!(policy.failover, Failover::Off);
        assert_eq!(policy.response_timeout, Some(std::time::Duration::from_secs(7)));
    }

    #[test]
    fn a_service_that_goes_through_the_proxy_is_in_its_table_with_its_servers_also_behind_a_guard() {
        for (failover, guards) in [(Failover::Safe, vec![]), (Failover::Off, vec!["auth@file".to_owned()])] {
            let view = view(|set| {
                set.services.values_mut().for_each(|it| (it.proxied, it.failover) = (true, failover));
                set.routers.values_mut().for_each(|it| it.middlewares.clone_from(&guards));
            });
            let proxy = Some(([127, 0, 0, 1], 8082).into());
            let config = RenderConfig { proxy, ..RenderConfig::default() };
            let document = render(&view, &config).document;
            document.validate().unwrap();
            let table = Tables::default().table(&document, &view);
            let web = service(&table, "web");
            assert_eq!((web.backends.len(), web.policy.failover), (2, failover));
            let refused = matches!(table.routers()[0].target, Target::Refuse { .. });
            assert_eq!(refused, !guards.is_empty());
        }
    }

    #[test]
    fn a_server_that_nobody_in_sight_has_is_asked_last() {
        let view = view(|_| {});
        let document = render(&view, &RenderConfig::default()).document;
        let nobody = ClusterView::empty("n2".parse().unwrap());
        let table = Tables::default().table(&document, &nobody);
        assert!(service(&table, "web").backends.iter().all(|backend| backend.rank == LAST));
    }

    #[test]
    fn a_table_after_another_is_what_it_is_alone() {
        let config = RenderConfig::default();
        let mut tables = Tables::default();
        let rule = |rule: &'static str| {
            move |set: &mut RouteSet| {
                set.routers.values_mut().for_each(|router| router.rule = rule.to_owned());
            }
        };
        for view in
            [view(|_| {}), view(|_| {}), view(rule("Host(`other.test`)")), view(|set| set.routers.clear())]
        {
            let document = render(&view, &config).document;
            let again = tables.table(&document, &view);
            assert_eq!(again, Tables::default().table(&document, &view));
            // Now that every router is known.
            assert_eq!(tables.table(&document, &view), again);
            // The same name with another rule, in a document that shares the rest.
            let mut changed = document.clone();
            changed.http.routers.values_mut().for_each(|router| router.rule = "Host(`x.test`)".to_owned());
            assert_eq!(tables.table(&changed, &view), Tables::default().table(&changed, &view));
        }
    }
}
