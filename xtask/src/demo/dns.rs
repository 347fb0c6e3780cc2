//! The part of the script that is about the zone: where the apex leads, and that it follows the lease.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::script::STEP_LIMIT;
use crate::{
    clock::{self, BootTime, millis},
    cluster::{
        Cluster, DOMAIN,
        zone::{Record, Zone, ZoneWatch, apex, public},
    },
};

const PAUSE: Duration = Duration::from_millis(5);

fn zone(cluster: &Cluster) -> Result<&Zone> {
    cluster.zone.as_ref().context("the cluster has no zone")
}

fn show(records: &[Record]) {
    for record in records {
        say!("             {}", record.line());
    }
}

/// Until the apex leads to the holder of the lease and each node has its name.
///
/// # Errors
/// When that takes too long.
pub(super) fn settle(cluster: &Cluster) -> Result<()> {
    let zone = zone(cluster)?;
    clock::wait_for("a zone that leads to the holder", STEP_LIMIT, PAUSE, || {
        let records = zone.records()?;
        let each = cluster.nodes.iter().all(|node| {
            let name = format!("{}.{DOMAIN}", node.name);
            records.iter().any(|record| record.name == name)
        });
        let holder = holder(cluster).map(|number| public(number).to_string());
        Ok((each && holder.is_some_and(|holder| apex(&records) == [holder])).then_some(()))
    })
}

/// The number of the node that may act as the load balancer's leader.
fn holder(cluster: &Cluster) -> Option<u8> {
    cluster.nodes.iter().find_map(|node| {
        let leases = node.leases().ok()?.leases;
        leases.iter().any(|view| view.lease == "lb-leader" && view.may_act).then(|| node.number())
    })
}

/// The zone before something is broken, and from then on.
pub(super) struct Apex {
    watch: ZoneWatch,
    before: String,
}

impl Apex {
    /// Shows the zone and begins to watch it.
    ///
    /// # Errors
    /// When it cannot be looked at, or its apex does not lead to one node.
    pub(super) fn watch(cluster: &Cluster) -> Result<Self> {
        settle(cluster)?;
        let zone = zone(cluster)?;
        let records = zone.records()?;
        say!("             the zone before:");
        show(&records);
        let before = apex(&records).first().map(|content| (*content).to_owned());
        Ok(Self { watch: zone.watch(), before: before.context("the apex leads nowhere")? })
    }

    /// Waits until the apex has moved; how long after the kill that was.
    ///
    /// # Errors
    /// When it does not move, or not to the new holder.
    pub(super) fn moves(
        &self,
        cluster: &Cluster,
        killed: BootTime,
        led: BootTime,
    ) -> Result<Option<Duration>> {
        let elsewhere = || Ok(self.watch.led_elsewhere(&self.before, killed));
        let (at, to) = clock::wait_for("the apex to move", STEP_LIMIT, PAUSE, elsewhere)?;
        let records = zone(cluster)?.records()?;
        say!("             the zone after, {:.0} ms after the lease changed hands:", millis(at.since(led)));
        show(&records);
        ensure!(to != self.before, "the apex did not move");
        Ok(Some(at.since(killed)))
    }
}
