//! What happened, as a hint: a consumer looks at the container again and believes what it sees then.

use std::pin::Pin;

use futures::Stream;
use serde::{Deserialize, Serialize};

use crate::{container::ContainerId, error::RuntimeError};

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// It was made.
    Created,
    /// Its main process started.
    Started,
    /// Its main process ended.
    Died,
    /// It was frozen or thawed.
    Paused,
    /// Its health check changed its mind.
    Health,
    /// It was renamed, or its networks or limits changed.
    Changed,
    /// It is gone.
    Removed,
    /// The runtime may have lost events: look at everything.
    Missed,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    /// The container; `None` only for [`EventKind::Missed`].
    pub id: Option<ContainerId>,
    /// What happened.
    pub kind: EventKind,
}

/// Events as they come. It ends after an `Err`; the consumer then looks at everything and subscribes again.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<ContainerEvent, RuntimeError>> + Send>>;
