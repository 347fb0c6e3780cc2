//! One executable run to its end or to its limit, with its output shown and its tests counted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    child::Group,
    clock::{self, seconds},
    interrupt,
};

/// Lines on their way from a child to our output; a child that prints faster waits.
const LINES_BOUND: usize = 256;
/// How often the child is looked at while it prints nothing.
const PAUSE: Duration = Duration::from_millis(20);
/// After the end of a child its pipe is read to the end, unless something that it left holds it open.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// How its tests went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
}

impl Counts {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    /// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    fn of_line(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |what: &str| {
            let part = rest.split(';').map(str::trim).find_map(|part| part.strip_suffix(what))?;
            part.trim().parse().ok()
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

/// What an executable or a suite came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) counts: Counts,
    /// The failed tests by name; an executable that named none stands for itself.
    pub(crate) failures: Vec<String>,
}

impl Verdict {
    /// Takes another's tests in.
    pub(crate) fn add(&mut self, other: Self) {
        self.counts = self.counts.plus(other.counts);
        self.failures.extend(other.failures);
    }

    fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(counts) = Counts::of_line(line) {
            self.counts = self.counts.plus(counts);
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }
}

/// Runs `command` and counts. An executable that dies, hangs or fails without naming a test counts as one failure.
///
/// # Errors
/// When it cannot be started, or a person interrupts.
pub(crate) fn counted(name: &str, command: &mut Command, end: Instant) -> Result<Verdict> {
    let mut group = Group::spawn(name, command.stdout(Stdio::piped()))?;
    let pipe = group.take_stdout().context("the pipe was there a moment ago")?;
    let (sender, lines) = mpsc::sync_channel(LINES_BOUND);
    // Ends when the pipe does, or when nobody listens any more.
    let _reader = std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut verdict = Verdict::default();
    let mut ended = None;
    let mut over = false;
    loop {
        match lines.recv_timeout(PAUSE) {
            Ok(line) => {
                say!("{line}");
                verdict.read(&line);
            }
            Err(RecvTimeoutError::Disconnected) if ended.is_some() => break,
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(PAUSE),
            Err(RecvTimeoutError::Timeout) => {}
        }
        interrupt::check()?;
        if ended.is_none() {
            over = clock::now() >= end;
            if over {
                group.kill();
            }
            ended = group.ended()?.map(|status| (status, clock::now()));
        }
        if ended.is_some_and(|(_, at)| clock::now() >= at + PIPE_GRACE) {
            break;
        }
    }
    let success = ended.is_some_and(|(status, _)| status.success());
    if over {
        say!("{name}: killed, the suite's time is over");
    }
    if !success && verdict.counts.failed == 0 {
        say!("{name}: ended without a verdict, which counts as one failure");
        verdict.counts.failed = 1;
        verdict.failures.push(format!("{name} as a whole"));
    }
    Ok(verdict)
}

/// A line for the log: what took how long.
pub(crate) fn took(name: &str, counts: Counts, duration: Duration) -> String {
    format!("{name}: {} passed, {} failed in {}", counts.passed, counts.failed, seconds(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Counts {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        counted("script", &mut command, clock::now() + limit).unwrap().counts
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_verdict_line_of_libtest_is_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s";
        assert_eq!(Counts::of_line(line), Some(Counts { passed: 12, failed: 3, ignored: 1 }));
        assert_eq!(Counts::of_line("test a::b ... ok"), None);
        assert_eq!(Counts::of_line("test result: ok. what now"), None);
    }

    #[test]
    fn failed_tests_are_known_by_name() {
        let mut verdict = Verdict::default();
        for line in
            ["test a::b ... ok", "test a::c ... FAILED", "test src/x.rs - x (line 3) ... FAILED\r", "FAILED"]
        {
            verdict.read(line);
        }
        assert_eq!(verdict.failures, ["a::c", "src/x.rs - x (line 3)"]);
    }

    #[test]
    fn verdicts_of_one_process_are_added() {
        let line = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured'";
        assert_eq!(shell(&format!("{line}; {line}"), LONG), Counts { passed: 4, failed: 0, ignored: 0 });
    }

    #[test]
    fn a_process_that_dies_without_a_verdict_is_a_failure() {
        assert_eq!(shell("exit 101", LONG).failed, 1);
        assert_eq!(
            shell("echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured'; kill -9 $$", LONG)
                .failed,
            1
        );
    }

    #[test]
    fn a_process_that_hangs_is_killed_and_is_a_failure() {
        assert_eq!(shell("sleep 1000", Duration::from_millis(50)).failed, 1);
    }
}
