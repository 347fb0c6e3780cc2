//! DNS that may be trusted with a live zone: what should be, what is, and the least that is done about the difference.
//!
//! In reading order: [`record`] is a record in its one form and [`rules`] what a provider makes of it; [`owner`] says whose a
//! record is; [`mod@desired`] derives the wishes from a view, with [`Presence`] for which machines count; [`mod@plan`] compares
//! and holds back; [`DnsProvider`] is the seam where the outside begins, with [`cloudflare`], [`zone_file`] and [`simulated`]
//! behind it and one [`contract`] for all; [`Controller`] joins them; [`public_address`] finds a machine's own.
//!
//! All but the providers and the controller's shell is pure. Nothing here knows who leads or how that is agreed on: the
//! controller is told whether it may write, and under which token.

pub mod cloudflare;
pub mod contract;
mod controller;
pub mod desired;
pub mod owner;
pub mod plan;
mod presence;
mod provider;
pub mod public_address;
pub mod record;
pub mod rules;
pub mod service_record;
pub mod simulated;
#[cfg(test)]
mod testing;
pub mod zone_file;

pub use self::{
    controller::{
        Controller, ControllerConfig, Counters, DnsHandle, DnsStatus, Outcome, Permit, Stage, WriteError,
    },
    desired::{Desired, DnsConfig, Mode, Serving, desired},
    owner::Marker,
    plan::{Change, Guard, Plan, Policy, Refusal, Strategy, plan},
    presence::{Patience, Presence},
    provider::{DnsError, DnsProvider, Retry, Usage},
    record::{Found, Record, RecordId, RecordKind, RecordName, Ttl, Value},
    rules::Rules,
    service_record::{ServiceRecord, Target},
    simulated::SimulatedZone,
    zone_file::{ZoneFile, ZoneFileConfig},
};
