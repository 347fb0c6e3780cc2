//! What a member keeps on disk beside its log, and where.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use constellation_consensus::{
    clock::DriftBound,
    member::{ClusterSettings, Profile},
    raft::RaftId,
    storage::{DataIdentity, StorageError},
    transport::{ClusterCa, NodeCredentials, Peer},
};
use constellation_core::NodeName;
use constellation_security::{Replace, read_secret, write_secret};
use serde::{Deserialize, Serialize};

/// The places of a node's files.
#[derive(Clone, Debug)]
pub(crate) struct ClusterFiles {
    data: PathBuf,
    secrets: PathBuf,
}

/// Whom to talk to before the log says so, and whom the notary tells of a death.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownPeers {
    /// The cluster's epoch.
    pub(crate) epoch: u64,
    /// The others.
    pub(crate) peers: Vec<KnownPeer>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownPeer {
    /// Its id.
    pub(crate) id: u64,
    /// Its name.
    pub(crate) node: NodeName,
    /// Where its Raft listens, where that is known.
    pub(crate) address: Option<SocketAddr>,
}

impl KnownPeers {
    /// As the transport wants them.
    pub(crate) fn peers(&self) -> BTreeMap<RaftId, Peer> {
        let peer =
            |known: &KnownPeer| (RaftId(known.id), Peer { node: known.node.clone(), address: known.address });
        self.peers.iter().map(peer).collect()
    }

    /// From what the transport has.
    pub(crate) fn of(epoch: u64, peers: &BTreeMap<RaftId, Peer>) -> Self {
        let known = |(id, peer): (&RaftId, &Peer)| KnownPeer {
            id: id.0,
            node: peer.node.clone(),
            address: peer.address,
        };
        Self { epoch, peers: peers.iter().map(known).collect() }
    }
}

/// The cluster's settings, as a person may read them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    profile: String,
    auto_pace: bool,
    ttl_ms: u64,
    drift_ppm: u32,
}

/// What this node wants to be founded by, once it said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundingVote {
    /// How many nodes were waited for.
    pub(crate) expect: u16,
    /// The founder.
    pub(crate) vote: NodeName,
}

impl ClusterFiles {
    pub(crate) fn new(data: &Path, secrets: &Path) -> Self {
        Self { data: data.to_owned(), secrets: secrets.to_owned() }
    }

    /// The folder of the log.
    pub(crate) fn raft(&self) -> PathBuf {
        self.data.join("raft")
    }

    /// The key and certificate of this node.
    pub(crate) fn credentials_path(&self) -> PathBuf {
        self.raft().join("credentials.pem")
    }

    /// The cluster's authority, on nodes that may let others in.
    pub(crate) fn authority_path(&self) -> PathBuf {
        self.secrets.join("cluster-authority.pem")
    }

    /// The gossip keys.
    pub(crate) fn gossip_path(&self) -> PathBuf {
        self.secrets.join("gossip.key")
    }

    /// Makes the folders, which nobody else may look into.
    pub(crate) fn make_folders(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        for folder in [self.raft(), self.secrets.clone()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("could not make the folder {}", folder.display()))?;
        }
        Ok(())
    }

    /// Whose log there is, if there is one.
    pub(crate) fn identity(&self) -> Result<Option<DataIdentity>, StorageError> {
        DataIdentity::of(&self.raft())
    }

    /// Where the log would be moved to make room for another.
    pub(crate) fn set_aside(&self) -> anyhow::Result<PathBuf> {
        let from = self.raft();
        let free = (1..1000).map(|number| self.data.join(format!("raft.old-{number}")));
        let to =
            free.into_iter().find(|path| !path.exists()).context("there are 999 old Raft folders already")?;
        fs::rename(&from, &to)
            .with_context(|| format!("could not move {} to {}", from.display(), to.display()))?;
        Ok(to)
    }

    /// This node's key and certificate.
    pub(crate) fn credentials(&self) -> anyhow::Result<NodeCredentials> {
        let path = self.credentials_path();
        let pem = read_secret(&path)?;
        NodeCredentials::from_pem(&pem).with_context(|| format!("{} is of no use", path.display()))
    }

    pub(crate) fn write_credentials(&self, credentials: &NodeCredentials) -> anyhow::Result<()> {
        Ok(write_secret(&self.credentials_path(), credentials.to_pem().as_bytes(), Replace::Yes)?)
    }

    /// The authority, where this node has it.
    pub(crate) fn authority(&self) -> anyhow::Result<Option<ClusterCa>> {
        let path = self.authority_path();
        if !path.try_exists().unwrap_or(true) {
            return Ok(None);
        }
        let pem = read_secret(&path)?;
        ClusterCa::from_pem(&pem).map(Some).with_context(|| format!("{} is of no use", path.display()))
    }

    pub(crate) fn write_authority(&self, pem: &str, replace: Replace) -> anyhow::Result<()> {
        Ok(write_secret(&self.authority_path(), pem.as_bytes(), replace)?)
    }

    pub(crate) fn settings(&self) -> anyhow::Result<ClusterSettings> {
        let path = self.raft().join("settings.json");
        let file: SettingsFile = read_json(&path)?.with_context(|| format!("{} is gone", path.display()))?;
        let profile = match file.profile.as_str() {
            "lan" => Profile::Lan,
            "wan" => Profile::Wan,
            other => anyhow::bail!("{} names the profile `{other}`, which is none", path.display()),
        };
        let settings = ClusterSettings {
            auto_pace: file.auto_pace,
            drift: DriftBound::from_parts_per_million(file.drift_ppm),
            ..ClusterSettings::of(profile)
        };
        settings.with_ttl(Duration::from_millis(file.ttl_ms)).with_context(|| path.display().to_string())
    }

    pub(crate) fn write_settings(&self, settings: &ClusterSettings) -> anyhow::Result<()> {
        let file = SettingsFile {
            profile: settings.profile.as_str().to_owned(),
            auto_pace: settings.auto_pace,
            ttl_ms: u64::try_from(settings.ttl.as_millis()).unwrap_or(u64::MAX),
            drift_ppm: settings.drift.parts_per_million(),
        };
        write_json(&self.raft().join("settings.json"), &file)
    }

    pub(crate) fn peers(&self) -> anyhow::Result<KnownPeers> {
        Ok(read_json(&self.raft().join("peers.json"))?.unwrap_or_default())
    }

    pub(crate) fn write_peers(&self, peers: &KnownPeers) -> anyhow::Result<()> {
        write_json(&self.raft().join("peers.json"), peers)
    }

    pub(crate) fn founding_vote(&self) -> anyhow::Result<Option<FoundingVote>> {
        read_json(&self.raft().join("founding.json"))
    }

    pub(crate) fn write_founding_vote(&self, vote: &FoundingVote) -> anyhow::Result<()> {
        write_json(&self.raft().join("founding.json"), vote)
    }

    /// Which run of the process this folder has seen last.
    pub(crate) fn last_boot(&self) -> anyhow::Result<Option<u128>> {
        let path = self.raft().join("boot");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(u128::from_str_radix(text.trim(), 16).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    pub(crate) fn write_boot(&self, boot: u128) -> anyhow::Result<()> {
        write_whole(&self.raft().join("boot"), format!("{boot:032x}\n").as_bytes())
    }

    /// Whether a person has cordoned this node.
    pub(crate) fn cordoned(&self) -> bool {
        self.data.join("cordoned").exists()
    }

    pub(crate) fn set_cordoned(&self, cordoned: bool) -> anyhow::Result<()> {
        let path = self.data.join("cordoned");
        let done = if cordoned { write_whole(&path, b"") } else { remove(&path) };
        done.with_context(|| format!("could not keep it in {}", path.display()))
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("{} is not what was written", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// The whole file or nothing of it, and durable when this returns.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension("unfinished");
    let write = || {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, ClusterFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = ClusterFiles::new(&folder.path().join("data"), &folder.path().join("secrets"));
        files.make_folders().unwrap();
        (folder, files)
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_there_is_nothing() {
        let (_folder, files) = files();
        assert_eq!(files.last_boot().unwrap(), None);
        files.write_boot(7).unwrap();
        assert_eq!(files.last_boot().unwrap(), Some(7));
        assert_eq!(files.peers().unwrap(), KnownPeers::default());
        let settings = ClusterSettings::of(Profile::Wan).with_ttl(Duration::from_secs(4)).unwrap();
        files.write_settings(&settings).unwrap();
        assert_eq!(files.settings().unwrap(), settings);
        files.set_cordoned(true).unwrap();
        assert!(files.cordoned());
        files.set_cordoned(false).unwrap();
        files.set_cordoned(false).unwrap();
        assert!(!files.cordoned());
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_named() {
        let (_folder, files) = files();
        fs::write(files.raft().join("peers.json"), "{").unwrap();
        let error = files.peers().unwrap_err().to_string();
        assert!(error.contains("peers.json"), "{error}");
    }
}
