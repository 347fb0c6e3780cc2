//! What every command starts from: the configuration, the definitions, the machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use constellation_docker::{DockerEngine, ProcessConfig, ProcessRuntime, Remote};

use super::{
    CliError,
    args::Global,
    machine::{Machine, folder_name, out_of_reach},
};
use crate::{
    config::Config,
    host::Host,
    language::Stack,
    material,
    problem::{Problem, Problems},
    render::{Desired, for_processes, render},
    store::Store,
};

/// Looked at where nobody names a file.
const CONFIG_FILES: &[&str] = &["deploy.toml", "/etc/constellation/deploy.toml"];

/// The configuration and what is defined under it.
pub(super) struct Scene {
    pub(super) config: Config,
    pub(super) stacks: Vec<Stack>,
    pub(super) store: Store,
    machine: Machine,
}

/// The definitions are wrong, or the machine lacks what they need.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       "))]
pub(super) struct Wrong(Vec<Problem>);

impl Scene {
    pub(super) fn new(global: &Global, stacks: &dyn Fn(&Config) -> Vec<Stack>) -> Result<Self, CliError> {
        let mut environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let flags = [
            ("DOMAIN", &global.domain),
            ("TS_HOSTNAME", &global.node),
            ("CONFIG_PATH", &global.config_path),
            ("SECRETS_PATH", &global.secrets_path),
            ("DATA_DIR", &global.data_dir),
        ];
        for (name, value) in flags {
            if let Some(value) = value {
                environment.insert(name.to_owned(), value.clone());
            }
        }
        for pair in &global.set {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(format!("--set {pair}: write NAME=VALUE").into());
            };
            environment.insert(name.to_owned(), value.to_owned());
        }
        let found = CONFIG_FILES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
        let file: Option<PathBuf> = global.config.clone().or(found);
        let config = Config::load(environment, file.as_deref())?;
        let stacks = stacks(&config);
        let machine = Machine::of(global)?;
        // Each engine has a history of its own, and a lock.
        let store = match &machine {
            Machine::Remote(address, _) => {
                Store::below(&config.data_dir().join("remote").join(folder_name(&address.to_string())))
            }
            Machine::Processes | Machine::Engine(_) => Store::below(&config.data_dir()),
        };
        Ok(Self { config, stacks, store, machine })
    }

    /// What should be on this node, whether or not the machine has what it needs.
    pub(super) fn defined(&self) -> Result<Desired, Problems> {
        let (generations, _missing) = material::look(&self.stacks, &self.config);
        self.for_runtime(render(&self.stacks, &self.config, &generations)?)
    }

    /// What should be on this node.
    ///
    /// # Errors
    /// Everything that is wrong with the definitions, and everything that is missing on the machine.
    pub(super) fn desired(&self) -> Result<Desired, CliError> {
        let (desired, missing) = self.desired_and_missing()?;
        if missing.is_empty() { Ok(desired) } else { Err(Wrong(missing).into()) }
    }

    /// What should be on this node, and what is missing on the machine for it.
    ///
    /// # Errors
    /// Everything that is wrong with the definitions.
    pub(super) fn desired_and_missing(&self) -> Result<(Desired, Vec<Problem>), CliError> {
        let wrong = crate::validate::validate(&self.stacks, &self.config);
        if !wrong.is_empty() {
            return Err(Wrong(wrong).into());
        }
        let (generations, mut missing) = material::look(&self.stacks, &self.config);
        let desired = self.for_runtime(render(&self.stacks, &self.config, &generations)?)?;
        if let Machine::Remote(address, _) = &self.machine {
            // What is missing here is no matter: it would have to be there.
            missing = out_of_reach(&desired, address);
        }
        Ok((desired, missing))
    }

    fn for_runtime(&self, desired: Desired) -> Result<Desired, Problems> {
        match self.machine {
            Machine::Processes => for_processes(desired),
            Machine::Engine(_) | Machine::Remote(..) => Ok(desired),
        }
    }

    /// The machine.
    pub(super) async fn machine(&self) -> Result<Box<dyn Host>, CliError> {
        match &self.machine {
            Machine::Processes => {
                let folder = self.config.data_dir().join("processes");
                Ok(Box::new(ProcessRuntime::open(ProcessConfig::new(folder)).await?))
            }
            Machine::Engine(endpoint) => Ok(Box::new(DockerEngine::connect(endpoint.clone())?)),
            Machine::Remote(address, security) => {
                Ok(Box::new(DockerEngine::over(Remote::open(address, security).await?)))
            }
        }
    }
}
