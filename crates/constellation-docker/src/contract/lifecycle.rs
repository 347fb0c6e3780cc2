//! Making, starting, stopping, signalling, removing.

use std::time::Duration;

use super::bench::{Bench, GRACE, Kept, promised};
use crate::{
    container::{ContainerId, RunState},
    error::RuntimeError,
    runtime::StopOutcome,
};

/// What the shell and Docker call the end by a signal: 128 and its number, 9 for SIGKILL.
const KILLED: i64 = 137;

pub(super) async fn a_created_container_does_not_run(bench: &Bench<'_>) -> Kept {
    let id = bench.create("created", bench.world.sleeper()).await?;
    let it = bench.inspect(&id).await?;
    promised!(it.id == id, "inspect of {id} told of {}", it.id);
    promised!(it.state.run == RunState::Created, "it is {:?}", it.state.run);
    promised!(it.state.pid.is_none(), "it has a process");
    promised!(
        it.state.started_at_ms.is_none() && it.state.exit_code.is_none(),
        "it has a past: {:?}",
        it.state
    );
    Ok(())
}

pub(super) async fn a_name_belongs_to_one_container(bench: &Bench<'_>) -> Kept {
    let first = bench.create("twice", bench.world.sleeper()).await?;
    let spec = bench.named("twice", bench.world.sleeper());
    let second = bench.runtime().create(&spec).await;
    promised!(
        matches!(&second, Err(RuntimeError::NameTaken { name }) if *name == spec.name),
        "a second container of the name gave {second:?}"
    );
    bench.runtime().remove(&first, false).await?;
    let third = bench.runtime().create(&spec).await?;
    promised!(third != first, "the identity {first} was used again");
    Ok(())
}

pub(super) async fn a_name_outside_the_grammar_is_refused(bench: &Bench<'_>) -> Kept {
    for name in ["", "-dash", "a/b", "a b", "ä", "../up"] {
        let mut spec = bench.named("grammar", bench.world.sleeper());
        spec.name = name.to_owned();
        let outcome = bench.runtime().create(&spec).await;
        promised!(
            matches!(&outcome, Err(RuntimeError::InvalidSpec { field, .. }) if field == "name"),
            "the name `{name}` gave {outcome:?}"
        );
    }
    Ok(())
}

pub(super) async fn starting_what_runs_is_ok(bench: &Bench<'_>) -> Kept {
    let id = bench.create("started", bench.world.sleeper()).await?;
    let (one, two) = futures::future::join(bench.runtime().start(&id), bench.runtime().start(&id)).await;
    one?;
    two?;
    let before = bench.until_running(&id).await?;
    bench.runtime().start(&id).await?;
    let after = bench.inspect(&id).await?;
    promised!(before.state.pid == after.state.pid, "it has another process: {:?}", after.state);
    promised!(after.state.started_at_ms.is_some(), "the time of its start is unknown");
    promised!(after.created_at_ms.is_some(), "the time at which it was made is unknown");
    promised!(
        after.state.exit_code.is_none(),
        "a running container has the exit code {:?}",
        after.state.exit_code
    );
    Ok(())
}

pub(super) async fn stopping_says_whether_there_was_something_to_stop(bench: &Bench<'_>) -> Kept {
    let id = bench.create("stopped", bench.world.sleeper()).await?;
    let outcome = bench.runtime().stop(&id, GRACE).await?;
    promised!(outcome == StopOutcome::AlreadyStopped, "stopping what never ran gave {outcome:?}");
    bench.runtime().start(&id).await?;
    bench.until_ready(&id).await?;
    let outcome = bench.runtime().stop(&id, GRACE).await?;
    promised!(outcome == StopOutcome::Stopped, "stopping what ran gave {outcome:?}");
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited, "right after the stop it is {:?}", it.state.run);
    promised!(it.state.pid.is_none(), "right after the stop it has a process");
    promised!(
        it.state.finished_at_ms >= it.state.started_at_ms,
        "it ended before it started: {:?}",
        it.state
    );
    let outcome = bench.runtime().stop(&id, GRACE).await?;
    promised!(outcome == StopOutcome::AlreadyStopped, "stopping it again gave {outcome:?}");
    Ok(())
}

pub(super) async fn what_ignores_the_request_to_stop_is_killed_after_its_grace(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("stubborn", bench.world.stubborn()).await?;
    bench.until_ready(&id).await?;
    let outcome = bench.runtime().stop(&id, Duration::from_secs(1)).await?;
    promised!(outcome == StopOutcome::Stopped, "the stop gave {outcome:?}");
    let it = bench.inspect(&id).await?;
    promised!(it.state.run == RunState::Exited, "it is {:?}", it.state.run);
    promised!(it.state.exit_code == Some(KILLED), "its exit code is {:?}", it.state.exit_code);
    Ok(())
}

pub(super) async fn the_exit_code_is_kept(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("code", bench.world.exits_with_3()).await?;
    let it = bench.until_exited(&id).await?;
    promised!(it.state.exit_code == Some(3), "its exit code is {:?}", it.state.exit_code);
    promised!(it.state.restarts == 0, "it was restarted {} times", it.state.restarts);
    Ok(())
}

pub(super) async fn restarting_starts_what_is_stopped_and_renews_what_runs(bench: &Bench<'_>) -> Kept {
    let id = bench.create("renewed", bench.world.sleeper()).await?;
    bench.runtime().restart(&id, GRACE).await?;
    let first = bench.until_ready(&id).await?;
    bench.runtime().restart(&id, GRACE).await?;
    let second = bench.until_running(&id).await?;
    promised!(first.state.pid != second.state.pid, "it has the same process as before");
    promised!(second.state.restarts == 0, "a restart on request was counted as one by policy");
    Ok(())
}

pub(super) async fn a_signal_reaches_the_main_process_and_what_does_not_run_is_refused(
    bench: &Bench<'_>,
) -> Kept {
    let id = bench.create_and_start("signal", bench.world.sleeper()).await?;
    bench.until_running(&id).await?;
    bench.runtime().kill(&id, "SIGKILL").await?;
    let it = bench.until_exited(&id).await?;
    promised!(it.state.exit_code == Some(KILLED), "its exit code is {:?}", it.state.exit_code);
    let outcome = bench.runtime().kill(&id, "SIGTERM").await;
    promised!(matches!(outcome, Err(RuntimeError::Refused { .. })), "a signal to nobody gave {outcome:?}");
    Ok(())
}

pub(super) async fn a_running_container_is_removed_only_by_force(bench: &Bench<'_>) -> Kept {
    let id = bench.create_and_start("forced", bench.world.sleeper()).await?;
    bench.until_running(&id).await?;
    let outcome = bench.runtime().remove(&id, false).await;
    promised!(matches!(outcome, Err(RuntimeError::Running { .. })), "removing what runs gave {outcome:?}");
    bench.until_running(&id).await?;
    bench.runtime().remove(&id, true).await?;
    let outcome = bench.runtime().inspect(&id).await;
    promised!(
        matches!(outcome, Err(RuntimeError::NotFound { .. })),
        "after its removal inspect gave {outcome:?}"
    );
    bench.runtime().remove(&id, true).await?;
    bench.runtime().remove(&id, false).await?;
    Ok(())
}

pub(super) async fn what_does_not_exist_is_not_found_and_its_removal_is_ok(bench: &Bench<'_>) -> Kept {
    // The second could not be an identity anywhere; it must not be taken for a path, either.
    for id in ["0".repeat(64), "../no such/container?".to_owned()] {
        let id = ContainerId::new(id);
        let runtime = bench.runtime();
        for (deed, outcome) in [
            ("inspect", runtime.inspect(&id).await.map(|_| ())),
            ("start", runtime.start(&id).await),
            ("stop", runtime.stop(&id, GRACE).await.map(|_| ())),
            ("restart", runtime.restart(&id, GRACE).await),
            ("kill", runtime.kill(&id, "SIGTERM").await),
            ("logs", runtime.logs(&id, 1).await.map(|_| ())),
        ] {
            promised!(
                matches!(outcome, Err(RuntimeError::NotFound { .. })),
                "{deed} of {id} gave {outcome:?}"
            );
        }
        runtime.remove(&id, false).await?;
        runtime.remove(&id, true).await?;
    }
    Ok(())
}
