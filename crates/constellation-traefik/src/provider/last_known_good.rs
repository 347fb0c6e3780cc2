//! What was served last, over a restart of the agent.
//!
//! A Traefik that restarts remembers nothing, and an agent that restarts knows nothing for a moment: were both to happen
//! at once (a reboot), every route would be gone until the cluster is heard of again. So the document is on disk.
//!
//! The file is one line that says what follows, and the document. It is written beside its place and renamed into it,
//! both synced, so a crash leaves the old one or the new one; a checksum tells what the disk did to it later.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use constellation_core::{Clock, error_chain};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{LastKnownGoodError, LastKnownGoodStatus, Served};
use crate::document::DynamicConfig;

/// The largest file that is read back. A document of 1,000 services on 5 nodes has 3 MiB.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Between two writes. What changes more often is worth less to remember.
const PACE: Duration = Duration::from_secs(1);
/// Between two tries while writing fails.
const RETRY: Duration = Duration::from_secs(15);
/// How long the last write may take when the agent stops.
const LAST_WRITE: Duration = Duration::from_secs(2);
const HEADER: &str = "constellation-traefik-routes 1 sha256:";

/// The file.
#[derive(Clone)]
pub(super) struct LastKnownGood {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl LastKnownGood {
    pub(super) fn new(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { path, clock }
    }

    /// What was served last; `None` where nothing was written yet.
    pub(super) async fn load(&self) -> Result<Option<DynamicConfig>, LastKnownGoodError> {
        let path = self.path.clone();
        let unread = |source| LastKnownGoodError::Read { path: self.path.clone(), source };
        tokio::task::spawn_blocking(move || read(&path))
            .await
            .map_err(|join| unread(io::Error::other(join)))?
    }

    /// Writes every change, at most one each second, until the drain; then the last one.
    pub(super) async fn keep(
        self,
        mut served: watch::Receiver<Arc<Served>>,
        status: watch::Sender<LastKnownGoodStatus>,
        shutdown: CancellationToken,
    ) {
        let mut failing = false;
        let mut kept = served.borrow_and_update().kept.clone();
        loop {
            let draining = tokio::select! {
                () = shutdown.cancelled() => true,
                changed = served.changed() => changed.is_err(),
                () = tokio::time::sleep(RETRY), if failing => false,
            };
            let now = Arc::clone(&served.borrow_and_update());
            if now.document.is_some() && now.kept != kept {
                let written = self.write_in_time(now.kept.clone(), &shutdown).await;
                match &written {
                    Ok(()) if failing => {
                        info!(path = %self.path.display(), "routes are kept over a restart again");
                    }
                    Err(error) if !failing => {
                        warn!(error = error_chain(&error), "routes are served, but not kept over a restart");
                    }
                    _ => {}
                }
                failing = written.is_err();
                status.send_replace(match written {
                    Ok(()) => LastKnownGoodStatus::Saved { at: self.clock.wall() },
                    Err(error) => LastKnownGoodStatus::Failed { error: error_chain(&error) },
                });
                if !failing {
                    kept = now.kept.clone();
                }
            }
            if draining {
                return;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }

    /// Writes; a disk that hangs does not keep the agent from ending.
    async fn write_in_time(
        &self,
        body: Bytes,
        shutdown: &CancellationToken,
    ) -> Result<(), LastKnownGoodError> {
        let too_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(LAST_WRITE).await;
        };
        tokio::select! {
            written = self.write(body) => written,
            () = too_late => {
                let source = io::Error::new(io::ErrorKind::TimedOut, "the disk did not answer in time");
                Err(LastKnownGoodError::Write { path: self.path.clone(), source })
            }
        }
    }

    async fn write(&self, body: Bytes) -> Result<(), LastKnownGoodError> {
        let path = self.path.clone();
        let failed = |source| LastKnownGoodError::Write { path: self.path.clone(), source };
        let written = tokio::task::spawn_blocking(move || write(&path, &body)).await;
        written.unwrap_or_else(|join| Err(io::Error::other(join))).map_err(failed)
    }
}

fn header(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HEADER}{hex}\n")
}

fn read(path: &Path) -> Result<Option<DynamicConfig>, LastKnownGoodError> {
    let path_buf = || path.to_path_buf();
    let unread = |source| LastKnownGoodError::Read { path: path_buf(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    let bytes = file.metadata().map_err(unread)?.len();
    if bytes > BYTES_MAX {
        return Err(LastKnownGoodError::TooLarge { path: path_buf(), bytes });
    }
    let mut content = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut content).map_err(unread)?;
    let damaged = |what| LastKnownGoodError::Damaged { path: path_buf(), what };
    let end =
        content.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("the first line is missing"))?;
    let (first, body) = content.split_at(end + 1);
    if !first.starts_with(HEADER.as_bytes()) {
        return Err(damaged("the first line is not ours"));
    }
    if first != header(body).as_bytes() {
        return Err(damaged("the checksum is another"));
    }
    let form = |source| LastKnownGoodError::Form { path: path_buf(), source };
    let document: DynamicConfig = serde_json::from_slice(body).map_err(form)?;
    document.validate().map_err(|source| LastKnownGoodError::Invalid { path: path_buf(), source })?;
    Ok(Some(document))
}

fn write(path: &Path, body: &[u8]) -> io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut file = fs::File::create(&beside)?;
        file.write_all(header(body).as_bytes())?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The rename is durable once the folder is.
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // Half a file helps nobody, and on a full disk its room is wanted.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use constellation_core::ManualClock;

    use super::*;

    fn document() -> DynamicConfig {
        serde_json::from_str(
            r#"{"http":{"routers":{"a":{"entryPoints":["web"],"service":"a@file","rule":"Path(`/`)","priority":9}}}}"#,
        )
        .unwrap()
    }

    fn file(folder: &tempfile::TempDir) -> LastKnownGood {
        LastKnownGood::new(folder.path().join("state/routes.json"), Arc::new(ManualClock::new()))
    }

    #[tokio::test]
    async fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        assert!(matches!(file.load().await, Ok(None)));
        file.write(document().to_bytes().into()).await.unwrap();
        assert_eq!(file.load().await.unwrap(), Some(document()));
        assert!(!folder.path().join("state/routes.json.new").exists());
    }

    #[tokio::test]
    async fn every_single_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        file.write(document().to_bytes().into()).await.unwrap();
        let good = fs::read(&file.path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file.path, bad).unwrap();
            assert!(file.load().await.is_err(), "byte {at}");
        }
        for cut in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(&file.path, &good[..cut]).unwrap();
            assert!(file.load().await.is_err(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_document_that_traefik_would_refuse_is_not_served_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        for body in [
            r#"{"http":{"routers":{"a":{"entryPoints":[],"service":"x","rule":"","priority":0}}}}"#,
            r#"{"http":{"x":1}}"#,
        ] {
            file.write(body.as_bytes().to_vec().into()).await.unwrap();
            assert!(file.load().await.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn where_nothing_can_be_written_the_cause_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), "a file where a folder should be").unwrap();
        let error = file(&folder).write(Bytes::from_static(b"{}")).await.unwrap_err();
        assert!(
            error_chain(&error).starts_with("could not write the last known routes to "),
            "{}",
            error_chain(&error)
        );
        assert!(error_chain(&error).matches(": ").count() >= 1);
    }
}
