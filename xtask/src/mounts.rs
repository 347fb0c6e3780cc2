//! Small disks that can be filled: a tmpfs each.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{child, interrupt::Cleaning, tools::is_root};

const LIMIT: Duration = Duration::from_secs(30);
/// What fills the disk.
const FILLER: &str = "filler";

/// A mounted disk. Dropping it unmounts it.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `megabytes` at `folder`, after unmounting what an earlier run left there.
    ///
    /// # Errors
    /// When this machine does not allow it.
    pub(crate) fn mount(folder: &Path, megabytes: u32) -> Result<Self> {
        if !is_root() {
            bail!("mounting a small disk needs root");
        }
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        clear(&folder)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "constellation-xtask"]);
        child::run("mount", command.arg(&folder), LIMIT)?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes every byte that is left.
    ///
    /// # Errors
    /// When the disk refuses for another reason than being full.
    pub(crate) fn fill(&self) -> Result<()> {
        let path = self.folder.join(FILLER);
        let mut file = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        let mut piece = vec![0x5a_u8; 64 * 1024];
        while !piece.is_empty() {
            match file.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => {
                    return Err(error).with_context(|| format!("could not fill {}", path.display()));
                }
            }
        }
        Ok(())
    }

    /// Gives them back.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(crate) fn free(&self) -> Result<()> {
        match fs::remove_file(self.folder.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("could not empty the disk")
            }
            _ => Ok(()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _cleaning = Cleaning::begin();
        if let Err(error) = unmount(&self.folder) {
            complain!("could not unmount {}: {error:#}", self.folder.display());
        }
    }
}

/// Unmounts what a run that was killed left in the folders below this one, and removes them all.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Err(error) = clear(&entry.path()) {
            complain!("{error:#}");
            return;
        }
    }
    let _ = fs::remove_dir_all(folder);
}

fn clear(folder: &Path) -> Result<()> {
    while is_mounted(&fs::read_to_string("/proc/self/mountinfo")?, folder) {
        unmount(folder)?;
    }
    Ok(())
}

fn unmount(folder: &Path) -> Result<()> {
    // Lazily: whoever still has a file open there must not keep us from ending.
    child::run("umount", Command::new("umount").arg("-l").arg(folder), LIMIT)
}

/// Whether `/proc/self/mountinfo` names the folder as a place where something is mounted.
fn is_mounted(mountinfo: &str, folder: &Path) -> bool {
    // Spaces in paths are written as `\040`.
    let wanted = folder.display().to_string().replace(' ', "\\040");
    mountinfo.lines().any(|line| line.split(' ').nth(4) == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_folder_is_known_by_its_whole_path() {
        let info =
            "36 35 98:0 / /mnt/a rw,noatime - ext4 /dev/x rw\n37 35 98:0 / /mnt/a\\040b rw - tmpfs x rw\n";
        assert!(is_mounted(info, Path::new("/mnt/a")));
        assert!(is_mounted(info, Path::new("/mnt/a b")));
        assert!(!is_mounted(info, Path::new("/mnt")));
    }

    #[test]
    fn a_small_disk_is_full_until_it_is_freed() {
        if !is_root() {
            return;
        }
        let parent = tempfile::tempdir().unwrap();
        // A container may forbid it even to root; the chaos run then leaves its scenario out by name.
        let Ok(disk) = SmallDisk::mount(&parent.path().join("disk"), 1) else { return };
        disk.fill().unwrap();
        assert!(fs::write(disk.folder().join("one"), [0_u8; 8192]).is_err());
        disk.free().unwrap();
        fs::write(disk.folder().join("one"), [0_u8; 8192]).unwrap();
    }
}
