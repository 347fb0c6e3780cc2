//! What can go wrong between us and a runtime, and what to do about it.

use std::time::Duration;

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may: try again with backoff.
    Backoff,
    /// It will not until somebody changes something.
    Never,
}

/// A call to a [`ContainerRuntime`](crate::ContainerRuntime) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// Nothing answers.
    #[error("could not reach the container runtime at {endpoint}")]
    Unreachable {
        /// Where we tried.
        endpoint: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The runtime did not answer in time.
    #[error("the container runtime did not {deed} within {limit:?}")]
    TimedOut {
        /// What was asked.
        deed: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The runtime speaks only versions that we do not.
    #[error("the engine at {endpoint} speaks API {theirs}, this program {ours}: {advice}")]
    UnsupportedVersion {
        /// Where it is.
        endpoint: String,
        /// The versions that it offers.
        theirs: String,
        /// The versions that we can speak.
        ours: String,
        /// What to do.
        advice: String,
    },
    /// There is no such container.
    #[error("there is no container `{id}`")]
    NotFound {
        /// Which one was asked for.
        id: String,
    },
    /// There is no such image on this machine.
    #[error("there is no image `{image}` on this machine: pull or build it first")]
    ImageNotFound {
        /// Which image.
        image: String,
    },
    /// Another container has this name.
    #[error("the container name `{name}` is in use already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// It runs and was to be removed.
    #[error("container `{id}` is running: stop it first, or remove it by force")]
    Running {
        /// Which one.
        id: String,
    },
    /// The specification cannot be run here.
    #[error("container `{name}`: {field}: {reason}")]
    InvalidSpec {
        /// The container.
        name: String,
        /// The field of its specification.
        field: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The runtime refused for a reason of its own.
    #[error("the container runtime refused to {deed}: {message}")]
    Refused {
        /// What was asked.
        deed: String,
        /// Its words.
        message: String,
    },
    /// The answer made no sense.
    #[error("could not understand what the container runtime answered when asked to {deed}")]
    Nonsense {
        /// What was asked.
        deed: String,
        /// What was wrong with the answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The local disk or process table said no.
    #[error("could not {deed}")]
    Io {
        /// What we were doing.
        deed: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// Whether to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Nonsense { .. } | Self::Io { .. } => {
                Retry::Backoff
            }
            _ => Retry::Never,
        }
    }
}
