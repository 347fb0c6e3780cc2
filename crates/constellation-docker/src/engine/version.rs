//! Which version of the API to speak: a pure choice from what the daemon says of itself.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use crate::error::RuntimeError;

/// Docker 19.03 of 2019. Nothing that we send or read is younger than this version of the API; older engines have
/// left every distribution's support, so there is nothing to gain from more special cases.
pub(super) const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 40 };

/// Docker 25. The newest version whose changes were read against what we send; Docker 29 still speaks it as its
/// oldest, so one version covers everything since.
pub(super) const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 44 };

/// A version of the engine's API, such as 1.44.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    pub(super) major: usize,
    pub(super) minor: usize,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let parts = text.split_once('.').and_then(|(major, rest)| {
            // A patch level would not change what is spoken.
            let minor = rest.split('.').next()?;
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        parts.ok_or_else(|| NoVersion(text.chars().take(40).collect()))
    }
}

/// The daemon's version is not one.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a version of the API")]
pub(super) struct NoVersion(String);

/// What `GET /version` answers, as far as we read it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DaemonVersion {
    #[serde(default)]
    pub(super) version: String,
    pub(super) api_version: String,
    /// Engines say it since 1.13; `None` means that there is no lower bound that we know of.
    #[serde(rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
}

/// The newest version that both sides speak.
pub(super) fn choose(endpoint: &str, daemon: &DaemonVersion) -> Result<ApiVersion, RuntimeError> {
    let nonsense = |source: NoVersion| RuntimeError::Nonsense {
        deed: "tell its version".to_owned(),
        source: Box::new(source),
    };
    let newest: ApiVersion = daemon.api_version.parse().map_err(nonsense)?;
    let oldest: Option<ApiVersion> = match daemon.min_api_version.as_deref() {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(nonsense)?),
    };
    let refused = |advice: String| RuntimeError::UnsupportedVersion {
        endpoint: endpoint.to_owned(),
        theirs: oldest.map_or_else(|| format!("up to {newest}"), |oldest| format!("{oldest} to {newest}")),
        ours: format!("{OLDEST} to {NEWEST}"),
        advice,
    };
    if newest < OLDEST {
        return Err(refused("upgrade Docker Engine to 19.03 or later".to_owned()));
    }
    if oldest.is_some_and(|oldest| oldest > NEWEST) {
        return Err(refused(format!(
            "upgrade Constellation, or let the daemon accept older clients again by starting it with \
             DOCKER_MIN_API_VERSION={NEWEST} in its environment"
        )));
    }
    Ok(newest.min(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(newest: &str, oldest: Option<&str>) -> DaemonVersion {
        DaemonVersion {
            version: "1".to_owned(),
            api_version: newest.to_owned(),
            min_api_version: oldest.map(str::to_owned),
        }
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        for (newest, oldest, chosen) in [
            ("1.40", Some("1.12"), "1.40"), // Docker 19.03
            ("1.41", Some("1.12"), "1.41"), // Docker 20.10
            ("1.44", Some("1.24"), "1.44"), // Docker 25
            ("1.52", Some("1.44"), "1.44"), // Docker 29
            ("1.43", None, "1.43"),
            ("1.43", Some(""), "1.43"),
            ("1.43.1", None, "1.43"),
        ] {
            let version = choose("here", &daemon(newest, oldest)).unwrap();
            assert_eq!(version.to_string(), chosen, "daemon speaks {oldest:?} to {newest}");
        }
    }

    #[test]
    fn a_daemon_without_a_common_version_is_refused_with_what_to_do() {
        let old = choose("here", &daemon("1.39", Some("1.12"))).unwrap_err().to_string();
        assert!(old.contains("upgrade Docker Engine to 19.03"), "{old}");
        assert!(old.contains("1.12 to 1.39"), "{old}");
        let new = choose("here", &daemon("1.60", Some("1.45"))).unwrap_err().to_string();
        assert!(
            new.contains("upgrade Constellation") && new.contains("DOCKER_MIN_API_VERSION=1.44"),
            "{new}"
        );
    }

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let parse = |text: &str| text.parse::<ApiVersion>().unwrap();
        assert!(parse("1.9") < parse("1.44"));
        assert!(parse("2.0") > parse("1.99"));
    }

    #[test]
    fn what_is_no_version_makes_no_sense() {
        for text in ["", "1", "one.two", "1.", "<html>"] {
            let error = choose("here", &daemon(text, None)).unwrap_err();
            assert!(matches!(error, RuntimeError::Nonsense { .. }), "{text}: {error}");
        }
        assert!(choose("here", &daemon("1.44", Some("soon"))).is_err());
    }
}
