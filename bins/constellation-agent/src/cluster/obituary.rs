//! Telling the others that a process of this node is dead, from outside of it: what the notary does when it saw its worker
//! end, and what systemd does after both are gone.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use constellation_consensus::{
    Body, Frame, Obituary,
    storage::Directory,
    transport::{PeerIdentity, TlsIdentity, TransportConfig, announce},
};
use tokio::task::JoinSet;
use tracing::debug;

use super::files::ClusterFiles;

/// How long one member may take to hear it, and how often it is tried. Who does not hear it waits for the lease to end.
const WITHIN: Duration = Duration::from_millis(800);
const TRIES: usize = 3;

/// How many heard it, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) heard: usize,
    pub(crate) of: usize,
}

/// Tells every member that is written down that this run of this node's process has ended. The caller has seen it end.
pub(crate) async fn tell(files: &ClusterFiles, boot: u128) -> anyhow::Result<Heard> {
    let Some(identity) = files.identity()? else { return Ok(Heard { heard: 0, of: 0 }) };
    let (owner, epoch) = (identity.owner, identity.epoch);
    let tls = Arc::new(TlsIdentity::new(&files.credentials()?)?);
    let known = files.peers()?;
    let obituary =
        Obituary { node: owner.node.to_string(), boot: boot.to_be_bytes().to_vec(), returned: false };
    let mut telling = JoinSet::new();
    let mut of = 0;
    for (id, peer) in known.peers() {
        of += 1;
        let Some(address) = peer.address else { continue };
        let to = PeerIdentity { cluster: owner.cluster.clone(), node: peer.node, id };
        let body = Some(Body::Obituary(obituary.clone()));
        let frame = Frame { epoch, from: owner.id, to: id.0, body };
        let tls = Arc::clone(&tls);
        telling.spawn(async move {
            // The address is not listened on: only how to connect is taken from here.
            let config = TransportConfig::at(address, epoch);
            for _ in 0..TRIES {
                match announce(&config, &tls, address, &to, frame.clone(), WITHIN).await {
                    Ok(()) => return true,
                    Err(error) => debug!(%to, error = constellation_core::error_chain(&error), "not told"),
                }
            }
            false
        });
    }
    let mut heard = 0;
    while let Some(told) = telling.join_next().await {
        heard += usize::from(told.unwrap_or(false));
    }
    Ok(Heard { heard, of })
}

/// Tells of the last run that this folder has seen, if that run is over: the folder's lock is the proof.
pub(crate) async fn tell_of_last(files: &ClusterFiles) -> anyhow::Result<Option<Heard>> {
    if files.identity()?.is_none() {
        return Ok(None);
    }
    let Some(boot) = files.last_boot()? else { return Ok(None) };
    let lock =
        Directory::open(&files.raft()).context("the process that this would tell of is still alive")?;
    let heard = tell(files, boot).await?;
    drop(lock);
    Ok(Some(heard))
}
