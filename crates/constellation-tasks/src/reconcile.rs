//! The driver of "compare what should be with what is, and close the gap".
//!
//! A nudge or a timer starts a pass, and neither says what changed: the path after a crash is the everyday path.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, Schedule};

/// Asks for a pass soon. Many nudges before the next pass are one.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Asks for a pass.
    pub fn nudge(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody asked since the last time.
    pub async fn nudged(&self) {
        self.0.notified().await;
    }
}

/// A fresh nudge.
pub fn nudge() -> Nudge {
    Nudge(Arc::default())
}

/// How a pass went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// What is, is what should be.
    Settled,
    /// It failed: try again with backoff, not only at the next interval.
    Failed,
}

/// When passes run.
#[derive(Clone, Copy, Debug)]
pub struct Reconciler {
    /// A pass runs at least this often.
    pub every: Duration,
    /// How long to wait after failures.
    pub retry: Schedule,
}

impl Reconciler {
    /// Runs passes until the shutdown: one at once, one at each nudge, one at each interval, and after a failure one
    /// after each wait. A nudge cuts a wait short.
    pub async fn run<F, P>(self, nudge: Nudge, shutdown: CancellationToken, mut pass: F)
    where
        F: FnMut() -> P + Send,
        P: Future<Output = Pass> + Send,
    {
        let mut backoff = Backoff::new(self.retry);
        loop {
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                outcome = pass() => outcome,
            };
            let wait = match outcome {
                Pass::Settled => {
                    backoff.succeeded();
                    self.every
                }
                Pass::Failed => backoff.failed().min(self.every),
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = nudge.nudged() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Early, Supervisor};

    #[tokio::test(start_paused = true)]
    async fn a_failed_pass_is_tried_again_before_the_next_interval() {
        let (supervisor, passes) = (Supervisor::new(), Arc::new(AtomicUsize::new(0)));
        let settled = Arc::new(Notify::new());
        let (counted, settle, shutdown) = (Arc::clone(&passes), Arc::clone(&settled), supervisor.shutdown());
        let reconciler = Reconciler { every: Duration::from_secs(3600), retry: Schedule::default() };
        supervisor.spawn("passes", Early::Fatal, async move {
            reconciler
                .run(nudge(), shutdown, || {
                    let pass = counted.fetch_add(1, Ordering::SeqCst);
                    if pass == 3 {
                        settle.notify_one();
                    }
                    async move { if pass < 3 { Pass::Failed } else { Pass::Settled } }
                })
                .await;
        });
        tokio::time::timeout(Duration::from_secs(60), settled.notified()).await.unwrap();
        assert_eq!(supervisor.drain(Duration::from_secs(1)).await, crate::Drained::Clean);
        assert_eq!(passes.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nudge_starts_a_pass_at_once() {
        let (supervisor, nudges) = (Supervisor::new(), nudge());
        let (sender, mut passes) = tokio::sync::mpsc::channel(8);
        let (given, shutdown) = (nudges.clone(), supervisor.shutdown());
        let reconciler = Reconciler { every: Duration::from_secs(3600), retry: Schedule::default() };
        supervisor.spawn("passes", Early::Fatal, async move {
            reconciler
                .run(given, shutdown, || {
                    let sender = sender.clone();
                    async move {
                        sender.send(()).await.unwrap();
                        Pass::Settled
                    }
                })
                .await;
        });
        passes.recv().await.unwrap();
        nudges.nudge();
        let second = tokio::time::timeout(Duration::from_secs(1), passes.recv()).await;
        assert_eq!(second, Ok(Some(())));
    }
}
