//! Renders one view after another, and of each only what is different.
//!
//! What is made of each service is kept. Of a service whose routes, age and nodes are the same only the servers can differ: it
//! asks for the names and rules that it has, and is given them. One whose routes differ (or that comes or goes) may ask for others,
//! and is rendered alone where no other service wants any of them. Wherever services meet (a contested name, a generated host
//! that somebody's label has, a definition of a middleware) all are rendered anew, because then their ages decide. So
//! [`render`](super::render) stays the one description of what a view renders to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use constellation_core::{ClusterView, NodeName, RouteSet, ServiceId, WallTime};

use super::{
    Made, Middlewares, Placed, RenderConfig, Rendered, Rendering, RouteProblem,
    balance::Fragment,
    changes::changed,
    gather::{Gathered, gather, gather_those},
    l4,
};
use crate::{
    document::{DynamicConfig, Http, Middleware, Name, Parts, Tcp, Udp},
    schema::HTTP_MIDDLEWARES,
};

/// Of more services than this all are rendered: one by one, they would take longer.
const ALONE_MAX: usize = 32;

/// Renders views one after another.
pub struct Renderer {
    config: RenderConfig,
    known: Option<Known>,
}

/// What a view renders to, beside what the one before it did.
#[derive(Clone, Debug)]
pub struct Update {
    /// What Traefik gets.
    pub document: Arc<DynamicConfig>,
    /// What could not be served as it was asked for, sorted.
    pub problems: Vec<RouteProblem>,
    /// Which parts may differ from the document before; `None` where any may.
    pub changed: Option<Parts>,
}

/// What was rendered last.
struct Known {
    view: Arc<ClusterView>,
    rendering: Rendering,
    services: BTreeMap<ServiceId, Standing>,
    middleware_problems: Vec<RouteProblem>,
    below_http: BelowHttp,
    document: Arc<DynamicConfig>,
}

#[derive(Default)]
struct BelowHttp {
    tcp: Tcp,
    udp: Udp,
    problems: Vec<RouteProblem>,
}

/// A service: what decides what it asks for, and what was made of it.
struct Standing {
    routes: Arc<RouteSet>,
    rank: (bool, WallTime),
    nodes: Vec<NodeName>,
    fragment: Fragment,
}

impl Standing {
    fn new(service: &Gathered<'_>, fragment: Fragment) -> Self {
        let (routes, rank, nodes) = (Arc::clone(service.routes), service.rank(), service.nodes());
        Self { routes, rank, nodes, fragment }
    }

    /// Whether a service asks for the names and rules that it has asked for before.
    fn asks_the_same(&self, service: &Gathered<'_>) -> bool {
        self.rank == service.rank() && self.routes == *service.routes && self.nodes == service.nodes()
    }

    fn has_l4(&self) -> bool {
        has_l4(&self.routes)
    }
}

fn has_l4(routes: &RouteSet) -> bool {
    !(routes.tcp.is_empty() && routes.udp.is_empty())
}

impl Renderer {
    /// Has rendered nothing yet.
    pub const fn new(config: RenderConfig) -> Self {
        Self { config, known: None }
    }

    /// What a view renders to: always the same as [`render`](super::render) says of it.
    pub fn render(&mut self, view: &Arc<ClusterView>) -> Update {
        let followed = self.known.take().and_then(|mut known| {
            let parts = known.follow(view)?;
            Some((known, Some(parts)))
        });
        let (known, changed) = followed.unwrap_or_else(|| (Known::new(view, self.config.clone()), None));
        let (document, problems) = (Arc::clone(&known.document), known.problems());
        self.known = Some(known);
        Update { document, problems, changed }
    }

    /// All of a view, for one time.
    pub(super) fn whole(self, view: &ClusterView) -> Rendered {
        let known = Known::new(&Arc::new(view.clone()), self.config);
        let problems = known.problems();
        Rendered { document: Arc::unwrap_or_clone(known.document), problems }
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Known {
    fn new(view: &Arc<ClusterView>, config: RenderConfig) -> Self {
        let gathered = gather(view);
        let mut middleware_problems = Vec::new();
        let middlewares = Middlewares::gather(
            &gathered,
            |routes| &routes.middlewares,
            HTTP_MIDDLEWARES,
            &mut middleware_problems,
        );
        let mut rendering = Rendering::new(config, middlewares);
        let placed: Vec<(Placed<'_>, Fragment)> =
            gathered.iter().map(|service| (rendering.place(service), rendering.take())).collect();
        // After all labels, so that a label anywhere comes before a generated route.
        let mut services = BTreeMap::new();
        for (placed, fragment) in placed {
            rendering.made.fragment = fragment;
            rendering.generate(&placed);
            services.insert(placed.service.id.clone(), Standing::new(placed.service, rendering.take()));
        }
        let mut known = Self {
            view: Arc::clone(view),
            rendering,
            services,
            middleware_problems,
            below_http: BelowHttp::of(&gathered),
            document: Arc::default(),
        };
        let fragments = || known.services.values().map(|standing| &standing.fragment);
        let http = Http {
            routers: fragments().flat_map(|fragment| fragment.routers.iter().cloned()).collect(),
            services: fragments().flat_map(|fragment| fragment.services.iter().cloned()).collect(),
            ..Http::default()
        };
        known.finish(http);
        known
    }

    /// Makes the next view of this one. What may differ then; `None` where all must be rendered anew, and this is worth nothing any
    /// more.
    fn follow(&mut self, view: &Arc<ClusterView>) -> Option<Parts> {
        let changed = changed(&self.view, view);
        if changed.len() > ALONE_MAX {
            return None;
        }
        let mut below_http = false;
        let mut http = None;
        let mut parts = Parts::default();
        let gathered = gather_those(view, |id| changed.contains(id));
        for id in &changed {
            let service = gathered.iter().find(|service| service.id == id);
            let old = self.services.remove(id);
            below_http |= old.as_ref().is_some_and(Standing::has_l4);
            below_http |= service.is_some_and(|service| has_l4(service.routes));
            let next = self.stand(id, old.as_ref(), service)?;
            let http = http.get_or_insert_with(|| self.document.http.clone());
            replace(http, old.as_ref(), next.as_ref(), &mut parts);
            if let Some(next) = next {
                self.services.insert(id.clone(), next);
            }
        }
        if below_http {
            let with_l4: BTreeSet<&ServiceId> =
                self.services.iter().filter(|(_, standing)| standing.has_l4()).map(|(id, _)| id).collect();
            self.below_http = BelowHttp::of(&gather_those(view, |id| with_l4.contains(id)));
        }
        self.view = Arc::clone(view);
        if let Some(http) = http {
            self.finish(http);
        }
        Some(parts)
    }

    /// Renders one service alone. Nothing where it is gone; an outer `None` where others have a say in it.
    fn stand(
        &mut self,
        id: &ServiceId,
        old: Option<&Standing>,
        service: Option<&Gathered<'_>>,
    ) -> Option<Option<Standing>> {
        let same = old.zip(service).is_some_and(|(old, service)| old.asks_the_same(service));
        if !same {
            let defines = |routes: &RouteSet| !routes.middlewares.is_empty();
            let met = old.is_some_and(|old| defines(&old.routes))
                || service.is_some_and(|service| defines(service.routes))
                || self.rendering.claims.is_contested(id);
            if met {
                return None;
            }
            self.rendering.claims.withdraw(id);
        }
        let Some(service) = service else { return Some(None) };
        let placed = self.rendering.place(service);
        self.rendering.generate(&placed);
        let next = Standing::new(service, self.rendering.take());
        let met = !same && self.rendering.claims.is_contested(id);
        (!met).then_some(Some(next))
    }

    /// The document of these routers and services, with what they share.
    fn finish(&mut self, mut http: Http) {
        let fragments = || self.services.values().map(|standing| &standing.fragment);
        let mut middlewares: BTreeMap<Name, Middleware> =
            fragments().flat_map(|fragment| fragment.middlewares.iter().cloned()).collect();
        if fragments().any(|fragment| fragment.retries) {
            middlewares.extend([Made::retry()]);
        }
        let written = self.rendering.middlewares.values();
        middlewares.extend(written.map(|(name, value)| (name, Middleware::Written(value))));
        let used: BTreeSet<&Name> = fragments().flat_map(|fragment| &fragment.transports).collect();
        let transports = self.rendering.made.transports.iter().filter(|(name, _)| used.contains(name));
        http.servers_transports = transports.map(|(name, it)| (Arc::clone(name), it.clone())).collect();
        http.middlewares = middlewares;
        let BelowHttp { tcp, udp, .. } = &self.below_http;
        self.document = Arc::new(DynamicConfig { http, tcp: tcp.clone(), udp: udp.clone() });
    }

    fn problems(&self) -> Vec<RouteProblem> {
        let of_services = self.services.values().flat_map(|standing| &standing.fragment.problems);
        let shared = self.middleware_problems.iter().chain(&self.below_http.problems);
        let all: BTreeSet<&RouteProblem> = of_services.chain(shared).collect();
        all.into_iter().cloned().collect()
    }
}

impl BelowHttp {
    fn of(services: &[Gathered<'_>]) -> Self {
        let mut problems = Vec::new();
        let (tcp, udp) = l4::render(services, &mut problems);
        Self { tcp, udp, problems }
    }
}

/// Takes out what a service was and puts in what it is. Names of parts are claimed, so no two services have one.
fn replace(http: &mut Http, old: Option<&Standing>, next: Option<&Standing>, parts: &mut Parts) {
    if let Some(Standing { fragment, .. }) = old {
        fragment.routers.iter().for_each(|(name, _)| drop(http.routers.remove(name)));
        fragment.services.iter().for_each(|(name, _)| drop(http.services.remove(name)));
    }
    if let Some(Standing { fragment, .. }) = next {
        http.routers.extend(fragment.routers.iter().cloned());
        http.services.extend(fragment.services.iter().cloned());
        parts.routers.extend(fragment.routers.iter().map(|(name, _)| Arc::clone(name)));
        parts.services.extend(fragment.services.iter().map(|(name, _)| Arc::clone(name)));
    }
}
