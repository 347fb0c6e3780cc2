//! What `cargo metadata` and git say about the workspace, as plain values.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::child;

/// Reading the manifests is quick; the first call may wait for another cargo to fetch the registry index.
const METADATA_LIMIT: Duration = Duration::from_secs(300);

/// The workspace as cargo sees it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One member.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    pub(crate) manifest_path: PathBuf,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
}

/// One line of a member's dependencies.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    #[serde(default)]
    pub(crate) kind: Option<String>,
}

/// One thing that cargo can build from a member.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
    #[serde(default, rename = "required-features")]
    pub(crate) required_features: Vec<String>,
}

impl Target {
    /// Whether it is a library of any kind.
    pub(crate) fn is_lib(&self) -> bool {
        self.kind.iter().any(|kind| kind.ends_with("lib") || kind == "proc-macro")
    }

    /// Whether it is a program.
    pub(crate) fn is_bin(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}

/// The checkout that this xtask belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo cannot read the workspace.
    pub(crate) fn read() -> Result<Self> {
        let root = root()?;
        let mut command = cargo(&root);
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let text = child::output("cargo metadata", &mut command, METADATA_LIMIT)?;
        let metadata = serde_json::from_str(&text).context("could not understand `cargo metadata`")?;
        Ok(Self { root, metadata })
    }

    /// `target/<part>`, wherever cargo keeps its target directory.
    pub(crate) fn target(&self, part: &str) -> PathBuf {
        self.metadata.target_directory.join(part)
    }

    /// Those of `wanted` (`package/feature`) that exist, so that a crate may still lack a suite.
    pub(crate) fn known_features(&self, wanted: &[&str]) -> Vec<String> {
        wanted
            .iter()
            .filter(|wanted| {
                wanted.split_once('/').is_some_and(|(package, feature)| {
                    self.metadata
                        .packages
                        .iter()
                        .any(|member| member.name == package && member.features.contains_key(feature))
                })
            })
            .map(|wanted| (*wanted).to_owned())
            .collect()
    }

    /// Paths, relative to the root, of the files that git tracks or would track.
    ///
    /// # Errors
    /// When git cannot list them.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut command = Command::new("git");
        command.current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let text = child::output("git ls-files", &mut command, Duration::from_secs(60))
            .context("tidy reads the list of files from git: install git, or run it in a clone")?;
        let mut files: Vec<PathBuf> =
            text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
        files.sort();
        files.dedup();
        // Git still lists what was deleted but not yet committed.
        files.retain(|path| self.root.join(path).is_file());
        Ok(files)
    }
}

/// A `cargo` command in the workspace's root.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Set by `cargo run` for xtask itself; they would be wrong for any other crate.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

fn root() -> Result<PathBuf> {
    // `cargo run` says where xtask's manifest is; the folder above it is the workspace.
    if let Some(own) = std::env::var_os("CARGO_MANIFEST_DIR")
        && let Some(root) = Path::new(&own).parent()
    {
        return Ok(root.to_owned());
    }
    let mut command = Command::new("cargo");
    command.args(["locate-project", "--workspace", "--message-format", "plain"]);
    let manifest = child::output("cargo locate-project", &mut command, METADATA_LIMIT)?;
    let root = Path::new(manifest.trim()).parent().context("the workspace's manifest has no folder")?;
    Ok(root.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_that_exist_are_asked_for() {
        let package = Package {
            name: "a".to_owned(),
            features: [("e2e".to_owned(), Vec::new())].into(),
            ..Package::default()
        };
        let metadata = Metadata { packages: vec![package], target_directory: PathBuf::new() };
        let workspace = Workspace { root: PathBuf::new(), metadata };
        assert_eq!(workspace.known_features(&["a/e2e", "a/other", "b/e2e", "nonsense"]), ["a/e2e"]);
    }
}
