//! An engine of our own, on its own socket and data root.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use constellation_docker::{ContainerRuntime, DockerEndpoint, DockerEngine};
use rustix::process::{Pid, Signal, kill_process};

/// Ends with the value, also when the test fails.
pub(crate) struct PrivateDockerd {
    folder: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl PrivateDockerd {
    /// One that is started with these arguments besides.
    pub(crate) fn new(folder: &Path, arguments: &[String]) -> Self {
        Self { folder: folder.to_owned(), arguments: arguments.to_vec(), child: None }
    }

    pub(crate) fn engine(&self) -> DockerEngine {
        DockerEngine::connect(DockerEndpoint::Unix(self.folder.join("d.sock"))).unwrap()
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("d.log")).unwrap();
        let flag = |name: &str, file: &str| format!("--{name}={}", self.folder.join(file).display());
        let child = Command::new("dockerd")
            .args([flag("data-root", "data"), flag("exec-root", "exec"), flag("pidfile", "d.pid")])
            .arg(format!("--host=unix://{}", self.folder.join("d.sock").display()))
            .args(&self.arguments)
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let engine = self.engine();
        let answers = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while engine.info().await.is_err() {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), answers).await.expect("dockerd does not come up");
    }

    /// Asks it to end, which it does together with its containerd, and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait();
    }
}

impl Drop for PrivateDockerd {
    fn drop(&mut self) {
        self.stop();
    }
}
