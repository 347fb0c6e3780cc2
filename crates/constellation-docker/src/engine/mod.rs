//! A real Docker Engine.

use std::path::PathBuf;

/// Where the engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerEndpoint {
    /// A unix socket.
    Unix(PathBuf),
}

/// A Docker Engine.
#[derive(Clone, Debug)]
pub struct DockerEngine;
