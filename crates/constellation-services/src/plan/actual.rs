//! What there is on a machine, as far as it concerns a plan: plain values, so that a test can write any machine down.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::ServiceId;
use constellation_docker::{ContainerId, ContainerSpec, ContainerState, Network};

/// Ends the name of a container that is to take another one's place.
pub(crate) const NEXT_SUFFIX: &str = ".constellation-next";
/// Ends the name of a container whose place another one took, until that one has proven itself.
pub(crate) const OLD_SUFFIX: &str = ".constellation-old";

/// Which part a container has in a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the service.
    Current,
    /// It was to become the service, and nobody has said so yet.
    Next,
    /// It was the service, and waits until the new one has proven itself.
    Old,
}

impl Role {
    /// The part that a name tells.
    pub(crate) fn of_name(name: &str) -> Self {
        if name.ends_with(NEXT_SUFFIX) {
            Self::Next
        } else if name.ends_with(OLD_SUFFIX) {
            Self::Old
        } else {
            Self::Current
        }
    }
}

/// A container that this tool made, or took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its identity.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its part.
    pub role: Role,
    /// The service that it is.
    pub service: ServiceId,
    /// The hash of what it was made from; empty where nobody knows.
    pub definition: String,
    /// What the runtime says that it was made with.
    pub spec: ContainerSpec,
    /// What we know that it was made from, where we still do.
    pub known: Option<ContainerSpec>,
    /// What it is doing.
    pub state: ContainerState,
    /// The identity of its image.
    pub image_id: String,
}

/// Everything that concerns a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// Containers of this tool.
    pub ours: Vec<Found>,
    /// Names of all other containers, with their identity. They are never touched.
    pub foreign: BTreeMap<String, ContainerId>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Names of volumes that are known to be there.
    pub volumes: BTreeSet<String>,
    /// What image references mean on this machine, where somebody looked.
    pub images: BTreeMap<String, String>,
    /// Whether the runtime has networks and volumes at all.
    pub has_networks: bool,
}
