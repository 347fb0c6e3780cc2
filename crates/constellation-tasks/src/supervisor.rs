//! Who owns the tasks, what the early end of each means, and how they are brought to an end.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

use crate::backoff::{Backoff, Schedule};

/// What it means when a task ends although nobody asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// Its work was done: nothing to see.
    Fine,
    /// The process cannot do its duty without it: whoever waits on [`Supervisor::fatal`] must bring it down.
    Fatal,
}

/// How a drain went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every task came to its own end.
    Clean,
    /// Some did not within the grace, and were left behind.
    Abandoned {
        /// Their names.
        tasks: Vec<String>,
    },
}

/// How one run of a restarting task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned.
    Returned,
    /// It panicked, with this message.
    Panicked(String),
}

/// Owns the tasks of one floor of the process. Clones own them together.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shutdown: CancellationToken,
    tasks: TaskTracker,
    fatal: Arc<watch::Sender<Option<String>>>,
    running: Arc<Mutex<Vec<(u64, String)>>>,
    next: Arc<AtomicU64>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new() -> Self {
        Self {
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            fatal: Arc::new(watch::Sender::new(None)),
            running: Arc::default(),
            next: Arc::default(),
        }
    }

    /// A supervisor of another floor: drained by itself, reporting fatal ends to the same place.
    #[must_use]
    pub fn floor(&self) -> Self {
        Self { fatal: Arc::clone(&self.fatal), ..Self::new() }
    }

    /// Cancelled when a drain begins. A task that waits for anything waits for this, too.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Runs a task. `early` says what it means when it ends before the drain; a panic is always at least logged.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn<F>(&self, name: impl Into<String>, early: Early, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let this = self.clone();
        let id = this.enter(&name);
        let tracked = self.tasks.track_future(async move {
            let ended = caught(task).await;
            this.leave(id);
            if let Ended::Panicked(message) = &ended {
                error!(task = name, panic = message, "a task panicked");
            }
            if !this.shutdown.is_cancelled() && early == Early::Fatal {
                let why = match ended {
                    Ended::Returned => format!("the task `{name}` ended before its time"),
                    Ended::Panicked(message) => format!("the task `{name}` panicked: {message}"),
                };
                this.fatal.send_if_modified(|fatal| fatal.is_none() && fatal.replace(why).is_none());
            }
        });
        drop(tokio::spawn(tracked));
    }

    /// Runs a task that is made anew, after a wait, each time it ends before the drain.
    pub fn spawn_restarting<M, F>(&self, name: impl Into<String>, schedule: Schedule, mut make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let (shutdown, label) = (self.shutdown(), name.clone());
        self.spawn(name, Early::Fatal, async move {
            let mut backoff = Backoff::new(schedule);
            loop {
                let ended = caught(make()).await;
                if shutdown.is_cancelled() {
                    return;
                }
                let wait = backoff.failed();
                warn!(task = label, ?ended, ?wait, "a task ended before its time and is started again");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
    }

    /// Waits for the first fatal end of any task on any floor, and says which it was.
    pub async fn fatal(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        loop {
            if let Some(why) = fatal.borrow_and_update().clone() {
                return why;
            }
            if fatal.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Asks every task to end and waits for it, at most so long.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return Drained::Clean;
        }
        let tasks: Vec<String> = self.lock().iter().map(|(_, name)| name.clone()).collect();
        debug!(?tasks, "tasks did not end within their grace");
        Drained::Abandoned { tasks }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, String)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, name: &str) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().push((id, name.to_owned()));
        id
    }

    fn leave(&self, id: u64) {
        self.lock().retain(|(other, _)| *other != id);
    }
}

async fn caught<F: Future<Output = ()>>(task: F) -> Ended {
    match futures_catch(task).await {
        Ok(()) => Ended::Returned,
        Err(panic) => Ended::Panicked(
            panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "of an unknown kind".to_owned()),
        ),
    }
}

async fn futures_catch<F: Future<Output = ()>>(task: F) -> Result<(), Box<dyn std::any::Any + Send>> {
    use futures::FutureExt;
    AssertUnwindSafe(task).catch_unwind().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_the_work_that_is_under_way() {
        let supervisor = Supervisor::new();
        let (shutdown, done) = (supervisor.shutdown(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&done);
        supervisor.spawn("worker", Early::Fatal, async move {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(supervisor.drain(Duration::from_secs(5)).await, Drained::Clean);
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_will_not_end_is_named() {
        let supervisor = Supervisor::new();
        supervisor.spawn("stubborn", Early::Fine, std::future::pending());
        let drained = supervisor.drain(Duration::from_secs(1)).await;
        assert_eq!(drained, Drained::Abandoned { tasks: vec!["stubborn".to_owned()] });
    }

    #[tokio::test]
    async fn the_early_end_of_a_vital_task_on_any_floor_is_fatal() {
        let supervisor = Supervisor::new();
        let floor = supervisor.floor();
        floor.spawn("vital", Early::Fatal, async { panic!("out of luck") });
        assert_eq!(supervisor.fatal().await, "the task `vital` panicked: out of luck");
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarting_task_survives_its_panics() {
        let supervisor = Supervisor::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let (counted, reached) = (Arc::clone(&runs), Arc::new(tokio::sync::Notify::new()));
        let reach = Arc::clone(&reached);
        supervisor.spawn_restarting("flaky", Schedule::default(), move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            let reach = Arc::clone(&reach);
            async move {
                assert!(run >= 2, "not yet");
                reach.notify_one();
                std::future::pending::<()>().await;
            }
        });
        reached.notified().await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }
}
