//! Founding a cluster: one node, alone, on purpose.

use std::net::SocketAddr;

use anyhow::Context;
use constellation_consensus::{
    ClusterMachine,
    member::{ClusterSettings, MemberTable},
    raft::{Log as _, RaftId, birth},
    storage::{DataIdentity, DataOwner, RedbLog},
    transport::{ClusterCa, Fingerprint, PeerIdentity},
};
use constellation_core::{ClusterId, NodeName, WallTime};
use constellation_security::{Key, Replace, write_secret};

use super::files::{ClusterFiles, KnownPeers};

/// The founder's id. Every later one is a place in the log, which begins after this.
pub(crate) const FOUNDER: RaftId = RaftId(1);

/// What is to be founded.
pub(crate) struct Founding {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeName,
    pub(crate) address: SocketAddr,
    pub(crate) settings: ClusterSettings,
}

/// What came of it.
pub(crate) struct Founded {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) made_gossip_key: bool,
}

/// Makes the cluster on disk. Done again after it broke off, it goes on where it was.
///
/// # Errors
/// Where there is a log already, and none of the above could be its beginning.
pub(crate) fn found(files: &ClusterFiles, founding: &Founding, now: WallTime) -> anyhow::Result<Founded> {
    let owner = DataOwner { cluster: founding.cluster.clone(), node: founding.node.clone(), id: FOUNDER.0 };
    let identity = DataIdentity { owner, epoch: 1 };
    let known = files.identity()?;
    if let Some(known) = &known
        && *known != identity
    {
        anyhow::bail!(
            "this node is {} already: start it with `constellation-agent run`, or move {} away first",
            known.owner,
            files.raft().display()
        );
    }
    files.make_folders()?;
    let mut log = match known {
        Some(_) => RedbLog::open(&files.raft(), &founding.cluster, &founding.node)?,
        None => {
            let made_gossip_key = gossip_key(files)?;
            let authority = authority(files, &founding.cluster, now)?;
            let member =
                PeerIdentity { cluster: founding.cluster.clone(), node: founding.node.clone(), id: FOUNDER };
            files.write_credentials(&authority.credentials(&member, now)?)?;
            files.write_settings(&founding.settings)?;
            files.write_peers(&KnownPeers { epoch: 1, peers: vec![] })?;
            let mut log = RedbLog::create(&files.raft(), &identity)?;
            write_birth(&mut log, founding)?;
            return Ok(Founded { fingerprint: authority.fingerprint(), made_gossip_key });
        }
    };
    if log.recover()?.snapshot.index() > 0 {
        anyhow::bail!(
            "the cluster `{}` was founded here already: start this node with `constellation-agent run`",
            founding.cluster
        );
    }
    write_birth(&mut log, founding)?;
    let authority = files.authority()?.context("the authority that was made is gone")?;
    Ok(Founded { fingerprint: authority.fingerprint(), made_gossip_key: false })
}

/// Goes on with a founding that broke off before the log's first entry, and says whether there was one to go on with.
pub(crate) fn finish(files: &ClusterFiles, founding: &Founding, now: WallTime) -> anyhow::Result<bool> {
    let unborn = {
        let mut log = RedbLog::open(&files.raft(), &founding.cluster, &founding.node)?;
        log.recover()?.snapshot.index() == 0
    };
    if unborn {
        found(files, founding, now)?;
    }
    Ok(unborn)
}

fn write_birth(log: &mut RedbLog, founding: &Founding) -> anyhow::Result<()> {
    let table = MemberTable::founded_by(FOUNDER, founding.node.clone(), founding.address);
    Ok(log.write(&birth(&[FOUNDER], &ClusterMachine::founded(table)))?)
}

fn gossip_key(files: &ClusterFiles) -> anyhow::Result<bool> {
    let path = files.gossip_path();
    if path.try_exists().unwrap_or(true) {
        return Ok(false);
    }
    let key = Key::generate();
    let text = format!(
        "# Seals gossip. Nodes that join are given it; every node needs the same.\n{}\n",
        key.to_base64().as_str()
    );
    write_secret(&path, text.as_bytes(), Replace::No)?;
    Ok(true)
}

fn authority(files: &ClusterFiles, cluster: &ClusterId, now: WallTime) -> anyhow::Result<ClusterCa> {
    if let Some(authority) = files.authority()? {
        anyhow::ensure!(
            authority.cluster() == cluster,
            "{} is the authority of `{}`, and not of `{cluster}`: move it away, or found that cluster",
            files.authority_path().display(),
            authority.cluster()
        );
        return Ok(authority);
    }
    let authority = ClusterCa::create(cluster.clone(), now)?;
    files.write_authority(&authority.to_pem(), Replace::No)?;
    Ok(authority)
}

#[cfg(test)]
mod tests {
    use constellation_consensus::member::Profile;

    use super::*;

    fn founding(cluster: &str) -> Founding {
        Founding {
            cluster: cluster.parse().unwrap(),
            node: "a".parse().unwrap(),
            address: "192.0.2.1:8300".parse().unwrap(),
            settings: ClusterSettings::of(Profile::Lan),
        }
    }

    #[test]
    fn a_cluster_is_founded_once_and_no_second_one_on_top_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = ClusterFiles::new(&folder.path().join("data"), &folder.path().join("secrets"));
        let now = WallTime(1_800_000_000_000);
        let founded = found(&files, &founding("home"), now).unwrap();
        assert!(founded.made_gossip_key);
        let mut log = RedbLog::open(&files.raft(), &"home".parse().unwrap(), &"a".parse().unwrap()).unwrap();
        let members = log.recover().unwrap().snapshot.meta.unwrap().conf_state.unwrap();
        assert_eq!(members.voters, [1]);
        drop(log);
        let again = found(&files, &founding("home"), now).err().unwrap().to_string();
        assert!(again.contains("founded here already"), "{again}");
        let other = found(&files, &founding("away"), now).err().unwrap().to_string();
        assert!(other.contains("this node is") && other.contains("home"), "{other}");
    }

    #[test]
    fn a_founding_that_broke_off_before_the_first_entry_is_finished_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = ClusterFiles::new(&folder.path().join("data"), &folder.path().join("secrets"));
        files.make_folders().unwrap();
        let (now, founding) = (WallTime(1_800_000_000_000), founding("home"));
        authority(&files, &founding.cluster, now).unwrap();
        let owner =
            DataOwner { cluster: founding.cluster.clone(), node: founding.node.clone(), id: FOUNDER.0 };
        drop(RedbLog::create(&files.raft(), &DataIdentity { owner, epoch: 1 }).unwrap());
        assert!(finish(&files, &founding, now).unwrap());
        assert!(!finish(&files, &founding, now).unwrap(), "what is founded is left alone");
        let mut log = RedbLog::open(&files.raft(), &founding.cluster, &founding.node).unwrap();
        assert!(log.recover().unwrap().snapshot.index() > 0);
    }

    #[test]
    fn a_founding_that_broke_off_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = ClusterFiles::new(&folder.path().join("data"), &folder.path().join("secrets"));
        files.make_folders().unwrap();
        let now = WallTime(1_800_000_000_000);
        gossip_key(&files).unwrap();
        let first = authority(&files, &"home".parse().unwrap(), now).unwrap();
        let founded = found(&files, &founding("home"), now).unwrap();
        assert_eq!(founded.fingerprint, first.fingerprint(), "the authority that was made is kept");
    }
}
