//! What nobody needs any more goes: definitions, configuration files and copies of secrets that neither a container nor
//! a run of the history mentions.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use constellation_docker::{ContainerSpec, MountKind};

use super::{Entry, SPECS, Store, StoreError, files_in};
use crate::{plan::Actual, render::Desired};

/// Clears away after a run. `actual` is what there was before it, which may still be there.
pub(crate) fn tidy(
    store: &Store,
    data_dir: &Path,
    desired: &Desired,
    actual: &Actual,
) -> Result<(), StoreError> {
    let mut hashes: BTreeSet<String> =
        desired.services.iter().map(|service| service.definition.clone()).collect();
    hashes.extend(actual.ours.iter().map(|found| found.definition.clone()));
    for run in store.runs(usize::MAX)? {
        hashes.extend(run.before().into_values());
        hashes.extend(run.entries.into_iter().filter_map(|entry| match entry {
            Entry::Step { definition, .. } => definition,
            _ => None,
        }));
    }
    let mut sources: BTreeSet<PathBuf> = desired.services.iter().flat_map(super::files_of).collect();
    for found in &actual.ours {
        mounted(&found.spec, &mut sources);
    }
    for path in files_in(&store.root.join(SPECS))? {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !hashes.contains(&name) {
            remove(&path)?;
        } else if let Some(stored) = store.definition(&name) {
            sources.extend(stored.files);
        }
    }
    for below in ["deploy/files", "deploy/secrets"] {
        for stack in files_in(&data_dir.join(below))? {
            for service in files_in(&stack)? {
                for file in files_in(&service)? {
                    if !sources.contains(&file) {
                        remove(&file)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn mounted(spec: &ContainerSpec, sources: &mut BTreeSet<PathBuf>) {
    sources.extend(spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Bind { source } => Some(PathBuf::from(source)),
        _ => None,
    }));
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(|source| StoreError { deed: "remove", path: path.to_owned(), source })
}
