//! A table made ready to be asked many times a second: rules compiled, routers by host, backends with what is known of them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use constellation_core::route::Scheme;
use constellation_rules::{CompiledRule, MatcherKind, Rule, Subject};
use hyper::{HeaderMap, Method};

use super::{
    live::{LiveBackend, Registry},
    repeat::RetryBudget,
    secure::{BackendTls, Peer},
    sticky,
    table::{Backend, Name, Policy, Router, Table, Target},
};

/// The table as threads use it.
#[derive(Debug)]
pub(super) struct Compiled {
    routers: Vec<CompiledRouter>,
    services: Vec<Arc<CompiledService>>,
    /// For each host that a rule names: the routers that may take its requests, in order.
    by_host: HashMap<Box<str>, Places>,
    /// The routers that may take requests of any other host.
    elsewhere: Places,
}

/// Routers by their place in the table, in order.
type Places = Box<[u32]>;

#[derive(Debug)]
pub(super) struct CompiledRouter {
    pub(super) name: Name,
    entry_points: Vec<Name>,
    tls: bool,
    /// `None` where the host alone decides, and the index has looked at it.
    rule: Option<CompiledRule>,
    pub(super) goal: Goal,
}

#[derive(Debug)]
pub(super) enum Goal {
    /// `None` where the table does not have it.
    Service(Option<Arc<CompiledService>>),
    Refuse(Name),
}

#[derive(Debug)]
pub(super) struct CompiledService {
    pub(super) name: Name,
    pub(super) policy: Policy,
    pub(super) budget: Arc<RetryBudget>,
    pub(super) backends: Vec<(Backend, Arc<LiveBackend>)>,
    /// What a sticky service's cookie calls each of them; none where no cookie does.
    pub(super) marks: Vec<String>,
    /// Of the policy, shared with the connections that keep to it.
    tls: Arc<BackendTls>,
}

impl CompiledService {
    /// Who is asked at a backend.
    pub(super) fn peer(&self, backend: &Backend, patient: bool) -> Peer {
        let tls = (backend.scheme == Scheme::Https).then(|| Arc::clone(&self.tls));
        Peer { address: backend.address, tls, patient }
    }
}

impl Compiled {
    pub(super) fn new(table: &Table, registry: &mut Registry) -> Self {
        registry.keep_only(table);
        let services: Vec<Arc<CompiledService>> = table
            .services
            .iter()
            .map(|service| {
                let live = |backend: &Backend| (backend.clone(), registry.backend(&service.name, backend));
                let mut backends: Vec<_> = service.backends.iter().map(live).collect();
                backends.sort_by_key(|(backend, _)| backend.rank);
                let sticky = service.policy.sticky.is_some();
                let marked = backends.iter().filter(|_| sticky);
                Arc::new(CompiledService {
                    name: Name::clone(&service.name),
                    policy: service.policy.clone(),
                    budget: registry.budget(&service.name),
                    marks: marked.map(|(backend, _)| sticky::mark(backend)).collect(),
                    tls: Arc::new(service.policy.tls.clone()),
                    backends,
                })
            })
            .collect();
        let goal = |target: &Target| match target {
            Target::Service(name) => Goal::Service(named(&services, name).cloned()),
            Target::Refuse { reason } => Goal::Refuse(Name::clone(reason)),
        };
        let mut index = Index::default();
        let routers = table
            .routers
            .iter()
            .zip(0u32..)
            .map(|(router, place)| {
                let only_host = index.add(place, &router.rule);
                let Router { name, entry_points, tls, target, rule, .. } = router;
                CompiledRouter {
                    name: Name::clone(name),
                    entry_points: entry_points.clone(),
                    tls: *tls,
                    rule: (!only_host).then(|| CompiledRule::new(rule)),
                    goal: goal(target),
                }
            })
            .collect();
        let (by_host, elsewhere) = index.finish();
        Self { routers, services, by_host, elsewhere }
    }

    /// The router that takes a request which came in by this entry point.
    pub(super) fn route(&self, asked: &Asked<'_>, entry_point: &str, tls: bool) -> Option<&CompiledRouter> {
        let places = self.by_host.get(asked.host).unwrap_or(&self.elsewhere);
        places.iter().filter_map(|place| self.routers.get(*place as usize)).find(|router| {
            router.tls == tls
                && (router.entry_points.is_empty()
                    || router.entry_points.iter().any(|it| **it == *entry_point))
                && router.rule.as_ref().is_none_or(|rule| rule.matches(asked))
        })
    }

    pub(super) fn service(&self, name: &str) -> Option<&Arc<CompiledService>> {
        named(&self.services, name)
    }

    pub(super) const fn routers_len(&self) -> usize {
        self.routers.len()
    }

    pub(super) fn services(&self) -> &[Arc<CompiledService>] {
        &self.services
    }
}

/// A service among all, which a table has sorted by name.
fn named<'s>(services: &'s [Arc<CompiledService>], name: &str) -> Option<&'s Arc<CompiledService>> {
    services.binary_search_by(|service| (*service.name).cmp(name)).ok().and_then(|place| services.get(place))
}

/// Sorts routers by the hosts that their rules name.
#[derive(Default)]
struct Index {
    hosts: HashMap<String, Vec<u32>>,
    anywhere: Vec<u32>,
}

impl Index {
    /// Files a router; says whether its rule is about hosts and nothing else, so that the index alone decides.
    fn add(&mut self, place: u32, rule: &Rule) -> bool {
        match hosts(rule) {
            Some((names, only)) => {
                for name in names {
                    let filed = self.hosts.entry(name).or_default();
                    if filed.last() != Some(&place) {
                        filed.push(place);
                    }
                }
                only
            }
            None => {
                self.anywhere.push(place);
                false
            }
        }
    }

    fn finish(self) -> (HashMap<Box<str>, Places>, Places) {
        let Self { hosts, anywhere } = self;
        let merged = hosts.into_iter().map(|(host, mut places)| {
            places.extend(&anywhere);
            places.sort_unstable();
            (host.into_boxed_str(), places.into_boxed_slice())
        });
        (merged.collect(), anywhere.into_boxed_slice())
    }
}

/// The hosts that a request must have one of for the rule to take it, and whether any request with one of them is taken. `None` where
/// the rule may take others.
fn hosts(rule: &Rule) -> Option<(Vec<String>, bool)> {
    match rule {
        Rule::Matcher(matcher) if matcher.kind == MatcherKind::Host => {
            let name = matcher.arguments.first()?.to_ascii_lowercase();
            Some((vec![name.strip_suffix('.').unwrap_or(&name).to_owned()], true))
        }
        Rule::And(all) => all.iter().find_map(hosts).map(|(names, _)| (names, false)),
        Rule::Or(any) => {
            let mut names = Vec::new();
            let mut only = true;
            for part in any {
                let (more, alone) = hosts(part)?;
                names.extend(more);
                only &= alone;
            }
            Some((names, only))
        }
        Rule::Matcher(_) | Rule::Not(_) => None,
    }
}

/// A request, as rules ask about it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// In lower case, without port and final dot.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) client: IpAddr,
}

impl Subject for Asked<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn client(&self) -> Option<IpAddr> {
        Some(self.client)
    }

    fn any_header(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool {
        self.headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(&mut *suits))
    }

    fn any_query(&self, name: &str, suits: &mut dyn FnMut(&str) -> bool) -> bool {
        let query = self.query.unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).any(|(known, value)| known == name && suits(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{breaker::BreakerConfig, table::Service},
        *,
    };

    fn router(name: &str, rule: &str, priority: i64) -> Router {
        Router {
            name: name.into(),
            rule: rule.parse().unwrap(),
            priority,
            entry_points: vec![],
            tls: false,
            target: Target::Service("web".into()),
        }
    }

    fn compiled(routers: Vec<Router>) -> Compiled {
        let service = Service { name: "web".into(), backends: vec![], policy: Policy::default() };
        Compiled::new(&Table::new(routers, vec![service]), &mut Registry::new(BreakerConfig::default()))
    }

    fn winner(
        table: &Compiled,
        method: &Method,
        host: &str,
        path: &str,
        query: Option<&str>,
    ) -> Option<String> {
        let headers = HeaderMap::from_iter([("x-team".parse().unwrap(), "blue".parse().unwrap())]);
        let asked = Asked { method, host, path, query, headers: &headers, client: [192, 0, 2, 1].into() };
        table.route(&asked, "web", false).map(|router| router.name.to_string())
    }

    #[test]
    fn the_index_by_host_changes_nothing_about_who_wins() {
        let table = compiled(vec![
            router("all", "PathPrefix(`/`)", 1),
            router("host", "Host(`a.test`)", 10),
            router("dotted", "Host(`B.test.`) || Host(`c.test`)", 10),
            router("path", "Host(`a.test`) && PathPrefix(`/api`)", 20),
            router("like", "HostRegexp(`^[ad].test$`) && Method(`POST`)", 30),
            router("not", "!Host(`a.test`) && Query(`x`, `1 2`)", 40),
            router("team", "Header(`X-Team`, `blue`) && Path(`/blue`)", 50),
        ]);
        for (method, host, path, query, expected) in [
            (&Method::GET, "a.test", "/", None, "host"),
            (&Method::GET, "a.test", "/api/x", None, "path"),
            (&Method::POST, "a.test", "/api/x", None, "like"),
            (&Method::POST, "d.test", "/", None, "like"),
            (&Method::GET, "b.test", "/", None, "dotted"),
            (&Method::GET, "c.test", "/", Some("x=1+2"), "not"),
            (&Method::GET, "a.test", "/", Some("x=1+2"), "host"),
            (&Method::GET, "nobody.test", "/", None, "all"),
            (&Method::GET, "a.test", "/blue", None, "team"),
        ] {
            assert_eq!(winner(&table, method, host, path, query).as_deref(), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn a_router_with_tls_takes_nothing_in_the_clear_and_one_of_another_entry_point_nothing_here() {
        let mut secure = router("secure", "Host(`a.test`)", 9);
        secure.tls = true;
        let mut elsewhere = router("elsewhere", "Host(`a.test`)", 8);
        elsewhere.entry_points = vec!["admin".into()];
        let table = compiled(vec![secure, elsewhere, router("plain", "Host(`a.test`)", 1)]);
        assert_eq!(winner(&table, &Method::GET, "a.test", "/", None).as_deref(), Some("plain"));
    }
}
