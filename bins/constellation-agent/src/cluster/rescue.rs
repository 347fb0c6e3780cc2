//! Beginning again: from one survivor where a majority is lost for good, and from a backup where all is.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use constellation_consensus::{
    ClusterMachine,
    member::{ClusterSettings, MemberTable},
    raft::{Log as _, Machine as _, RaftId, proto::ConfState},
    rebuild,
    storage::{DataIdentity, DataOwner, RedbLog, SNAPSHOT_BYTES_MAX},
    transport::{ClusterCa, PeerIdentity},
};
use constellation_core::{ClusterId, NodeName, WallTime};
use constellation_security::{Replace, read_secret, read_secret_up_to, write_secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::files::{ClusterFiles, KnownPeers};

/// The form of a backup. Another number is another form, which this version does not read.
const FORMAT: u32 = 1;
/// The largest backup that is read, in bytes: the largest state there can be, of which base64 makes a third more, and room
/// for the keys.
const BACKUP_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX / 2 * 3;

/// What a cluster can be rebuilt from.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// [`FORMAT`].
    pub(crate) constellation_backup: u32,
    pub(crate) cluster: ClusterId,
    pub(crate) epoch: u64,
    /// The node that made it.
    pub(crate) node: NodeName,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) taken: WallTime,
    /// How far the log had been applied.
    pub(crate) applied: u64,
    /// Whether a majority confirmed that nothing newer had been agreed on.
    pub(crate) confirmed: bool,
    pub(crate) state: String,
    pub(crate) settings: String,
    /// The authority with its key, where the node had it.
    pub(crate) authority: Option<String>,
    pub(crate) gossip_keys: Option<String>,
}

impl Backup {
    pub(crate) fn encode(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_secret_up_to(path, BACKUP_BYTES_MAX)?;
        let version: Version = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no backup of a cluster", path.display()))?;
        anyhow::ensure!(
            version.constellation_backup == FORMAT,
            "{} is of form {}, and this version reads form {FORMAT}: restore it with the version that made it",
            path.display(),
            version.constellation_backup
        );
        serde_json::from_slice(&text).with_context(|| format!("{} is not whole", path.display()))
    }
}

#[derive(Deserialize)]
struct Version {
    constellation_backup: u32,
}

/// What a member backs up, beside its state.
pub(crate) fn backup(
    files: &ClusterFiles,
    identity: &DataIdentity,
    (applied, state): (u64, Vec<u8>),
    confirmed: bool,
    taken: WallTime,
    keyring: Option<&Path>,
) -> anyhow::Result<Vec<u8>> {
    let text = |bytes: Zeroizing<Vec<u8>>| String::from_utf8_lossy(&bytes).into_owned();
    let gossip_keys = keyring.map(read_secret).transpose()?.map(text);
    let backup = Backup {
        constellation_backup: FORMAT,
        cluster: identity.owner.cluster.clone(),
        epoch: identity.epoch,
        node: identity.owner.node.clone(),
        taken,
        applied,
        confirmed,
        state: STANDARD.encode(state),
        settings: STANDARD.encode(files.settings()?.encode()),
        authority: files.authority()?.map(|authority| authority.to_pem().to_string()),
        gossip_keys,
    };
    backup.encode()
}

/// What is about to be done, for a person to agree to.
pub(crate) struct Survivor {
    pub(crate) identity: DataIdentity,
    pub(crate) others: Vec<String>,
    pub(crate) last_index: u64,
    pub(crate) taken_over: u64,
    log: RedbLog,
    rebuilt: rebuild::Rebuilt,
}

/// Looks at the log of a member that is to survive alone. Nothing is changed yet.
pub(crate) fn survivor(files: &ClusterFiles) -> anyhow::Result<Survivor> {
    let identity = files.identity()?.with_context(|| {
        format!("there is nothing to recover: {} has no log of a member", files.raft().display())
    })?;
    let owner = &identity.owner;
    let mut log = RedbLog::open(&files.raft(), &owner.cluster, &owner.node)?;
    let identity = log.identity().clone();
    let recovered = log.recover()?;
    anyhow::ensure!(
        recovered.snapshot.index() > 0,
        "this node was let into the cluster and has not heard anything of it yet: recover from another one"
    );
    let mut before = ClusterMachine::new();
    before.restore(&recovered.snapshot.data, &ConfState::default())?;
    let me = RaftId(identity.owner.id);
    let others = names(before.members(), me);
    let last_index = recovered.entries.last().map_or(recovered.snapshot.index(), |entry| entry.index);
    let rebuilt = rebuild::from_survivor(&recovered, me, identity.epoch + 1)?;
    let taken_over = rebuilt.taken_over;
    Ok(Survivor { identity, others, last_index, taken_over, log, rebuilt })
}

fn names(table: &MemberTable, me: RaftId) -> Vec<String> {
    table.members().filter(|(id, _)| *id != me).map(|(_, member)| member.node.to_string()).collect()
}

impl Survivor {
    /// Begins the new epoch.
    pub(crate) fn recover(mut self, files: &ClusterFiles) -> anyhow::Result<DataIdentity> {
        let epoch = self.identity.epoch + 1;
        self.log.begin_epoch(epoch, &self.rebuilt.batch)?;
        files.write_peers(&KnownPeers { epoch, peers: vec![] })?;
        Ok(self.log.identity().clone())
    }
}

/// Begins a cluster anew on this node, which has no part in one, from a backup.
pub(crate) fn restore(
    files: &ClusterFiles,
    from: &Path,
    node: &NodeName,
    address: SocketAddr,
    now: WallTime,
) -> anyhow::Result<(DataIdentity, Backup)> {
    if let Some(known) = files.identity()? {
        anyhow::bail!(
            "this node is {} already: restore on a node that is none, or move {} aside first",
            known.owner,
            files.raft().display()
        );
    }
    let backup = Backup::read(from)?;
    let epoch = backup.epoch + 1;
    let decode =
        |text: &str| STANDARD.decode(text).with_context(|| format!("{} is not whole", from.display()));
    let (id, rebuilt) = rebuild::from_backup(&decode(&backup.state)?, node, address, epoch)?;
    let settings = ClusterSettings::decode(&decode(&backup.settings)?)?;
    let authority = backup.authority.as_deref().with_context(|| {
        format!(
            "{} was made on a node without the cluster's authority, so no node could be let in: restore one that was made \
             where {} is",
            from.display(),
            files.authority_path().display()
        )
    })?;
    let authority = ClusterCa::from_pem(authority.as_bytes())?;
    files.make_folders()?;
    if let Some(known) = files.authority()? {
        anyhow::ensure!(
            known.fingerprint() == authority.fingerprint(),
            "{} is the authority of another cluster: move it away first",
            files.authority_path().display()
        );
    }
    files.write_authority(&authority.to_pem(), Replace::Yes)?;
    if let Some(keys) = backup.gossip_keys.as_deref()
        && !files.gossip_path().try_exists().unwrap_or(true)
    {
        write_secret(&files.gossip_path(), keys.as_bytes(), Replace::No)?;
    }
    let member = PeerIdentity { cluster: backup.cluster.clone(), node: node.clone(), id };
    files.write_credentials(&authority.credentials(&member, now)?)?;
    files.write_settings(&settings)?;
    files.write_peers(&KnownPeers { epoch, peers: vec![] })?;
    let owner = DataOwner { cluster: backup.cluster.clone(), node: node.clone(), id: id.0 };
    let identity = DataIdentity { owner, epoch };
    let mut log = RedbLog::create(&files.raft(), &identity)?;
    log.write(&rebuilt.batch)?;
    Ok((identity, backup))
}

#[cfg(test)]
mod tests {
    use constellation_consensus::member::Profile;

    use super::{
        super::found::{Founding, found},
        *,
    };

    const NOW: WallTime = WallTime(1_800_000_000_000);

    fn address() -> SocketAddr {
        "192.0.2.1:8300".parse().unwrap()
    }

    fn founded(folder: &Path) -> ClusterFiles {
        let files = ClusterFiles::new(&folder.join("data"), &folder.join("secrets"));
        let founding = Founding {
            cluster: "home".parse().unwrap(),
            node: "a".parse().unwrap(),
            address: address(),
            settings: ClusterSettings::of(Profile::Lan),
        };
        found(&files, &founding, NOW).unwrap();
        files
    }

    #[test]
    fn a_backup_is_read_however_large_the_state_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.backup");
        let backup = Backup {
            constellation_backup: FORMAT,
            cluster: "home".parse().unwrap(),
            epoch: 1,
            node: "a".parse().unwrap(),
            taken: NOW,
            applied: 1,
            confirmed: true,
            state: "A".repeat(4 * 1024 * 1024),
            settings: String::new(),
            authority: None,
            gossip_keys: None,
        };
        write_secret(&path, &backup.encode().unwrap(), Replace::No).unwrap();
        assert_eq!(Backup::read(&path).unwrap().state.len(), backup.state.len());
    }

    #[test]
    fn a_survivor_begins_a_new_epoch_and_can_do_so_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = founded(folder.path());
        for epoch in [2, 3] {
            let looked = survivor(&files).unwrap();
            assert_eq!(looked.identity.epoch + 1, epoch);
            assert_eq!(looked.recover(&files).unwrap().epoch, epoch);
            assert_eq!(files.identity().unwrap().unwrap().epoch, epoch);
        }
    }

    #[test]
    fn a_backup_begins_a_cluster_on_another_node_under_a_new_id() {
        let folder = tempfile::tempdir().unwrap();
        let files = founded(folder.path());
        let identity = files.identity().unwrap().unwrap();
        let mut log = RedbLog::open(&files.raft(), &identity.owner.cluster, &identity.owner.node).unwrap();
        let state = log.recover().unwrap().snapshot.data.to_vec();
        let bytes = backup(&files, &identity, (1, state), true, NOW, Some(&files.gossip_path())).unwrap();
        let from = folder.path().join("backup");
        write_secret(&from, &bytes, Replace::No).unwrap();

        let other = ClusterFiles::new(&folder.path().join("data-2"), &folder.path().join("secrets-2"));
        let (restored, _) = restore(&other, &from, &"z".parse().unwrap(), address(), NOW).unwrap();
        assert_eq!((restored.epoch, restored.owner.id), (2, rebuild::epoch_start(2)));
        assert_eq!(
            other.authority().unwrap().unwrap().fingerprint(),
            files.authority().unwrap().unwrap().fingerprint()
        );
        assert!(restore(&other, &from, &"z".parse().unwrap(), address(), NOW).is_err(), "not on top of it");
    }

    #[test]
    fn what_is_no_backup_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let files = ClusterFiles::new(&folder.path().join("data"), &folder.path().join("secrets"));
        let from = folder.path().join("backup");
        for (text, why) in [
            ("garbage", "no backup"),
            ("{\"constellation_backup\": 9}", "form 9"),
            ("{\"constellation_backup\": 1}", "not whole"),
        ] {
            write_secret(&from, text.as_bytes(), Replace::Yes).unwrap();
            let error = restore(&files, &from, &"z".parse().unwrap(), address(), NOW).err().unwrap();
            assert!(error.to_string().contains(why), "{error:#}");
        }
    }
}
