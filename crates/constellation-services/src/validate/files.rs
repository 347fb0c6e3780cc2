//! Secrets, configuration files and volumes.

use std::collections::BTreeMap;

use super::{About, is_name, shown};
use crate::language::VolumeKind;

/// The largest content of a configuration file: definitions are kept in memory and compared.
const CONFIG_BYTES_MAX: usize = 1 << 20;

pub(super) fn check(about: &mut About<'_, '_>) {
    let service = about.member.service;
    let mut targets: BTreeMap<String, &'static str> = BTreeMap::new();
    for secret in &service.secrets {
        if !is_inside(&secret.file) {
            let what = format!("secret {} is not a file below the secrets path", shown(&secret.file));
            about.wrong("secrets", what, "write its name there, such as `db-password.txt`");
        }
        if secret.mode & 0o077 != 0 && secret.owner.is_none() {
            let what = format!(
                "secret {} would be readable by others (mode {:04o})",
                shown(&secret.file),
                secret.mode
            );
            let advice = "use `.mode(0o400)`, and `.owner(uid, gid)` where the service does not run as root";
            about.wrong("secrets", what, advice);
        } else if secret.mode & 0o027 != 0 {
            let what = format!(
                "secret {} could be read or changed by others (mode {:04o})",
                shown(&secret.file),
                secret.mode
            );
            about.wrong("secrets", what, "use `.mode(0o400)`, or `.mode(0o440)` for a group");
        }
        if secret.mode & 0o400 == 0 {
            let what = format!(
                "secret {} could not be read by its owner (mode {:04o})",
                shown(&secret.file),
                secret.mode
            );
            about.wrong("secrets", what, "use `.mode(0o400)`");
        }
        target(about, "secrets", &secret.target(), &mut targets);
    }
    for config in &service.configs {
        if config.mode > 0o777 || config.mode & 0o444 == 0 {
            let what = format!("{} would have mode {:04o}", shown(&config.target), config.mode);
            about.wrong("configs", what, "use permission bits such as 0o444");
        }
        if config.mode & 0o022 != 0 {
            let what =
                format!("{} could be changed by others (mode {:04o})", shown(&config.target), config.mode);
            about.wrong("configs", what, "use `.mode(0o444)`: it is mounted read-only all the same");
        }
        if config.content.len() > CONFIG_BYTES_MAX {
            let what = format!("{} has {} bytes", shown(&config.target), config.content.len());
            about.wrong("configs", what, "put it on the host and mount it with `bind`");
        }
        target(about, "configs", &config.target, &mut targets);
    }
    for volume in &service.volumes {
        match &volume.kind {
            VolumeKind::Bind { source, .. } => {
                let path = source.as_str();
                if !path.starts_with('/') || has_parent(path) || has_control(path) {
                    let what = format!("{} is not an absolute path of the host", shown(path));
                    about.wrong(
                        "volumes",
                        what,
                        "begin it with `/` and leave `..` out, or make it with `cfg.volume(…)`",
                    );
                }
            }
            VolumeKind::Named { name, .. } if !is_name(name, 128) || name.len() < 2 => {
                let what = format!("{} cannot be a volume's name", shown(name));
                about.wrong("volumes", what, super::NAME_RULE);
            }
            VolumeKind::Tmpfs { size: Some(size) }
                if size.as_bytes() == 0 || i64::try_from(size.as_bytes()).is_err() =>
            {
                about.wrong(
                    "volumes",
                    format!("a tmpfs of {size} cannot be"),
                    "give it a size such as `64.mib()`",
                );
            }
            _ => {}
        }
        if !volume.propagation.is_private() && !matches!(volume.kind, VolumeKind::Bind { .. }) {
            let what = format!(
                "{} is no path of the host, so no mount below it is seen elsewhere",
                shown(&volume.target)
            );
            about.wrong("volumes", what, "leave `follows_host` and `shared_with_host` out, or use `bind`");
        }
        target(about, "volumes", &volume.target, &mut targets);
    }
}

/// A place inside: absolute, not the root, and not given twice.
fn target(
    about: &mut About<'_, '_>,
    field: &'static str,
    path: &str,
    seen: &mut BTreeMap<String, &'static str>,
) {
    let trimmed = path.trim_end_matches('/');
    if !path.starts_with('/') || trimmed.is_empty() || has_parent(path) || has_control(path) {
        let what = format!("{} is not an absolute path inside", shown(path));
        about.wrong(field, what, "begin it with `/`, name something below it, and leave `..` out");
        return;
    }
    if let Some(first) = seen.insert(trimmed.to_owned(), field) {
        let what = format!("{} is mounted twice (also by `{first}`)", shown(trimmed));
        about.wrong(field, what, "leave one of them out, or mount it elsewhere");
    }
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && !has_control(path)
}

fn has_parent(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn has_control(path: &str) -> bool {
    path.chars().any(char::is_control)
}
