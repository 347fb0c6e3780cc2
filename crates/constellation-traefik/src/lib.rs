//! Routes for Traefik: from container labels to one document that every Traefik of the cluster polls from its own node.
//!
//! In reading order: [`rules`] is Traefik's rule language; [`labels`] turns a container's labels into a
//! [`RouteSet`](constellation_core::RouteSet) on the node that runs it; [`document`] is what Traefik accepts;
//! [`mod@render`] joins what all nodes say into one document; [`hold_back`] keeps a node that is cut off from throwing away
//! what it cannot see; [`Provider`] serves the result; [`static_config`] starts a Traefik that asks for it.
//!
//! All but [`Provider`] is pure. Nothing here knows how views come about, how an instance is reached from another node, or
//! who else reads the same view: it takes a `watch` of [`ClusterView`](constellation_core::ClusterView)s and that is all.
//! TCP and UDP routers go into the document as Traefik has them; failing over is HTTP's.

pub mod document;
pub mod explain;
pub mod hold_back;
pub mod labels;
mod names;
mod provider;
pub mod render;
mod schema;
mod static_config;

pub use constellation_rules as rules;

pub use self::{
    document::DynamicConfig,
    labels::{DefaultRule, LabelConfig, LabelProblem, ParsedLabels, parse_labels},
    provider::{
        LastKnownGoodError, LastKnownGoodStatus, Provider, ProviderConfig, ProviderError, ProviderState,
        Served, TraefikHandle, TraefikStatus, Turn,
    },
    render::{RenderConfig, Rendered, Renderer, RouteProblem, render},
    static_config::{StaticConfig, static_config},
};
