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

/// Hands on what is known of a lease while this node takes part, and that it holds none while it does not: a part ends
/// with its log, and another begins when the log can be used again.
async fn follow(
    mut part: watch::Receiver<Option<Part>>,
    lease: LeaseKind,
    to: watch::Sender<LeaseStatus>,
    shutdown: CancellationToken,
) {
    let follow = async {
        while let Some(taken) = part.wait_for(Option::is_some).await.ok().and_then(|part| part.clone()) {
            forward(taken.handle.status(lease), &to).await;
            if part.changed().await.is_err() {
                break;
            }
        }
        // No part comes any more, which is the process's end: what was said last stays said.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow => {}
    }
}

/// Hands on a status until its sender is gone; from then on nothing is held.
async fn forward(mut status: watch::Receiver<LeaseStatus>, to: &watch::Sender<LeaseStatus>) {
    loop {
        to.send_replace(status.borrow_and_update().clone());
        if status.changed().await.is_err() {
            to.send_replace(LeaseStatus::Unheld);
            return;
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

#[cfg(test)]
mod tests {
    use constellation_core::{FencingToken, LeaseHolder};

    use super::*;

    #[tokio::test]
    async fn a_lease_whose_part_has_ended_is_held_by_nobody() {
        let holder = LeaseHolder { node: "n1".parse().unwrap(), boot: 7 };
        let held = LeaseStatus::HeldBy { holder, token: FencingToken(3) };
        let (of_part, status) = watch::channel(held.clone());
        let to = watch::Sender::new(LeaseStatus::Unheld);
        let mut seen = to.subscribe();
        let forwarding = forward(status, &to);
        tokio::pin!(forwarding);
        tokio::select! {
            () = &mut forwarding => panic!("it ends with its sender only"),
            said = seen.wait_for(|status| *status == held) => drop(said),
        }
        drop(of_part);
        forwarding.await;
        assert_eq!(*to.borrow(), LeaseStatus::Unheld);
    }
}
