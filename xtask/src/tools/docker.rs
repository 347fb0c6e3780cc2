//! A Docker Engine for the suites: the machine's own if one answers, else a private one for as long as they run.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{apt, dockerd::PrivateEngine, find_program, is_root};
use crate::{
    http::{Address, Client},
    workspace::Workspace,
};

/// Where an engine listens unless somebody says otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Tells the suites where the engine listens.
pub(super) const SOCKET_VARIABLE: &str = "CONSTELLATION_E2E_DOCKER_SOCKET";
/// An engine that takes longer over a ping is of no use to a test.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// What an e2e suite is given.
pub(crate) struct Docker {
    /// The engine's socket.
    pub(crate) socket: PathBuf,
    /// A statically linked busybox, from which the images are made.
    pub(crate) busybox: PathBuf,
    /// Whether a test may start an engine of its own.
    pub(crate) may_start_engines: bool,
    /// Ends with this value, if it is ours.
    _private: Option<PrivateEngine>,
}

impl Docker {
    /// Finds or starts an engine, and says which.
    ///
    /// # Errors
    /// When there is none and none can be started here; the error says why.
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let found = running_engine();
        if found.is_none() && !is_root() {
            bail!("no Docker Engine answers, and only root can start one");
        }
        let busybox = busybox()?;
        redis()?;
        sshd()?;
        let (socket, private) = match found {
            Some(socket) => (socket, None),
            None => start_one(workspace)?,
        };
        let whose = if private.is_some() { "a private one" } else { "the machine's own" };
        say!("  Docker Engine: {whose}, at {}", socket.display());
        let may_start_engines = is_root() && find_program("dockerd").is_some();
        Ok(Self { socket, busybox, may_start_engines, _private: private })
    }

    /// The environment by which the suites learn of it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            (SOCKET_VARIABLE, self.socket.display().to_string()),
            ("CONSTELLATION_E2E_BUSYBOX", self.busybox.display().to_string()),
        ];
        if self.may_start_engines {
            environment.push(("CONSTELLATION_E2E_DOCKERD", "1".to_owned()));
        }
        environment
    }
}

/// The socket of an engine that answers a ping.
fn running_engine() -> Option<PathBuf> {
    let socket = match env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => {
            let Some(path) = host.strip_prefix("unix://") else {
                say!("  DOCKER_HOST={host} is left aside: the suites speak to unix sockets");
                return None;
            };
            PathBuf::from(path)
        }
        _ => PathBuf::from(DEFAULT_SOCKET),
    };
    answers(&socket).then_some(socket)
}

/// Whether an engine answers at this socket.
pub(super) fn answers(socket: &Path) -> bool {
    let mut client = Client::new(Address::Unix(socket.to_owned()), "docker", PING_LIMIT);
    client.get("/_ping").is_ok_and(|response| response.status == 200)
}

fn start_one(workspace: &Workspace) -> Result<(PathBuf, Option<PrivateEngine>)> {
    if find_program("dockerd").is_none() {
        apt::install(&["docker.io", "iptables"], "a Docker Engine for the e2e suites")?;
        // A machine whose init started the engine at once now has one of its own.
        if let Some(socket) = running_engine() {
            return Ok((socket, None));
        }
    }
    let dockerd = find_program("dockerd").context("docker.io is installed, but `dockerd` is not in PATH")?;
    let engine = PrivateEngine::start(&dockerd, &workspace.target("tools"))?;
    Ok((engine.socket().to_owned(), Some(engine)))
}

fn busybox() -> Result<PathBuf> {
    let is_static = |path: &Path| std::fs::read(path).is_ok_and(|bytes| !names_an_interpreter(&bytes));
    if let Some(path) = find_program("busybox").filter(|path| is_static(path)) {
        return Ok(path);
    }
    apt::install(&["busybox-static"], "images for the e2e suites")?;
    find_program("busybox")
        .filter(|path| is_static(path))
        .context("busybox-static is installed, but the `busybox` in PATH is not statically linked")
}

/// A Redis for the images of a suite, out of the package that starts no service.
fn redis() -> Result<()> {
    if find_program("redis-check-rdb").is_none() || find_program("redis-cli").is_none() {
        apt::install(&["redis-tools"], "an image for the e2e suites")?;
    }
    Ok(())
}

/// An sshd for the suite of engines on other machines. Its package brings a service along that starts with the machine:
/// where there is an init, a person decides about that, and the suite says what it leaves out.
fn sshd() -> Result<()> {
    let is_there = Path::new("/usr/sbin/sshd").exists() || find_program("sshd").is_some();
    if !is_there && !Path::new("/run/systemd/system").exists() {
        apt::install(&["openssh-server", "openssh-client"], "engines on other machines, in the e2e suites")?;
    }
    Ok(())
}

/// Whether an ELF file wants a dynamic loader; in an image of nothing but itself it would not start.
fn names_an_interpreter(elf: &[u8]) -> bool {
    let head = elf.get(..elf.len().min(4096)).unwrap_or_default();
    head.windows(6).any(|window| window == b"/ld-li" || window == b"/ld-mu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_wants_a_loader_is_not_static() {
        assert!(names_an_interpreter(b"\x7fELF...../lib64/ld-linux-x86-64.so.2\0"));
        assert!(!names_an_interpreter(b"\x7fELF.....no loader here"));
    }

    #[test]
    fn no_engine_answers_where_no_socket_is() {
        assert!(!answers(Path::new("/nonexistent/docker.sock")));
    }
}
