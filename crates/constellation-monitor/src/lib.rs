//! Watches the containers of one node, judges their health, and restarts those that ask for it.
//!
//! [`identity`] reads from a container's labels which service it is and whether it wants healing; [`Healer`] decides
//! when a restart is due and when it is enough; [`Watch`] is the pure core that joins both with what the runtime
//! says; [`Monitor`] is the task around it. What it sees leaves as a [`Report`].
//!
//! Events of the runtime are hints that come within milliseconds; a full look every ten seconds is the truth. The
//! crate does not know what a route is, who else is out there, or what runs the containers.

mod heal;
pub mod identity;
mod monitor;
mod report;
mod watch;

pub use self::{
    heal::{HealConfig, HealState, Healer},
    identity::HealPolicy,
    monitor::{Monitor, MonitorConfig, MonitorHandle},
    report::{Observed, Report, RuntimeState},
    watch::{Effect, Event, Watch, WatchConfig},
};
