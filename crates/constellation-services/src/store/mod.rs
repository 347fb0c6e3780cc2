//! What the tool remembers below `DATA_DIR/deploy`: definitions by their hash, containers that were taken over, and what
//! each run did. The engine is the truth about what runs; this is about what it was made from, and what ran before.

mod journal;
mod lock;
mod tidy;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use constellation_core::ServiceId;
use constellation_docker::{ContainerId, ContainerSpec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use self::{journal::Journal, tidy::tidy};
pub use self::{
    journal::{Entry, Outcome, Run},
    lock::{DeployLock, LockError},
};
use crate::{
    language::{Condition, Order, Update},
    render::Rendered,
};

/// A definition as it was applied: enough to run it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredService {
    /// `stack/name`.
    pub id: ServiceId,
    /// What the engine was asked for.
    pub spec: ContainerSpec,
    /// Whether it is a job.
    pub job: bool,
    /// What it waits for.
    pub depends_on: BTreeMap<ServiceId, Condition>,
    /// Which goes first when it is replaced.
    pub order: Order,
    /// How it is replaced, besides.
    pub update: Update,
    /// Files of ours that it needs: configuration files and copies of secrets.
    #[serde(default)]
    pub files: Vec<PathBuf>,
}

impl StoredService {
    pub(crate) fn of(service: &Rendered) -> Self {
        Self {
            id: service.id.clone(),
            spec: service.spec.clone(),
            job: service.job,
            depends_on: service.depends_on.clone(),
            order: service.order,
            update: service.update,
            files: files_of(service),
        }
    }
}

/// The files of ours that a service needs.
fn files_of(service: &Rendered) -> Vec<PathBuf> {
    let files = service.files.iter().map(|file| file.path.clone());
    files.chain(service.secrets.iter().map(|secret| secret.copy.clone())).collect()
}

/// A container of somebody else's that was taken over as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The container.
    pub container: ContainerId,
    /// The definition that it equals; empty where it differs, and so is recreated at the next occasion.
    pub definition: String,
}

/// The tool's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = .path.display())]
pub struct StoreError {
    /// What was tried.
    pub deed: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// The tool's folder. Reading makes nothing; the first write makes it.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

const SPECS: &str = "specs";
const ADOPTED: &str = "adopted.json";
const HISTORY: &str = "history";
const LOCK: &str = "lock";

impl Store {
    /// The folder below a data folder.
    pub fn below(data_dir: &Path) -> Self {
        Self { root: data_dir.join("deploy") }
    }

    fn spec_path(&self, hash: &str) -> PathBuf {
        self.root.join(SPECS).join(format!("{hash}.json"))
    }

    /// The definition of this hash, if it is still known.
    pub fn definition(&self, hash: &str) -> Option<StoredService> {
        if hash.is_empty() || !hash.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        read_json(&self.spec_path(hash)).ok().flatten()
    }

    /// Remembers a definition by its hash.
    pub(crate) fn remember(&self, service: &Rendered) -> Result<(), StoreError> {
        let path = self.spec_path(&service.definition);
        if path.exists() {
            return Ok(());
        }
        write_json(&path, &StoredService::of(service))
    }

    /// The containers that were taken over.
    pub fn adopted(&self) -> Result<BTreeMap<ServiceId, Adopted>, StoreError> {
        Ok(read_json(&self.root.join(ADOPTED))?.unwrap_or_default())
    }

    /// Takes a container over, or forgets it.
    pub(crate) fn adopt(&self, service: &ServiceId, adopted: Option<Adopted>) -> Result<(), StoreError> {
        let mut all = self.adopted()?;
        let before = all.clone();
        match adopted {
            Some(adopted) => drop(all.insert(service.clone(), adopted)),
            None => drop(all.remove(service)),
        }
        if all == before { Ok(()) } else { write_json(&self.root.join(ADOPTED), &all) }
    }

    /// Takes the lock, or says who holds it.
    ///
    /// # Errors
    /// [`LockError::Held`] where another run holds it; otherwise where the folder cannot be used.
    pub fn lock(&self, command: &str) -> Result<DeployLock, LockError> {
        make_folder(&self.root).map_err(LockError::Folder)?;
        DeployLock::take(&self.root.join(LOCK), command)
    }

    /// What earlier runs did, newest first, at most so many.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>, StoreError> {
        journal::runs(&self.root.join(HISTORY), most)
    }

    pub(crate) fn begin(&self, first: &Entry) -> Result<Journal, StoreError> {
        Journal::begin(&self.root.join(HISTORY), first)
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError { deed: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.map_err(failed)?.path());
    }
    files.sort();
    Ok(files)
}

/// A folder that only its owner looks into: definitions hold what may be secret.
pub(crate) fn make_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| StoreError {
        deed: "make the folder",
        path: path.to_owned(),
        source,
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let failed = |source| StoreError { deed: "read", path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let failed = |source: io::Error| StoreError { deed: "write", path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    write_whole(path, &text, 0o600, None)
}

/// Writes a file that is there whole and durable, or not at all. The folder is made where it is missing.
pub(crate) fn write_whole(
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), StoreError> {
    let failed = |source: io::Error| StoreError { deed: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let new = folder.join(format!(".{name}.new"));
    let write = || -> io::Result<()> {
        // Left by a run that was killed; nobody else is here, since the lock is ours.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        let permissions: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&new);
        failed(source)
    })
}

#[cfg(test)]
mod tests;
