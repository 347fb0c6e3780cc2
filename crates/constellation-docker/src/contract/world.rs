//! What the suite needs to know of the place that it runs in.

use std::{io, path::PathBuf};

use crate::{
    container::Container,
    runtime::ContainerRuntime,
    spec::{ContainerSpec, HealthCheck, Mount},
};

/// A folder that the suite and the containers both see.
#[derive(Clone, Debug)]
pub struct SharedFolder {
    /// Where the suite sees it. It may write there.
    pub outside: PathBuf,
    /// Where containers see it.
    pub inside: String,
    /// What makes it visible to them, if anything has to.
    pub mount: Option<Mount>,
}

/// A container whose health can be switched from outside.
pub struct HealthSwitch {
    /// The container. The suite sets the times of its check.
    pub spec: ContainerSpec,
    /// Makes the check pass, or fail.
    pub set: Box<dyn Fn(bool) -> io::Result<()> + Send + Sync>,
    /// How often the check has been run.
    pub count: Box<dyn Fn() -> io::Result<usize> + Send + Sync>,
}

/// A place with a runtime in it. Where containers can run `/bin/sh`, [`shell`](Self::shell),
/// [`shared_folder`](Self::shared_folder) and [`listener`](Self::listener) are enough; a runtime that simulates
/// overrides the rest.
///
/// Names are the suite's; it replaces those of the specifications, and adds its label.
pub trait ContractWorld: Send + Sync {
    /// The runtime that is tried.
    fn runtime(&self) -> &dyn ContainerRuntime;

    /// A container that runs a script of POSIX `sh`. In it there are `echo`, `sleep`, `test`, and a `sh` for health
    /// checks.
    fn shell(&self, script: &str) -> ContainerSpec;

    /// A folder that containers made with [`shell`](Self::shell) can see once its mount is added to them.
    fn shared_folder(&self) -> SharedFolder;

    /// A container that accepts TCP connections on the lowest port that it exposes, and whose port can be reached
    /// from here at one of the addresses that `inspect` calls published.
    fn listener(&self) -> ContainerSpec;

    /// Prints `ready` once it can be asked to end; runs until then, and ends at once, with code 0.
    fn sleeper(&self) -> ContainerSpec {
        self.shell("trap 'exit 0' TERM; echo ready; sleep 100000 & wait")
    }

    /// Prints `ready` once it ignores the request to end, and runs.
    fn stubborn(&self) -> ContainerSpec {
        self.shell("trap '' TERM; echo ready; while :; do sleep 1; done")
    }

    /// Ends at once, with code 3.
    fn exits_with_3(&self) -> ContainerSpec {
        self.shell("exit 3")
    }

    /// Prints `out 1` to `out 5` on standard output, `err 1` to `err 5` on standard error, alternating, and then
    /// `value=` and the variable `CONTRACT_VALUE` on standard output; ends with code 0.
    fn printer(&self) -> ContainerSpec {
        self.shell(
            "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; echo \"value=$CONTRACT_VALUE\"",
        )
    }

    /// A sleeper whose health can be switched; `key` is unique within the run. At first its check fails.
    fn health_switch(&self, key: &str) -> io::Result<HealthSwitch> {
        let folder = self.shared_folder();
        let mut spec = self.sleeper();
        spec.mounts.extend(folder.mount);
        let (switch, count) = (format!("{key}.on"), format!("{key}.count"));
        let inside = folder.inside;
        let check = format!("echo x >> {inside}/{count}; test -e {inside}/{switch}");
        spec.health = Some(HealthCheck::command(["/bin/sh", "-c", &check]));
        let (switch, count) = (folder.outside.join(switch), folder.outside.join(count));
        Ok(HealthSwitch {
            spec,
            set: Box::new(move |passes| match passes {
                true => std::fs::write(&switch, []),
                false => std::fs::remove_file(&switch),
            }),
            count: Box::new(move || match std::fs::read(&count) {
                Ok(marks) => Ok(marks.iter().filter(|byte| **byte == b'x').count()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
                Err(error) => Err(error),
            }),
        })
    }

    /// Ends the main process behind the runtime's back, as a crash would.
    fn crash(&self, container: &Container) -> io::Result<()> {
        let pid =
            container.state.pid.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        let pid =
            pid.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the container has no process"))?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
    }
}
