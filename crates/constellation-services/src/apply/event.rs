//! What happens while a plan is carried out, for whoever watches.

use std::time::Duration;

use constellation_core::ServiceId;
use constellation_docker::TransferProgress;

use crate::{plan::Deed, store::Outcome};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// An image is being fetched or built.
    Image {
        /// Which.
        reference: String,
        /// How far it is.
        progress: TransferProgress,
    },
    /// An image is here.
    ImageReady {
        /// Which.
        reference: String,
    },
    /// A network or volume was made.
    Made {
        /// `network x` or `volume x`.
        what: String,
    },
    /// A step began.
    Began {
        /// For which service.
        service: ServiceId,
        /// What it does.
        deed: Deed,
    },
    /// A step goes on.
    Stage {
        /// For which service.
        service: ServiceId,
        /// What it is doing now.
        stage: String,
    },
    /// Something went wrong that does not change what was done.
    Trouble {
        /// What, in a sentence.
        what: String,
    },
    /// A step ended.
    Ended {
        /// For which service.
        service: ServiceId,
        /// What it did.
        deed: Deed,
        /// How it went.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
        /// The last lines that a container printed that failed.
        log: Vec<String>,
    },
}

/// Watches. It must not block: what happens waits for it.
pub trait Watcher: Send + Sync {
    /// Something happened.
    fn tell(&self, happening: Happening);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Watcher for Nobody {
    fn tell(&self, _happening: Happening) {}
}
