//! `cargo xtask tidy`: the rules that no compiler checks. Each rule is a pure function over plain values.

mod docs;
mod finding;
mod floors;
mod lengths;
mod words;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use self::finding::Severity;
use crate::workspace::{Package, Workspace};

/// Files above this are data, not prose or code.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the workspace, prints every finding, and fails if one is an error.
///
/// # Errors
/// When a rule is broken or the workspace cannot be read.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let texts = texts(&workspace)?;
    let pairs = || texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let packages = &workspace.metadata.packages;

    let mut findings =
        floors::check(&packages.iter().map(|member| floors_member(&workspace, member)).collect::<Vec<_>>());
    let members =
        packages.iter().map(|member| docs_member(&workspace, member)).collect::<Result<Vec<_>>>()?;
    findings.extend(docs::check(&members, &documents(&workspace)));
    findings.extend(lengths::check(pairs()));
    findings.extend(words::check(pairs()));
    findings.sort();

    for finding in &findings {
        say!("{}", finding.line());
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    say!(
        "tidy: {} crates, {} text files, {errors} errors, {} warnings",
        packages.len(),
        texts.len(),
        findings.len() - errors
    );
    if errors > 0 {
        bail!("tidy found {errors} errors");
    }
    Ok(())
}

fn relative(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
}

fn floors_member(workspace: &Workspace, package: &Package) -> floors::Member {
    floors::Member {
        name: package.name.clone(),
        manifest: relative(workspace, &package.manifest_path),
        dependencies: package
            .dependencies
            .iter()
            .map(|arrow| floors::Arrow { to: arrow.name.clone(), dev: arrow.kind.as_deref() == Some("dev") })
            .collect(),
    }
}

fn docs_member(workspace: &Workspace, package: &Package) -> Result<docs::Member> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("could not read {}", relative(workspace, path)))
    };
    let mut roots = Vec::new();
    for target in package.targets.iter().filter(|target| target.is_lib() || target.is_bin()) {
        roots.push((relative(workspace, &target.src_path), read(&target.src_path)?));
    }
    Ok(docs::Member {
        name: package.name.clone(),
        manifest: relative(workspace, &package.manifest_path),
        manifest_text: read(&package.manifest_path)?,
        description: package.description.clone(),
        roots,
        is_lib: package.targets.iter().any(crate::workspace::Target::is_lib),
    })
}

fn documents(workspace: &Workspace) -> docs::Documents {
    let read = |path: &str| fs::read_to_string(workspace.root.join(path)).ok();
    docs::Documents { architecture: read("docs/architecture.md"), readme: read("README.md") }
}

/// Every text file of the repository: path and content. What is not UTF-8 is no text.
fn texts(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in workspace.files()? {
        let full = workspace.root.join(&path);
        if full.metadata().is_ok_and(|file| file.len() > TEXT_BYTES_MAX) {
            continue;
        }
        if let Ok(text) = fs::read_to_string(&full) {
            texts.push((path.display().to_string(), text));
        }
    }
    Ok(texts)
}
