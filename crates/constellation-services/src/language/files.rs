//! What a service finds in its file system: secrets, configuration files and volumes.

use constellation_docker::Propagation;
use serde::Serialize;

use super::units::Size;

/// Where secrets stand inside, as programs that read `*_FILE` variables expect.
pub const SECRETS_DIR: &str = "/run/secrets";

/// How an environment variable tells of a secret's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SecretEnv {
    pub(crate) variable: String,
    /// Text with `{}` for the path.
    pub(crate) pattern: String,
}

/// A secret: a file below the secrets path of the configuration, shown to the service as a file.
///
/// It has no way into an environment variable or onto a command line; a variable can only say where the file stands:
///
/// ```
/// use constellation_services::prelude::*;
/// let password = secret("db-password.txt").env_file("POSTGRES_PASSWORD_FILE"); // /run/secrets/db-password, mode 0400
/// let key = secret("key.txt").at("signing-key").owner(70, 70).env_as("SIGNING_KEY", "file://{}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Secret {
    pub(crate) file: String,
    pub(crate) target: Option<String>,
    pub(crate) mode: u32,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) env: Vec<SecretEnv>,
    pub(crate) optional: bool,
}

/// The secret in this file, relative to the secrets path. Inside it is `/run/secrets/<name without .txt>`.
pub fn secret(file: impl Into<String>) -> Secret {
    Secret { file: file.into(), target: None, mode: 0o400, owner: None, env: Vec::new(), optional: false }
}

impl Secret {
    /// Another name below `/run/secrets`, or another absolute path inside.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Its permission bits inside (0400 unless said). Bits that let others read are refused by `validate`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The user and group inside that own it; the tool's own user unless said.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Sets this variable to the path inside.
    #[must_use]
    pub fn env_file(self, variable: impl Into<String>) -> Self {
        self.env_as(variable, "{}")
    }

    /// Sets this variable to a text with the path in place of `{}`, for programs that want `file:///run/secrets/x`.
    #[must_use]
    pub fn env_as(mut self, variable: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.env.push(SecretEnv { variable: variable.into(), pattern: pattern.into() });
        self
    }

    /// Where the operator has no such file, the service does without: nothing is mounted, and its variables are not set.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The operator's file, relative to the secrets path.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether the service does without it.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// The absolute path inside.
    pub fn target(&self) -> String {
        match &self.target {
            Some(path) if path.starts_with('/') => path.clone(),
            Some(name) => format!("{SECRETS_DIR}/{name}"),
            None => {
                let name = self.file.rsplit('/').next().unwrap_or(&self.file);
                format!("{SECRETS_DIR}/{}", name.strip_suffix(".txt").unwrap_or(name))
            }
        }
    }
}

/// A configuration file whose content stands in the definition. It is written, named by its hash, and mounted
/// read-only: a changed content is a changed service, and the running one keeps what it was started with.
///
/// ```
/// use constellation_services::prelude::*;
/// let settings = config_file("/etc/app/app.toml", "listen = \"0.0.0.0:8080\"\n").mode(0o444);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigFile {
    pub(crate) target: String,
    #[serde(skip)]
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: Option<(u32, u32)>,
}

/// A file at this absolute path inside, with this content.
pub fn config_file(target: impl Into<String>, content: impl Into<Vec<u8>>) -> ConfigFile {
    ConfigFile { target: target.into(), content: content.into(), mode: 0o444, owner: None }
}

impl ConfigFile {
    /// Its permission bits inside (0444 unless said).
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The user and group inside that own it.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }
}

/// An absolute path of the host. [`Config::volume`](crate::Config::volume) gives one that `apply` makes where it is
/// missing; a plain text is somebody else's and must be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostPath {
    pub(crate) path: String,
    pub(crate) ours: bool,
}

impl HostPath {
    pub(crate) fn ours(path: String) -> Self {
        Self { path, ours: true }
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Something below it; itself where nothing is said.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        if below.is_empty() {
            return self.clone();
        }
        Self { path: format!("{}/{}", self.path.trim_end_matches('/'), below), ours: self.ours }
    }
}

impl From<&str> for HostPath {
    fn from(path: &str) -> Self {
        Self { path: path.to_owned(), ours: false }
    }
}

impl From<String> for HostPath {
    fn from(path: String) -> Self {
        Self { path, ours: false }
    }
}

impl From<&HostPath> for HostPath {
    fn from(path: &HostPath) -> Self {
        path.clone()
    }
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VolumeKind {
    /// A path of the host; `file` where it is not a folder; the owner for a folder that is made.
    Bind { source: HostPath, file: bool, owner: Option<(u32, u32)> },
    /// A volume of the engine, by key within the stack or by its whole name.
    Named { name: String, shared: bool },
    /// Memory.
    Tmpfs { size: Option<Size> },
}

/// A volume that has no place inside yet: `.at(…)` gives it one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "say where it is mounted with `.at(\"/path\")`"]
pub struct VolumeSource(VolumeKind);

/// Something mounted into a service.
///
/// ```
/// use constellation_services::prelude::*;
/// # let cfg = Config::example();
/// let data = bind(cfg.volume("blog/db")).owned_by(70, 70).at("/var/lib/postgresql/data");
/// let users = bind("/etc/passwd").file().at("/etc/passwd").read_only();
/// let cache = named("cache").at("/var/cache/app");
/// let scratch = tmpfs(64.mib()).at("/tmp");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub(crate) kind: VolumeKind,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) propagation: Propagation,
}

/// A path of the host.
pub fn bind(source: impl Into<HostPath>) -> VolumeSource {
    VolumeSource(VolumeKind::Bind { source: source.into(), file: false, owner: None })
}

/// A volume that the engine keeps, named `<stack>_<name>`.
pub fn named(name: impl Into<String>) -> VolumeSource {
    VolumeSource(VolumeKind::Named { name: name.into(), shared: false })
}

/// A volume that the engine keeps under exactly this name, whichever stack asks for it.
pub fn shared_volume(name: impl Into<String>) -> VolumeSource {
    VolumeSource(VolumeKind::Named { name: name.into(), shared: true })
}

/// Memory of at most this size, gone with the container.
pub fn tmpfs(size: Size) -> VolumeSource {
    VolumeSource(VolumeKind::Tmpfs { size: Some(size) })
}

impl VolumeSource {
    /// A bound path that is a file (or a socket or device), so `apply` never makes a folder of it.
    pub fn file(mut self) -> Self {
        if let VolumeKind::Bind { file, .. } = &mut self.0 {
            *file = true;
        }
        self
    }

    /// Whose the folder is when `apply` makes it; what is there already is left alone.
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        if let VolumeKind::Bind { owner, .. } = &mut self.0 {
            *owner = Some((uid, gid));
        }
        self
    }

    /// Where it is mounted: an absolute path inside.
    pub fn at(self, target: impl Into<String>) -> Volume {
        Volume { kind: self.0, target: target.into(), read_only: false, propagation: Propagation::Private }
    }
}

impl Volume {
    /// The service may only read it.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Mounts that the host makes below it later are seen inside.
    #[must_use]
    pub fn follows_host(mut self) -> Self {
        self.propagation = Propagation::Slave;
        self
    }

    /// Mounts that either makes below it later are seen by both, such as those of a FUSE program inside.
    #[must_use]
    pub fn shared_with_host(mut self) -> Self {
        self.propagation = Propagation::Shared;
        self
    }
}
