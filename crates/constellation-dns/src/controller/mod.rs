//! Keeps a zone as it should be, while this process may.
//!
//! One task looks whenever the view or a lease changes, and every minute because zones are changed by others, too. It asks
//! right before each request whether it still may, and stops in the middle where not.

mod core;
mod drift;
mod handle;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use constellation_core::{Clock, ClusterId, ClusterView, FencingToken, LeaseStatus};
use constellation_tasks::{Early, Supervisor, nudge};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use self::core::Core;
pub use self::{
    handle::{DnsHandle, WriteError},
    status::{Counters, DnsStatus, Outcome, Stage},
};
use crate::{
    desired::DnsConfig,
    plan::{Guard, Strategy},
    presence::{Patience, Presence},
    provider::DnsProvider,
};

/// Whether this process may write, asked right before each request.
pub trait Permit: Send + Sync + 'static {
    /// Under which token; `None` where it may not.
    fn may_write(&self) -> Option<FencingToken>;
}

impl<F: Fn() -> Option<FencingToken> + Send + Sync + 'static> Permit for F {
    fn may_write(&self) -> Option<FencingToken> {
        self()
    }
}

/// Settings of the controller.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Whose records these are.
    pub cluster: ClusterId,
    /// What is wanted.
    pub dns: DnsConfig,
    /// How long silent machines are waited for.
    pub patience: Patience,
    /// After a start the view is not whole for so long: which machines there are is not known before.
    pub warm_up: Duration,
    /// What may be done at all.
    pub strategy: Strategy,
    /// How much of it at once.
    pub guard: Guard,
    /// Make plans, and carry none out.
    pub dry_run: bool,
    /// The zone is read at least this often.
    pub every: Duration,
    /// After a write it is read again soon: what was written is believed when it was seen.
    pub second_look: Duration,
}

impl ControllerConfig {
    /// Every default.
    pub fn of(cluster: ClusterId, dns: DnsConfig) -> Self {
        Self {
            cluster,
            dns,
            patience: Patience::default(),
            warm_up: Duration::from_secs(5),
            strategy: Strategy::Sync,
            guard: Guard::default(),
            dry_run: false,
            every: Duration::from_secs(60),
            second_look: Duration::from_secs(5),
        }
    }
}

/// What the controller needs of the rest of the process.
pub struct Controller {
    /// Settings.
    pub config: ControllerConfig,
    /// The zone.
    pub provider: Arc<dyn DnsProvider>,
    /// Whether it may write.
    pub permit: Arc<dyn Permit>,
    /// The cluster.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// The lease `lb-leader`.
    pub leader: watch::Receiver<LeaseStatus>,
    /// The lease `dns-writer`: to wake up when it comes or goes, never to decide by.
    pub writer: watch::Receiver<LeaseStatus>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Controller {
    /// Starts to look after the zone.
    pub fn start(self, supervisor: &Supervisor) -> DnsHandle {
        let Self { config, provider, permit, view, leader, writer, clock } = self;
        let status = DnsStatus::new(provider.place(), config.dry_run);
        let core = Arc::new(Core {
            presence: std::sync::Mutex::new(Presence::new(config.patience)),
            started: clock.now(),
            config,
            provider,
            permit,
            view,
            leader,
            writer,
            clock,
            pen: Mutex::default(),
            status: watch::Sender::new(Arc::new(status)),
            look: nudge(),
        });
        let shutdown = supervisor.shutdown();
        supervisor.spawn("dns", Early::Fatal, keep(Arc::clone(&core), shutdown));
        DnsHandle { core }
    }
}

async fn keep(core: Arc<Core>, shutdown: CancellationToken) {
    let (mut view, mut leader, mut writer) = (core.view.clone(), core.leader.clone(), core.writer.clone());
    loop {
        view.mark_unchanged();
        leader.mark_unchanged();
        writer.mark_unchanged();
        let wait = tokio::select! {
            biased;
            // A request in flight is given up: whether it was done is what the next writer's first look shows.
            () = shutdown.cancelled() => return,
            wait = core.pass() => wait,
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = view.changed() => if changed.is_err() { return shutdown.cancelled().await },
            changed = leader.changed() => if changed.is_err() { return shutdown.cancelled().await },
            changed = writer.changed() => if changed.is_err() { return shutdown.cancelled().await },
            () = core.look.nudged() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
