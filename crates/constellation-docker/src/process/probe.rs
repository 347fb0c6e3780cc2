//! One run of a health command, which leaves nothing behind whatever happens to it.

use std::{pin::pin, process::Stdio, time::Duration};

use futures::future::{FusedFuture, FutureExt};
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::debug;

use super::{launch::Launch, main_process::MainProcess};

/// How much of each stream of a check is kept for the log, in bytes. The rest is read and forgotten, as a check that
/// nobody reads would block.
const OUTPUT_BYTES_MAX: usize = 2048;

/// How long the output of a check is waited for when it has ended. It is there, unless something that left the check's
/// process group holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs the check. It passed if it ended in time with exit code 0.
pub(super) async fn run(launch: Launch, limit: Duration, boot_id: String, container: String) -> bool {
    match check(&launch, limit, &boot_id).await {
        Ok(()) => true,
        Err(failure) => {
            debug!(container, failure, "a health check failed");
            false
        }
    }
}

async fn check(launch: &Launch, limit: Duration, boot_id: &str) -> Result<(), String> {
    let mut command = launch.command().ok_or("there is no command")?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("it could not be started: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let process =
        MainProcess::started(child, boot_id).map_err(|error| format!("it could not be watched: {error}"))?;
    let mut process = KilledOnDrop(Some(process));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = {
        let mut reading = pin!(async { tokio::join!(read(stdout, &mut out), read(stderr, &mut err)) }.fuse());
        let ended = tokio::time::timeout(limit, async {
            // That nothing more can be read does not say that the check ended, nor the other way round.
            tokio::select! {
                () = process.ended() => {}
                _ = &mut reading => process.ended().await,
            }
        });
        let code = match ended.await {
            Ok(()) => Some(process.bury()),
            Err(_) => None,
        };
        if code != Some(Some(0)) {
            drop(process); // it, too, when it took too long
            if !reading.is_terminated() {
                let _ = tokio::time::timeout(LAST_WORDS, reading).await;
            }
        }
        code
    };
    let said = String::from_utf8_lossy(&[out, err].concat()).trim().to_owned();
    match code {
        Some(Some(0)) => Ok(()),
        Some(Some(code)) => Err(format!("exit code {code}: {said}")),
        Some(None) => Err(format!("nobody knows how it ended: {said}")),
        None => Err(format!("it took longer than {limit:?}: {said}")),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..length.min(room)]);
    }
}

/// A check that is not waited for any more: too slow, or its container ended.
struct KilledOnDrop(Option<MainProcess>);

impl KilledOnDrop {
    async fn ended(&self) {
        match &self.0 {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }

    fn bury(&mut self) -> Option<i64> {
        self.0.take()?.bury()
    }
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        if let Some(process) = &self.0 {
            let _ = process.signal_group(Signal::KILL); // tokio reaps the child that goes with it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::ContainerId,
        process::{admit::Ourselves, procfs},
        spec::ContainerSpec,
    };

    async fn passes(script: &str, limit: Duration) -> Result<(), String> {
        let spec = ContainerSpec::new("probe", "x").command(["sh", "-c", script]);
        let us = Ourselves { uid: 0, gid: 0 };
        let launch = Launch::of(&spec, &ContainerId::new("probe"), [127, 0, 0, 1].into(), us, |name| {
            std::env::var(name).ok()
        });
        check(&launch, limit, &procfs::boot_id().unwrap()).await
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_exit_code_decides_and_the_output_is_kept_for_the_log() {
        assert_eq!(passes("exit 0", PATIENCE).await, Ok(()));
        assert_eq!(passes("echo no; exit 3", PATIENCE).await, Err("exit code 3: no".to_owned()));
    }

    #[tokio::test]
    async fn much_output_neither_blocks_the_check_nor_fills_memory() {
        let failure = passes("yes | head -c 3000000; exit 1", PATIENCE).await.unwrap_err();
        assert!(failure.len() < 2 * OUTPUT_BYTES_MAX + 100);
    }

    #[tokio::test]
    async fn a_check_that_leaves_something_running_is_not_waited_for() {
        assert_eq!(passes("sleep 1000 & exit 0", PATIENCE).await, Ok(()));
    }

    #[tokio::test]
    async fn a_check_that_takes_too_long_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("sleep 1000 & echo $! > {0}; echo $$ >> {0}; wait", pids.display());
        let failure = passes(&script, Duration::from_millis(300)).await.unwrap_err();
        assert!(failure.starts_with("it took longer"), "{failure}");
        // Where the machine was too slow for the script to begin, there is nothing to look for.
        for pid in std::fs::read_to_string(pids).unwrap_or_default().lines() {
            crate::process::tests::gone(pid.parse().unwrap()).await;
        }
    }
}
