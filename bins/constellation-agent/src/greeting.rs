//! Which version of the PROXY protocol the mesh gateway greets a container with, by its labels.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::{Protocol, RouteSet};
use constellation_proxy::ProxyProtocol;

/// For every TCP port of the container that the gateway forwards; with `.PORT` after it for one.
const LABEL: &str = "constellation.gateway-proxy-protocol";

/// How the gateway greets a container, by the port inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greetings(BTreeMap<u16, ProxyProtocol>);

impl Greetings {
    /// Reads the labels for the ports that the routes lead to; and what is wrong with them.
    pub(crate) fn read(labels: &BTreeMap<String, String>, routes: &RouteSet) -> (Self, Vec<String>) {
        let (mut greetings, mut problems) = (BTreeMap::new(), Vec::new());
        let ports: BTreeSet<u16> = routes
            .ports()
            .into_iter()
            .filter(|(protocol, _)| *protocol == Protocol::Tcp)
            .map(|(_, port)| port)
            .collect();
        // In order, so that the label for one port counts before the one for all.
        for (label, value) in labels {
            let meant: Vec<u16> = match label.strip_prefix(LABEL).map(|rest| (rest, rest.strip_prefix('.'))) {
                Some(("", _)) => ports.iter().copied().collect(),
                Some((_, Some(port))) => {
                    port.parse().ok().filter(|port| ports.contains(port)).into_iter().collect()
                }
                _ => continue,
            };
            if meant.is_empty() {
                problems
                    .push(format!("label `{label}`: no route leads to such a TCP port; it changes nothing"));
                continue;
            }
            match value.parse() {
                Ok(version) => greetings.extend(meant.into_iter().map(|port| (port, version))),
                Err(reason) => problems.push(format!("label `{label}`: {reason}; it changes nothing")),
            }
        }
        let by_traefik = routes.tcp.services.values().filter(|service| service.proxy_protocol.is_some());
        for port in by_traefik.map(|service| service.port) {
            if greetings.remove(&port).is_some() {
                problems.push(format!(
                    "Traefik greets its port {port} by the PROXY protocol already, and knows the client: the gateway does not \
                     greet it again ({LABEL})"
                ));
            }
        }
        (Self(greetings), problems)
    }

    /// The greeting of a port.
    pub(crate) fn of(&self, protocol: Protocol, port: u16) -> Option<ProxyProtocol> {
        if protocol == Protocol::Tcp { self.0.get(&port).copied() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::route::{HttpService, TcpService};

    use super::*;

    fn read(labels: &[(&str, &str)]) -> (Greetings, String) {
        let mut routes = RouteSet::default();
        routes.services.insert("web".parse().unwrap(), HttpService::to_port(80));
        routes.tcp.services.insert("db".parse().unwrap(), TcpService::to_port(5432));
        let greeted = TcpService { proxy_protocol: Some(2), ..TcpService::to_port(25) };
        routes.tcp.services.insert("mail".parse().unwrap(), greeted);
        routes.udp.services.insert("dns".parse().unwrap(), 53);
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        let (greetings, problems) = Greetings::read(&labels, &routes);
        (greetings, problems.join("\n"))
    }

    #[test]
    fn a_label_is_for_every_tcp_port_and_one_with_a_port_for_that_one() {
        let (greetings, problems) = read(&[(LABEL, "1"), (&format!("{LABEL}.5432"), "2")]);
        assert_eq!(greetings.of(Protocol::Tcp, 80), Some(ProxyProtocol::V1));
        assert_eq!(greetings.of(Protocol::Tcp, 5432), Some(ProxyProtocol::V2));
        assert_eq!(greetings.of(Protocol::Udp, 53), None);
        assert_eq!(greetings.of(Protocol::Tcp, 25), None, "Traefik greets there, and twice would be data");
        assert!(problems.contains("port 25"), "{problems}");
        assert_eq!(read(&[]), (Greetings::default(), String::new()));
    }

    #[test]
    fn what_is_no_version_or_no_port_greets_nobody_and_is_named() {
        for (label, value) in [("", "3"), (".5432", "v1"), (".53", "1"), (".9", "1"), (".x", "1")] {
            let label = format!("{LABEL}{label}");
            let (greetings, problems) = read(&[(&label, value)]);
            assert_eq!(greetings, Greetings::default(), "{label}");
            assert!(problems.contains(&label), "{problems}");
        }
        assert_eq!(read(&[("constellation.gateway-proxy-protocols", "1")]).1, "");
    }
}
