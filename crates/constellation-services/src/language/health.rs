//! How to tell that a service works.

use std::time::Duration;

use constellation_docker::HealthCheck;
use serde::Serialize;

use super::units::secs;

/// A command inside the container that says whether the service works.
///
/// Unless told: every 10 s, 5 s of patience, unhealthy after 3 failures, failures of the first 30 s do not count. The
/// engine's own defaults (30 s, 30 s, 3, 0 s) take a minute and a half to see a death, and call a slow start one.
///
/// ```
/// use constellation_services::prelude::*;
/// let ready = Health::cmd(["pg_isready", "-U", "blog"]).every(secs(5));
/// let page = Health::http(8080, "/healthz").start_period(mins(2));
/// let script = Health::shell("test -s /tmp/ready");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub(crate) command: Vec<String>,
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) start_period: Option<Duration>,
}

impl Health {
    pub(crate) const INTERVAL: Duration = secs(10);
    pub(crate) const TIMEOUT: Duration = secs(5);
    pub(crate) const RETRIES: u32 = 3;
    pub(crate) const START_PERIOD: Duration = secs(30);

    /// A program and its arguments, without a shell; exit code 0 is healthy.
    pub fn cmd<I: IntoIterator<Item = S>, S: Into<String>>(command: I) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
        }
    }

    /// A line for the image's `/bin/sh`.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::cmd(["/bin/sh".to_owned(), "-c".to_owned(), line.into()])
    }

    /// A GET that must succeed, asked with the `wget` or `curl` that the image has. An image with neither is unhealthy
    /// for ever: give it a `cmd` of its own.
    pub fn http(port: u16, path: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}{path}").replace('\'', r"'\''");
        Self::shell(format!(
            "if command -v wget >/dev/null; then wget -q -O /dev/null '{url}'; else curl -fsS -o /dev/null '{url}'; fi"
        ))
    }

    /// From the end of one check to the start of the next.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// How long one check may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many failures in a row make it unhealthy.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Failures within this time after a start do not count.
    #[must_use]
    pub fn start_period(mut self, start_period: Duration) -> Self {
        self.start_period = Some(start_period);
        self
    }

    pub(crate) fn to_check(&self) -> HealthCheck {
        HealthCheck {
            command: self.command.clone(),
            interval: self.interval.unwrap_or(Self::INTERVAL),
            timeout: self.timeout.unwrap_or(Self::TIMEOUT),
            retries: self.retries.unwrap_or(Self::RETRIES),
            start_period: self.start_period.unwrap_or(Self::START_PERIOD),
        }
    }
}
