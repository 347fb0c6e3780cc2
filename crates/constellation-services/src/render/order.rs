//! Which goes first when a service is replaced.

use super::container::SAID;
use crate::language::{Kind, Order, Reach, Service, VolumeKind};

/// Which goes first when it is replaced, and why.
pub(super) fn order(service: &Service) -> (Order, &'static str) {
    if let Some(order) = service.update.order {
        return (order, SAID);
    }
    if service.kind == Kind::Job {
        return (Order::StopFirst, "a job runs once at a time");
    }
    if !service.ports.is_empty() || service.reach == Reach::Host {
        return (Order::StopFirst, "two of them cannot have the same port of the host");
    }
    if matches!(service.reach, Reach::Service(_)) {
        return (Order::StopFirst, "two of them cannot listen in one network");
    }
    let writes = |kind: &VolumeKind| !matches!(kind, VolumeKind::Tmpfs { .. });
    if service.volumes.iter().any(|volume| !volume.read_only && writes(&volume.kind)) {
        return (Order::StopFirst, "two of them must not write to the same volume");
    }
    if service.health.is_none() {
        return (Order::StopFirst, "without a health check nobody could say when the new one is ready");
    }
    (Order::StartFirst, "it has a health check, no port of the host and nothing that two could write to")
}
