//! What a command works on: this machine, its engine, or that of another one; and what another one cannot be given.

use std::path::PathBuf;

use constellation_docker::{DockerEndpoint, RemoteAddress, TcpSecurity, TlsFiles};

use super::{
    CliError,
    args::{Global, RuntimeKind},
};
use crate::{problem::Problem, render::Desired};

/// What runs the services.
#[derive(Clone, Debug)]
pub(super) enum Machine {
    /// This machine, without an engine.
    Processes,
    /// The engine of this machine.
    Engine(DockerEndpoint),
    /// That of another one.
    Remote(RemoteAddress, TcpSecurity),
}

impl Machine {
    pub(super) fn of(global: &Global) -> Result<Self, CliError> {
        if global.runtime == RuntimeKind::Process {
            return Ok(Self::Processes);
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(said) = global.host.clone().or_else(|| variable("DOCKER_HOST")) else {
            return Ok(Self::Engine(DockerEndpoint::default()));
        };
        let is_remote = ["ssh://", "tcp://", "https://"].iter().any(|scheme| said.starts_with(scheme));
        if !is_remote {
            return Ok(Self::Engine(said.parse::<DockerEndpoint>()?));
        }
        let security = if global.insecure_tcp {
            TcpSecurity::Insecure
        } else {
            let folder = variable("DOCKER_CERT_PATH").map(PathBuf::from);
            let home = || PathBuf::from(variable("HOME").unwrap_or_default()).join(".docker");
            let usual = TlsFiles::in_folder(&folder.unwrap_or_else(home));
            TcpSecurity::Tls(TlsFiles {
                ca: global.tls_ca.clone().unwrap_or(usual.ca),
                certificate: global.tls_cert.clone().unwrap_or(usual.certificate),
                key: global.tls_key.clone().unwrap_or(usual.key),
            })
        };
        Ok(Self::Remote(said.parse()?, security))
    }
}

/// An address as the name of a folder. Two addresses never share one: what is replaced is told apart by its number.
pub(super) fn folder_name(address: &str) -> String {
    let letter = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '@' => c.to_string(),
        c => format!("_{:x}_", u32::from(c)),
    };
    address.chars().map(letter).collect()
}

/// Files and folders are put on this machine, and the engine looks for them on its own.
pub(super) fn out_of_reach(desired: &Desired, address: &RemoteAddress) -> Vec<Problem> {
    let mut problems = Vec::new();
    for service in &desired.services {
        let files = service.files.iter().map(|file| ("config", &file.path));
        let secrets = service.secrets.iter().map(|secret| ("secret", &secret.source));
        let folders = service.folders.iter().map(|folder| ("volume", &folder.path));
        for (field, path) in files.chain(secrets).chain(folders) {
            let what = format!(
                "{} would have to be on the engine's machine, and this tool puts files on its own machine only",
                path.display()
            );
            let advice = format!("run the tool on that machine (it is {address}), or use a named volume");
            problems.push(Problem::new(service.id.to_string(), field, what, advice));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_a_folder_of_its_own() {
        let names =
            ["ssh://me@host", "ssh://me@host:22", "ssh://me@host/run/a", "tcp://host:22"].map(folder_name);
        for (index, name) in names.iter().enumerate() {
            assert!(!name.contains('/'), "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
