//! The one task that owns a container: it feeds [`Life`] with what happens and does what that decides.

mod perform;

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::debug;

use super::{
    launch::Launch,
    life::{Event, Found, Life},
    logs::LogFiles,
    main_process::MainProcess,
    record::Record,
    shared::{Entry, Shared},
    store::blocking,
    sweep::sweep,
};
use crate::{
    container::{ContainerId, ContainerState, RunState},
    error::RuntimeError,
    event::EventKind,
    runtime::StopOutcome,
    spec::ContainerSpec,
};

/// Commands that wait in line for one container. Each caller waits for its answer, so more than a few mean that
/// something is stuck, and then callers shall wait at the door and run into their time limits.
const COMMANDS_BOUND: usize = 8;

type Answer<T> = oneshot::Sender<Result<T, RuntimeError>>;

/// What callers want of a container.
#[derive(Debug)]
pub(super) enum Command {
    Start(Answer<()>),
    Stop(Duration, Answer<StopOutcome>),
    Kill(Signal, Answer<()>),
    Remove { force: bool, answer: Answer<()> },
}

/// See the module.
pub(super) struct Owner {
    shared: Arc<Shared>,
    id: ContainerId,
    spec: Arc<ContainerSpec>,
    launch: Launch,
    logs: Arc<LogFiles>,
    life: Life,
    process: Option<MainProcess>,
    check: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    commands: mpsc::Receiver<Command>,
    /// A command that has to wait until the container has ended. Those behind it wait in the channel.
    held: Option<Command>,
    stopping: Vec<Answer<StopOutcome>>,
    removing: Option<Answer<()>>,
    /// Why the last start failed, for whoever asked for it.
    start_error: Option<RuntimeError>,
    persist_again_at: Option<Duration>,
    state: watch::Sender<ContainerState>,
}

enum Wake {
    Ended,
    Command(Command),
    Checked(bool),
    Deadline,
}

impl Owner {
    /// A container that was just made.
    pub(super) fn new(
        shared: Arc<Shared>,
        id: ContainerId,
        spec: ContainerSpec,
        life: Life,
    ) -> (Self, Entry) {
        let spec = Arc::new(spec);
        let logs = Arc::new(LogFiles::new(shared.store.folder(&id), shared.config.log_bytes_max));
        let launch =
            Launch::of(&spec, &id, shared.config.address, shared.ourselves, |name| std::env::var(name).ok());
        let (sender, commands) = mpsc::channel(COMMANDS_BOUND);
        let (state, receiver) = watch::channel(describe(&life, None, false));
        let entry = Entry {
            spec: Arc::clone(&spec),
            created_at_ms: shared.store.created_at_ms(&id),
            logs: Arc::clone(&logs),
            commands: sender,
            state: receiver,
        };
        let owner = Self {
            shared,
            id,
            spec,
            launch,
            logs,
            life,
            process: None,
            check: None,
            commands,
            held: None,
            stopping: Vec::new(),
            removing: None,
            start_error: None,
            persist_again_at: None,
            state,
        };
        (owner, entry)
    }

    /// A container that an earlier runtime left.
    pub(super) fn restored(
        shared: Arc<Shared>,
        id: ContainerId,
        spec: ContainerSpec,
        record: &Record,
        process: Option<MainProcess>,
    ) -> (Self, Entry) {
        let life = Life::restored(&spec, record, shared.timeline.now());
        let (mut owner, entry) = Self::new(shared, id, spec, life);
        owner.process = process;
        owner.publish();
        (owner, entry)
    }

    /// Takes over what was found, before anything else happens to the container.
    pub(super) async fn take_over(&mut self) {
        let found = if self.process.is_some() { Found::Alive } else { Found::Gone };
        self.drive(Event::Found(found)).await;
    }

    /// Lives as long as the container, or until the runtime is closed; the process survives the latter.
    pub(super) async fn run(mut self) {
        loop {
            let deadline = [self.life.next_deadline(), self.persist_again_at].into_iter().flatten().min();
            let wake = tokio::select! {
                biased;
                () = self.shared.closing.cancelled() => return self.leave().await,
                () = ended(self.process.as_ref()) => Wake::Ended,
                Some(command) = self.commands.recv(), if self.held.is_none() => Wake::Command(command),
                passed = checked(&mut self.check) => Wake::Checked(passed),
                () = self.shared.timeline.reach(deadline) => Wake::Deadline,
            };
            match wake {
                Wake::Ended => self.main_process_ended().await,
                Wake::Command(command) => self.obey(command).await,
                Wake::Checked(passed) => {
                    self.check = None;
                    self.drive(Event::Checked { passed }).await;
                }
                Wake::Deadline => {
                    if self.persist_again_at.is_some_and(|at| at <= self.shared.timeline.now().since_open) {
                        self.persist().await;
                    }
                    self.drive(Event::Tick).await;
                }
            }
            if let Some(answer) = self.removing.take_if(|_| !self.life.is_running())
                && self.remove(answer).await
            {
                return;
            }
            if let Some(command) = self.held.take_if(|_| !self.life.is_running()) {
                self.obey(command).await;
            }
        }
    }

    /// The runtime closes: the process runs on, and its record should be right.
    async fn leave(mut self) {
        if self.persist_again_at.is_some() {
            self.persist().await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start(_) if self.life.is_ending() => self.held = Some(command),
            Command::Remove { .. } if self.removing.is_some() => self.held = Some(command),
            Command::Start(answer) => {
                self.drive(Event::Start).await;
                let _ = answer.send(self.start_error.take().map_or(Ok(()), Err));
            }
            Command::Stop(grace, answer) => {
                if self.life.is_running() {
                    self.stopping.push(answer);
                    self.drive(Event::Stop { grace }).await;
                } else {
                    self.drive(Event::Stop { grace }).await;
                    let _ = answer.send(Ok(StopOutcome::AlreadyStopped));
                }
            }
            Command::Kill(signal, answer) => {
                let deed = || format!("send a signal to container `{}`", self.spec.name);
                let result = match &self.process {
                    Some(process) => {
                        process.signal(signal).map_err(|source| RuntimeError::Io { deed: deed(), source })
                    }
                    None => {
                        Err(RuntimeError::Refused { deed: deed(), message: "it is not running".to_owned() })
                    }
                };
                let _ = answer.send(result);
            }
            Command::Remove { force: false, answer } if self.must_not_be_removed() => {
                let _ = answer.send(Err(RuntimeError::Running { id: self.id.to_string() }));
            }
            Command::Remove { answer, .. } => {
                self.removing = Some(answer);
                self.drive(Event::Stop { grace: Duration::ZERO }).await;
            }
        }
    }

    fn must_not_be_removed(&self) -> bool {
        self.life.is_running() || self.life.run_state() == RunState::Restarting
    }

    async fn main_process_ended(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.check = None;
        let group = process.identity().pid;
        let code = process.bury();
        debug!(container = %self.spec.name, pid = group, ?code, "the main process ended");
        self.drive(Event::Ended { code }).await;
        sweep(self.id.clone(), &self.spec.name, Some(group)).await;
        for answer in self.stopping.drain(..) {
            let _ = answer.send(Ok(StopOutcome::Stopped));
        }
    }

    /// Feeds the core until it has nothing more to do.
    async fn drive(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.life.step(event, self.shared.timeline.now()) {
                events.extend(self.perform(effect).await);
            }
        }
        self.publish();
    }

    /// Says whether the container is gone, and this task with it.
    async fn remove(&mut self, answer: Answer<()>) -> bool {
        self.state.send_modify(|state| state.run = RunState::Removing);
        sweep(self.id.clone(), &self.spec.name, None).await;
        let (store, id) = (self.shared.store.clone(), self.id.clone());
        let removed = blocking("remove a container", move || store.remove(&id)).await;
        let gone = removed.is_ok();
        if gone {
            self.shared.forget(&self.id);
            self.shared.tell(&self.id, EventKind::Removed);
        } else {
            self.drive(Event::RemovalFailed).await;
        }
        let _ = answer.send(removed);
        gone
    }

    fn publish(&self) {
        let new = describe(&self.life, self.process.as_ref(), self.removing.is_some());
        self.state.send_if_modified(|state| {
            let changed = *state != new;
            *state = new;
            changed
        });
    }
}

fn describe(life: &Life, process: Option<&MainProcess>, removing: bool) -> ContainerState {
    let record = life.record();
    ContainerState {
        run: if removing { RunState::Removing } else { record.run },
        health: record.health,
        pid: process.and_then(|process| u32::try_from(process.identity().pid).ok()),
        exit_code: record.exit_code,
        oom_killed: false,
        started_at_ms: record.started_at_ms,
        finished_at_ms: record.finished_at_ms,
        restarts: record.restarts,
    }
}

async fn ended(process: Option<&MainProcess>) {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

async fn checked(check: &mut Option<Pin<Box<dyn Future<Output = bool> + Send>>>) -> bool {
    match check {
        Some(check) => check.await,
        None => std::future::pending().await,
    }
}
