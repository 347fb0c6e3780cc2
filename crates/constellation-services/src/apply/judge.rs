//! Whether a container that was just started works: watched until it has proven itself, or failed, or taken too long.

use std::time::Duration;

use constellation_core::Clock;
use constellation_docker::{ContainerId, ContainerState, HealthReport, RunState, RuntimeError};

use crate::{host::Host, render::Rendered};

/// Between two looks: short beside what a health check takes, and a few calls a second for the engine.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// So many restarts by the engine while it is watched are a crash loop.
const RESTARTS_MAX: u32 = 2;
/// On top of what the health check itself allows.
const HEALTH_MARGIN: Duration = Duration::from_secs(30);
/// How long it must stay well, unless the definition says otherwise.
pub(crate) const MONITOR_DEFAULT: Duration = Duration::from_secs(5);
/// How long a job may take, unless the operator says otherwise.
pub(crate) const JOB_LIMIT: Duration = Duration::from_secs(3600);

/// How far a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Nothing yet.
    Pending,
    /// Its process runs.
    Started,
    /// Its health check passes, or it has none and stayed.
    Healthy,
    /// It is as it should be: a job has completed.
    Settled,
}

/// Why it does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// One look's verdict. Pure, so that each way to fail is a line of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Look again.
    Wait,
    /// It runs and its health check, if any, passes.
    Well,
    /// A job has completed.
    Completed,
    /// It will not come to good.
    Bad(String),
}

fn verdict(job: bool, has_check: bool, restarts_before: u32, state: &ContainerState) -> Verdict {
    let ended = || {
        let code =
            state.exit_code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
        let memory = if state.oom_killed { ", for want of memory: raise its `memory`" } else { "" };
        format!("{code}{memory}")
    };
    match state.run {
        RunState::Created | RunState::Paused => Verdict::Wait,
        RunState::Dead | RunState::Removing => Verdict::Bad("the engine could not keep it".to_owned()),
        RunState::Exited if job && state.exit_code == Some(0) => Verdict::Completed,
        RunState::Exited => Verdict::Bad(format!("it ended with {}", ended())),
        RunState::Restarting | RunState::Running
            if state.restarts.saturating_sub(restarts_before) > RESTARTS_MAX =>
        {
            Verdict::Bad(format!("it keeps ending, the last time with {}", ended()))
        }
        RunState::Restarting => Verdict::Wait,
        RunState::Running if job => Verdict::Wait,
        RunState::Running => match state.health {
            HealthReport::Unhealthy => Verdict::Bad("its health check failed".to_owned()),
            HealthReport::Healthy => Verdict::Well,
            HealthReport::Starting => Verdict::Wait,
            HealthReport::None if has_check => Verdict::Wait,
            HealthReport::None => Verdict::Well,
        },
    }
}

/// How long the first good news may take.
fn patience(service: &Rendered) -> Duration {
    if service.job {
        return JOB_LIMIT;
    }
    match &service.spec.health {
        Some(check) => {
            let rounds =
                check.interval.saturating_add(check.timeout).saturating_mul(check.retries.saturating_add(1));
            check.start_period.saturating_add(rounds).saturating_add(HEALTH_MARGIN)
        }
        None => HEALTH_MARGIN,
    }
}

/// Watches a container until it has stayed well for the time that its definition asks for, or its job is done.
/// `tell` hears of progress, so that what waits for it may begin.
pub(crate) async fn judge(
    host: &dyn Host,
    clock: &dyn Clock,
    id: &ContainerId,
    service: &Rendered,
    tell: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Unfit> {
    let begun = clock.now();
    let patience = patience(service);
    let monitor = service.update.monitor.unwrap_or(MONITOR_DEFAULT);
    let has_check = service.spec.health.is_some();
    let restarts_before = host.inspect(id).await?.state.restarts;
    let mut well_since = None;
    tell(Progress::Started);
    loop {
        let state = host.inspect(id).await?.state;
        match verdict(service.job, has_check, restarts_before, &state) {
            Verdict::Bad(why) => return Err(Unfit::Failed(why)),
            Verdict::Completed => {
                tell(Progress::Settled);
                return Ok(());
            }
            Verdict::Well => {
                // A restart begins the time anew: a service that ends every four seconds is never well for five.
                let (since, started) = *well_since.get_or_insert((clock.now(), state.started_at_ms));
                if started != state.started_at_ms {
                    well_since = Some((clock.now(), state.started_at_ms));
                } else {
                    if has_check {
                        tell(Progress::Healthy);
                    }
                    if clock.now().since(since) >= monitor {
                        tell(Progress::Settled);
                        return Ok(());
                    }
                }
            }
            Verdict::Wait => {
                well_since = None;
                if clock.now().since(begun) >= patience {
                    let state = format!("{:?}, health {:?}", state.run, state.health).to_lowercase();
                    return Err(Unfit::Failed(format!(
                        "it did not become ready within {patience:?} (it is {state})"
                    )));
                }
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Waits until a service that is not touched itself meets a condition.
pub(crate) async fn await_condition(
    host: &dyn Host,
    clock: &dyn Clock,
    id: &ContainerId,
    condition: crate::language::Condition,
    service: &Rendered,
) -> Result<(), Unfit> {
    use crate::language::Condition;
    let begun = clock.now();
    let patience = patience(service);
    loop {
        let state = host.inspect(id).await?.state;
        let met = match condition {
            Condition::Started => {
                state.run == RunState::Running || (service.job && state.run == RunState::Exited)
            }
            Condition::Healthy => state.health == HealthReport::Healthy,
            Condition::Completed => state.run == RunState::Exited && state.exit_code == Some(0),
        };
        if met {
            return Ok(());
        }
        if clock.now().since(begun) >= patience {
            let what = format!("{} is not {condition:?} after {patience:?}", service.id).to_lowercase();
            return Err(Unfit::Failed(what));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(run: RunState, health: HealthReport, exit_code: Option<i64>, restarts: u32) -> ContainerState {
        ContainerState {
            run,
            health,
            pid: None,
            exit_code,
            oom_killed: false,
            started_at_ms: None,
            finished_at_ms: None,
            restarts,
        }
    }

    #[test]
    fn each_state_has_its_verdict() {
        use HealthReport::{Healthy, None as NoCheck, Starting, Unhealthy};
        use RunState::{Created, Exited, Restarting, Running};
        let of = |job, has_check, state| verdict(job, has_check, 0, &state);
        assert_eq!(of(false, false, state(Running, NoCheck, None, 0)), Verdict::Well);
        assert_eq!(of(false, true, state(Running, Starting, None, 0)), Verdict::Wait);
        assert_eq!(of(false, true, state(Running, NoCheck, None, 0)), Verdict::Wait);
        assert_eq!(of(false, true, state(Running, Healthy, None, 0)), Verdict::Well);
        assert_eq!(
            of(false, true, state(Running, Unhealthy, None, 0)),
            Verdict::Bad("its health check failed".into())
        );
        assert_eq!(of(false, false, state(Created, NoCheck, None, 0)), Verdict::Wait);
        assert_eq!(of(false, false, state(Restarting, NoCheck, Some(1), 1)), Verdict::Wait);
        assert!(
            matches!(of(false, false, state(Restarting, NoCheck, Some(1), 3)), Verdict::Bad(why) if why.contains("code 1"))
        );
        assert!(matches!(of(false, false, state(Exited, NoCheck, Some(0), 0)), Verdict::Bad(_)));
        assert_eq!(of(true, false, state(Exited, NoCheck, Some(0), 0)), Verdict::Completed);
        assert_eq!(of(true, false, state(Running, NoCheck, None, 0)), Verdict::Wait);
        assert!(
            matches!(of(true, false, state(Exited, NoCheck, Some(2), 0)), Verdict::Bad(why) if why.contains("code 2"))
        );
    }

    #[test]
    fn an_end_for_want_of_memory_says_what_to_raise() {
        let mut killed = state(RunState::Exited, HealthReport::None, Some(137), 0);
        killed.oom_killed = true;
        assert!(
            matches!(verdict(false, false, 0, &killed), Verdict::Bad(why) if why.contains("raise its `memory`"))
        );
    }
}
