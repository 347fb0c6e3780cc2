//! What is not wrong and still worth a word: risks that a definition takes, each with a name to answer for it.

use std::fmt;

use serde::Serialize;

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
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
