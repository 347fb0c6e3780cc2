//! What `/proc` says of processes: enough to find what we started and to be sure that it is gone.

use std::{collections::BTreeMap, fs, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::clock;

/// Every process that we can see.
pub(crate) fn pids() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect()
}

/// The arguments of a process, its program first; empty when it is gone or not ours to read.
pub(crate) fn arguments(pid: Pid) -> Vec<String> {
    zero_separated(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

/// The environment that a process was started with.
fn environment(pid: Pid) -> Vec<String> {
    zero_separated(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default())
}

fn zero_separated(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_running(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| state(&stat).is_some_and(|state| state != 'Z'))
}

fn state(stat: &str) -> Option<char> {
    // The program's name stands in parentheses and may hold anything, parentheses too.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// CPU time that a process has used.
pub(crate) fn cpu_time(pid: Pid) -> Option<Duration> {
    // The scheduler's own count, in nanoseconds; `stat` counts in hundredths of a second.
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let mut total: u64 = text.split(' ').next()?.parse().ok()?;
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    for task in tasks.flatten().filter(|task| task.file_name().to_str() != Some(&pid.to_string())) {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
    }
    Some(Duration::from_nanos(total))
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// A process and those that it started itself and that still run.
pub(crate) fn with_children(pid: Pid) -> Vec<Pid> {
    let child_of = |other: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{other}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<i32>().ok());
        parent == Some(pid.as_raw_nonzero().get())
    };
    [pid].into_iter().chain(pids().into_iter().filter(child_of)).collect()
}

/// Processes that were started with `NAME=value` in their environment: the mark by which we know our own,
/// across crashes of ours and of theirs, with no list that could be out of date.
pub(crate) fn marked(mark: &str) -> BTreeMap<i32, String> {
    let own = rustix::process::getpid();
    pids()
        .into_iter()
        .filter(|pid| *pid != own && is_running(*pid))
        .filter(|pid| environment(*pid).iter().any(|variable| variable == mark))
        .map(|pid| (pid.as_raw_nonzero().get(), arguments(pid).join(" ")))
        .collect()
}

/// Ends every marked process: SIGTERM, then SIGKILL after `grace`. Returns how many there were.
pub(crate) fn end_marked(mark: &str, grace: Duration) -> usize {
    let found = marked(mark);
    for pid in found.keys() {
        signal_marked(*pid, mark, Signal::TERM);
    }
    let give_up = clock::now() + grace + Duration::from_secs(5);
    let end = clock::now() + grace;
    loop {
        let left = marked(mark);
        if left.is_empty() || clock::now() >= give_up {
            return found.len();
        }
        if clock::now() >= end {
            for pid in left.keys() {
                signal_marked(*pid, mark, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Holds the process by a descriptor first and looks at its mark then, so that a reused id is never signalled. True if
/// the process is a marked one and got the signal.
pub(crate) fn signal_marked(pid: i32, mark: &str, signal: Signal) -> bool {
    let held = Pid::from_raw(pid)
        .and_then(|pid| Some((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?)));
    held.is_some_and(|(pid, held)| {
        environment(pid).iter().any(|variable| variable == mark)
            && rustix::process::pidfd_send_signal(&held, signal).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::child::Group;

    #[test]
    fn marked_processes_are_found_and_ended_and_others_are_not() {
        let mark = format!("XTASK_TEST_MARK={}", std::process::id());
        let sleeper = |marked: bool| {
            let mut command = Command::new("sleep");
            command.arg("1000");
            if marked {
                command.env("XTASK_TEST_MARK", std::process::id().to_string());
            }
            Group::spawn("sleeper", &mut command).unwrap()
        };
        let (mut ours, mut other) = (sleeper(true), sleeper(false));
        let seen = || Ok((marked(&mark).len() == 1).then_some(()));
        clock::wait_for("our sleeper is seen", Duration::from_secs(20), Duration::from_millis(5), seen)
            .unwrap();
        // A zombie of ours counts as gone, though nobody has reaped it yet.
        assert_eq!(end_marked(&mark, Duration::from_secs(20)), 1);
        assert!(ours.ended().unwrap().is_some());
        assert!(other.ended().unwrap().is_none());
    }

    #[test]
    fn the_state_is_read_behind_any_program_name() {
        assert_eq!(state("12 (a) R) b) S 1 12 12"), Some('S'));
        assert_eq!(state("12 (x"), None);
    }

    #[test]
    fn our_own_memory_and_cpu_time_can_be_read() {
        let own = rustix::process::getpid();
        assert!(resident_kib(own).unwrap() > 100);
        assert!(cpu_time(own).is_some());
    }
}
