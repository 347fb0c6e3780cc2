//! Coming back to a folder: who runs still, who does not, and what is done about it.

use std::{collections::HashMap, path::Path, sync::Arc};

use tracing::{error, info, warn};

use super::{
    ProcessConfig, ProcessRuntime,
    admit::Ourselves,
    lock::FolderLock,
    main_process::MainProcess,
    owner::Owner,
    procfs::{self, Marked},
    shared::Shared,
    store::{Store, Stored, blocking},
    sweep::sweep,
};
use crate::{container::ContainerId, error::RuntimeError};

pub(super) async fn open(config: ProcessConfig) -> Result<ProcessRuntime, RuntimeError> {
    let (shared, stored, marked) = blocking("open a folder of containers", move || {
        let store = Store::create(&config.state_dir)?;
        let lock = FolderLock::take(&config.state_dir)?;
        let boot_id = procfs::boot_id()
            .map_err(|source| RuntimeError::Io { deed: "read the boot id from /proc".to_owned(), source })?;
        let ourselves =
            Ourselves { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        let stored = store.load()?;
        Ok((Shared::new(config, store, boot_id, ourselves, lock), stored, procfs::marked()))
    })
    .await?;
    // From here on a caller that goes away ends our tasks: it drops the runtime.
    let runtime = ProcessRuntime { shared: Arc::new(shared) };
    let shared = &runtime.shared;
    let mut by_container: HashMap<String, Vec<i32>> = HashMap::new();
    for Marked { pid, container } in marked {
        by_container.entry(container).or_default().push(pid);
    }
    for stored in stored {
        let running = by_container.remove(stored.id.as_str()).unwrap_or_default();
        if let Err(taken) = shared.reserve(&stored.spec.name, &stored.id) {
            let folder = shared.store.folder(&stored.id);
            shared.store.set_aside(stored.id.as_str(), &folder, Path::new("spec.json"), &taken);
            continue;
        }
        take_over(shared, stored, &running).await;
    }
    shared.tasks.spawn(keep_logs_bounded(Arc::clone(shared)));
    Ok(runtime)
}

async fn take_over(shared: &Arc<Shared>, stored: Stored, running: &[i32]) {
    let Stored { id, spec, record } = stored;
    let name = spec.name.clone();
    let process = record.process.clone().and_then(|identity| {
        MainProcess::taken_over(identity, &shared.boot_id).unwrap_or_else(|error| {
            error!(container = name, %error, "its process cannot be watched: it is ended instead");
            None
        })
    });
    match &process {
        Some(process) => info!(container = name, pid = process.identity().pid, "taken over"),
        None => end_leftovers(&id, &name, running).await,
    }
    let (mut owner, entry) = Owner::restored(Arc::clone(shared), id.clone(), spec, &record, process);
    owner.take_over().await;
    shared.insert(&id, entry);
    adopt_task(shared, &id, owner);
}

async fn end_leftovers(id: &ContainerId, name: &str, running: &[i32]) {
    if running.is_empty() {
        return;
    }
    warn!(container = name, pids = ?running, "its main process is gone: what it left running is killed");
    sweep(id.clone(), name, None).await;
}

/// Runs a container's owner under the runtime's care.
pub(super) fn adopt_task(shared: &Arc<Shared>, id: &ContainerId, owner: Owner) {
    let id = id.clone();
    shared.tasks.spawn(async move {
        let run = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(owner.run()));
        if run.await.is_err() {
            // Its process runs on; calls are told what to do, see `calls`.
            error!(container = %id, "the task that owns this container panicked; open the runtime again to take it over");
        }
    });
}

async fn keep_logs_bounded(shared: Arc<Shared>) {
    let mut looks =
        tokio::time::interval(shared.config.log_interval.max(std::time::Duration::from_millis(1)));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.closing.cancelled() => return,
            _ = looks.tick() => {}
        }
        let logs: Vec<_> = shared.entries().into_iter().map(|(_, entry)| (entry.spec, entry.logs)).collect();
        if logs.is_empty() {
            continue;
        }
        let look = blocking("look after the logs", move || {
            for (spec, logs) in logs {
                if let Err(error) = logs.keep_bounded() {
                    warn!(container = spec.name, %error, "could not keep its log within its bound");
                }
            }
            Ok(())
        });
        if let Err(error) = look.await {
            warn!(%error, "could not keep logs within their bounds");
        }
    }
}
