//! Files that hold a secret: refused when anybody else could have read or written them.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};
use zeroize::Zeroizing;

/// The largest secret that is read, in bytes: room for a certificate chain, none for a log file named by mistake.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// A secret file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system refused.
    #[error("could not {deed} {path}", path = .path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path's last part is a symbolic link, which may be turned elsewhere between two looks.
    #[error("{path} is a symbolic link: name the file itself", path = .path.display())]
    Link {
        /// Which path.
        path: PathBuf,
    },
    /// It is a directory, a device, a pipe or a socket.
    #[error("{path} is not a regular file", path = .path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
    },
    /// Somebody else owns it, and so may read and change it.
    #[error(
        "{path} belongs to user {owner}, who could read and change it; make it ours: chown {user} {quoted}",
        path = .path.display(), quoted = quoted(.path)
    )]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Its mode lets others in.
    #[error(
        "{path} has mode {mode:04o}, which lets others at it; make it private: chmod 600 {quoted}",
        path = .path.display(), quoted = quoted(.path)
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is too large to be a secret.
    #[error("{path} is larger than {bytes_max} bytes, which is not what it should be; check the path", path = .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large it may be.
        bytes_max: usize,
    },
    /// It is there already, and was not to be replaced.
    #[error("{path} exists already, and replacing a secret by accident is worse than stopping here: \
             move it away first, or ask for it to be replaced", path = .path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
}

/// The path as one word of a shell command.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Reads a secret, without the line break at its end.
///
/// The file must be regular, not a symbolic link, owned by the user of this process, of mode 0600 or 0400, and at most
/// [`SECRET_BYTES_MAX`] long; else the error says which command mends it. The checks are made on the opened file, so
/// nobody can swap it between the look and the reading.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read_secret_up_to(path, SECRET_BYTES_MAX)
}

/// [`read_secret`], for what is secret and larger, such as a backup. The memory for the whole bound is taken at once.
pub fn read_secret_up_to(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    // NONBLOCK: opening a pipe that somebody put there must not hang; it is refused below.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(SecretError::Link { path: path.to_owned() }),
        Err(source) => return Err(io("read", path, source)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|source| io("read", path, source))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SecretError::NotAFile { path: path.to_owned() });
    }
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        return Err(SecretError::Owner { path: path.to_owned(), owner: stat.st_uid, user });
    }
    let mode = stat.st_mode & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        return Err(SecretError::Mode { path: path.to_owned(), mode });
    }
    // Room for one byte too many, taken at once: a buffer that grows leaves copies of the secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(bytes_max + 2));
    let bound = u64::try_from(bytes_max + 1).unwrap_or(u64::MAX);
    file.take(bound).read_to_end(&mut content).map_err(|source| SecretError::Io {
        deed: "read",
        path: path.to_owned(),
        source,
    })?;
    if content.len() > bytes_max {
        return Err(SecretError::TooLarge { path: path.to_owned(), bytes_max });
    }
    if content.last() == Some(&b'\n') {
        content.pop();
        if content.last() == Some(&b'\r') {
            content.pop();
        }
    }
    Ok(content)
}

/// What to do with a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Leave it, and fail.
    No,
    /// Put the new one in its place.
    Yes,
}

/// Writes a secret with mode 0600: whole or not at all, and durable when this returns.
pub fn write_secret(path: &Path, secret: &[u8], replace: Replace) -> Result<(), SecretError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let fail = |deed, source: Errno| match source {
        Errno::EXIST => SecretError::Exists { path: path.to_owned() },
        source => io(deed, path, source),
    };
    if replace == Replace::No && path.symlink_metadata().is_ok() {
        return Err(SecretError::Exists { path: path.to_owned() });
    }
    let here = rustix::fs::open(directory, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| fail("write", source))?;
    let temporary = format!(".secret-{:016x}", rand::random::<u64>());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&here, &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|source| fail("write", source))?;
    let written = write_and_name(File::from(file), &here, &temporary, path, secret, replace);
    if written.is_err() {
        // Nothing is left behind; when this fails as well, the first failure is still the one to tell.
        let _ = rustix::fs::unlinkat(&here, &temporary, AtFlags::empty());
    }
    written.map_err(|source| match Errno::from_io_error(&source) {
        Some(errno) => fail("write", errno),
        None => SecretError::Io { deed: "write", path: path.to_owned(), source },
    })
}

fn write_and_name(
    mut file: File,
    directory: &impl std::os::fd::AsFd,
    temporary: &str,
    path: &Path,
    secret: &[u8],
    replace: Replace,
) -> std::io::Result<()> {
    // Whatever the umask took away or a default ACL added: exactly the owner, reading and writing.
    rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
    file.write_all(secret)?;
    file.sync_all()?;
    let name = path.file_name().ok_or(Errno::ISDIR)?.as_bytes();
    let flags = if replace == Replace::No { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
    rustix::fs::renameat_with(directory, temporary, directory, name, flags)?;
    rustix::fs::fsync(directory)?;
    Ok(())
}

fn io(deed: &'static str, path: &Path, source: Errno) -> SecretError {
    SecretError::Io { deed, path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        (directory, path)
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_written_is_private_and_is_read_back_without_its_line_break() {
        let (_directory, path) = place();
        write_secret(&path, b"s3cret\n", Replace::No).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(*read_secret(&path).unwrap(), b"s3cret");
        chmod(&path, 0o400);
        assert_eq!(*read_secret(&path).unwrap(), b"s3cret");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        let (_directory, path) = place();
        write_secret(&path, b"s3cret", Replace::No).unwrap();
        for mode in [0o644, 0o640, 0o660, 0o604, 0o700, 0o4600] {
            chmod(&path, mode);
            let error = read_secret(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{mode:o}: {error}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused_with_the_command_that_mends_it() {
        let (_directory, path) = place();
        write_secret(&path, b"s3cret", Replace::No).unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return; // only root may give files away; then there is nothing to refuse either
        }
        let error = read_secret(&path).unwrap_err().to_string();
        let user = rustix::process::geteuid().as_raw();
        assert!(error.contains(&format!("chown {user} {}", path.display())), "{error}");
    }

    #[test]
    fn a_link_a_directory_and_a_pipe_are_refused_without_waiting() {
        let (directory, path) = place();
        write_secret(&path, b"s3cret", Replace::No).unwrap();
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read_secret(&link), Err(SecretError::Link { .. })));
        assert!(matches!(read_secret(directory.path()), Err(SecretError::NotAFile { .. })));
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(matches!(read_secret(&pipe), Err(SecretError::NotAFile { .. })));
    }

    #[test]
    fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() {
        let (_directory, path) = place();
        write_secret(&path, &vec![b'x'; SECRET_BYTES_MAX], Replace::No).unwrap();
        assert_eq!(read_secret(&path).unwrap().len(), SECRET_BYTES_MAX);
        write_secret(&path, &vec![b'x'; SECRET_BYTES_MAX + 1], Replace::Yes).unwrap();
        assert!(matches!(read_secret(&path), Err(SecretError::TooLarge { .. })));
    }

    #[test]
    fn a_secret_is_replaced_only_on_demand_and_nothing_is_left_behind() {
        let (directory, path) = place();
        write_secret(&path, b"first", Replace::No).unwrap();
        assert!(matches!(write_secret(&path, b"second", Replace::No), Err(SecretError::Exists { .. })));
        assert_eq!(*read_secret(&path).unwrap(), b"first");
        write_secret(&path, b"third", Replace::Yes).unwrap();
        assert_eq!(*read_secret(&path).unwrap(), b"third");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let (_directory, path) = place();
        let error = read_secret(&path).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn a_path_with_a_space_or_a_quote_is_one_word_of_the_command() {
        assert_eq!(quoted(Path::new("/a/b-c_d.txt")), "/a/b-c_d.txt");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
