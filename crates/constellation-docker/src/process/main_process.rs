//! The main process of a container: started by us, or taken over from an earlier runtime.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::ExitStatus,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::Child,
};
use tracing::warn;

use super::procfs::Identity;

/// A running process, the leader of a process group of its own.
#[derive(Debug)]
pub(super) struct MainProcess {
    identity: Identity,
    pid: Pid,
    /// Readable once the process has ended, whoever its parent is. Also when nobody has reaped it yet, which is what
    /// makes it safe to signal the group by its number at that moment.
    watch: AsyncFd<OwnedFd>,
    /// Only where it is our own child; others have no exit code for us.
    child: Option<Child>,
}

impl MainProcess {
    /// A process that was started just now. Where that cannot be watched it is killed.
    pub(super) fn started(mut child: Child, boot_id: &str) -> io::Result<Self> {
        let watched = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).map(|pid| {
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            // Its number is its own until we reap it, so both look at the right process.
            let identity = Identity::of(pid.as_raw_nonzero().get(), boot_id).ok_or_else(gone)?;
            Ok::<_, io::Error>((pid, identity, open(pid)?))
        });
        match watched {
            Some(Ok((pid, identity, watch))) => Ok(Self { identity, pid, watch, child: Some(child) }),
            failed => {
                let _ = child.start_kill(); // the runtime of tokio reaps it
                Err(failed.and_then(Result::err).unwrap_or_else(|| io::ErrorKind::NotFound.into()))
            }
        }
    }

    /// Takes a process over; `None` where it does not run any more.
    pub(super) fn taken_over(identity: Identity, boot_id: &str) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(identity.pid).filter(|_| identity.is_alive(boot_id)) else {
            return Ok(None);
        };
        let watch = match open(pid) {
            Ok(watch) => watch,
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // Looked at again with the descriptor in hand: from here on it cannot be another process.
        Ok(identity.is_alive(boot_id).then_some(Self { identity, pid, watch, child: None }))
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        if self.watch.readable().await.is_err() {
            // The reactor is going down, and this task with it.
            std::future::pending::<()>().await;
        }
    }

    /// Signals the process alone.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        already_gone_is_fine(pidfd_send_signal(self.watch.get_ref(), signal))
    }

    /// Signals the process and everything that it started and that has not left its group.
    pub(super) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        // Our own child keeps its number until we reap it. A process that was taken over may have ended and been
        // reaped by its parent just now, and its number may have gone to a stranger.
        if self.child.is_none() && self.identity.is_reused() {
            return Ok(());
        }
        already_gone_is_fine(kill_process_group(self.pid, signal))
    }

    /// Once it has ended: kills what is left of its group, and says how it ended where that can be known.
    pub(super) fn bury(mut self) -> Option<i64> {
        if let Err(error) = self.signal_group(Signal::KILL) {
            warn!(pid = self.identity.pid, %error, "could not kill what is left of a process group");
        }
        match self.child.as_mut()?.try_wait() {
            Ok(status) => status.map(exit_code),
            Err(error) => {
                warn!(pid = self.identity.pid, %error, "could not learn how a process ended");
                None
            }
        }
    }
}

fn open(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    watch(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}

/// Makes the descriptor of a process awaitable: readable means ended.
#[allow(
    deprecated,
    reason = "tokio's replacement is unsafe, for types whose descriptor may change under it; an OwnedFd's cannot"
)]
pub(super) fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(process, Interest::READABLE)
}

fn already_gone_is_fine(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The exit code as a shell and Docker count it: 128 and the signal where a signal ended it.
fn exit_code(status: ExitStatus) -> i64 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1).into()
}
