//! What exactly is executed for a specification: program, arguments, environment, place, identity.

use std::{collections::BTreeMap, io, net::IpAddr, path::Path, process::Stdio};

use tokio::process::{Child, Command};

use super::{
    admit::{self, Ourselves, User},
    logs::LogFiles,
    procfs::MARKER,
};
use crate::{
    container::ContainerId,
    error::RuntimeError,
    spec::{ContainerSpec, Port, Protocol},
};

/// Where programs are looked for when the agent itself has no `PATH`: Docker's default.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that `exec` needs; the same for the main process and for its health check, but for the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    working_dir: String,
    user: Option<User>,
}

impl Launch {
    /// Works out what to execute. `host_env` looks a variable of the agent's own environment up.
    pub(super) fn of(
        spec: &ContainerSpec,
        id: &ContainerId,
        address: IpAddr,
        ourselves: Ourselves,
        host_env: impl Fn(&str) -> Option<String>,
    ) -> Self {
        // Not the agent's own environment: that may hold its secrets.
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), host_env("PATH").unwrap_or_else(|| PATH_DEFAULT.to_owned())),
            ("HOME".to_owned(), host_env("HOME").unwrap_or_else(|| "/".to_owned())),
        ]);
        if let Some(port) = lowest_tcp_port(spec) {
            env.insert("PORT".to_owned(), port.to_string());
        }
        env.extend(spec.env.clone());
        // These are facts of this runtime, whatever the specification says: what it announces must be true.
        env.insert("CONSTELLATION_ADDRESS".to_owned(), address.to_string());
        env.insert(MARKER.to_owned(), id.to_string());
        Self {
            arguments: spec.entrypoint.iter().chain(&spec.command).flatten().cloned().collect(),
            env,
            working_dir: spec.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            // Looked at when it was created; where the agent has lost its rights since, `exec` says so.
            user: admit::user(spec, ourselves).ok().flatten(),
        }
    }

    /// The same surroundings for another command.
    pub(super) fn with_arguments(&self, arguments: &[String]) -> Self {
        Self { arguments: arguments.to_vec(), ..self.clone() }
    }

    /// A command that starts as the leader of a process group of its own, without input.
    pub(super) fn command(&self) -> Option<Command> {
        let (program, arguments) = self.arguments.split_first()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.working_dir)
            .process_group(0)
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Some(command)
    }

    /// Starts the main process. Its output goes straight into the files, so that it does not need us to live.
    pub(super) fn spawn(&self, name: &str, logs: &LogFiles) -> Result<Child, RuntimeError> {
        let program = self.arguments.first().map_or("", String::as_str);
        let io =
            |source| RuntimeError::Io { deed: format!("start `{program}` for container `{name}`"), source };
        let invalid = |field: &str, reason: String| RuntimeError::InvalidSpec {
            name: name.to_owned(),
            field: field.to_owned(),
            reason,
        };
        // `exec` gives one error for both, and for the wrong one of them nobody would look here.
        if !Path::new(&self.working_dir).is_dir() {
            return Err(invalid(
                "working_dir",
                format!("there is no folder `{}`: make it", self.working_dir),
            ));
        }
        let (stdout, stderr) = logs.open().map_err(io)?;
        if let Some((uid, gid)) = self.user {
            // So that it can open `/dev/stdout` once more by that name, as many servers do for their logs.
            for log in [&stdout, &stderr] {
                std::os::unix::fs::fchown(log, Some(uid), Some(gid)).map_err(io)?;
            }
        }
        let mut command = self.command().ok_or_else(|| io(io::ErrorKind::InvalidInput.into()))?;
        command.stdout(stdout).stderr(stderr).spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => invalid(
                "command",
                format!(
                    "there is no program `{program}` on this machine: install it, or write its absolute path"
                ),
            ),
            io::ErrorKind::PermissionDenied => {
                invalid("command", format!("`{program}` may not be executed: check its mode, and `user`"))
            }
            _ => io(error),
        })
    }
}

/// The ports that a specification declares, each once, lowest first.
pub(super) fn ports(spec: &ContainerSpec) -> Vec<Port> {
    let mut ports: Vec<_> =
        spec.exposed.iter().copied().chain(spec.ports.iter().map(|binding| binding.container)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn lowest_tcp_port(spec: &ContainerSpec) -> Option<u16> {
    ports(spec).into_iter().find(|port| port.protocol == Protocol::Tcp).map(|port| port.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Ourselves = Ourselves { uid: 0, gid: 0 };

    fn launch(spec: &ContainerSpec) -> Launch {
        let host = |name: &str| (name == "PATH").then(|| "/opt/bin".to_owned());
        Launch::of(spec, &ContainerId::new("abc"), [127, 0, 0, 11].into(), ROOT, host)
    }

    #[test]
    fn a_process_is_told_its_address_its_port_and_who_it_is() {
        let spec = ContainerSpec::new("web", "x")
            .command(["run"])
            .expose(Port::udp(53))
            .expose(Port::tcp(8081))
            .expose(Port::tcp(8080));
        let env = launch(&spec).env;
        let expected = [
            ("CONSTELLATION_ADDRESS", "127.0.0.11"),
            ("CONSTELLATION_CONTAINER_ID", "abc"),
            ("HOME", "/"),
            ("PATH", "/opt/bin"),
            ("PORT", "8080"),
        ];
        assert_eq!(env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn its_own_variables_win_but_for_those_that_must_be_true() {
        let spec = ContainerSpec::new("web", "x")
            .command(["run"])
            .expose(Port::tcp(8080))
            .env("PORT", "9")
            .env("HOME", "/srv")
            .env("CONSTELLATION_ADDRESS", "0.0.0.0");
        let env = launch(&spec).env;
        assert_eq!((env["PORT"].as_str(), env["HOME"].as_str()), ("9", "/srv"));
        assert_eq!(env["CONSTELLATION_ADDRESS"], "127.0.0.11");
    }

    #[test]
    fn the_entry_point_comes_before_the_command() {
        let mut spec = ContainerSpec::new("web", "x").command(["-v", "file"]);
        spec.entrypoint = Some(vec!["/bin/tool".into(), "run".into()]);
        assert_eq!(launch(&spec).arguments, ["/bin/tool", "run", "-v", "file"]);
    }
}
