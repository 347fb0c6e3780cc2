//! Entering a cluster: what is kept of a grant, so that the agent can run as a member.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use constellation_consensus::{
    member::ClusterSettings,
    raft::RaftId,
    storage::{DataIdentity, DataOwner, RedbLog},
    transport::Joined,
};
use constellation_security::{Keyring, Replace, read_secret, write_secret};

use super::files::{ClusterFiles, KnownPeer, KnownPeers};

/// Looks, before a token is used up, whether this node can become a member.
pub(crate) fn check(files: &ClusterFiles) -> anyhow::Result<()> {
    if let Some(known) = files.identity()? {
        anyhow::bail!(
            "this node is {} already (epoch {}): start it with `constellation-agent run`; to join another cluster, or to \
             come back after the cluster has begun a new epoch, add --start-over, which moves {} aside",
            known.owner,
            known.epoch,
            files.raft().display()
        );
    }
    files.make_folders()
}

/// Writes everything down; the log last, so that a node whose joining broke off is no half member.
///
/// # Errors
/// Where a key or an authority of another cluster is in the way.
pub(crate) fn keep(files: &ClusterFiles, joined: &Joined) -> anyhow::Result<DataIdentity> {
    let identity = joined.credentials.identity().clone();
    let settings = ClusterSettings::decode(&joined.settings).context(
        "the cluster has settings that this version does not know: install the version that its members run",
    )?;
    if let Some(keys) = &joined.gossip_keys {
        keep_gossip_keys(&files.gossip_path(), keys)?;
    }
    if let Some(authority) = &joined.authority {
        let known = files.authority()?;
        let other = known.filter(|known| known.fingerprint() != authority.fingerprint());
        anyhow::ensure!(
            other.is_none(),
            "{} is the authority of another cluster: move it away first",
            files.authority_path().display()
        );
        files.write_authority(&authority.to_pem(), Replace::Yes)?;
    }
    files.write_credentials(&joined.credentials)?;
    files.write_settings(&settings)?;
    let peers = joined
        .members
        .iter()
        .filter(|member| member.id != joined.id)
        .map(|member| KnownPeer { id: member.id.0, node: member.node.clone(), address: member.address })
        .collect();
    files.write_peers(&KnownPeers { epoch: joined.epoch, peers })?;
    let owner = DataOwner { cluster: identity.cluster, node: identity.node, id: joined.id.0 };
    let identity = DataIdentity { owner, epoch: joined.epoch };
    RedbLog::create(&files.raft(), &identity)?;
    Ok(identity)
}

fn keep_gossip_keys(path: &Path, keys: &str) -> anyhow::Result<()> {
    if path.try_exists().unwrap_or(true) {
        let known = read_secret(path)?;
        if known.trim_ascii() == keys.as_bytes().trim_ascii() {
            return Ok(());
        }
        // Another text may hold the same keys, or a part of them in a time of change.
        let mine = Keyring::read(path)?;
        let theirs = write_and_read(path, keys)?;
        let shared = mine.ids().any(|mine| theirs.ids().any(|theirs| theirs == mine));
        anyhow::ensure!(
            shared,
            "{} holds another key than the cluster's: move it away, then join again with a new token",
            path.display()
        );
        return Ok(());
    }
    Ok(write_secret(path, keys.as_bytes(), Replace::No)?)
}

fn write_and_read(path: &Path, keys: &str) -> anyhow::Result<Keyring> {
    let beside = path.with_extension("joining");
    write_secret(&beside, keys.as_bytes(), Replace::Yes)?;
    let read = Keyring::read(&beside);
    std::fs::remove_file(&beside)?;
    Ok(read?)
}

/// The members that were told of, for a sentence.
pub(crate) fn company(joined: &Joined) -> String {
    let names: Vec<String> = joined
        .members
        .iter()
        .filter(|member| member.id != joined.id)
        .map(|member| member.node.to_string())
        .collect();
    if names.is_empty() { "nobody else yet".to_owned() } else { names.join(", ") }
}

/// Where a Raft id and an address are said in one.
pub(crate) fn place(id: RaftId, address: SocketAddr) -> String {
    format!("{id} at {address}")
}
