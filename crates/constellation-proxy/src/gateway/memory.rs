//! Which ports were chosen, on disk.

use std::{io, path::PathBuf};

use tracing::warn;

use super::ports::{PortBook, PortRange};

/// The ports as they were; a file that cannot be read is begun anew, and said so.
pub(super) async fn remembered(path: PathBuf, range: PortRange) -> PortBook {
    let read = match tokio::fs::read(&path).await {
        Ok(json) => PortBook::from_json(range, &json).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return PortBook::new(range),
        Err(error) => Err(error),
    };
    read.unwrap_or_else(|error| {
        warn!(file = %path.display(), %error, "the mesh gateway's ports could not be read and are chosen anew");
        PortBook::new(range)
    })
}

/// Losing the memory costs stable ports over the next restart, not the service: so a failure is said, not returned.
pub(super) async fn remember(path: PathBuf, json: Vec<u8>) {
    let next = path.with_extension("tmp");
    let written = async {
        tokio::fs::write(&next, &json).await?;
        tokio::fs::File::open(&next).await?.sync_all().await?;
        tokio::fs::rename(&next, &path).await
    };
    if let Err(error) = written.await {
        warn!(file = %path.display(), %error, "the mesh gateway's ports could not be written: after a restart they may differ");
    }
}
