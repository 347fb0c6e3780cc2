//! Files on the host: what services find in their file systems is looked at before anything is done, and written right
//! before it is needed.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use constellation_security::{SecretError, read_secret};

use crate::{
    config::Config,
    index::{Index, Member},
    language::{Secret, Stack, VolumeKind},
    problem::Problem,
    render::{FolderToMake, Rendered, SecretGenerations, secret_copy},
    store::{StoreError, write_whole},
};

/// Something could not be put where a service needs it.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file or folder could not be written.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// A secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A folder could not be given to its owner.
    #[error("could not give {path} to {uid}:{gid}")]
    Owner {
        /// Which folder.
        path: String,
        /// To whom.
        uid: u32,
        /// To which group.
        gid: u32,
        /// Why.
        source: std::io::Error,
    },
}

/// Which copy of each secret is the current one, and what is missing on this machine.
pub fn look(stacks: &[Stack], config: &Config) -> (SecretGenerations, Vec<Problem>) {
    let index = Index::new(stacks, config);
    let (mut generations, mut problems) = (SecretGenerations::default(), Vec::new());
    for member in index.members_here() {
        for secret in &member.service.secrets {
            match generation(member, secret, config) {
                Ok(generation) => {
                    generations.0.insert((member.id(), secret.file.clone()), generation);
                }
                Err(problem) => problems.push(problem),
            }
        }
        for volume in &member.service.volumes {
            let VolumeKind::Bind { source, file, .. } = &volume.kind else { continue };
            let path = source.as_str();
            match fs::metadata(path) {
                Ok(there) if source.ours && !file && !there.is_dir() => {
                    let what = format!("{path} is not a folder");
                    let advice = "move it away, or say `.file()`";
                    problems.push(Problem::new(member.id(), "volumes", what, advice));
                }
                Ok(_) => {}
                Err(_) if source.ours && !file => {}
                Err(error) => {
                    let what = format!("{path} cannot be mounted: {error}");
                    let advice = if *file { "put the file there" } else { "make it, or check the path" };
                    problems.push(Problem::new(member.id(), "volumes", what, advice));
                }
            }
        }
    }
    (generations, problems)
}

/// The generation whose copy is what the service wants; a new one where none is.
fn generation(member: Member<'_>, secret: &Secret, config: &Config) -> Result<u32, Problem> {
    let source = config.secrets_path().join(&secret.file);
    if secret.optional && !source.exists() {
        return Ok(SecretGenerations::LEFT_OUT);
    }
    let wanted = read_secret(&source).map_err(|error| unreadable(member, &source, &error))?;
    let newest = newest_copy(member, secret, config);
    let Some(newest) = newest else { return Ok(1) };
    let copy = secret_copy(config, member, &secret.file, newest);
    let same = fs::read(&copy).is_ok_and(|content| trimmed(&content) == wanted.as_slice())
        && fs::metadata(&copy).is_ok_and(|there| {
            let (uid, gid) = secret.owner.unwrap_or_else(ourselves);
            there.mode() & 0o7777 == secret.mode && (there.uid(), there.gid()) == (uid, gid)
        });
    Ok(if same { newest } else { newest.saturating_add(1) })
}

/// As `read_secret` gives it: without the line break at its end.
fn trimmed(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

fn newest_copy(member: Member<'_>, secret: &Secret, config: &Config) -> Option<u32> {
    let first = secret_copy(config, member, &secret.file, 1);
    let stem = first.file_name()?.to_str()?.strip_suffix(".1")?.to_owned();
    let entries = fs::read_dir(first.parent()?).ok()?;
    let generations = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_prefix(&stem)?.strip_prefix('.')?.parse::<u32>().ok()
    });
    generations.max()
}

fn ourselves() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn unreadable(member: Member<'_>, path: &Path, error: &SecretError) -> Problem {
    let shown = path.display();
    let (what, advice) = match error {
        SecretError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            (format!("there is no {shown}"), format!("write it: (umask 077; cat > {shown})"))
        }
        SecretError::Io { source, .. } => {
            (format!("{shown} cannot be read: {source}"), "run this as root".to_owned())
        }
        // The error says what mends it.
        other => {
            let text = other.to_string();
            match text.split_once("; ") {
                Some((what, advice)) => (what.to_owned(), advice.to_owned()),
                None => (text, "put a regular file there".to_owned()),
            }
        }
    };
    Problem::new(member.id(), "secrets", what, advice)
}

/// Puts everything in its place that a service needs. What is there already stays.
pub(crate) fn put(service: &Rendered) -> Result<(), MaterialError> {
    for folder in &service.folders {
        make(folder)?;
    }
    for file in &service.files {
        // Named by its hash: what is there under this name is it.
        if !file.path.exists() {
            write_whole(&file.path, &file.content, file.mode, file.owner)?;
        }
    }
    for secret in &service.secrets {
        if !secret.copy.exists() {
            let content = read_secret(&secret.source)?;
            write_whole(&secret.copy, &content, secret.mode, secret.owner)?;
        }
    }
    Ok(())
}

fn make(folder: &FolderToMake) -> Result<(), MaterialError> {
    if folder.path.is_dir() {
        return Ok(());
    }
    // Not private, as the tool's own folders are: whoever the service runs as must get in.
    fs::create_dir_all(&folder.path).map_err(|source| StoreError {
        deed: "make the folder",
        path: folder.path.clone(),
        source,
    })?;
    if let Some((uid, gid)) = folder.owner {
        chown(&folder.path, Some(uid), Some(gid)).map_err(|source| MaterialError::Owner {
            path: folder.path.display().to_string(),
            uid,
            gid,
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{prelude::*, render};

    struct World {
        _folder: tempfile::TempDir,
        config: Config,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name).display().to_string();
            let (secrets, data, volumes) = (path("secrets"), path("data"), path("volumes"));
            fs::create_dir(&secrets).unwrap();
            let config = Config::from_parts([
                ("DOMAIN", "example.org"),
                ("SECRETS_PATH", secrets.as_str()),
                ("DATA_DIR", data.as_str()),
                ("CONFIG_PATH", volumes.as_str()),
            ]);
            Self { _folder: folder, config }
        }

        fn secret(&self, content: &str, mode: u32) {
            let path = self.config.secrets_path().join("key.txt");
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn stack(&self) -> Vec<Stack> {
            let service = Service::new("web", "x:1.0")
                .secret(secret("key.txt"))
                .config(config_file("/etc/app.toml", "a = 1"))
                .volume(bind(self.config.volume("web")).at("/data"));
            vec![Stack::new("s").service(service)]
        }

        /// Looks, renders and puts; returns the generation of the secret.
        fn apply(&self) -> u32 {
            let (generations, problems) = look(&self.stack(), &self.config);
            assert_eq!(problems, []);
            let desired = render(&self.stack(), &self.config, &generations).unwrap();
            put(&desired.services[0]).unwrap();
            for mount in &desired.services[0].spec.mounts {
                let constellation_docker::MountKind::Bind { source } = &mount.kind else { continue };
                assert!(Path::new(source).exists(), "{source}");
            }
            generations.0.into_values().next().unwrap()
        }
    }

    #[test]
    fn a_secret_is_copied_once_and_anew_when_it_was_rotated() {
        let world = World::new();
        world.secret("one\n", 0o600);
        assert_eq!(world.apply(), 1);
        assert_eq!(world.apply(), 1);
        world.secret("two\n", 0o600);
        assert_eq!(world.apply(), 2);
        assert_eq!(world.apply(), 2);
        let copy = |number: u32| {
            let path = world.config.data_dir().join(format!("deploy/secrets/s/web/key.txt.{number}"));
            (fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().permissions().mode() & 0o777)
        };
        assert_eq!((copy(1), copy(2)), (("one".to_owned(), 0o400), ("two".to_owned(), 0o400)));
    }

    #[test]
    fn a_secret_that_is_missing_or_open_is_told_with_the_command_that_mends_it() {
        let world = World::new();
        let (_, problems) = look(&world.stack(), &world.config);
        assert!(problems[0].to_string().contains("s/web: secrets: there is no"), "{}", problems[0]);
        world.secret("one", 0o644);
        let (_, problems) = look(&world.stack(), &world.config);
        assert!(problems[0].advice.contains("chmod 600"), "{}", problems[0]);
    }

    #[test]
    fn an_optional_secret_that_nobody_has_is_left_out_with_its_variables() {
        let world = World::new();
        let key = secret("key.txt").env_file("KEY_FILE").optional();
        let stack = || vec![Stack::new("s").service(Service::new("web", "x:1.0").secret(key.clone()))];
        let spec = || {
            let (generations, problems) = look(&stack(), &world.config);
            assert_eq!(problems, []);
            render(&stack(), &world.config, &generations).unwrap().services.remove(0).spec
        };
        assert_eq!((spec().mounts.len(), spec().env.len()), (0, 0));
        world.secret("one", 0o600);
        assert_eq!((spec().mounts.len(), spec().env.len()), (1, 1));
        world.secret("one", 0o644);
        assert!(
            !look(&stack(), &world.config).1.is_empty(),
            "one that is there and open is told all the same"
        );
    }

    #[test]
    fn a_path_of_somebody_else_s_must_be_there() {
        let world = World::new();
        let service = Service::new("web", "x:1.0").volume(bind("/nonexistent/x").at("/x"));
        let (_, problems) = look(&[Stack::new("s").service(service)], &world.config);
        assert!(problems[0].what.contains("/nonexistent/x cannot be mounted"), "{:?}", problems[0]);
    }
}
