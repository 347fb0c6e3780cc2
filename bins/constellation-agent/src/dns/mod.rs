//! The agent's part in the zone: joins the view, the leases and a provider, and finds the machine's own public address.

mod address;
mod settings;

use std::sync::Arc;

use anyhow::Context;
use constellation_api::Problem;
use constellation_core::{Clock, ClusterView, LeaseKind, LeaseStatus, NodeFacts};
use constellation_dns::{
    Controller, DnsHandle, DnsProvider, Refusal, Stage, ZoneFile, cloudflare::Cloudflare,
};
use constellation_tasks::{Early, Supervisor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::settings::{DnsSettings, Place};
use crate::{cluster::part::Part, config::Config};

/// The ends that are joined.
pub(crate) struct Joined {
    pub(crate) part: watch::Receiver<Option<Part>>,
    pub(crate) view: watch::Receiver<Arc<ClusterView>>,
    pub(crate) facts: watch::Sender<NodeFacts>,
}

/// Starts to look after the zone.
pub(crate) fn start(
    settings: &DnsSettings,
    config: &Config,
    joined: Joined,
    clock: Arc<dyn Clock>,
    work: &Supervisor,
) -> anyhow::Result<DnsHandle> {
    let provider: Arc<dyn DnsProvider> = match settings.place.clone() {
        Place::Cloudflare(cloudflare) => Arc::new(
            Cloudflare::new(cloudflare, Arc::clone(&clock)).context("DNS at Cloudflare cannot be set up")?,
        ),
        Place::File(file) => {
            if let Some(folder) = file.path.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("could not make the folder {}", folder.display()))?;
            }
            Arc::new(ZoneFile::new(file, Arc::clone(&clock)))
        }
    };
    let (leader, writer) = (watch::Sender::new(LeaseStatus::Unheld), watch::Sender::new(LeaseStatus::Unheld));
    let asked = joined.part.clone();
    let permit = move || asked.borrow().as_ref()?.handle.may_act(LeaseKind::DnsWriter);
    let controller = settings.controller(config.cluster.clone());
    let controller = Controller {
        config: controller,
        provider,
        permit: Arc::new(permit),
        view: joined.view,
        leader: leader.subscribe(),
        writer: writer.subscribe(),
        clock,
    };
    let handle = controller.start(work);
    for (name, lease, to) in
        [("dns leader", LeaseKind::LbLeader, leader), ("dns writer", LeaseKind::DnsWriter, writer)]
    {
        work.spawn(name, Early::Fatal, follow(joined.part.clone(), lease, to, work.shutdown()));
    }
    if settings.detect {
        work.spawn("public address", Early::Fatal, address::keep(joined.facts, work.shutdown()));
    }
    Ok(handle)
}

/// Hands on what is known of a lease, from the moment on at which this node takes part.
async fn follow(
    mut part: watch::Receiver<Option<Part>>,
    lease: LeaseKind,
    to: watch::Sender<LeaseStatus>,
    shutdown: CancellationToken,
) {
    let known = tokio::select! {
        () = shutdown.cancelled() => return,
        known = part.wait_for(Option::is_some) => known.ok().and_then(|part| part.clone()),
    };
    let Some(part) = known else { return shutdown.cancelled().await };
    let mut status = part.handle.status(lease);
    loop {
        to.send_replace(status.borrow_and_update().clone());
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return shutdown.cancelled().await },
        }
    }
}

/// The zone in a line.
pub(crate) fn summary(handle: &DnsHandle) -> String {
    let status = handle.status();
    let status = status.borrow();
    let stage = match status.stage {
        Stage::Standby => "another node writes",
        Stage::Writing => "this node writes",
        Stage::Frozen => "FROZEN",
        Stage::DryRun => "dry run",
    };
    format!("{}: {stage}", status.place)
}

/// What a person should know of.
pub(crate) fn problems(handle: &DnsHandle) -> Vec<Problem> {
    let status = handle.status();
    let status = status.borrow();
    let problem = |message| Problem { area: "dns".to_owned(), subject: status.place.clone(), message };
    let refused = status.plan.iter().filter(|_| status.token.is_some()).flat_map(|plan| &plan.refused);
    status.error.iter().cloned().chain(refused.map(Refusal::to_string)).map(problem).collect()
}
