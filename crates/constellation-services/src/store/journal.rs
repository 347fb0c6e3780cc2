//! What a run did, a line at a time, so that one that was killed has told all that it had done.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use constellation_core::ServiceId;
use serde::{Deserialize, Serialize};

use super::{StoreError, files_in, make_folder};
use crate::plan::Deed;

/// Runs that are kept, with the definitions and copies of secrets that they mention.
const RUNS_MAX: usize = 20;
/// The largest journal that is read.
const RUN_BYTES_MAX: u64 = 4 << 20;

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is as it should be.
    Done,
    /// It failed, and what ran before runs again.
    RolledBack(String),
    /// It failed, and nothing ran before.
    Failed(String),
    /// It was not tried.
    Skipped(String),
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Entry {
    /// A run began.
    Begun {
        /// When, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The command.
        command: String,
        /// The plan's hash.
        plan: String,
        /// What ran before: each service with the hash of its definition.
        before: BTreeMap<ServiceId, String>,
    },
    /// A step ended.
    Step {
        /// Which service.
        service: ServiceId,
        /// What was done.
        deed: Deed,
        /// How it ended.
        outcome: Outcome,
        /// The hash of the definition that was to be.
        definition: Option<String>,
    },
    /// The run ended by itself.
    Ended {
        /// When, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// Whether everything is as it should be.
        ok: bool,
    },
}

/// A run, as its journal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number; later ones are higher.
    pub number: u64,
    /// What it told. The last line may be missing where it was killed.
    pub entries: Vec<Entry>,
}

impl Run {
    /// What ran before it, by service.
    pub fn before(&self) -> BTreeMap<ServiceId, String> {
        match self.entries.first() {
            Some(Entry::Begun { before, .. }) => before.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// The services that are not as they were before it.
    pub fn touched(&self) -> Vec<&ServiceId> {
        let touched = self.entries.iter().filter_map(|entry| match entry {
            Entry::Step { service, outcome: Outcome::Done | Outcome::Failed(_), .. } => Some(service),
            _ => None,
        });
        touched.collect()
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    pub(crate) number: u64,
}

impl Journal {
    pub(super) fn begin(folder: &Path, first: &Entry) -> Result<Self, StoreError> {
        make_folder(folder)?;
        let there = files_in(folder)?;
        for old in there.iter().rev().skip(RUNS_MAX - 1) {
            // An old journal that stays is no harm.
            let _ = fs::remove_file(old);
        }
        let number = there.last().and_then(|path| number_of(path)).unwrap_or(0) + 1;
        let path = folder.join(format!("{number:08}.jsonl"));
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|source| StoreError { deed: "write", path: path.clone(), source })?;
        let mut journal = Self { file, path, number };
        journal.write(first)?;
        Ok(journal)
    }

    /// Writes a line, which is on the disk when this returns.
    pub(crate) fn write(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let write = |file: &mut File| -> io::Result<()> {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|source| StoreError { deed: "write", path: self.path.clone(), source })
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

pub(super) fn runs(folder: &Path, most: usize) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    for path in files_in(folder)?.into_iter().rev().take(most) {
        let Some(number) = number_of(&path) else { continue };
        let failed = |source| StoreError { deed: "read", path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.len() > RUN_BYTES_MAX {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        // A line that was cut by a kill is the last one, and told nothing yet.
        let entries = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        runs.push(Run { number, entries });
    }
    Ok(runs)
}
