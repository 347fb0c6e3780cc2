//! Ends what is left of a container whose main process is gone. It would hold ports, and nobody would end it later.

use std::{os::fd::OwnedFd, time::Duration};

use tracing::warn;

use super::{main_process, procfs, store::blocking};
use crate::container::ContainerId;

/// How long killed processes may take to be gone before the container goes on without them.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// Kills what carries the container's marker and waits until that, and what else is in its group, is gone.
pub(super) async fn sweep(id: ContainerId, name: &str, group: Option<i32>) {
    let look =
        blocking("look for what is left of a container", move || Ok(procfs::kill_marked(id.as_str(), group)));
    let gone = async { all_ended(look.await.unwrap_or_default()).await };
    if tokio::time::timeout(SWEEP_LIMIT, gone).await.is_err() {
        warn!(container = name, "processes of a container do not go away although they were killed");
    }
}

async fn all_ended(processes: Vec<OwnedFd>) {
    for process in processes {
        if let Ok(watch) = main_process::watch(process) {
            let _ = watch.readable().await; // fails only when the reactor is going down
        }
    }
}
