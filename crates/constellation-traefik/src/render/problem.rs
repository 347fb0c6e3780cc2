//! What of the cluster's routes is not served as it was asked for.

use std::fmt;

use constellation_core::ServiceId;
use serde::Serialize;

/// Something about a service's routes that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RouteProblem {
    /// Whose routes.
    pub service: ServiceId,
    /// What sort of problem it is.
    pub kind: RouteProblemKind,
    /// The router, load balancer or host name that it is about.
    pub about: String,
    /// What is wrong and what follows.
    pub text: String,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteProblemKind {
    /// An older service has the name or the rule.
    Contested,
    /// An instance is healthy, and the port that its routes lead to is not one that other nodes reach.
    Unreachable,
    /// A route is not one that Traefik takes.
    Invalid,
    /// No route was generated, because it is not known what should guard it.
    Withheld,
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}: {}: {}", self.service, self.about, self.text)
    }
}
