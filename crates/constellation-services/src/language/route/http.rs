//! Routes for HTTP.

use std::time::Duration;

use constellation_core::route::{HttpHealthCheck, Scheme, StickyCookie};
use serde::Serialize;

use crate::language::hosts::Hosts;

/// Whether a route asks who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// A middleware asks.
    Middleware,
    /// The service asks by itself.
    Own,
    /// Everybody may, for this reason.
    Public(String),
}

/// Requests for these hosts and paths go to one port of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpRoute {
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
    pub(crate) hosts: Hosts,
    pub(crate) paths: Vec<String>,
    pub(crate) rule: Option<String>,
    pub(crate) entry_points: Vec<String>,
    pub(crate) middlewares: Vec<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) tls: Option<HttpTls>,
    pub(crate) health: Option<HttpHealthCheck>,
    pub(crate) sticky: Option<StickyCookie>,
    pub(crate) pass_host_header: Option<bool>,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) failover: bool,
    pub(crate) redirects: Vec<Hosts>,
    pub(crate) target: Option<String>,
    pub(crate) access: Access,
}

/// TLS of an HTTP route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct HttpTls {
    pub(crate) cert_resolver: Option<String>,
    pub(crate) options: Option<String>,
}

impl HttpRoute {
    pub(super) fn new(port: u16) -> Self {
        Self {
            name: None,
            port,
            scheme: Scheme::Http,
            hosts: Hosts::default(),
            paths: Vec::new(),
            rule: None,
            entry_points: Vec::new(),
            middlewares: Vec::new(),
            priority: None,
            tls: None,
            health: None,
            sticky: None,
            pass_host_header: None,
            response_timeout: None,
            failover: true,
            redirects: Vec::new(),
            target: None,
            access: Access::Unsaid,
        }
    }

    /// The name of its router and load balancer; the service's name unless said. Two routes of a service need two.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Answers to these hosts, too.
    #[must_use]
    pub fn host(mut self, hosts: impl Into<Hosts>) -> Self {
        self.hosts = self.hosts.and(hosts);
        self
    }

    /// Only paths that begin with this. Several are alternatives.
    #[must_use]
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.paths.push(prefix.into());
        self
    }

    /// A whole rule in Traefik's language, in place of hosts and paths.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Only on this entry point of Traefik; on its default ones unless said.
    #[must_use]
    pub fn entry_point(mut self, name: impl Into<String>) -> Self {
        self.entry_points.push(name.into());
        self
    }

    /// Through this middleware: one that the service defines, or `name@provider`. The order of calls is the order.
    #[must_use]
    pub fn middleware(mut self, name: impl Into<String>) -> Self {
        self.middlewares.push(name.into());
        self
    }

    /// Through this middleware, which asks who is there.
    #[must_use]
    pub fn auth(mut self, middleware: impl Into<String>) -> Self {
        self.access = Access::Middleware;
        self.middleware(middleware)
    }

    /// The service asks who is there by itself, so no middleware need to.
    #[must_use]
    pub fn own_login(mut self) -> Self {
        self.access = Access::Own;
        self
    }

    /// Everybody may, and this is why.
    #[must_use]
    pub fn public(mut self, reason: impl Into<String>) -> Self {
        self.access = Access::Public(reason.into());
        self
    }

    /// The higher number wins where two routes match; the longer rule unless said.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Serves TLS with the entry point's certificates.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Serves TLS with certificates of this resolver.
    #[must_use]
    pub fn cert_resolver(mut self, name: impl Into<String>) -> Self {
        self.tls.get_or_insert_default().cert_resolver = Some(name.into());
        self
    }

    /// Serves TLS with these options (such as client certificates), as `name@provider`.
    #[must_use]
    pub fn tls_options(mut self, name: impl Into<String>) -> Self {
        self.tls.get_or_insert_default().options = Some(name.into());
        self
    }

    /// What the service speaks on that port; plain HTTP unless said.
    #[must_use]
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Traefik itself asks for this path and takes servers out that do not answer.
    #[must_use]
    pub fn health(mut self, path: impl Into<String>) -> Self {
        self.health = Some(HttpHealthCheck { path: path.into(), ..HttpHealthCheck::default() });
        self
    }

    /// As [`health`](Self::health), with every setting that Traefik has.
    #[must_use]
    pub fn health_check(mut self, check: HttpHealthCheck) -> Self {
        self.health = Some(check);
        self
    }

    /// A client stays with the server that answered it first, by a cookie of this name.
    #[must_use]
    pub fn sticky(mut self, cookie: impl Into<String>) -> Self {
        self.sticky = Some(StickyCookie {
            name: Some(cookie.into()),
            http_only: Some(true),
            ..StickyCookie::default()
        });
        self
    }

    /// As [`sticky`](Self::sticky), with every setting that Traefik has.
    #[must_use]
    pub fn sticky_cookie(mut self, cookie: StickyCookie) -> Self {
        self.sticky = Some(cookie);
        self
    }

    /// Whether the service sees the client's `Host`, or its own address.
    #[must_use]
    pub fn pass_host_header(mut self, pass: bool) -> Self {
        self.pass_host_header = Some(pass);
        self
    }

    /// How long the service may take to begin an answer, before another instance is asked. Only for services whose
    /// answers begin soon.
    #[must_use]
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.response_timeout = Some(limit);
        self
    }

    /// A request that met a dead instance is not given to another.
    #[must_use]
    pub fn no_failover(mut self) -> Self {
        self.failover = false;
        self
    }

    /// Who comes to these hosts is sent to the same path of the route's own first host.
    #[must_use]
    pub fn redirect_from(mut self, aliases: impl Into<Hosts>) -> Self {
        self.redirects.push(aliases.into());
        self
    }

    /// Leads to this load balancer instead of the service's own, such as `api@internal`.
    #[must_use]
    pub fn to(mut self, load_balancer: impl Into<String>) -> Self {
        self.target = Some(load_balancer.into());
        self
    }
}
