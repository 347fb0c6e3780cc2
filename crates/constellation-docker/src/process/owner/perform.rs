//! Doing what [`Life`](super::Life) decided.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use tracing::{info, warn};

use super::Owner;
use crate::{
    error::RuntimeError,
    process::{
        life::{Effect, Event},
        main_process::MainProcess,
        probe,
        record::Record,
        signal,
        store::blocking,
        sweep::sweep,
    },
};

/// How soon a record is written again that could not be.
const PERSIST_AGAIN: Duration = Duration::from_secs(5);

impl Owner {
    /// Does it; says what came of it where the core waits for that.
    pub(super) async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn { by_hand } => return Some(self.spawn(by_hand).await),
            Effect::AskToEnd => {
                let signal = self.spec.stop_signal.as_deref().and_then(signal::parse).unwrap_or(Signal::TERM);
                self.signal_group(signal);
            }
            Effect::Kill => self.signal_group(Signal::KILL),
            Effect::Check => self.begin_check(),
            Effect::Tell(kind) => {
                // The state first: whoever hears of it looks at once.
                self.publish();
                self.shared.tell(&self.id, kind);
            }
            Effect::Persist => self.persist().await,
        }
        None
    }

    async fn spawn(&mut self, by_hand: bool) -> Event {
        self.start_error = None;
        if by_hand && let Err(error) = self.write_record().await {
            return self.spawn_failed(error);
        }
        let (launch, logs, name) = (self.launch.clone(), Arc::clone(&self.logs), self.spec.name.clone());
        // `exec` waits for the disk that the program is on.
        let failed = match blocking("start a process", move || launch.spawn(&name, &logs)).await {
            Ok(child) => match MainProcess::started(child, &self.shared.boot_id) {
                Ok(process) => {
                    info!(container = %self.spec.name, pid = process.identity().pid, "started");
                    self.process = Some(process);
                    return Event::Spawned;
                }
                Err(source) => {
                    // Killed already; the sweep is for what it may have started.
                    sweep(self.id.clone(), &self.spec.name, None).await;
                    RuntimeError::Io {
                        deed: format!("watch the process of container `{}`", self.spec.name),
                        source,
                    }
                }
            },
            Err(error) => error,
        };
        self.spawn_failed(failed)
    }

    fn spawn_failed(&mut self, failed: RuntimeError) -> Event {
        warn!(container = %self.spec.name, error = %failed, "could not be started");
        // As a shell says it: 127 for what is not there, 126 for what does not run.
        let code = if matches!(failed, RuntimeError::InvalidSpec { .. }) { 127 } else { 126 };
        self.start_error = Some(failed);
        Event::SpawnFailed { code }
    }

    fn begin_check(&mut self) {
        if let Some(check) = &self.spec.health {
            self.check = Some(Box::pin(probe::run(
                self.launch.with_arguments(&check.command),
                check.timeout,
                self.shared.boot_id.clone(),
                self.spec.name.clone(),
            )));
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(Err(error)) = self.process.as_ref().map(|process| process.signal_group(signal)) {
            warn!(container = %self.spec.name, ?signal, %error, "could not signal a process group");
        }
    }

    async fn write_record(&mut self) -> Result<(), RuntimeError> {
        let process = self.process.as_ref().map(|process| process.identity().clone());
        let record = Record { process, ..self.life.record() };
        let (store, id) = (self.shared.store.clone(), self.id.clone());
        blocking("write down a state", move || store.update(&id, &record)).await
    }

    /// Writes the record, or remembers to. A full disk must not keep services from running: without its record a
    /// process is found by its marker when the folder is opened again, ended, and started anew by its policy.
    pub(super) async fn persist(&mut self) {
        let written = self.write_record().await;
        self.persist_again_at = match written {
            Ok(()) => None,
            Err(error) => {
                warn!(container = %self.spec.name, %error, source = ?std::error::Error::source(&error), "will try again");
                Some(self.shared.timeline.now().since_open.saturating_add(PERSIST_AGAIN))
            }
        };
    }
}
