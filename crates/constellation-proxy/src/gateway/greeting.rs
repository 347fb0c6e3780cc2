//! The PROXY protocol: the client's address, told to a container before the first byte of the connection.
//!
//! Of a connection that is forwarded a container sees the gateway's address alone. Where it understands this header it is told
//! the one that the gateway sees. See <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::net::{IpAddr, SocketAddr};

/// What every header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and that the connection is somebody else's.
const PROXIED: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// The header for a connection from one address to another.
    pub fn header(self, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let (client, server) = (from.ip().to_canonical(), to.ip().to_canonical());
        match self {
            Self::V1 => {
                let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {client} {server} {} {}\r\n", from.port(), to.port()).into_bytes()
            }
            Self::V2 => {
                let mut addresses = Vec::with_capacity(36);
                let family = match (client, server) {
                    (IpAddr::V4(client), IpAddr::V4(server)) => {
                        addresses.extend_from_slice(&client.octets());
                        addresses.extend_from_slice(&server.octets());
                        TCP_OVER_IPV4
                    }
                    (client, server) => {
                        addresses.extend_from_slice(&octets(client));
                        addresses.extend_from_slice(&octets(server));
                        TCP_OVER_IPV6
                    }
                };
                addresses.extend_from_slice(&from.port().to_be_bytes());
                addresses.extend_from_slice(&to.port().to_be_bytes());
                let length = u16::try_from(addresses.len()).unwrap_or_default();
                [SIGNATURE, &[PROXIED, family], &length.to_be_bytes(), &addresses].concat()
            }
        }
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl std::str::FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "1" => Ok(Self::V1),
            "2" => Ok(Self::V2),
            other => {
                let other: String = other.chars().take(32).collect();
                Err(format!("`{other}` is no version of the PROXY protocol: write `1` or `2`"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: ProxyProtocol, from: &str, to: &str) -> Vec<u8> {
        version.header(from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn version_1_is_a_line() {
        let v4 = header(ProxyProtocol::V1, "192.0.2.1:5000", "100.64.0.1:40001");
        assert_eq!(v4, b"PROXY TCP4 192.0.2.1 100.64.0.1 5000 40001\r\n");
        let v6 = header(ProxyProtocol::V1, "[2001:db8::1]:5000", "[2001:db8::2]:40001");
        assert_eq!(v6, b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 40001\r\n");
        let mapped = header(ProxyProtocol::V1, "[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:6");
        assert_eq!(mapped, b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n");
    }

    #[test]
    fn version_2_is_as_the_specification_lays_it_out() {
        let v4 = header(ProxyProtocol::V2, "192.0.2.1:258", "100.64.0.1:40001");
        let expected = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A\x21\x11\x00\x0C\xC0\x00\x02\x01\x64\x40\x00\x01\x01\x02\x9C\x41";
        assert_eq!(v4, expected);
        let v6 = header(ProxyProtocol::V2, "[2001:db8::1]:1", "[2001:db8::2]:2");
        assert_eq!((v6.len(), v6[13], v6[14], v6[15], v6[16]), (52, 0x21, 0, 36, 0x20));
    }

    #[test]
    fn there_are_two_versions() {
        assert_eq!((" 1".parse(), "2".parse()), (Ok(ProxyProtocol::V1), Ok(ProxyProtocol::V2)));
        assert!("3".parse::<ProxyProtocol>().is_err() && "".parse::<ProxyProtocol>().is_err());
    }
}
