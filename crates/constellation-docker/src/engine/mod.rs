//! A real Docker Engine behind the seam.
//!
//! docker-api starts, stops, restarts, signals and removes containers. It cannot express half of a specification,
//! reads answers too strictly for newer engines and panics on an odd log frame, so making, reading, logs, events,
//! images and networks go as our own typed JSON through the transport that it stands on (containers-api).
//!
//! [`link`] knows how to ask, [`create`] and [`decode`] are pure translations, [`runtime`] joins them.

mod create;
mod decode;
mod documents;
mod events;
mod fault;
mod images;
mod lifecycle;
mod limits;
mod link;
mod logs;
mod networks;
mod observe;
mod runtime;
mod text;
mod timestamp;
mod validate;
mod version;
mod volumes;

#[cfg(test)]
mod create_tests;
#[cfg(test)]
mod decode_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_tests;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

pub use self::{
    images::{RegistryAuth, TransferProgress},
    networks::{Network, NetworkJoin, NetworkSpec},
    observe::Observed,
    volumes::VolumeInfo,
};
use self::{limits::Limits, link::Link};
use crate::{error::RuntimeError, remote::Remote};

/// The longest path that a unix socket's address holds (`sun_path` less its end).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where the engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DockerEndpoint {
    /// A unix socket, by its absolute path.
    Unix(PathBuf),
}

impl Default for DockerEndpoint {
    fn default() -> Self {
        Self::Unix(PathBuf::from("/var/run/docker.sock"))
    }
}

impl fmt::Display for DockerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Unix(path) = self;
        write!(f, "unix://{}", path.display())
    }
}

/// The text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Docker endpoint: write `unix:///path/to/docker.sock`")]
pub struct InvalidEndpoint(String);

impl FromStr for DockerEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if !path.starts_with('/') || path.len() > SOCKET_PATH_BYTES_MAX {
            return Err(InvalidEndpoint(text.to_owned()));
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

/// A Docker Engine. Clones share what was agreed with the daemon.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    link: Arc<Link>,
    /// The way to another machine, which closes with the last clone.
    _way: Option<Arc<Remote>>,
}

impl DockerEngine {
    /// Prepares the way to a daemon. It need not run yet: the first call asks for its version, and so does the first
    /// call after it went away, since another daemon may have come.
    pub fn connect(endpoint: DockerEndpoint) -> Result<Self, RuntimeError> {
        Self::with_limits(endpoint, Limits::default())
    }

    fn with_limits(endpoint: DockerEndpoint, limits: Limits) -> Result<Self, RuntimeError> {
        let shown = endpoint.to_string();
        let DockerEndpoint::Unix(path) = endpoint;
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let reason = format!("the path of a socket may have at most {SOCKET_PATH_BYTES_MAX} bytes");
            return Err(fault::unreachable_at(&shown, reason));
        }
        Ok(Self { link: Arc::new(Link::new(path, shown, limits)), _way: None })
    }

    /// An engine on another machine, over a way that is open.
    pub fn over(way: Remote) -> Self {
        let link = Link::new(way.socket().to_owned(), way.shown().to_owned(), Limits::default());
        Self { link: Arc::new(link), _way: Some(Arc::new(way)) }
    }
}
