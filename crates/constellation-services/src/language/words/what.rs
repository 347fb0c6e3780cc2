//! What runs, and what it finds in its file system.

use crate::{
    language::{
        env::EnvValue,
        files::{ConfigFile, Secret, Volume},
        service::{Allowed, Service},
    },
    lint::Lint,
};

fn words<I: IntoIterator<Item = S>, S: Into<String>>(items: I) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}

/// What runs.
impl Service {
    /// What it is for, in a line: `list` and `explain` show it.
    #[must_use]
    pub fn about(mut self, line: impl Into<String>) -> Self {
        self.about = Some(line.into());
        self
    }

    /// Replaces the image's entry point.
    #[must_use]
    pub fn entrypoint<I: IntoIterator<Item = S>, S: Into<String>>(mut self, command: I) -> Self {
        self.entrypoint = Some(words(command));
        self
    }

    /// Arguments of the entry point, or the whole command where there is none.
    #[must_use]
    pub fn command<I: IntoIterator<Item = S>, S: Into<String>>(mut self, command: I) -> Self {
        self.command = Some(words(command));
        self
    }

    /// The working directory inside.
    #[must_use]
    pub fn workdir(mut self, path: impl Into<String>) -> Self {
        self.workdir = Some(path.into());
        self
    }

    /// `user[:group]` inside; the image's own unless said.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// A further group of its processes.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Another name of the container than the service's.
    #[must_use]
    pub fn container_name(mut self, name: impl Into<String>) -> Self {
        self.container_name = Some(name.into());
        self
    }

    /// The host name inside; the service's name unless said.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// An environment variable. Secrets are files: see [`secret`](Self::secret).
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<EnvValue>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.env.get(&name) {
            Some(before) if before.text != value.text => self.repeated.push(("env", name.clone())),
            _ => {}
        }
        self.env.insert(name, value);
        self
    }

    /// Several environment variables.
    #[must_use]
    pub fn envs<I, K, V>(self, variables: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<EnvValue>,
    {
        variables.into_iter().fold(self, |service, (name, value)| service.env(name, value))
    }

    /// Applies a shared way of describing services, such as a helper of the stack.
    #[must_use]
    pub fn with(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }

    /// A label, free of form. Those that routes and other words make are not overridden by it: `validate` says so.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Answers for a lint, with the reason that a reader will want to know.
    #[must_use]
    pub fn allow(mut self, lint: Lint, reason: impl Into<String>) -> Self {
        self.allowed.push(Allowed { lint, reason: reason.into() });
        self
    }
}

/// What it finds in its file system.
impl Service {
    /// A secret, as a file.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// A configuration file whose content stands here.
    #[must_use]
    pub fn config(mut self, file: ConfigFile) -> Self {
        self.configs.push(file);
        self
    }

    /// A volume.
    #[must_use]
    pub fn volume(mut self, volume: Volume) -> Self {
        self.volumes.push(volume);
        self
    }

    /// Its root file system is read-only.
    #[must_use]
    pub fn read_only_root(mut self) -> Self {
        self.read_only_root = true;
        self
    }
}
