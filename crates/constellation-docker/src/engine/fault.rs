//! What can go wrong between us and the daemon, before it is put into the words of [`RuntimeError`].

use std::{error::Error, io};

use containers_api::conn::{self, hyper};

use crate::error::RuntimeError;

/// A call that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon answered, and said no in its own words. The caller knows what the status means for its deed.
    Fault(Fault),
    /// Anything else.
    Error(RuntimeError),
}

/// The daemon's no.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) message: String,
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// The error to return where the status means nothing special for the deed.
    pub(super) fn into_error(self, deed: &str) -> RuntimeError {
        match self {
            Self::Fault(fault) => fault.into_error(deed),
            Self::Error(error) => error,
        }
    }

    /// The same for a call about one container.
    pub(super) fn about_container(self, deed: &str, id: &str) -> RuntimeError {
        match self {
            Self::Fault(Fault { status: 404, message }) if is_missing_container(&message) => {
                RuntimeError::NotFound { id: id.to_owned() }
            }
            other => other.into_error(deed),
        }
    }

    /// Whether the daemon does not speak the version that we chose: it was exchanged since we asked.
    pub(super) fn is_version_refusal(&self) -> bool {
        matches!(self, Self::Fault(Fault { status: 400, message }) if message.contains("client version"))
    }

    /// Whether what we know of the daemon may be out of date.
    pub(super) fn puts_session_in_doubt(&self) -> bool {
        self.is_version_refusal() || matches!(self, Self::Error(RuntimeError::Unreachable { .. }))
    }
}

impl Fault {
    pub(super) fn into_error(self, deed: &str) -> RuntimeError {
        RuntimeError::Refused { deed: deed.to_owned(), message: self.message }
    }
}

/// A 404 may as well be about a network, an image or the program inside.
fn is_missing_container(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("no such container") || message.contains("no such id")
}

/// The daemon's words in an error answer. The engine always answers `{"message": ...}`; an answer without it came
/// from something else that listens there, or from a proxy, and may be gone at the next try.
pub(super) fn fault(deed: &str, status: u16, body: &[u8]) -> Failure {
    #[derive(serde::Deserialize)]
    struct Words {
        message: String,
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { message }) => Failure::Fault(Fault { status, message: message.trim().to_owned() }),
        // Success without a body by HTTP's rules, or the nginx-like answers of a 404 route.
        Err(_) if status < 400 => Failure::Fault(Fault { status, message: format!("status {status}") }),
        Err(_) => Failure::Error(nonsense(deed, NotJson { status })),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("status {status} without the engine's error document: is this a Docker Engine?")]
struct NotJson {
    status: u16,
}

/// The answer made no sense.
pub(super) fn nonsense(deed: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> RuntimeError {
    RuntimeError::Nonsense { deed: deed.to_owned(), source: source.into() }
}

/// Puts an error of the transport into our words.
pub(super) fn transport(endpoint: &str, deed: &str, error: conn::Error) -> RuntimeError {
    match error {
        conn::Error::Hyper(error) if is_malformed(&error) => nonsense(deed, error),
        conn::Error::SerdeJsonError(error) => nonsense(deed, error),
        conn::Error::Encoding(error) => nonsense(deed, error),
        other => unreachable_at(endpoint, other),
    }
}

fn is_malformed(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_too_large() || error.is_parse_status()
}

/// The same for docker-api's errors. They are matched and moved, never cloned: their `Clone` recurses without end.
pub(super) fn docker_api(endpoint: &str, deed: &str, error: docker_api::Error) -> Failure {
    use docker_api::Error as E;
    Failure::Error(match error {
        E::Fault { code, message } => {
            let status = code.as_u16();
            // docker-api puts HTTP's own phrase where the daemon gave no message.
            if status >= 400 && code.canonical_reason() == Some(message.as_str()) {
                nonsense(deed, NotJson { status })
            } else {
                return Failure::Fault(Fault { status, message });
            }
        }
        E::Error(error) => transport(endpoint, deed, error),
        E::Hyper(error) => transport(endpoint, deed, conn::Error::Hyper(error)),
        E::SerdeJsonError(error) => nonsense(deed, error),
        E::InvalidResponse(message) => nonsense(deed, message),
        other => unreachable_at(endpoint, other),
    })
}

/// Nothing answers there; says what a person can do about it.
pub(super) fn unreachable_at(endpoint: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> RuntimeError {
    let source = error.into();
    let source: Box<dyn Error + Send + Sync> = match advice(source.as_ref()) {
        Some(advice) => Box::new(Advised { advice, source }),
        None => source,
    };
    RuntimeError::Unreachable { endpoint: endpoint.to_owned(), source }
}

#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Advised {
    advice: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::NotFound => Some(
                    "there is no such socket: is Docker installed and running (`systemctl start docker`)?",
                ),
                io::ErrorKind::ConnectionRefused => {
                    Some("the socket is there but nobody listens: start Docker (`systemctl start docker`)")
                }
                io::ErrorKind::PermissionDenied => Some(
                    "this user may not use the socket: run as root or add the user to the group `docker`",
                ),
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}
