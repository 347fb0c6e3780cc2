//! How what is made here is named.
//!
//! Names from labels, of nodes and of instances have letters, digits, `_`, `.` and `-`. So a `+` tells what was made from
//! what was written, and the two never collide; nor do a node and a mark, because a mark begins with two.
//!
//! | name | what it is |
//! |---|---|
//! | `web` | a router or load balancer, as labels name it |
//! | `web++unsafe` | the router's other half: methods that are not safe |
//! | `web++failover` | the servers in turn, each with one that stands in for it |
//! | `web+n1`, `web+n1+<instance>` | the load balancer over one node's servers, over one server |
//! | `web+n1++failover` | that one and the one that stands in for it |
//! | `web++proxy` | this node's own proxy, which leads to `web` |
//! | `generated+web.example.org` | a router that nobody wrote |
//! | `generated+web.example.org++tls` | the same for entry points with TLS |
//! | `+retry`, `+transport`, `+transport+5000ms` | what many share |
//!
//! A name changes only when what it stands for does: nothing is numbered. `+` also sorts before every character of the
//! names that it follows, so all that is made from one name stands together in the document.

/// Between a name and the node or instance that it is narrowed to.
pub(crate) const AT: &str = "+";
/// Marks what fails over.
pub(crate) const FAILOVER: &str = "++failover";
/// Marks the router of the methods that are not safe.
pub(crate) const UNSAFE: &str = "++unsafe";
/// Marks the way through this node's own failover proxy: the load balancer that leads there, and the middleware that says for whom.
pub(crate) const PROXY: &str = "++proxy";
/// Marks a generated router for entry points with TLS.
pub(crate) const TLS: &str = "++tls";
/// Begins the names of routers that nobody wrote.
pub(crate) const GENERATED: &str = "generated+";
/// The middleware that tries again what no server has received.
pub(crate) const RETRY: &str = "+retry";
/// How servers are connected to; followed by the response timeout where there is one.
pub(crate) const TRANSPORT: &str = "+transport";

/// What a router is part of: one whose methods are kept apart is two in the document.
pub(crate) fn family(router: &str) -> &str {
    router.strip_suffix(UNSAFE).unwrap_or(router)
}

/// The name of the other half of a router.
pub(crate) fn other_half(family: &str) -> String {
    [family, UNSAFE].concat()
}

/// The load balancer that a service of the document was made from: its own name, where labels name it.
pub(crate) fn base(service: &str) -> &str {
    service.split_once(AT).map_or(service, |(base, _)| base)
}
