//! A Docker Engine of our own: own socket, own data, and nothing of it left when it is dropped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use super::docker::{SOCKET_VARIABLE, answers};
use crate::{
    child::{self, Group},
    clock::{self, wait_for},
    http::{Address, Client},
    interrupt::Cleaning,
};

/// It is up in under a second on a quiet machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// It stops its containers within this, then we end it.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// A unix socket's path has 108 bytes with its final zero; the engine adds names of its own below the folder.
const FOLDER_BYTES_MAX: usize = 60;
/// Killed processes are gone within this.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
const SOCKET: &str = "d.sock";
const PID_FILE: &str = "pid";
/// Removing a container with its processes.
const REMOVE_LIMIT: Duration = Duration::from_secs(30);

/// A running private engine.
pub(super) struct PrivateEngine {
    folder: PathBuf,
    socket: PathBuf,
    daemon: Group,
}

impl PrivateEngine {
    /// Starts `dockerd` below `tools`, or below the temporary folder where that path is too long for a socket.
    ///
    /// # Errors
    /// When it does not answer in time; the error shows the end of its log.
    pub(super) fn start(dockerd: &Path, tools: &Path) -> Result<Self> {
        let own = std::process::id();
        let (mut parent, mut prefix) = (tools.to_owned(), "docker-");
        if parent.as_os_str().len() + prefix.len() + 10 > FOLDER_BYTES_MAX {
            (parent, prefix) = (std::env::temp_dir(), "constellation-docker-");
        }
        sweep_orphans(&parent, prefix);
        let folder = parent.join(format!("{prefix}{own}"));
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        let (socket, log) = (folder.join(SOCKET), folder.join("log"));
        say!("  starting a private dockerd in {}", folder.display());
        let output = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let mut command = Command::new(dockerd);
        // No default bridge and no packet filter rules: the suites make their own networks, whose published ports
        // then go through the engine's userland proxy, and the machine's own firewall stays as it is.
        command
            .args(["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"])
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join(PID_FILE))
            .arg("-H")
            .arg(format!("unix://{}", socket.display()))
            .stdout(output.try_clone()?)
            .stderr(output);
        let daemon = match Group::spawn("dockerd", &mut command) {
            Ok(daemon) => daemon,
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                return Err(error);
            }
        };
        let mut engine = Self { folder, socket, daemon };
        engine.wait_until_it_answers().with_context(|| last_lines(&log))?;
        Ok(engine)
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        wait_for("dockerd answers a ping", START_LIMIT, Duration::from_millis(50), || {
            if let Some(status) = self.daemon.ended()? {
                anyhow::bail!("dockerd ended by itself ({status})");
            }
            Ok(answers(&self.socket).then_some(()))
        })
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        say!("  ending the private dockerd");
        let _cleaning = Cleaning::begin();
        if let Err(error) = empty(&self.socket) {
            complain!("  could not empty the private engine: {error:#}");
        }
        self.daemon.stop(STOP_GRACE);
        sweep(&self.folder);
    }
}

/// Containers and networks first: a bridge would outlive the engine.
fn empty(socket: &Path) -> Result<()> {
    let mut client = Client::new(Address::Unix(socket.to_owned()), "docker", REMOVE_LIMIT);
    for id in ids(&client.get("/containers/json?all=1")?.text()) {
        client.request("DELETE", &format!("/containers/{id}?force=1&v=1"))?;
    }
    for id in ids(&client.get("/networks")?.text()) {
        // The engine refuses to remove the three that it made itself, as it should.
        client.request("DELETE", &format!("/networks/{id}"))?;
    }
    Ok(())
}

/// What an engine that had to be killed leaves: its containerd with the shims, mounts, its folder.
fn sweep(folder: &Path) {
    let name = folder.display().to_string();
    let end = clock::now() + SWEEP_LIMIT;
    loop {
        let left = processes_naming(&name);
        if left.is_empty() || clock::now() >= end {
            break;
        }
        for pid in left {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for mount in mounts_below(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), &name) {
        let _ = child::run("umount", Command::new("umount").arg("-l").arg(mount), Duration::from_secs(10));
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        complain!("  could not remove {name}: {error}");
    }
}

/// SIGTERM to a daemon that is not our child, and time to act on it.
fn end_daemon(folder: &Path) {
    let text = fs::read_to_string(folder.join(PID_FILE)).unwrap_or_default();
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
    if !processes_naming(&folder.display().to_string()).contains(&pid) {
        return;
    }
    let _ = rustix::process::kill_process(pid, Signal::TERM);
    let end = clock::now() + STOP_GRACE;
    while crate::procfs::is_running(pid) && clock::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Engines whose xtask was killed before it could end them: their folders carry its process id.
fn sweep_orphans(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && !crate::procfs::is_running(pid)
        {
            say!("  sweeping up the private dockerd of an earlier run in {}", entry.path().display());
            // A test that still runs would make new containers while we remove the old.
            let socket = entry.path().join(SOCKET);
            crate::procfs::end_marked(&format!("{SOCKET_VARIABLE}={}", socket.display()), SWEEP_LIMIT);
            // As orderly as it still can be: an engine that answers removes its containers and bridges itself.
            if empty(&socket).is_ok() {
                end_daemon(&entry.path());
            }
            sweep(&entry.path());
        }
    }
}

/// The `Id` of every object in an array.
fn ids(array: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(array).unwrap_or_default();
    let objects = value.as_array().map(Vec::as_slice).unwrap_or_default();
    objects.iter().filter_map(|object| Some(object.get("Id")?.as_str()?.to_owned())).collect()
}

/// Processes of the engine, whose arguments name its folder, and of its containers, whose root lies in it.
fn processes_naming(folder: &str) -> Vec<Pid> {
    let below = format!("{folder}/");
    crate::procfs::pids()
        .into_iter()
        .filter(|pid| *pid != rustix::process::getpid())
        .filter(|pid| is_engine(&crate::procfs::arguments(*pid), &below) || is_contained(*pid, &below))
        .collect()
}

fn is_engine(arguments: &[String], below: &str) -> bool {
    let program = arguments.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
    let known = ["dockerd", "containerd", "docker-proxy", "runc", "libnetwork-setkey"].contains(&program)
        || program.starts_with("containerd-shim");
    known && arguments.iter().any(|argument| argument.contains(below))
}

fn is_contained(pid: Pid, below: &str) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    // Its root is an overlay whose layers, or a bind mount whose source, is in the engine's data.
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/") && line.contains(below))
}

/// Mount points below `folder`, the deepest first.
fn mounts_below(mountinfo: &str, folder: &str) -> Vec<String> {
    let mut mounts: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|mount| mount.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        .map(str::to_owned)
        .collect();
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.len()));
    mounts
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("dockerd did not start; its last words:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_undone_and_the_deepest_first() {
        let info = "22 1 0:5 / /t rw - tmpfs t rw\n23 1 0:5 / /t/d/exec rw - tmpfs t rw\n\
                    24 1 0:5 / /t/d/exec/netns/x rw - nsfs n rw\n25 1 0:5 / /t/dd rw - tmpfs t rw\n";
        assert_eq!(mounts_below(info, "/t/d"), ["/t/d/exec/netns/x", "/t/d/exec"]);
    }

    #[test]
    fn only_an_engine_with_our_folder_is_ours() {
        let arguments = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_engine(&arguments("/usr/sbin/dockerd --data-root /t/d/data"), "/t/d/"));
        assert!(is_engine(&arguments("containerd --config /t/d/exec/containerd.toml"), "/t/d/"));
        assert!(!is_engine(&arguments("dockerd --data-root /t/dd/data"), "/t/d/"));
        assert!(!is_engine(&arguments("less /t/d/log"), "/t/d/"));
        assert!(!is_engine(&[], "/t/d/"));
        assert!(!is_contained(rustix::process::getpid(), "/nonexistent/"));
    }

    #[test]
    fn ids_are_read_from_what_the_engine_lists() {
        assert_eq!(ids(r#"[{"Id":"a","Names":["/x"]},{"Name":"no id"},{"Id":"b"}]"#), ["a", "b"]);
        assert_eq!(ids("<html>"), [""; 0]);
    }
}
