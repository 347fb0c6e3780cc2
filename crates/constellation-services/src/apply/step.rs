//! One service from what it is to what it should be, in an order that can be broken off anywhere: at each moment the
//! engine alone tells what is to be done next.

use std::time::Duration;

use constellation_core::{Clock, error_chain};
use constellation_docker::{ContainerId, RuntimeError};

use super::{
    event::{Happening, Watcher},
    judge::{Progress, Unfit, judge},
};
use crate::{
    host::Host,
    language::Order,
    material::{self, MaterialError},
    plan::{Deed, Found, NEXT_SUFFIX, OLD_SUFFIX, ServiceStep, candidate_hostname},
    render::Rendered,
    store::{Outcome, Store, StoreError},
};

/// Lines of a failed container's output that are shown.
const LOG_LINES: usize = 20;
/// How long a container may take to end that does not say.
pub(crate) const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// What a step works with.
pub(super) struct Bench<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) clock: &'a dyn Clock,
    pub(super) store: &'a Store,
    pub(super) watcher: &'a dyn Watcher,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Unfit(String),
}

impl From<Unfit> for StepError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Failed(why) => Self::Unfit(why),
            Unfit::Runtime(error) => Self::Runtime(error),
        }
    }
}

/// A step that failed, after what could be put back was put back.
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    pub(super) log: Vec<String>,
}

/// The step's own view: the service, its container before, and whom to tell.
pub(super) struct Work<'a> {
    pub(super) step: &'a ServiceStep,
    /// `None` for a removal.
    pub(super) service: Option<&'a Rendered>,
    pub(super) found: Option<&'a Found>,
    pub(super) tell: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Bench<'_> {
    fn stage(&self, work: &Work<'_>, stage: impl Into<String>) {
        self.watcher.tell(Happening::Stage { service: work.step.service.clone(), stage: stage.into() });
    }

    /// Carries a step out.
    pub(super) async fn perform(&self, work: &Work<'_>) -> Result<(), Failure> {
        self.tidy(work).await.map_err(plain)?;
        let Some(service) = work.service else {
            return self.remove(work).await.map_err(plain);
        };
        match work.step.deed {
            Deed::Create => self.create(work, service).await,
            Deed::Recreate => self.recreate(work, service).await,
            Deed::Change => self.change(work, service).await,
            Deed::Finish => self.finish(work, service).await,
            Deed::Remove => Ok(()),
        }
    }

    /// Puts in order what an interrupted run left behind.
    async fn tidy(&self, work: &Work<'_>) -> Result<(), StepError> {
        for leftover in &work.step.leftovers {
            self.stage(work, "removing what an interrupted run left");
            self.host.remove(leftover, true).await?;
        }
        if let Some(old) = work.step.restore.as_ref().filter(|_| work.step.deed != Deed::Finish) {
            self.stage(work, "giving the one that ran before its name back");
            self.host.rename(old, &work.step.container).await?;
            if work.step.order == Some(Order::StartFirst) {
                // It serves until the new one is there; where it cannot, the new one is all the more urgent.
                let _ = self.host.start(old).await;
            }
        }
        Ok(())
    }

    async fn make(&self, work: &Work<'_>, service: &Rendered, name: &str) -> Result<ContainerId, StepError> {
        material::put(service)?;
        self.store.remember(service)?;
        self.stage(work, "creating");
        let mut spec = service.spec.clone();
        if spec.name != name {
            // Whoever asks for the service by name must not meet one that nobody has judged. The engine's names follow
            // the container's, so it is found by this one from the moment it takes it.
            for aliases in spec.networks.values_mut() {
                aliases.retain(|alias| *alias != service.spec.name);
            }
            // The engine makes an alias of the host name, too.
            if spec.hostname.as_ref() == Some(&service.spec.name) {
                spec.hostname = Some(candidate_hostname(&service.spec.name, &service.definition));
            }
        }
        name.clone_into(&mut spec.name);
        Ok(self.host.create(&spec).await?)
    }

    async fn start_and_judge(
        &self,
        work: &Work<'_>,
        service: &Rendered,
        id: &ContainerId,
    ) -> Result<(), StepError> {
        self.stage(work, "starting");
        self.host.start(id).await?;
        let waiting = if service.job { "waiting for it to complete" } else { "waiting for it to be ready" };
        self.stage(work, waiting);
        Ok(judge(self.host, self.clock, id, service, work.tell).await?)
    }

    async fn create(&self, work: &Work<'_>, service: &Rendered) -> Result<(), Failure> {
        let id = self.make(work, service, &service.spec.name).await.map_err(plain)?;
        match self.start_and_judge(work, service, &id).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let log = self.last_lines(&id).await;
                let mut why = error_chain(&error);
                // A job that failed is kept: what it did is done, and its output tells why.
                if !service.job
                    && let Err(left) = self.host.remove(&id, true).await
                {
                    why.push_str(&format!("; and it could not be removed: {}", error_chain(&left)));
                }
                Err(Failure { outcome: Outcome::Failed(why), log })
            }
        }
    }

    async fn recreate(&self, work: &Work<'_>, service: &Rendered) -> Result<(), Failure> {
        let Some(old) = &work.step.current else { return self.create(work, service).await };
        if service.job {
            // Nothing of a job that has ended is worth keeping but its output, and that is of the old definition.
            self.stop(work, old, None).await.map_err(plain)?;
            self.host.remove(old, true).await.map_err(plain)?;
            self.disown(work)?;
            return self.create(work, service).await;
        }
        if !self.host.can_rename() {
            return self.replace_by_name(work, service, old).await;
        }
        match service.order {
            Order::StartFirst => self.start_first(work, service, old).await,
            Order::StopFirst => self.stop_first(work, service, old).await,
        }
    }

    async fn start_first(
        &self,
        work: &Work<'_>,
        service: &Rendered,
        old: &ContainerId,
    ) -> Result<(), Failure> {
        let name = &service.spec.name;
        let new = self.make(work, service, &format!("{name}{NEXT_SUFFIX}")).await;
        // Until here the old one was not touched.
        let new = new.map_err(|error| Failure {
            outcome: Outcome::RolledBack(error_chain(&error)),
            log: Vec::new(),
        })?;
        if let Err(error) = self.start_and_judge(work, service, &new).await {
            let log = self.last_lines(&new).await;
            let mut why = error_chain(&error);
            if let Err(left) = self.host.remove(&new, true).await {
                why.push_str(&format!("; and the new one could not be removed: {}", error_chain(&left)));
            }
            return Err(Failure { outcome: Outcome::RolledBack(why), log });
        }
        self.stage(work, "taking its place");
        let put: Result<(), StepError> = async {
            self.host.rename(old, &format!("{name}{OLD_SUFFIX}")).await?;
            self.host.rename(&new, name).await?;
            self.disown_quietly(work)?;
            self.stop(work, old, work.found).await?;
            self.host.remove(old, true).await?;
            Ok(())
        }
        .await;
        put.map_err(plain)
    }

    async fn stop_first(
        &self,
        work: &Work<'_>,
        service: &Rendered,
        old: &ContainerId,
    ) -> Result<(), Failure> {
        let name = &service.spec.name;
        let aside: Result<(), StepError> = async {
            material::put(service)?;
            self.store.remember(service)?;
            self.stop(work, old, work.found).await?;
            Ok(self.host.rename(old, &format!("{name}{OLD_SUFFIX}")).await?)
        }
        .await;
        if let Err(error) = aside {
            return Err(self.back_to(work, old, None, error).await);
        }
        let new = match self.make(work, service, name).await {
            Ok(new) => new,
            Err(error) => return Err(self.back_to(work, old, None, error).await),
        };
        match self.start_and_judge(work, service, &new).await {
            Ok(()) => {
                self.disown_quietly(work).map_err(plain)?;
                self.host.remove(old, true).await.map_err(plain)
            }
            Err(error) => Err(self.back_to(work, old, Some(&new), error).await),
        }
    }

    /// The new one did not work: it goes, and the old one gets its name back and runs again.
    async fn back_to(
        &self,
        work: &Work<'_>,
        old: &ContainerId,
        new: Option<&ContainerId>,
        error: StepError,
    ) -> Failure {
        let mut why = error_chain(&error);
        let mut log = Vec::new();
        self.stage(work, "going back to what ran before");
        let back = async {
            if let Some(new) = new {
                log = self.last_lines(new).await;
                self.host.remove(new, true).await?;
            }
            if self.host.inspect(old).await?.name != work.step.container {
                self.host.rename(old, &work.step.container).await?;
            }
            self.host.start(old).await
        };
        match back.await {
            Ok(()) => Failure { outcome: Outcome::RolledBack(why), log },
            Err(left) => {
                why.push_str(&format!("; and going back failed, too: {}", error_chain(&left)));
                Failure { outcome: Outcome::Failed(why), log }
            }
        }
    }

    /// Where containers cannot be renamed: the old one goes, and is made anew where the new one does not work.
    async fn replace_by_name(
        &self,
        work: &Work<'_>,
        service: &Rendered,
        old: &ContainerId,
    ) -> Result<(), Failure> {
        let before = work.found.map(|found| found.spec.clone());
        let out: Result<(), StepError> = async {
            material::put(service)?;
            self.store.remember(service)?;
            self.stop(work, old, work.found).await?;
            Ok(self.host.remove(old, true).await?)
        }
        .await;
        out.map_err(plain)?;
        let Err(mut failure) = self.create(work, service).await else { return Ok(()) };
        let Some(before) = before else { return Err(failure) };
        self.stage(work, "going back to what ran before");
        let back = async {
            let id = self.host.create(&before).await?;
            self.host.start(&id).await
        };
        if let Outcome::Failed(why) = &failure.outcome {
            failure.outcome = match back.await {
                Ok(()) => Outcome::RolledBack(why.clone()),
                Err(left) => {
                    Outcome::Failed(format!("{why}; and going back failed, too: {}", error_chain(&left)))
                }
            };
        }
        Err(failure)
    }

    async fn change(&self, work: &Work<'_>, service: &Rendered) -> Result<(), Failure> {
        let Some(id) = &work.step.current else { return self.create(work, service).await };
        material::put(service).map_err(plain)?;
        if let Err(error) = self.start_and_judge(work, service, id).await {
            let log = self.last_lines(id).await;
            return Err(Failure { outcome: Outcome::Failed(error_chain(&error)), log });
        }
        Ok(())
    }

    async fn finish(&self, work: &Work<'_>, service: &Rendered) -> Result<(), Failure> {
        let (Some(new), Some(old)) = (&work.step.current, &work.step.restore) else { return Ok(()) };
        match self.start_and_judge(work, service, new).await {
            Ok(()) => {
                let done: Result<(), StepError> = async {
                    self.disown_quietly(work)?;
                    self.stop(work, old, None).await?;
                    Ok(self.host.remove(old, true).await?)
                }
                .await;
                done.map_err(plain)
            }
            Err(error) => Err(self.back_to(work, old, Some(new), error).await),
        }
    }

    async fn remove(&self, work: &Work<'_>) -> Result<(), StepError> {
        if let Some(id) = &work.step.current {
            self.stop(work, id, work.found).await?;
            self.host.remove(id, true).await?;
        }
        self.disown_quietly(work)
    }

    async fn stop(&self, work: &Work<'_>, id: &ContainerId, found: Option<&Found>) -> Result<(), StepError> {
        self.stage(work, "stopping the old one");
        let grace = found.and_then(|found| found.spec.stop_grace).unwrap_or(GRACE_DEFAULT);
        match self.host.stop(id, grace).await {
            Ok(_) | Err(RuntimeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What was taken over and has been replaced by one of our own needs no note any more.
    fn disown_quietly(&self, work: &Work<'_>) -> Result<(), StepError> {
        Ok(self.store.adopt(&work.step.service, None)?)
    }

    fn disown(&self, work: &Work<'_>) -> Result<(), Failure> {
        self.disown_quietly(work).map_err(plain)
    }

    async fn last_lines(&self, id: &ContainerId) -> Vec<String> {
        match self.host.logs(id, LOG_LINES).await {
            Ok(lines) => lines.into_iter().map(|line| line.text).collect(),
            Err(error) => vec![format!("(its output could not be read: {})", error_chain(&error))],
        }
    }
}

fn plain(error: impl Into<StepError>) -> Failure {
    Failure { outcome: Outcome::Failed(error_chain(&error.into())), log: Vec::new() }
}
