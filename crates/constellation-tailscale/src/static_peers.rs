//! Peers that somebody wrote down: as flags, as a DNS name with several addresses, or in a file.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use async_trait::async_trait;
use tracing::warn;

use crate::{Overlay, OverlayError};

/// How long a name or a file may take to answer.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest peers file, in bytes: far more than a few hundred lines.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// One place where peers are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// An address.
    Address(SocketAddr),
    /// A DNS name; every address that it has counts.
    Name {
        /// The name.
        host: String,
        /// The gossip port there.
        port: u16,
    },
    /// A file with one peer a line, in any form but this; `#` begins a comment. It is read again each time.
    File(PathBuf),
}

/// A peer was not written as an address or a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a peer: write `100.64.0.7`, `100.64.0.7:7946`, `[fd7a::7]:7946`, `web-1` or `web-1:7946`"
)]
pub struct InvalidPeer(String);

impl PeerSource {
    /// Reads an address or a name; without a port it gets `default_port`.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, InvalidPeer> {
        let invalid = || InvalidPeer(text.chars().take(80).collect());
        if let Ok(address) = SocketAddr::from_str(text) {
            return if address.port() == 0 { Err(invalid()) } else { Ok(Self::Address(address)) };
        }
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(ip, default_port)));
        }
        let (host, port) = match text.rsplit_once(':') {
            None => (text, default_port),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?),
        };
        let valid_byte = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
        let named = !host.is_empty() && host.len() <= 253 && host.bytes().all(valid_byte);
        // A name of digits and dots alone is an address with a typing error.
        let numeric = host.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        if named && !numeric { Ok(Self::Name { host: host.to_owned(), port }) } else { Err(invalid()) }
    }
}

impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An overlay that is described rather than asked.
#[derive(Clone, Debug)]
pub struct StaticPeers {
    own: SocketAddr,
    sources: Vec<PeerSource>,
}

impl StaticPeers {
    /// A node that gossips at `own`, with these sources. Lines of a file without a port get the port of `own`.
    pub const fn new(own: SocketAddr, sources: Vec<PeerSource>) -> Self {
        Self { own, sources }
    }

    async fn ask(&self, source: &PeerSource) -> io::Result<Vec<SocketAddr>> {
        match source {
            PeerSource::Address(address) => Ok(vec![*address]),
            PeerSource::Name { host, port } => {
                let found =
                    tokio::time::timeout(SOURCE_TIMEOUT, tokio::net::lookup_host((host.as_str(), *port)));
                Ok(found.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.collect())
            }
            PeerSource::File(path) => {
                let read = tokio::time::timeout(SOURCE_TIMEOUT, read_bounded(path));
                let text = read.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                let mut found = Vec::new();
                for line in text.lines() {
                    let line = line.split('#').next().unwrap_or_default().trim();
                    if line.is_empty() {
                        continue;
                    }
                    match PeerSource::parse(line, self.own.port()) {
                        Ok(peer) => match Box::pin(self.ask(&peer)).await {
                            Ok(addresses) => found.extend(addresses),
                            Err(error) => warn!(peer = line, %error, "a peer of the peers file is left out"),
                        },
                        Err(error) => {
                            warn!(file = %path.display(), %error, "a line of the peers file is left out");
                        }
                    }
                }
                Ok(found)
            }
        }
    }
}

async fn read_bounded(path: &PathBuf) -> io::Result<String> {
    let size = tokio::fs::metadata(path).await?.len();
    if size > FILE_BYTES_MAX {
        let why = format!("it has {size} bytes, a peers file has at most {FILE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    tokio::fs::read_to_string(path).await
}

#[async_trait]
impl Overlay for StaticPeers {
    async fn own_address(&self) -> Result<IpAddr, OverlayError> {
        Ok(self.own.ip())
    }

    async fn peers(&self) -> Result<Vec<SocketAddr>, OverlayError> {
        let mut peers = BTreeSet::new();
        let mut failed = None;
        for source in &self.sources {
            match self.ask(source).await {
                Ok(addresses) => peers.extend(addresses),
                Err(error) => {
                    warn!(peers = %source, %error, "a source of peers did not answer");
                    failed = Some((source, error));
                }
            }
        }
        peers.remove(&self.own);
        match failed {
            Some((name, source)) if peers.is_empty() => {
                Err(OverlayError::NoSource { source_name: name.to_string(), source })
            }
            _ => Ok(peers.into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> SocketAddr {
        "127.0.0.1:7946".parse().unwrap()
    }

    #[test]
    fn a_peer_is_an_address_or_a_name_with_or_without_a_port() {
        let parse = |text| PeerSource::parse(text, 7946).map(|peer| peer.to_string());
        assert_eq!(parse("100.64.0.7"), Ok("100.64.0.7:7946".to_owned()));
        assert_eq!(parse("100.64.0.7:1"), Ok("100.64.0.7:1".to_owned()));
        assert_eq!(parse("fd7a::7"), Ok("[fd7a::7]:7946".to_owned()));
        assert_eq!(parse("[fd7a::7]:9"), Ok("[fd7a::7]:9".to_owned()));
        assert_eq!(parse("web-1"), Ok("web-1:7946".to_owned()));
        for bad in ["", ":7946", "web-1:0", "web-1:x", "a b", "100.64.0", "100.64.0.7:0"] {
            assert!(PeerSource::parse(bad, 7946).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_node_itself_is_none_of_its_peers() {
        let sources =
            vec![PeerSource::Address(own()), PeerSource::Address("127.0.0.2:7946".parse().unwrap())];
        let peers = StaticPeers::new(own(), sources).peers().await.unwrap();
        assert_eq!(peers, ["127.0.0.2:7946".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_file_is_read_again_each_time_and_a_bad_line_spoils_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peers");
        std::fs::write(&path, "127.0.0.2 # the first\n\nnot a peer\n127.0.0.3:5000\n").unwrap();
        let overlay = StaticPeers::new(own(), vec![PeerSource::File(path.clone())]);
        let expected: Vec<SocketAddr> =
            ["127.0.0.2:7946", "127.0.0.3:5000"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(overlay.peers().await.unwrap(), expected);
        std::fs::write(&path, "").unwrap();
        assert!(overlay.peers().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_source_that_fails_is_an_error_only_while_no_other_answers() {
        let missing = PeerSource::File("/nonexistent/peers".into());
        let alone = StaticPeers::new(own(), vec![missing.clone()]);
        assert!(matches!(alone.peers().await, Err(OverlayError::NoSource { .. })));
        let other = PeerSource::Address("127.0.0.2:7946".parse().unwrap());
        assert_eq!(StaticPeers::new(own(), vec![missing, other]).peers().await.unwrap().len(), 1);
    }
}
