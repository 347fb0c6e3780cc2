//! What the monitor sees, as one immutable value.

use std::{collections::BTreeMap, sync::Arc};

use constellation_core::{Health, InstanceId, ServiceId, WallTime};
use constellation_docker::Container;
use serde::{Deserialize, Serialize};

use crate::heal::HealState;

/// Whether the runtime can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum RuntimeState {
    /// It has not been asked yet.
    #[default]
    Unasked,
    /// It answers.
    Answers,
    /// It does not. What was last seen of its containers still stands: the silence of an engine says nothing about
    /// the processes that it started.
    Silent {
        /// Why, and what to do.
        why: String,
    },
}

/// One container and what is thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its identity among the instances of this node.
    pub instance: InstanceId,
    /// The service that it is an instance of.
    pub service: ServiceId,
    /// What the runtime last said of it.
    pub container: Arc<Container>,
    /// The judgment.
    pub health: Health,
    /// When its container was made, by the calendar. A restart does not change it.
    pub since: WallTime,
    /// What the healer thinks of it.
    pub heal: HealState,
    /// It has been removed, and is still told of for a while: a container that is being replaced leaves a service
    /// that answers "unavailable", not one that never existed.
    pub removed: bool,
}

/// Every container of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the runtime can be asked.
    pub runtime: RuntimeState,
    /// The containers, by instance.
    pub containers: BTreeMap<InstanceId, Observed>,
    /// Containers that cannot be told of, and what would help; by container name.
    pub problems: BTreeMap<String, String>,
}
