//! Services that belong together.

use serde::Serialize;

use super::{network::Network, service::Service};

/// Services that belong together, and the networks that they bring along.
///
/// ```
/// use constellation_services::prelude::*;
/// fn blog(cfg: &Config) -> Stack {
///     Stack::new("blog")
///         .network(Network::new("db").internal())
///         .service(Service::new("db", "docker.io/library/postgres:17.2").network("db"))
///         .service(Service::new("web", "ghcr.io/example/blog:1.4.0").networks([PUBLICNET, "db"]))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stack {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) services: Vec<Service>,
    pub(crate) networks: Vec<Network>,
}

impl Stack {
    /// A stack without services yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), about: None, services: Vec::new(), networks: Vec::new() }
    }

    /// What it is for, in a line.
    #[must_use]
    pub fn about(mut self, line: impl Into<String>) -> Self {
        self.about = Some(line.into());
        self
    }

    /// One more service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// More services.
    #[must_use]
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.services.extend(services);
        self
    }

    /// One more network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn purpose(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Its services, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.services.iter()
    }

    /// The service of this name.
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}
