//! How it meets the network.

use std::net::IpAddr;

use constellation_docker::Port;

use crate::language::{
    middleware::Middleware,
    network::{Attach, Egress, Reach},
    ports::Publish,
    route::AnyRoute,
    service::Service,
};

/// How it meets the network.
impl Service {
    /// Makes a port reachable on an address of the host.
    #[must_use]
    pub fn publish(mut self, port: Publish) -> Self {
        self.ports.push(port);
        self
    }

    /// Declares a TCP port that it listens on. Routed and published ones are declared already.
    #[must_use]
    pub fn expose(mut self, port: u16) -> Self {
        self.exposed.push(Port::tcp(port));
        self
    }

    /// Declares a UDP port that it listens on.
    #[must_use]
    pub fn expose_udp(mut self, port: u16) -> Self {
        self.exposed.push(Port::udp(port));
        self
    }

    /// On this network. Without any such word it is on `backend`, and on `publicnet` if it is routed; with one or more
    /// of them, on exactly those.
    #[must_use]
    pub fn network(mut self, network: impl Into<Attach>) -> Self {
        match &mut self.reach {
            Reach::Networks(networks) => networks.push(network.into()),
            _ => self.reach = Reach::Networks(vec![network.into()]),
        }
        self
    }

    /// On exactly these networks.
    #[must_use]
    pub fn networks<I: IntoIterator<Item = N>, N: Into<Attach>>(self, networks: I) -> Self {
        networks.into_iter().fold(self, Self::network)
    }

    /// In the host's own network.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.reach = self.other_reach(Reach::Host);
        self
    }

    /// Without any network but loopback.
    #[must_use]
    pub fn no_network(mut self) -> Self {
        self.reach = self.other_reach(Reach::None);
        self
    }

    /// In the network of another service, as if both were one machine.
    #[must_use]
    pub fn network_of(mut self, service: impl Into<String>) -> Self {
        self.reach = self.other_reach(Reach::Service(service.into()));
        self
    }

    fn other_reach(&mut self, reach: Reach) -> Reach {
        if let Reach::Networks(networks) = &self.reach {
            let names: Vec<&str> = networks.iter().map(|attach| attach.network.as_str()).collect();
            self.repeated.push(("networks", names.join(", ")));
        }
        reach
    }

    /// Which way its connections leave the machine.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// A name server.
    #[must_use]
    pub fn dns(mut self, server: impl Into<IpAddr>) -> Self {
        self.dns.push(server.into());
        self
    }

    /// A line of `/etc/hosts`: an address, or `host-gateway` for the host's own.
    #[must_use]
    pub fn extra_host(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.extra_hosts.insert(name.into(), address.into());
        self
    }

    /// A way for requests from outside.
    #[must_use]
    pub fn route(mut self, route: impl Into<AnyRoute>) -> Self {
        self.routes.push(route.into());
        self
    }

    /// A middleware that its labels define.
    #[must_use]
    pub fn middleware(mut self, middleware: Middleware) -> Self {
        self.middlewares.push(middleware);
        self
    }

    /// The agent makes no `<service>.<domain>` for it beside its own routes.
    #[must_use]
    pub fn no_generated_routes(mut self) -> Self {
        self.generated_routes = false;
        self
    }
}
