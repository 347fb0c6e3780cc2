//! Where an instance is reached.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Transport protocol. TCP is what was meant before there was a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port of an instance and the address at which every node of the cluster reaches it: written
/// `8080/tcp@100.64.0.7:40123`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The port inside the container, never 0: what `loadbalancer.server.port` names.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where other nodes reach it: a published port, or one of the mesh gateway.
    pub address: SocketAddr,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}@{}", self.port, self.address)
    }
}

/// An endpoint was not written `PORT/tcp@ADDRESS:PORT` or `PORT/udp@ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint: it is written `8080/tcp@100.64.0.7:40123`")]
pub struct InvalidEndpoint(String);

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let parse = || {
            let (port, address) = text.split_once('@')?;
            let (port, protocol) = port.split_once('/')?;
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            };
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let address: SocketAddr = address.parse().ok().filter(|a: &SocketAddr| a.port() != 0)?;
            Some(Self { port, protocol, address })
        };
        parse().ok_or_else(|| InvalidEndpoint(text.chars().take(80).collect()))
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_endpoint_prints_and_parses_back(
            port in 1u16.., udp: bool, ip: std::net::IpAddr, host_port in 1u16..,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let endpoint = Endpoint { port, protocol, address: SocketAddr::new(ip, host_port) };
            prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = text.parse::<Endpoint>();
        }
    }

    #[test]
    fn port_zero_is_refused_on_both_sides() {
        assert!("0/tcp@10.0.0.1:80".parse::<Endpoint>().is_err());
        assert!("80/tcp@10.0.0.1:0".parse::<Endpoint>().is_err());
    }
}
