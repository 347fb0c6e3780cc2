//! How an engine on another machine is named.

use std::{fmt, str::FromStr};

/// Where the engine listens over there, unless the address says otherwise.
const SOCKET_DEFAULT: &str = "/var/run/docker.sock";
/// The engine's port for TLS.
const TLS_PORT: u16 = 2376;

/// An engine on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAddress {
    /// Through a login.
    Ssh(SshAddress),
    /// Over the net.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port; 2376 unless it is said.
        port: u16,
    },
}

/// A login on the engine's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddress {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) socket: String,
}

/// The text is no address of an engine on another machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no address of an engine: {reason}; write ssh://user@host, ssh://host:22/run/docker.sock or tcp://host:2376"
)]
pub struct InvalidRemote {
    text: String,
    reason: &'static str,
}

impl FromStr for RemoteAddress {
    type Err = InvalidRemote;

    fn from_str(text: &str) -> Result<Self, InvalidRemote> {
        let wrong = |reason| InvalidRemote { text: text.to_owned(), reason };
        if let Some(rest) = text.strip_prefix("ssh://") {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => {
                    (Some(name(user).ok_or_else(|| wrong("the user's name is odd"))?), host)
                }
                None => (None, authority),
            };
            let (host, port) = host_and_port(host).map_err(wrong)?;
            let socket = if path.len() <= 1 { SOCKET_DEFAULT } else { path };
            if !socket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
                return Err(wrong("the path of the socket may have letters, digits, `/`, `.`, `_` and `-`"));
            }
            return Ok(Self::Ssh(SshAddress { user, host, port, socket: socket.to_owned() }));
        }
        let rest = ["tcp://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("it begins with neither ssh:// nor tcp://"))?;
        let (host, port) = host_and_port(rest.trim_end_matches('/')).map_err(wrong)?;
        Ok(Self::Tcp { host, port: port.unwrap_or(TLS_PORT) })
    }
}

/// A host and a port, where there is one; an IPv6 address stands in brackets.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or("a bracket is not closed")?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "there is no IPv6 address in the brackets")?;
            let port =
                if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("a `:` is missing")?) };
            (address.to_owned(), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (name(host).ok_or("the host's name is odd")?, port)
        }
    };
    let number = |port: &str| port.parse::<u16>().ok().filter(|port| *port != 0).ok_or("the port is no port");
    Ok((host, port.map(number).transpose()?))
}

/// A name that no program takes for an option or for more than a name.
fn name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = !text.is_empty() && !text.starts_with(['-', '.']) && text.bytes().all(plain);
    (is_name && text.len() <= 253).then(|| text.to_owned())
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(ssh) => {
                f.write_str("ssh://")?;
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                host(f, &ssh.host)?;
                if let Some(port) = ssh.port {
                    write!(f, ":{port}")?;
                }
                if ssh.socket == SOCKET_DEFAULT { Ok(()) } else { f.write_str(&ssh.socket) }
            }
            Self::Tcp { host: name, port } => {
                f.write_str("tcp://")?;
                host(f, name)?;
                write!(f, ":{port}")
            }
        }
    }
}

fn host(f: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_as_they_were_written() {
        for text in [
            "ssh://host",
            "ssh://me@host.example.org:2222",
            "ssh://me@[fd7a::1]:22/run/user/1000/docker.sock",
            "tcp://10.0.0.1:2376",
            "tcp://[fd7a::1]:4000",
        ] {
            assert_eq!(text.parse::<RemoteAddress>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://host".parse::<RemoteAddress>().unwrap().to_string(), "tcp://host:2376");
    }

    #[test]
    fn what_a_program_could_take_for_an_option_is_refused() {
        for text in [
            "ssh://",
            "ssh://-oProxyCommand=touch",
            "ssh://-l@host",
            "ssh://me@-host",
            "ssh://a b",
            "ssh://host:0",
            "ssh://host:port",
            "ssh://host/run/$(touch x)",
            "ssh://[::1",
            "tcp://host:99999",
            "tcp://",
            "http://host",
        ] {
            assert!(text.parse::<RemoteAddress>().is_err(), "{text}");
        }
    }
}
