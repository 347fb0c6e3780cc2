//! The task around the core: asks the runtime, and restarts what the core says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use constellation_core::{Clock, error_chain};
use constellation_docker::{
    Container, ContainerId, ContainerRuntime, EventKind, HealthReport, ListFilter, ResubscribeDelay,
    RunState, RuntimeError, events_forever,
};
use constellation_tasks::{Early, Supervisor};
use futures::{StreamExt, stream};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};
use tracing::{debug, error, info, warn};

use crate::{
    report::Report,
    watch::{Effect, Event, Watch, WatchConfig},
};

/// How the monitor works.
#[derive(Clone, Copy, Debug)]
pub struct MonitorConfig {
    /// How often every container is looked at. Events get lost: this is the truth.
    pub every: Duration,
    /// How containers are judged.
    pub watch: WatchConfig,
    /// How long a container may take to end when it is restarted, before it is killed.
    pub stop_grace: Duration,
}

impl Default for MonitorConfig {
    /// Every container every 10 s; 10 s to end.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            watch: WatchConfig::default(),
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// Containers asked about at once. The engine answers an inspect in under a millisecond; more would only queue there.
const INSPECTS_AT_ONCE: usize = 8;
/// Restarts at once: a node whose containers all fail together must not restart them all together.
const RESTARTS_AT_ONCE: usize = 1;
/// How often the loop proves to itself that it gets CPU time.
const PULSE: Duration = Duration::from_millis(500);
/// A pulse that comes this much too late was starved.
const STARVED_AFTER: Duration = Duration::from_secs(2);

/// Speaks for the monitor.
#[derive(Clone, Debug)]
pub struct MonitorHandle {
    reports: watch::Receiver<Arc<Report>>,
}

impl MonitorHandle {
    /// The latest report, and each that follows.
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.clone()
    }
}

/// Owns the watch over one runtime.
pub struct Monitor {
    config: MonitorConfig,
    runtime: Arc<dyn ContainerRuntime>,
    clock: Arc<dyn Clock>,
    watch: Watch,
    reports: watch::Sender<Arc<Report>>,
    restarts: JoinSet<ContainerId>,
    /// Restarts that wait for their turn; at most one per container.
    due: Vec<ContainerId>,
    /// Set by the pulse when this process did not get the CPU time that it asked for.
    starved: Arc<AtomicBool>,
}

impl Monitor {
    /// Starts watching.
    pub fn start(
        config: MonitorConfig,
        runtime: Arc<dyn ContainerRuntime>,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> MonitorHandle {
        let (reports, receiver) = watch::channel(Arc::new(Report::default()));
        let monitor = Self {
            config,
            runtime,
            clock,
            watch: Watch::new(config.watch),
            reports,
            restarts: JoinSet::new(),
            due: Vec::new(),
            starved: Arc::default(),
        };
        let (shutdown, pulse) =
            (supervisor.shutdown(), pulse(Arc::clone(&monitor.clock), Arc::clone(&monitor.starved)));
        supervisor.spawn("monitor", Early::Fatal, async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = monitor.run() => {}
                () = pulse => {}
            }
        });
        MonitorHandle { reports: receiver }
    }

    async fn run(mut self) {
        let mut events = events_forever(Arc::clone(&self.runtime), ResubscribeDelay::default());
        let mut passes = interval(self.config.every);
        loop {
            tokio::select! {
                _ = passes.tick() => self.look_at_all().await,
                Some(ended) = self.restarts.join_next(), if !self.restarts.is_empty() => match ended {
                    Ok(id) => {
                        self.step(Event::Restarted(id.clone()));
                        self.look_at(id).await;
                    }
                    Err(error) => error!(%error, "a restart of a container broke off"),
                },
                Some(event) = events.next() => match (event.kind, event.id) {
                    (EventKind::Missed, _) | (_, None) => self.look_at_all().await,
                    (_, Some(id)) => self.look_at(id).await,
                },
            }
            self.restart_next();
        }
    }

    async fn look_at_all(&mut self) {
        let listed = match self.runtime.list(&ListFilter::default()).await {
            Ok(listed) => listed,
            Err(error) => return self.silent(&error),
        };
        let runtime = &self.runtime;
        let looks: Vec<(ContainerId, Result<Container, RuntimeError>)> = stream::iter(listed)
            .map(|summary| async move {
                let seen = runtime.inspect(&summary.id).await;
                (summary.id, seen)
            })
            .buffer_unordered(INSPECTS_AT_ONCE)
            .collect()
            .await;
        let (mut described, mut unreadable) = (Vec::new(), Vec::new());
        for (id, seen) in looks {
            match seen {
                Ok(container) => described.push(Arc::new(container)),
                Err(RuntimeError::NotFound { .. }) => {}
                Err(error @ (RuntimeError::Unreachable { .. } | RuntimeError::TimedOut { .. })) => {
                    return self.silent(&error);
                }
                Err(error) => {
                    warn!(
                        container = id.short(),
                        error = error_chain(&error),
                        "a container could not be looked at"
                    );
                    unreadable.push(id);
                }
            }
        }
        self.step(Event::Listed { described, unreadable });
    }

    async fn look_at(&mut self, id: ContainerId) {
        match self.runtime.inspect(&id).await {
            Ok(container) => self.step(Event::Looked(id, Some(Arc::new(container)))),
            Err(RuntimeError::NotFound { .. }) => self.step(Event::Looked(id, None)),
            Err(error @ (RuntimeError::Unreachable { .. } | RuntimeError::TimedOut { .. })) => {
                self.silent(&error);
            }
            Err(error) => {
                warn!(
                    container = id.short(),
                    error = error_chain(&error),
                    "a container could not be looked at"
                );
                self.step(Event::Unreadable(id));
            }
        }
    }

    fn silent(&mut self, error: &RuntimeError) {
        let why = error_chain(error);
        if !matches!(&self.watch.report().runtime, crate::RuntimeState::Silent { why: known } if *known == why)
        {
            error!(
                error = why,
                "the container runtime does not answer; what was last seen of its containers stands"
            );
        }
        self.step(Event::Silent(why));
    }

    fn step(&mut self, event: Event) {
        if self.starved.swap(false, Ordering::Relaxed) {
            self.watch.step(Event::Starved, self.clock.now());
        }
        for effect in self.watch.step(event, self.clock.now()) {
            match effect {
                Effect::Restart { id, service } => {
                    info!(%service, container = id.short(), "unhealthy: a restart is due");
                    if !self.due.contains(&id) {
                        self.due.push(id);
                    }
                }
                Effect::CrashLoop { service, name, restarts } => {
                    error!(%service, container = name, restarts, "restarts do not help: somebody must look at its logs");
                }
                Effect::Report => drop(self.reports.send_replace(Arc::new(self.watch.report().clone()))),
            }
        }
    }

    fn restart_next(&mut self) {
        while self.restarts.len() < RESTARTS_AT_ONCE && !self.due.is_empty() {
            let id = self.due.remove(0);
            let (runtime, grace) = (Arc::clone(&self.runtime), self.config.stop_grace);
            self.restarts.spawn(async move {
                restart_if_still_unhealthy(&*runtime, &id, grace).await;
                id
            });
        }
    }
}

/// Looks once more right before acting: the reading may be as old as the restarts that went before.
async fn restart_if_still_unhealthy(runtime: &dyn ContainerRuntime, id: &ContainerId, grace: Duration) {
    match runtime.inspect(id).await {
        Ok(seen) if seen.state.run == RunState::Running && seen.state.health == HealthReport::Unhealthy => {}
        Ok(_) => return debug!(container = id.short(), "no restart: it is not unhealthy any more"),
        Err(error) => {
            return warn!(
                container = id.short(),
                error = error_chain(&error),
                "no restart: it could not be looked at"
            );
        }
    }
    match runtime.restart(id, grace).await {
        Ok(()) => info!(container = id.short(), "restarted because it was unhealthy"),
        Err(error) => {
            warn!(
                container = id.short(),
                error = error_chain(&error),
                "could not restart an unhealthy container"
            );
        }
    }
}

fn interval(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// A timer of its own, beside the loop and not in it: that an engine takes long to answer is no want of CPU time.
async fn pulse(clock: Arc<dyn Clock>, starved: Arc<AtomicBool>) {
    let mut ticks = interval(PULSE);
    let mut last = clock.now();
    loop {
        ticks.tick().await;
        let now = clock.now();
        if now.since(last) > PULSE + STARVED_AFTER {
            warn!(late = ?now.since(last), "this agent was held up: unhealthy containers are left alone for a while");
            starved.store(true, Ordering::Relaxed);
        }
        last = now;
    }
}
