//! What is not wrong and still worth a word: risks that a definition takes, each with a name to answer for it.

mod access;
mod habits;

use std::fmt;

use serde::Serialize;

pub(crate) use self::habits::is_secret_name;
use crate::{
    config::Config,
    index::{Index, Member},
    language::Stack,
};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Better changed.
    Warning,
    /// Change it, or answer for it.
    Error,
}

macro_rules! lints {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident;)*) => {
        /// A risk, by name. [`Service::allow`](crate::language::Service::allow) answers for it with a reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Lint { $($(#[$doc])* $name,)* }

        impl Lint {
            /// All that there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

lints! {
    /// The container has every capability and device of the host.
    Privileged = "privileged", Error;
    /// The engine's socket is mounted: whoever is in there is root on the host. A read-only mount changes nothing.
    DockerSocket = "docker-socket", Error;
    /// The root of the host's file system is mounted.
    HostRoot = "host-root", Error;
    /// A capability that is nearly root.
    StrongCapability = "strong-capability", Warning;
    /// A page for administrators, or a service without a login of its own, is routed without authentication.
    NoAuthentication = "no-authentication", Error;
    /// A port is published on every address of the host, past its firewall.
    AllInterfaces = "all-interfaces", Error;
    /// A database is on the network that Traefik is on.
    PublicDatabase = "public-database", Error;
    /// A variable that looks like a secret has its value in the definition or the environment.
    PlainSecret = "plain-secret", Error;
    /// The image's tag may mean another image tomorrow.
    FloatingTag = "floating-tag", Warning;
    /// Nobody can tell whether it works.
    NoHealthCheck = "no-health-check", Warning;
    /// The health check installs packages, or cannot fail.
    StrangeHealthCheck = "strange-health-check", Warning;
    /// It may take all memory of the host.
    NoMemoryLimit = "no-memory-limit", Warning;
    /// It may take all cores of the host.
    NoCpuLimit = "no-cpu-limit", Note;
    /// It keeps the capabilities that the engine gives to everyone.
    EngineCapabilities = "engine-capabilities", Note;
    /// It is in the host's own network.
    HostNetwork = "host-network", Warning;
    /// It publishes a port that the agent uses.
    AgentPort = "agent-port", Warning;
    /// Two definitions give one variable two defaults.
    ContradictingDefaults = "contradicting-defaults", Warning;
    /// A lint is answered for that finds nothing.
    UnusedAllow = "unused-allow", Note;
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a lint found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters here; a lint may find less than its worst.
    pub severity: Severity,
    /// Which lint.
    pub lint: Lint,
    /// `stack/service`, or `configuration`.
    pub place: String,
    /// What was found.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// Why the service answers for it, where it does.
    pub allowed: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.place, self.lint, self.what, self.advice)
    }
}

/// Looks for risks in every service, whichever node it runs on. The worst come first.
///
/// ```
/// use constellation_services::{Severity, lint, prelude::*};
/// let socket = bind("/var/run/docker.sock").file().at("/var/run/docker.sock");
/// let service = Service::new("ui", "example/ui:1.0").volume(socket);
/// let worst = &lint(&[Stack::new("ops").service(service)], &Config::example())[0];
/// assert_eq!((worst.lint, worst.severity), (Lint::DockerSocket, Severity::Error));
/// ```
pub fn lint(stacks: &[Stack], config: &Config) -> Vec<Finding> {
    let index = Index::new(stacks, config);
    let mut findings = Vec::new();
    for member in index.members() {
        let mut about = About { member, findings: Vec::new() };
        access::look(&mut about);
        habits::look(&mut about);
        let mut own = about.findings;
        answer(member, &mut own);
        findings.extend(own);
    }
    for (name, lookup) in config.lookups() {
        if lookup.defaults.len() > 1 {
            let defaults: Vec<String> =
                lookup.defaults.iter().map(|default| format!("`{default}`")).collect();
            findings.push(Finding {
                severity: Lint::ContradictingDefaults.severity(),
                lint: Lint::ContradictingDefaults,
                place: "configuration".to_owned(),
                what: format!("{name} is {} by default, depending on who asks", defaults.join(" or ")),
                advice: "use one default, or two variables".to_owned(),
                allowed: None,
            });
        }
    }
    findings.sort_by(|a, b| {
        (a.allowed.is_some(), b.severity, &a.place, a.lint).cmp(&(
            b.allowed.is_some(),
            a.severity,
            &b.place,
            b.lint,
        ))
    });
    findings
}

/// Puts the service's answers to its findings.
fn answer(member: Member<'_>, findings: &mut Vec<Finding>) {
    for (lint, reason) in member.service.allowed() {
        let mut found = false;
        for finding in findings.iter_mut().filter(|finding| finding.lint == lint) {
            finding.allowed = Some(reason.to_owned());
            found = true;
        }
        if !found && lint != Lint::UnusedAllow {
            findings.push(Finding {
                severity: Lint::UnusedAllow.severity(),
                lint: Lint::UnusedAllow,
                place: member.id(),
                what: format!("`{lint}` is allowed, and finds nothing"),
                advice: "remove the `allow`".to_owned(),
                allowed: None,
            });
        }
    }
}

/// The service that is being looked at.
struct About<'a> {
    member: Member<'a>,
    findings: Vec<Finding>,
}

impl About<'_> {
    fn find(&mut self, lint: Lint, what: impl Into<String>, advice: impl Into<String>) {
        self.find_as(lint.severity(), lint, what, advice);
    }

    fn find_as(
        &mut self,
        severity: Severity,
        lint: Lint,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            lint,
            place: self.member.id(),
            what: what.into(),
            advice: advice.into(),
            allowed: None,
        });
    }
}

#[cfg(test)]
mod tests;
