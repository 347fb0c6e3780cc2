//! Which process is which: what `/proc` says, and why a number alone is never believed.

use std::{
    fs,
    io::{self, Read},
    os::fd::OwnedFd,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Every process of a container carries this variable, also those that left its process group.
pub(super) const MARKER: &str = "CONSTELLATION_CONTAINER_ID";

/// The most of a process' environment that is looked through for the marker.
const ENVIRON_BYTES_MAX: u64 = 1 << 20;

/// A process, told apart from any later one that got its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub(super) start_ticks: u64,
    /// Which boot that was.
    pub(super) boot_id: String,
}

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    state: char,
    pub(super) group: i32,
    pub(super) start_ticks: u64,
}

impl Stat {
    /// It has ended and only waits for its parent to notice.
    fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads a line of `/proc/<pid>/stat`. The name in it is the process' own choice and may hold spaces and brackets.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, behind_name) = line.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace();
    // Numbered as in proc(5), where the state is field 3.
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?; // field 5
    let start_ticks = fields.nth(16)?.parse().ok()?; // field 22
    Some(Stat { state, group, start_ticks })
}

/// What `/proc` says of a process; `None` where there is none, or none that we may see.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// This boot.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Identity {
    /// Takes down who a process is that certainly has this number now.
    pub(super) fn of(pid: i32, boot_id: &str) -> Option<Self> {
        Some(Self { pid, start_ticks: stat(pid)?.start_ticks, boot_id: boot_id.to_owned() })
    }

    /// Whether the process runs still.
    pub(super) fn is_alive(&self, boot_id: &str) -> bool {
        self.boot_id == boot_id
            && stat(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.is_dead())
    }

    /// Whether the number of a process of this boot went to another one since. Then its process group is gone as well:
    /// the kernel gives no number away that still names a group.
    pub(super) fn is_reused(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start_ticks != self.start_ticks)
    }
}

/// A process that carries a container's marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) pid: i32,
    pub(super) container: String,
}

/// All living processes that carry some container's marker, as far as we may see them.
pub(super) fn marked() -> Vec<Marked> {
    numbers()
        .filter_map(|pid| Some(Marked { container: marker_of(pid)?, pid }))
        .filter(|marked| stat(marked.pid).is_some_and(|stat| !stat.is_dead()))
        .collect()
}

/// Kills every process with this container's marker and returns what tells their ends. Members of `group` that do
/// not carry it are waited for as well, but not killed: a number is no proof.
pub(super) fn kill_marked(container: &str, group: Option<i32>) -> Vec<OwnedFd> {
    let mut dying = Vec::new();
    for pid in numbers() {
        let ours = marker_of(pid).is_some_and(|marker| marker == container);
        let Some(stat) = stat(pid) else { continue };
        if stat.is_dead() || !(ours || group == Some(stat.group)) {
            continue;
        }
        let Some(watch) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok())
        else {
            continue; // gone meanwhile
        };
        // Looked at again with the descriptor in hand: now the signal cannot reach another process.
        if ours && marker_of(pid).is_some_and(|marker| marker == container) {
            // The one failure that is possible here says that it is gone, which is what we want.
            let _ = pidfd_send_signal(&watch, Signal::KILL);
        }
        dying.push(watch);
    }
    dying
}

fn numbers() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn marker_of(pid: i32) -> Option<String> {
    let mut environ = Vec::new();
    fs::File::open(format!("/proc/{pid}/environ"))
        .ok()?
        .take(ENVIRON_BYTES_MAX)
        .read_to_end(&mut environ)
        .ok()?;
    find_marker(&environ)
}

fn find_marker(environ: &[u8]) -> Option<String> {
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(name: &str) -> String {
        format!("4242 ({name}) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 10 0 0")
    }

    #[test]
    fn this_process_is_found_alive_under_its_own_identity_only() {
        let boot = boot_id().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        let identity = Identity::of(me, &boot).unwrap();
        assert!(identity.is_alive(&boot) && !identity.is_reused());

        let earlier = Identity { start_ticks: identity.start_ticks - 1, ..identity.clone() };
        assert!(!earlier.is_alive(&boot) && earlier.is_reused());
        assert!(!identity.is_alive("another boot"));
    }

    #[test]
    fn the_marker_is_found_among_other_variables() {
        let environ = b"PATH=/bin\0NOT_CONSTELLATION_CONTAINER_ID=x\0CONSTELLATION_CONTAINER_ID=abc\0A=b\0";
        assert_eq!(find_marker(environ).as_deref(), Some("abc"));
        assert_eq!(find_marker(b"PATH=/bin\0"), None);
    }

    proptest! {
        #[test]
        fn a_process_cannot_forge_its_start_time_by_its_name(name in "[ -~]{0,15}") {
            let stat = parse_stat(&line(&name));
            prop_assert_eq!(stat, Some(Stat { state: 'S', group: 77, start_ticks: 987_654 }));
        }

        #[test]
        fn nonsense_is_no_process(text in "\\PC{0,200}") {
            parse_stat(&text); // does not panic
        }
    }
}
