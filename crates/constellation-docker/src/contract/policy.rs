//! Restart policies, and that a stop is stronger.

use super::bench::{Bench, GRACE, Kept, promised};
use crate::{container::RunState, spec::RestartPolicy};

pub(super) async fn always_brings_back_what_died_and_counts(bench: &Bench<'_>) -> Kept {
    let mut spec = bench.world.sleeper();
    spec.restart = RestartPolicy::Always;
    let id = bench.create_and_start("always", spec).await?;
    let first = bench.until_running(&id).await?;
    bench.crash(&id).await?;
    let second = bench
        .until(&id, "brought back", |it| it.state.run == RunState::Running && it.state.restarts == 1)
        .await?;
    promised!(first.state.pid != second.state.pid, "it has the same process as before");
    promised!(
        second.state.exit_code.is_none(),
        "while it runs it has the exit code {:?}",
        second.state.exit_code
    );
    Ok(())
}

pub(super) async fn on_failure_gives_up_after_its_count(bench: &Bench<'_>) -> Kept {
    let mut spec = bench.world.exits_with_3();
    spec.restart = RestartPolicy::OnFailure(2);
    let id = bench.create_and_start("gives-up", spec).await?;
    let it =
        bench.until(&id, "given up", |it| it.state.run == RunState::Exited && it.state.restarts == 2).await?;
    promised!(it.state.exit_code == Some(3), "its exit code is {:?}", it.state.exit_code);
    bench.give_policies_their_time("gives-up-witness").await?;
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited && it.state.restarts == 2, "later it is {:?}", it.state);
    Ok(())
}

pub(super) async fn on_failure_leaves_success_alone(bench: &Bench<'_>) -> Kept {
    let mut spec = bench.world.printer();
    spec.restart = RestartPolicy::OnFailure(0);
    let id = bench.create_and_start("success", spec).await?;
    let it = bench.until_exited(&id).await?;
    promised!(it.state.exit_code == Some(0), "its exit code is {:?}", it.state.exit_code);
    bench.give_policies_their_time("success-witness").await?;
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited && it.state.restarts == 0, "later it is {:?}", it.state);
    Ok(())
}

pub(super) async fn without_a_policy_what_died_stays_dead(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("dead", bench.world.sleeper()).await?;
    bench.crash(&id).await?;
    bench.until_exited(&id).await?;
    bench.give_policies_their_time("dead-witness").await?;
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited && it.state.restarts == 0, "later it is {:?}", it.state);
    Ok(())
}

pub(super) async fn a_stop_beats_the_policy(bench: &Bench<'_>) -> Kept {
    let mut spec = bench.world.sleeper();
    spec.restart = RestartPolicy::Always;
    let id = bench.create_and_start("beaten", spec).await?;
    bench.until_ready(&id).await?;
    bench.runtime().stop(&id, GRACE).await?;
    bench.give_policies_their_time("beaten-witness").await?;
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited && it.state.restarts == 0, "later it is {:?}", it.state);
    // The policy holds again once somebody starts it.
    bench.runtime().start(&id).await?;
    bench.crash(&id).await?;
    bench
        .until(&id, "brought back", |it| it.state.run == RunState::Running && it.state.restarts == 1)
        .await?;
    Ok(())
}

pub(super) async fn a_crash_loop_can_be_stopped(bench: &Bench<'_>) -> Kept {
    let mut spec = bench.world.exits_with_3();
    spec.restart = RestartPolicy::Always;
    let id = bench.create_and_start("loop", spec).await?;
    bench.until(&id, "restarted twice", |it| it.state.restarts >= 2).await?;
    bench.runtime().stop(&id, GRACE).await?;
    let stopped = bench.until_exited(&id).await?;
    bench.give_policies_their_time("loop-witness").await?;
    let later = bench.inspect(&id).await?;
    promised!(later.state.run == RunState::Exited, "later it is {:?}", later.state);
    promised!(
        later.state.started_at_ms == stopped.state.started_at_ms,
        "it was started again: {:?}",
        later.state
    );
    Ok(())
}
