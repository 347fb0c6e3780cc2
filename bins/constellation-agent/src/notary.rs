//! The notary: a small parent of the agent that sees it end, and tells the others at once.
//!
//! A lease ends by itself only after its whole TTL, because silence proves nothing. The exit of a child does: its parent
//! learns of it from the kernel, and whoever hears it from this node's own key may give the lease on at once. So the
//! agent runs as the worker of a parent that does nothing else, and therefore hardly dies before it.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Context;
use constellation_core::Clock as _;
use constellation_tasks::{Backoff, Schedule, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};
use tracing::{error, info, warn};

use crate::{
    cli::RunArgs,
    cluster::{files::ClusterFiles, obituary},
    config::BOOT_VARIABLE,
    logging,
};

/// How the worker knows its notary again.
const NOTARY_VARIABLE: &str = "CONSTELLATION_NOTARY";
/// The worker asks to be started anew: `EX_TEMPFAIL` of sysexits.h.
pub(crate) const AGAIN: u8 = 75;
/// Between one start and the next of a worker that dies again and again.
const RESTART: Schedule = Schedule::new(Duration::from_millis(200), Duration::from_secs(10));
/// A worker that lived for so long is started anew at once.
const LIVED: Duration = Duration::from_secs(30);

/// What the end of a worker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It was asked to end, or cannot go on as it was started: so ends the notary.
    End(u8),
    /// It was killed, or asks for it: it is started anew.
    Again,
}

fn next(status: ExitStatus, asked_to_end: bool) -> Next {
    match status.code() {
        Some(code) if asked_to_end => Next::End(u8::try_from(code).unwrap_or(1)),
        Some(code) if code == i32::from(AGAIN) => Next::Again,
        Some(code) => Next::End(u8::try_from(code).unwrap_or(1)),
        None if asked_to_end => Next::End(1),
        None => Next::Again,
    }
}

/// Runs the agent as a child, for as long as nobody asks it to end.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    logging::start(args.log_format, &args.log_level)?;
    // One thread: the worker is told of the death of the thread that started it, which must be the process itself.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    runtime.block_on(watch_over(ClusterFiles::new(&args.data_dir, &args.secrets_path)))
}

async fn watch_over(files: ClusterFiles) -> anyhow::Result<ExitCode> {
    let clock = SystemClock::start();
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
    let mut backoff = Backoff::new(RESTART);
    let mut asked_to_end = false;
    loop {
        let boot: u128 = rand::random();
        let started = clock.now();
        let mut worker = start(boot)?;
        let status = loop {
            tokio::select! {
                ended = worker.wait() => break ended.context("could not wait for the agent's worker")?,
                _ = terminate.recv() => { asked_to_end = true; pass_on(&worker, Signal::TERM); }
                _ = interrupt.recv() => { asked_to_end = true; pass_on(&worker, Signal::INT); }
                _ = hangup.recv() => pass_on(&worker, Signal::HUP),
            }
        };
        let next = next(status, asked_to_end);
        if next == Next::End(0) {
            return Ok(ExitCode::SUCCESS);
        }
        let wait = if clock.now().since(started) >= LIVED {
            backoff.succeeded();
            Duration::ZERO
        } else {
            backoff.failed()
        };
        let tell = tell(&files, boot);
        match next {
            Next::End(code) => {
                tell.await;
                return Ok(ExitCode::from(code));
            }
            Next::Again => {
                let why = match status.signal() {
                    Some(signal) => format!("it was killed by signal {signal}"),
                    None => "it cannot go on as this process".to_owned(),
                };
                error!(why, ?wait, "the agent's worker ended; it is started again");
                let end = async {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => false,
                        _ = terminate.recv() => true,
                        _ = interrupt.recv() => true,
                    }
                };
                let ((), end) = tokio::join!(tell, end);
                if end {
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
    }
}

/// What is known of a node's leases is known to its worker, so a notary that cannot tell is no reason not to start anew.
async fn tell(files: &ClusterFiles, boot: u128) {
    match obituary::tell(files, boot).await {
        Ok(obituary::Heard { of: 0, .. }) => {}
        Ok(heard) if heard.heard == 0 => {
            warn!(
                members = heard.of,
                "no member could be told that the worker is dead: a lease of it takes its TTL to end"
            );
        }
        Ok(heard) => {
            info!(heard = heard.heard, members = heard.of, "the members know that the worker is dead");
        }
        Err(error) => {
            warn!(error = format!("{error:#}"), "the members could not be told that the worker is dead");
        }
    }
}

/// The file that this very process runs. An upgrade that moves a new file into its place takes the name away from under a
/// running notary; the kernel still knows the file, and the worker is of the notary's version until both start anew.
fn own_program() -> PathBuf {
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}

fn start(boot: u128) -> anyhow::Result<Child> {
    let program = own_program();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Command::new(program)
        .args(arguments)
        .arg("--worker")
        .env(BOOT_VARIABLE, format!("{boot:032x}"))
        .env(NOTARY_VARIABLE, std::process::id().to_string())
        .spawn()
        .context("could not start the agent's worker")
}

fn pass_on(worker: &Child, signal: Signal) {
    let pid = worker.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        warn!(%error, "a signal could not be passed on to the worker");
    }
}

/// Has the kernel ask this worker to end when its notary is gone: nobody else would tell of its death.
pub(crate) fn end_with_the_notary() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("could not ask to be told of the notary's end")?;
    // It may have gone before that, and whoever adopted this process is not it.
    let notary = std::env::var(NOTARY_VARIABLE).ok().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    anyhow::ensure!(notary.is_some(), "--worker is what the agent starts by itself: leave it out");
    anyhow::ensure!(rustix::process::getppid() == notary, "the notary that started this worker is gone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn a_worker_that_was_killed_or_asks_for_it_is_started_again_and_any_other_end_is_the_end() {
        assert_eq!(next(ExitStatus::from_raw(9), false), Next::Again);
        assert_eq!(next(exited(75), false), Next::Again);
        assert_eq!(next(exited(1), false), Next::End(1));
        assert_eq!(next(exited(0), false), Next::End(0));
    }

    #[test]
    fn who_was_asked_to_end_is_not_started_again() {
        assert_eq!(next(exited(0), true), Next::End(0));
        assert_eq!(next(exited(75), true), Next::End(75));
        assert_eq!(next(ExitStatus::from_raw(9), true), Next::End(1));
    }
}
