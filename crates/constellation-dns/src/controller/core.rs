//! One look at the zone.

use std::{collections::BTreeSet, sync::Arc, sync::PoisonError, time::Duration};

use constellation_core::{Clock, ClusterView, FencingToken, LeaseStatus, Moment, NodeName, error_chain};
use constellation_tasks::{Backoff, Nudge, Schedule};
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use super::{
    ControllerConfig, Permit,
    drift::Drift,
    status::{DnsStatus, Outcome, Stage},
};
use crate::{
    desired::{Desired, Serving, desired},
    owner::{Marker, Owner, owner_of},
    plan::{Change, Plan, Policy, plan},
    presence::Presence,
    provider::{DnsError, DnsProvider, Retry},
    record::Found,
};

/// How many notes are kept.
const NOTES_MAX: usize = 20;

pub(super) struct Core {
    pub(super) config: ControllerConfig,
    pub(super) provider: Arc<dyn DnsProvider>,
    pub(super) permit: Arc<dyn Permit>,
    pub(super) view: watch::Receiver<Arc<ClusterView>>,
    pub(super) leader: watch::Receiver<LeaseStatus>,
    pub(super) writer: watch::Receiver<LeaseStatus>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) presence: std::sync::Mutex<Presence>,
    pub(super) started: Moment,
    /// Whoever writes holds it, so that a person's command and the task do not cross.
    pub(super) pen: Mutex<Pen>,
    pub(super) status: watch::Sender<Arc<DnsStatus>>,
    pub(super) look: Nudge,
}

/// What the last look left behind.
pub(super) struct Pen {
    drift: Drift,
    backoff: Backoff,
    /// What was wanted, and under which token, when the zone was last looked at.
    last: Option<(Desired, FencingToken)>,
    /// Not before then, unless something else is wanted.
    next: Moment,
    /// Not before then, whatever is wanted.
    closed: Moment,
}

impl Default for Pen {
    fn default() -> Self {
        Self {
            drift: Drift::default(),
            backoff: Backoff::new(Schedule::default()),
            last: None,
            next: Moment::START,
            closed: Moment::START,
        }
    }
}

impl Pen {
    /// Somebody else wrote: what was seen of the zone is no longer so.
    pub(super) fn look_soon(&mut self) {
        self.next = Moment::START;
    }
}

/// Why a plan was not carried out to the end.
enum Stopped {
    Overtaken,
    Failed(DnsError),
}

impl Core {
    pub(super) fn say(&self, change: impl FnOnce(&mut DnsStatus)) {
        self.status.send_modify(|status| change(Arc::make_mut(status)));
    }

    /// What should be, now; and when to look again though nothing changes.
    pub(super) fn wanted(&self) -> (Desired, Option<Duration>) {
        let view = Arc::clone(&self.view.borrow());
        let now = self.clock.now();
        let mut presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        let (present, mut again) = presence.step(&view, now);
        drop(presence);
        let young = self.config.warm_up.saturating_sub(now.since(self.started));
        let present: Option<BTreeSet<NodeName>> = if young.is_zero() {
            Some(present)
        } else {
            again = Some(again.map_or(young, |again| again.min(young)));
            None
        };
        let leader = match &*self.leader.borrow() {
            LeaseStatus::Unheld => None,
            LeaseStatus::HeldBy { holder, .. } => Some(holder.node.clone()),
            LeaseStatus::Held { .. } => Some(view.me().clone()),
        };
        let serving = Serving { leader, present };
        (desired(&view, &serving, &self.config.dns, &self.provider.rules()), again)
    }

    pub(super) fn policy(&self, token: Option<FencingToken>, force: bool) -> Policy {
        let machines = self.view.borrow().members().count();
        Policy {
            strategy: self.config.strategy,
            guard: self.config.guard.of_machines(machines),
            force,
            cluster: self.config.cluster.clone(),
            token,
        }
    }

    pub(super) fn marker(&self, token: FencingToken) -> Marker {
        Marker { cluster: self.config.cluster.clone(), token }
    }

    /// Reads the whole zone.
    pub(super) async fn read(&self) -> Result<Vec<Found>, DnsError> {
        let zone = self.provider.records().await;
        let (usage, wall) = (self.provider.usage(), self.clock.wall());
        self.say(|status| {
            status.looked = Some(wall);
            status.counters.reads += 1;
            status.requests = usage.requests;
            status.requests_left = usage.left;
        });
        zone
    }

    /// One look, if there is reason for one. How long to wait for the next.
    pub(super) async fn pass(&self) -> Duration {
        // The pen first: what is wanted while another pass writes may be another thing by the time that one is done.
        let mut pen = self.pen.lock().await;
        let (wanted, again) = self.wanted();
        let wait = self.pass_with(&mut pen, wanted).await;
        again.map_or(wait, |again| wait.min(again.max(Duration::from_millis(1))))
    }

    async fn pass_with(&self, pen: &mut Pen, wanted: Desired) -> Duration {
        let every = self.config.every;
        let Some(token) = self.permit.may_write() else {
            // Whoever writes next, this one knows nothing of the zone any more.
            pen.last = None;
            let stage = if self.config.dry_run { Stage::DryRun } else { Stage::Standby };
            self.say(|status| (status.stage, status.token, status.error) = (stage, None, None));
            return every;
        };
        let stage = match (self.config.dry_run, self.view.borrow().evidence().looks_cut_off()) {
            (true, _) => Stage::DryRun,
            (false, true) => Stage::Frozen,
            (false, false) => Stage::Writing,
        };
        self.say(|status| (status.stage, status.token) = (stage, Some(token.0)));
        if stage == Stage::Frozen {
            return every;
        }
        let now = self.clock.now();
        let asked = (wanted, token);
        let not_before =
            if pen.last.as_ref() == Some(&asked) { pen.next.max(pen.closed) } else { pen.closed };
        let early = not_before.since(now);
        if !early.is_zero() {
            return early;
        }
        let began = now;
        let wait = match self.read().await {
            Ok(zone) => self.close_the_gap(pen, &asked.0, token, &zone, began).await,
            Err(error) => self.failed(pen, &error),
        };
        pen.last = Some(asked);
        pen.next = self.clock.now() + wait;
        wait
    }

    async fn close_the_gap(
        &self,
        pen: &mut Pen,
        wanted: &Desired,
        token: FencingToken,
        zone: &[Found],
        began: Moment,
    ) -> Duration {
        let plan = plan(wanted, zone, &self.policy(Some(token), false));
        for note in pen.drift.look(&plan, zone) {
            warn!(note, "a record of ours was changed by somebody else");
            self.say(|status| {
                status.counters.drifted += 1;
                status.notes.push(note);
                let too_many = status.notes.len().saturating_sub(NOTES_MAX);
                status.notes.drain(..too_many);
            });
        }
        let new = self.status.borrow().plan.as_ref() != Some(&plan);
        if new && !(plan.is_empty() && plan.refused.is_empty()) {
            info!(zone = self.provider.place(), dry_run = self.config.dry_run, "plan: {plan}");
        }
        self.say(|status| {
            if !plan.is_empty() {
                status.last_change = Some(plan.clone());
            }
            status.plan = Some(plan.clone());
        });
        if self.config.dry_run {
            return self.config.every;
        }
        if plan.is_empty() {
            pen.backoff.succeeded();
            let ours = |found: &&Found| matches!(owner_of(found, &self.config.cluster), Owner::Us(_));
            pen.drift.settled(zone.iter().filter(ours).cloned());
            let wall = self.clock.wall();
            self.say(|status| {
                (status.outcome, status.settled, status.error) = (Some(Outcome::Settled), Some(wall), None);
            });
            return self.config.every;
        }
        match self.carry_out(&plan, token).await {
            Ok(()) => {
                pen.backoff.succeeded();
                let took = self.clock.now().since(began);
                let (create, change, remove) = plan.counts();
                info!(
                    zone = self.provider.place(),
                    token = token.0,
                    create,
                    change,
                    remove,
                    ?took,
                    "the zone was changed"
                );
                self.say(|status| {
                    (status.outcome, status.error) = (Some(Outcome::Changed), None);
                    status.took_ms = u64::try_from(took.as_millis()).ok();
                });
                self.config.second_look.min(self.config.every)
            }
            Err(Stopped::Overtaken) => {
                self.say(|status| status.outcome = Some(Outcome::Overtaken));
                self.config.every
            }
            Err(Stopped::Failed(error)) => self.failed(pen, &error),
        }
    }

    /// Carries a plan out, batch by batch, and only as long as the token is still ours.
    async fn carry_out(&self, plan: &Plan, token: FencingToken) -> Result<(), Stopped> {
        for batch in plan.batches(self.provider.rules().batch_max) {
            self.write(&batch, token).await?;
        }
        Ok(())
    }

    async fn write(&self, batch: &[Change], token: FencingToken) -> Result<(), Stopped> {
        if self.permit.may_write() != Some(token) {
            return Err(Stopped::Overtaken);
        }
        let written = self.provider.apply(batch, &self.marker(token)).await;
        let usage = self.provider.usage();
        self.say(|status| {
            (status.requests, status.requests_left) = (usage.requests, usage.left);
            if written.is_ok() {
                status.counters.writes += 1;
                status.counters.changes += batch.len() as u64;
            }
        });
        written.map_err(Stopped::Failed)
    }

    /// What a person asked for. `Ok(false)` where the right to write ended meanwhile.
    pub(super) async fn write_for_a_person(
        &self,
        batches: &[Vec<Change>],
        token: FencingToken,
    ) -> Result<bool, DnsError> {
        for batch in batches {
            match self.write(batch, token).await {
                Ok(()) => {}
                Err(Stopped::Overtaken) => return Ok(false),
                Err(Stopped::Failed(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    fn failed(&self, pen: &mut Pen, error: &DnsError) -> Duration {
        let text = error_chain(error);
        let wait = pen.backoff.failed().min(self.config.every);
        let wait = match error.retry() {
            Retry::Backoff => wait,
            Retry::After(least) => {
                pen.closed = self.clock.now() + least;
                least.max(wait)
            }
            // Nothing that we do mends it; a person may have, by the next look.
            Retry::Mended => self.config.every,
        };
        if self.status.borrow().error.as_ref() != Some(&text) {
            warn!(zone = self.provider.place(), error = text, again_in = ?wait, "the zone could not be looked after");
        }
        self.say(|status| {
            status.counters.failures += 1;
            (status.outcome, status.error) = (Some(Outcome::Failed), Some(text));
        });
        wait
    }
}
