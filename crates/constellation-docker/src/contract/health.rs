//! Health checks.

use std::time::Duration;

use super::bench::{Bench, Kept, promised};
use crate::{
    container::HealthReport,
    event::EventKind,
    spec::{ContainerSpec, HealthCheck},
};

/// Short enough to wait for several checks, long enough for a loaded machine to run one.
fn timed(mut spec: ContainerSpec, start_period: Duration) -> ContainerSpec {
    spec.health = spec.health.map(|check| HealthCheck {
        interval: Duration::from_millis(250),
        timeout: Duration::from_secs(20),
        retries: 2,
        start_period,
        ..check
    });
    spec
}

pub(super) async fn without_a_check_there_is_no_report(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("unchecked", bench.world.sleeper()).await?;
    let it = bench.until_running(&id).await?;
    promised!(it.state.health == HealthReport::None, "its health is {:?}", it.state.health);
    Ok(())
}

pub(super) async fn failures_within_the_start_period_do_not_count(bench: &Bench<'_>) -> Kept {
    let switch = bench.world.health_switch(&bench.name("patience"))?;
    let spec = timed(switch.spec, Duration::from_secs(3600));
    let id = bench.create_and_start("patience", spec).await?;
    let count = switch.count;
    // More checks than the retries that it has.
    bench.until(&id, "checked four times", |_| count().is_ok_and(|count| count >= 4)).await?;
    let it = bench.inspect(&id).await?;
    promised!(it.state.health == HealthReport::Starting, "its health is {:?}", it.state.health);
    (switch.set)(true)?;
    bench.until(&id, "healthy", |it| it.state.health == HealthReport::Healthy).await?;
    Ok(())
}

pub(super) async fn health_follows_its_check_and_tells(bench: &Bench<'_>) -> Kept {
    let switch = bench.world.health_switch(&bench.name("switched"))?;
    (switch.set)(true)?;
    let mut watch = bench.watch().await?;
    let id = bench.create_and_start("switched", timed(switch.spec, Duration::ZERO)).await?;
    for (switched, health) in [
        (None, HealthReport::Healthy),
        (Some(false), HealthReport::Unhealthy),
        (Some(true), HealthReport::Healthy),
    ] {
        if let Some(passes) = switched {
            (switch.set)(passes)?;
        }
        watch.until(&id, EventKind::Health).await?;
        bench.until(&id, "what its check says", |it| it.state.health == health).await?;
    }
    Ok(())
}
