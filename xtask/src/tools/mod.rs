//! Programs that the suites and the demo need and that a fresh machine lacks.

pub(crate) mod agent;
pub(crate) mod apt;
pub(crate) mod chromium;
pub(crate) mod docker;
mod dockerd;
pub(crate) mod make;
pub(crate) mod nameservers;
pub(crate) mod redis;
pub(crate) mod traefik;

use std::path::{Path, PathBuf};

/// Whether we may install and start things.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The first `name` in `PATH`, or in the folders that a plain user's `PATH` lacks.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
