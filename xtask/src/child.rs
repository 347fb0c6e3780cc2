//! Child processes in a process group of their own: awaited with a limit, and ended as a whole.
//!
//! Their own group keeps Ctrl-C away from them: only xtask hears it, and it ends them in order.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::{
    clock::{self, seconds},
    interrupt,
};

/// How often a running child is looked at.
const PAUSE: Duration = Duration::from_millis(15);

/// A child process that leads its own process group. Dropping it kills the group.
pub(crate) struct Group {
    name: String,
    child: Child,
    pid: Pid,
    reaped: bool,
}

impl Group {
    /// Starts `command`, with nothing to read on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {name} ({})", command.get_program().display()))?;
        let pid = Pid::from_child(&child);
        Ok(Self { name, child, pid, reaped: false })
    }

    /// The process id, which is the group's id too.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The child's standard output, once, if it was piped.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its exit status if it has ended. What is left of its group is killed first, while its id cannot be reused.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if !self.reaped {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            let seen = rustix::process::waitid(WaitId::Pid(self.pid), options)
                .with_context(|| format!("could not wait for {}", self.name))?;
            if seen.is_none() {
                return Ok(None);
            }
            self.signal(Signal::KILL);
        }
        let status = self.child.wait().with_context(|| format!("could not wait for {}", self.name))?;
        self.reaped = true;
        Ok(Some(status))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not end within `limit` or a person interrupts; the group is killed in both cases.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = clock::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if let Err(interrupted) = interrupt::check() {
                self.kill();
                return Err(interrupted);
            }
            if clock::now() >= end {
                self.kill();
                bail!("{} did not end within {} and was killed", self.name, seconds(limit));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// SIGTERM to the child, and SIGKILL to its group when `grace` has passed. True if it left by itself.
    pub(crate) fn stop(&mut self, grace: Duration) -> bool {
        if !self.reaped {
            let _ = rustix::process::kill_process(self.pid, Signal::TERM);
        }
        let end = clock::now() + grace;
        while clock::now() < end {
            match self.ended() {
                Ok(None) => std::thread::sleep(PAUSE),
                Ok(Some(_)) => return true,
                Err(_) => break,
            }
        }
        self.kill();
        false
    }

    /// SIGKILL to the whole group.
    pub(crate) fn kill(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
            self.reaped = true;
        }
    }

    /// A signal to the whole group.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.reaped {
            return; // by now the id may be somebody else's
        }
        // A group that is empty answers ESRCH, which is what we want.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end with our own output; its failure is an error that names `name`.
///
/// # Errors
/// When it cannot be started, fails, or passes `limit`.
pub(crate) fn run(name: &str, command: &mut Command, limit: Duration) -> Result<()> {
    let status = Group::spawn(name, command)?.wait(limit)?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs `command` and returns what it printed on standard output.
///
/// # Errors
/// As [`run`]; also when the output is not UTF-8.
pub(crate) fn output(name: &str, command: &mut Command, limit: Duration) -> Result<String> {
    let mut group = Group::spawn(name, command.stdout(Stdio::piped()))?;
    let mut pipe = group.take_stdout().context("the pipe was there a moment ago")?;
    // Read beside the wait: a child that fills its pipe would otherwise never end.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut text).map(|_| text)
    });
    let status = group.wait(limit)?;
    let text = match reader.join() {
        Ok(text) => text.with_context(|| format!("could not read what {name} printed"))?,
        Err(_) => bail!("could not read what {name} printed"),
    };
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_command_prints_is_returned() {
        let text = output("echo", &mut shell("echo hello"), Duration::from_secs(20)).unwrap();
        assert_eq!(text, "hello\n");
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run("the failing one", &mut shell("exit 3"), Duration::from_secs(20)).unwrap_err();
        assert!(error.to_string().contains("the failing one"), "{error}");
    }

    #[test]
    fn a_command_over_its_limit_is_killed_with_its_group() {
        let mut group = Group::spawn("sleeper", &mut shell("sleep 1000 & sleep 1000")).unwrap();
        let pid = group.pid();
        let error = group.wait(Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("was killed"), "{error}");
        let gone = || Ok(rustix::process::test_kill_process_group(pid).err());
        clock::wait_for("the group is gone", Duration::from_secs(20), PAUSE, gone).unwrap();
    }

    #[test]
    fn what_a_child_leaves_in_its_group_goes_with_it() {
        let mut group = Group::spawn("parent", &mut shell("sleep 1000 & exit 0")).unwrap();
        let pid = group.pid();
        assert!(group.wait(Duration::from_secs(20)).unwrap().success());
        let gone = || Ok(rustix::process::test_kill_process_group(pid).err());
        clock::wait_for("the group is gone", Duration::from_secs(20), PAUSE, gone).unwrap();
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
        let mut command = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        let mut group = Group::spawn("stubborn", command.stdout(Stdio::piped())).unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(group.take_stdout().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert!(!group.stop(Duration::from_millis(200)));
    }
}
