//! The whole of a run: what waits for what, how many at once, and what is told and remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use constellation_core::{Clock, ServiceId, error_chain};
use constellation_docker::RuntimeError;
use futures::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    event::{Happening, Watcher},
    images::{Fetch, fetch},
    judge::{Progress, await_condition},
    step::{Bench, Failure, Work},
};
use crate::{
    host::Host,
    language::Condition,
    plan::{Actual, Deed, Found, Plan, Role, ServiceStep},
    problem::Problem,
    render::{Desired, Rendered},
    store::{Entry, Journal, Outcome, Store, StoreError},
};

/// How a plan is carried out.
pub struct Apply<'a> {
    /// Where.
    pub host: &'a dyn Host,
    /// Time.
    pub clock: &'a dyn Clock,
    /// What is remembered.
    pub store: &'a Store,
    /// Who watches.
    pub watcher: &'a dyn Watcher,
    /// How many services at once.
    pub parallel: usize,
    /// The command, for the history.
    pub command: String,
    /// Which images are fetched although they are here.
    pub fetch: Fetch,
    /// No step begins once this is cancelled; those that have begun come to their end.
    pub stopping: CancellationToken,
}

/// How a service fared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ServiceResult {
    /// Which.
    pub service: ServiceId,
    /// What was to be done.
    pub deed: Deed,
    /// How it went.
    pub outcome: Outcome,
    /// The last lines of a container that failed.
    pub log: Vec<String>,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// The number of the run in the history.
    pub run: u64,
    /// Every step.
    pub results: Vec<ServiceResult>,
}

impl Applied {
    /// Whether everything is as it should be.
    pub fn is_ok(&self) -> bool {
        self.results.iter().all(|result| result.outcome == Outcome::Done)
    }
}

/// A plan could not be carried out. No service was begun.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Things must be put in order first.
    #[error("nothing was done: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Blocked(Vec<Problem>),
    /// Somebody asked for the end before anything was done.
    #[error("nothing was done: it was interrupted while images were fetched")]
    Interrupted,
    /// A network or volume could not be made, or not be looked at. Where a network was to be made anew, services may be off
    /// it now: the next run puts them back.
    #[error("no service was begun; networks and volumes that came before are made")]
    Ground(#[source] RuntimeError),
    /// The history could not be begun.
    #[error("no service was begun, because the history could not be written")]
    Store(#[from] StoreError),
}

/// Why a step was left out that had not begun.
const INTERRUPTED: &str = "the run was interrupted";

/// How far a service is, for those that wait for it; `Err` where it will not come.
type Standing = Result<Progress, String>;

impl Apply<'_> {
    /// Carries the plan out. Every step ends in one way or another, and the history tells which.
    ///
    /// # Errors
    /// Where nothing could be done at all.
    pub async fn run(&self, desired: &Desired, actual: &Actual, plan: &Plan) -> Result<Applied, ApplyError> {
        if !plan.blockers.is_empty() {
            return Err(ApplyError::Blocked(plan.blockers.clone()));
        }
        let needs_image = |step: &&ServiceStep| matches!(step.deed, Deed::Create | Deed::Recreate);
        let wanted: BTreeSet<&ServiceId> =
            plan.services.iter().filter(needs_image).map(|step| &step.service).collect();
        let services = desired.services.iter().filter(|service| wanted.contains(&service.id));
        tokio::select! {
            fetched = fetch(self.host, services, self.fetch, self.watcher) => fetched.map_err(ApplyError::Blocked)?,
            () = self.stopping.cancelled() => return Err(ApplyError::Interrupted),
        }
        self.look_at_networks(actual, plan).await?;
        // Of a replacement that was interrupted, the one that is in place counts.
        let mut there: Vec<&Found> = actual.ours.iter().collect();
        there.sort_by_key(|found| found.role == Role::Current);
        let before = there.into_iter().map(|found| (found.service.clone(), found.definition.clone()));
        let first = Entry::Begun {
            at_ms: self.clock.wall().0,
            command: self.command.clone(),
            plan: plan.hash(),
            before: before.collect(),
        };
        let journal = Mutex::new(self.store.begin(&first)?);
        let run = lock(&journal).number;
        self.ground(desired, actual, plan).await.map_err(ApplyError::Ground)?;
        let mut results = self.services(desired, actual, plan, &journal).await;
        let removals: Vec<&ServiceStep> =
            plan.services.iter().filter(|step| step.deed == Deed::Remove).collect();
        for wave in removals.chunk_by(|a, b| a.wave == b.wave) {
            let steps = stream::iter(wave.iter().copied())
                .map(|step| self.removal(step, actual, &journal))
                .buffer_unordered(self.parallel.max(1));
            results.extend(steps.collect::<Vec<_>>().await);
        }
        let applied = Applied { run, results };
        let last = Entry::Ended { at_ms: self.clock.wall().0, ok: applied.is_ok() };
        // Everything is done: a summary that is lost would help nobody.
        if let Err(error) = lock(&journal).write(&last) {
            let what =
                format!("the end of run {run} could not be written to the history: {}", error_chain(&error));
            self.watcher.tell(Happening::Trouble { what });
        }
        Ok(applied)
    }

    async fn services(
        &self,
        desired: &Desired,
        actual: &Actual,
        plan: &Plan,
        journal: &Mutex<Journal>,
    ) -> Vec<ServiceResult> {
        let steps: Vec<&ServiceStep> =
            plan.services.iter().filter(|step| step.deed != Deed::Remove).collect();
        let standings: BTreeMap<&ServiceId, watch::Sender<Standing>> =
            steps.iter().map(|step| (&step.service, watch::Sender::new(Ok(Progress::Pending)))).collect();
        let places = Semaphore::new(self.parallel.max(1));
        let groups = groups(desired);
        let mut running: FuturesUnordered<_> = steps
            .iter()
            .filter_map(|step| {
                Some((*step, desired.services.iter().find(|service| service.id == step.service)?))
            })
            .map(|(step, service)| {
                let (standings, places, groups) = (&standings, &places, &groups);
                async move {
                    let result = match self.wait(service, desired, actual, standings).await {
                        Err(why) => self.skipped(step, why, journal),
                        Ok(()) => {
                            let group = groups.get(&group_of(service));
                            let _turn = match group {
                                Some(group) => group.acquire().await.ok(),
                                None => None,
                            };
                            let _place = places.acquire().await.ok();
                            if self.stopping.is_cancelled() {
                                self.skipped(step, INTERRUPTED.to_owned(), journal)
                            } else {
                                let tell = |progress: Progress| {
                                    if let Some(standing) = standings.get(&step.service) {
                                        standing.send_if_modified(|now| {
                                            let higher = now.as_ref().is_ok_and(|now| progress > *now);
                                            if higher {
                                                *now = Ok(progress);
                                            }
                                            higher
                                        });
                                    }
                                };
                                self.one(step, Some(service), actual, &tell, journal).await
                            }
                        }
                    };
                    if let Some(standing) = standings.get(&step.service) {
                        let _before = standing.send_replace(match &result.outcome {
                            Outcome::Done => Ok(Progress::Settled),
                            _ => Err(format!("{} failed", step.service)),
                        });
                    }
                    result
                }
            })
            .collect();
        let mut results = Vec::new();
        while let Some(result) = running.next().await {
            results.push(result);
        }
        results
    }

    /// Waits until everything that a service waits for is there.
    async fn wait(
        &self,
        service: &Rendered,
        desired: &Desired,
        actual: &Actual,
        standings: &BTreeMap<&ServiceId, watch::Sender<Standing>>,
    ) -> Result<(), String> {
        for (other, condition) in &service.depends_on {
            if let Some(standing) = standings.get(other) {
                let enough = match condition {
                    Condition::Started => Progress::Started,
                    Condition::Healthy => Progress::Healthy,
                    Condition::Completed => Progress::Settled,
                };
                let mut standing = standing.subscribe();
                let reached = standing.wait_for(|now| now.as_ref().map_or(true, |now| *now >= enough)).await;
                match reached.as_deref() {
                    Ok(Ok(_)) => continue,
                    Ok(Err(why)) => return Err(format!("it waits for {other}: {why}")),
                    Err(_) => return Err(format!("it waits for {other}, which nobody looks after any more")),
                }
            }
            let found = current(actual, other);
            let rendered = desired.services.iter().find(|service| service.id == *other);
            let (Some(found), Some(rendered)) = (found, rendered) else {
                return Err(format!("it waits for {other}, and there is none"));
            };
            await_condition(self.host, self.clock, &found.id, *condition, rendered)
                .await
                .map_err(|error| format!("it waits for {other}: {}", error_chain(&error)))?;
        }
        Ok(())
    }

    async fn removal(&self, step: &ServiceStep, actual: &Actual, journal: &Mutex<Journal>) -> ServiceResult {
        if self.stopping.is_cancelled() {
            return self.skipped(step, INTERRUPTED.to_owned(), journal);
        }
        self.one(step, None, actual, &|_| {}, journal).await
    }

    async fn one(
        &self,
        step: &ServiceStep,
        service: Option<&Rendered>,
        actual: &Actual,
        tell: &(dyn Fn(Progress) + Send + Sync),
        journal: &Mutex<Journal>,
    ) -> ServiceResult {
        let begun = self.clock.now();
        self.watcher.tell(Happening::Began { service: step.service.clone(), deed: step.deed });
        let found = step.current.as_ref().and_then(|id| actual.ours.iter().find(|found| found.id == *id));
        let bench = Bench { host: self.host, clock: self.clock, store: self.store, watcher: self.watcher };
        let work = Work { step, service, found, tell };
        let (outcome, log) = match bench.perform(&work).await {
            Ok(()) => (Outcome::Done, Vec::new()),
            Err(Failure { outcome, log }) => (outcome, log),
        };
        let result = self.told(step, outcome, log, journal);
        self.watcher.tell(Happening::Ended {
            service: step.service.clone(),
            deed: step.deed,
            outcome: result.outcome.clone(),
            took: self.clock.now().since(begun),
            log: result.log.clone(),
        });
        result
    }

    fn skipped(&self, step: &ServiceStep, why: String, journal: &Mutex<Journal>) -> ServiceResult {
        let result = self.told(step, Outcome::Skipped(why), Vec::new(), journal);
        self.watcher.tell(Happening::Ended {
            service: step.service.clone(),
            deed: step.deed,
            outcome: result.outcome.clone(),
            took: std::time::Duration::ZERO,
            log: Vec::new(),
        });
        result
    }

    fn told(
        &self,
        step: &ServiceStep,
        outcome: Outcome,
        log: Vec<String>,
        journal: &Mutex<Journal>,
    ) -> ServiceResult {
        let entry = Entry::Step {
            service: step.service.clone(),
            deed: step.deed,
            outcome: outcome.clone(),
            definition: step.to.clone(),
        };
        // What was done is done: a history that cannot be written must not undo it, and must be said.
        if let Err(error) = lock(journal).write(&entry) {
            let why =
                format!("{} could not be written to the history: {}", step.service, error_chain(&error));
            self.watcher.tell(Happening::Trouble { what: why });
        }
        ServiceResult { service: step.service.clone(), deed: step.deed, outcome, log }
    }
}

fn current<'a>(actual: &'a Actual, id: &ServiceId) -> Option<&'a Found> {
    actual.ours.iter().find(|found| found.service == *id && found.role == Role::Current)
}

/// Services of one stack that ask for the same parallelism share that many turns.
type Group = (String, u16);

fn group_of(service: &Rendered) -> Group {
    let stack = service.id.stack().unwrap_or_default().to_owned();
    (stack, service.update.parallelism.unwrap_or(0))
}

fn groups(desired: &Desired) -> BTreeMap<Group, Semaphore> {
    let groups = desired.services.iter().map(group_of).filter(|(_, turns)| *turns > 0);
    groups.map(|group| (group.clone(), Semaphore::new(usize::from(group.1)))).collect()
}

fn lock(journal: &Mutex<Journal>) -> std::sync::MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
