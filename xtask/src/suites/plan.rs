//! Which executable belongs to which suite, and what each suite needs.

use std::time::Duration;

use super::artifacts::Executable;

/// A set of tests with the same needs and the same limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suite {
    /// Unit and property tests, beside the code.
    Unit,
    /// Tests of a crate from outside, on loopback and temporary folders.
    Integration,
    /// The promises of a trait, on the implementations that need nothing.
    Contract,
    /// The examples in the documentation.
    Doc,
    /// What must hold for a while: loss, load, crash loops.
    Endurance,
    /// Contracts and behaviour on a real Docker Engine.
    Docker,
    /// Behaviour under a real Traefik.
    Traefik,
    /// Our zone files under real name servers.
    NameServer,
    /// Whole agents as processes.
    Agent,
    /// Whole agents on a real Docker Engine.
    AgentDocker,
    /// Whole agents under a real Traefik.
    AgentTraefik,
    /// Whole agents with a real Redis behind a real Traefik.
    AgentRoles,
    /// Whole agents under a real Chromium.
    AgentPage,
}

/// Every suite, in the order in which they run: the quick and general first.
pub(crate) const ALL: &[Suite] = &[
    Suite::Unit,
    Suite::Integration,
    Suite::Contract,
    Suite::Doc,
    Suite::Docker,
    Suite::Traefik,
    Suite::NameServer,
    Suite::Agent,
    Suite::AgentDocker,
    Suite::AgentTraefik,
    Suite::AgentRoles,
    Suite::AgentPage,
    Suite::Endurance,
];

/// The features that switch the gated suites on, as `package/feature`.
pub(crate) const FEATURES: &[&str] = &[
    "constellation-docker/e2e-docker",
    "constellation-traefik/e2e-traefik",
    "constellation-dns/e2e-dns",
    "constellation-gossip/endurance",
    "constellation-agent/e2e",
    "constellation-deploy/e2e-docker",
];

/// What a suite cannot run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Docker,
    Traefik,
    NameServers,
    Chromium,
    Redis,
}

impl Suite {
    /// Its name in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit and property",
            Self::Integration => "integration",
            Self::Contract => "contract",
            Self::Doc => "documentation examples",
            Self::Endurance => "endurance",
            Self::Docker => "e2e: Docker Engine",
            Self::Traefik => "e2e: Traefik",
            Self::NameServer => "e2e: name servers",
            Self::Agent => "e2e: agents as processes",
            Self::AgentDocker => "e2e: agents on Docker",
            Self::AgentTraefik => "e2e: agents under Traefik",
            Self::AgentRoles => "e2e: agents with Redis under Traefik",
            Self::AgentPage => "e2e: agents under Chromium",
        }
    }

    /// What it needs.
    pub(crate) fn needs(self) -> &'static [Need] {
        match self {
            Self::Docker | Self::AgentDocker => &[Need::Docker],
            Self::Traefik | Self::AgentTraefik => &[Need::Traefik],
            Self::NameServer => &[Need::NameServers],
            Self::AgentRoles => &[Need::Traefik, Need::Redis],
            Self::AgentPage => &[Need::Chromium],
            _ => &[],
        }
    }

    /// Whether it is among those of `--unit-only`: no outside program, no minutes, no feature.
    pub(crate) fn is_quick(self) -> bool {
        matches!(self, Self::Unit | Self::Integration | Self::Contract | Self::Doc)
    }

    /// All its executables together may take this long. Several times what two busy cores need.
    pub(crate) fn limit(self) -> Duration {
        match self {
            Self::Unit | Self::Integration | Self::Contract => Duration::from_secs(600),
            // Each example is compiled and linked by itself.
            Self::Doc | Self::Endurance => Duration::from_secs(1200),
            _ => Duration::from_secs(900),
        }
    }

    /// Further arguments for libtest.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            // Its tests load the machine on purpose; beside each other they would judge each other's load.
            Self::Endurance => &["--test-threads=1"],
            _ => &[],
        }
    }
}

/// The suite of an executable, by its gate and its name.
pub(crate) fn suite_of(executable: &Executable) -> Suite {
    let gated = |feature: &str| executable.required_features.iter().any(|required| required == feature);
    if executable.kind != "test" {
        return Suite::Unit;
    }
    if gated("endurance") {
        Suite::Endurance
    } else if gated("e2e-docker") {
        Suite::Docker
    } else if gated("e2e-traefik") {
        Suite::Traefik
    } else if gated("e2e-dns") {
        Suite::NameServer
    } else if gated("e2e") {
        match executable.target.as_str() {
            name if name.contains("docker") => Suite::AgentDocker,
            name if name.contains("traefik") => Suite::AgentTraefik,
            name if name.contains("roles") => Suite::AgentRoles,
            name if name.contains("page") => Suite::AgentPage,
            _ => Suite::Agent,
        }
    } else if executable.target.starts_with("contract") {
        Suite::Contract
    } else {
        Suite::Integration
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn executable(kind: &str, target: &str, features: &[&str]) -> Executable {
        Executable {
            package: "a".to_owned(),
            folder: PathBuf::new(),
            target: target.to_owned(),
            kind: kind.to_owned(),
            required_features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            path: PathBuf::new(),
        }
    }

    #[test]
    fn an_executable_goes_where_its_gate_and_name_say() {
        for (kind, target, features, suite) in [
            ("lib", "constellation_core", &[][..], Suite::Unit),
            ("bin", "xtask", &[], Suite::Unit),
            ("example", "bench", &[], Suite::Unit),
            ("test", "cluster", &[], Suite::Integration),
            ("test", "contract_process", &[], Suite::Contract),
            ("test", "contract_docker", &["e2e-docker"], Suite::Docker),
            ("test", "real_traefik", &["e2e-traefik"], Suite::Traefik),
            ("test", "real_nameserver", &["e2e-dns"], Suite::NameServer),
            ("test", "endurance", &["endurance"], Suite::Endurance),
            ("test", "e2e_cluster", &["e2e"], Suite::Agent),
            ("test", "e2e_docker", &["e2e"], Suite::AgentDocker),
            ("test", "e2e_traefik", &["e2e"], Suite::AgentTraefik),
            ("test", "e2e_roles", &["e2e"], Suite::AgentRoles),
            ("test", "e2e_page", &["e2e"], Suite::AgentPage),
        ] {
            assert_eq!(suite_of(&executable(kind, target, features)), suite, "{target}");
        }
    }

    #[test]
    fn every_suite_is_in_the_order_exactly_once() {
        let mut sorted = ALL.to_vec();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), ALL.len());
    }

    #[test]
    fn quick_suites_need_nothing() {
        assert!(ALL.iter().filter(|suite| suite.is_quick()).all(|suite| suite.needs().is_empty()));
    }
}
