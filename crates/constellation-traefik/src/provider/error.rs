//! What can go wrong with the provider.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::document::InvalidDocument;

/// The provider could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Traefik could not reach it.
    #[error(
        "could not listen on {address} for Traefik; where port {port} is taken, end what has it (another agent?) or give \
         the Traefik provider another address and Traefik the same in providers.http.endpoint", port = .address.port()
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// What was served last could not be kept or had been damaged.
#[derive(Debug, thiserror::Error)]
pub enum LastKnownGoodError {
    /// It could not be read.
    #[error("could not read the last known routes from {path}", path = .path.display())]
    Read {
        /// From where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is larger than any document should be.
    #[error("the last known routes in {path} have {bytes} bytes, which is more than was ever written", path = .path.display())]
    TooLarge {
        /// Where.
        path: PathBuf,
        /// How large.
        bytes: u64,
    },
    /// It is not what was written.
    #[error("the last known routes in {path} are damaged: {what}", path = .path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It is not a document of this version.
    #[error("the last known routes in {path} are not understood", path = .path.display())]
    Form {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Traefik would refuse it.
    #[error("the last known routes in {path} are not valid", path = .path.display())]
    Invalid {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: InvalidDocument,
    },
    /// It could not be written.
    #[error("could not write the last known routes to {path}", path = .path.display())]
    Write {
        /// To where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
