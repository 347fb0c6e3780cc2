//! What every node of a cluster must agree on before it takes part, decided when the cluster is founded.

use std::time::Duration;

use prost::Message as _;

use crate::{clock::DriftBound, lease::LeaseConfig, malformed::Malformed, raft::Timing};

/// How fast a cluster is, by how far apart its machines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Round trips below 5 ms.
    #[default]
    Lan,
    /// Round trips up to 300 ms.
    Wan,
}

impl Profile {
    /// The timing of Raft.
    pub fn timing(self) -> Timing {
        match self {
            Self::Lan => Timing::LAN,
            Self::Wan => Timing::WAN,
        }
    }

    /// How long a lease lasts there unless told otherwise: several elections, so that one costs no lease.
    pub fn ttl(self) -> Duration {
        match self {
            Self::Lan => Duration::from_secs(3),
            Self::Wan => Duration::from_secs(10),
        }
    }

    /// What each better node is given to take a free lease first: a few round trips.
    pub fn patience_step(self) -> Duration {
        match self {
            Self::Lan => Duration::from_millis(50),
            Self::Wan => Duration::from_millis(400),
        }
    }

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
        }
    }
}

/// The timing that the promise rests on, the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The profile that the cluster was founded with.
    pub profile: Profile,
    /// Whether Raft's pace follows the round trips that its leader measures.
    pub auto_pace: bool,
    /// How long a lease lasts without renewal.
    pub ttl: Duration,
    /// How far clocks may run apart.
    pub drift: DriftBound,
}

/// Settings that no cluster can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// A TTL in which no renewal fits, or that nobody wants to wait for.
    #[error("a lease's TTL is between 1 s and 10 min, and not {0:?}")]
    Ttl(Duration),
}

impl ClusterSettings {
    /// The defaults of a profile.
    pub fn of(profile: Profile) -> Self {
        Self { profile, auto_pace: true, ttl: profile.ttl(), drift: DriftBound::DEFAULT }
    }

    /// With another TTL.
    pub fn with_ttl(self, ttl: Duration) -> Result<Self, InvalidSettings> {
        if (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&ttl) {
            Ok(Self { ttl, ..self })
        } else {
            Err(InvalidSettings::Ttl(ttl))
        }
    }

    /// How leases are kept under these settings.
    pub fn lease(&self) -> LeaseConfig {
        let asks = match self.profile {
            Profile::Lan => Duration::from_millis(250),
            Profile::Wan => Duration::from_millis(1000),
        };
        LeaseConfig {
            ttl: self.ttl,
            drift: self.drift,
            ask_again: asks.min(self.ttl / 8),
            ..LeaseConfig::default()
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = SettingsBytes {
            wan: self.profile == Profile::Wan,
            ttl_millis: u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
            drift_ppm: self.drift.parts_per_million(),
            fixed_pace: !self.auto_pace,
        };
        bytes.encode_to_vec()
    }

    /// The settings that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let malformed = |why: String| Malformed::new("the cluster's settings", why);
        let bytes = SettingsBytes::decode(bytes).map_err(|error| malformed(error.to_string()))?;
        let profile = if bytes.wan { Profile::Wan } else { Profile::Lan };
        let drift = DriftBound::from_parts_per_million(bytes.drift_ppm);
        if drift.parts_per_million() != bytes.drift_ppm {
            return Err(malformed(format!("a drift of {} parts per million", bytes.drift_ppm)));
        }
        let settings = Self { profile, auto_pace: !bytes.fixed_pace, ttl: profile.ttl(), drift };
        settings
            .with_ttl(Duration::from_millis(bytes.ttl_millis))
            .map_err(|error| malformed(error.to_string()))
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct SettingsBytes {
    #[prost(bool, tag = "1")]
    wan: bool,
    #[prost(uint64, tag = "2")]
    ttl_millis: u64,
    #[prost(uint32, tag = "3")]
    drift_ppm: u32,
    #[prost(bool, tag = "4")]
    fixed_pace: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written() {
        for profile in [Profile::Lan, Profile::Wan] {
            let settings = ClusterSettings::of(profile).with_ttl(Duration::from_millis(4200)).unwrap();
            assert_eq!(ClusterSettings::decode(&settings.encode()).unwrap(), settings);
        }
    }

    #[test]
    fn a_ttl_that_leaves_no_room_for_a_renewal_is_refused() {
        let settings = ClusterSettings::of(Profile::Lan);
        assert!(settings.with_ttl(Duration::from_millis(999)).is_err());
        assert!(settings.with_ttl(Duration::from_secs(601)).is_err());
        assert!(settings.with_ttl(Duration::from_secs(1)).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_settings_or_an_error(bytes: Vec<u8>) {
            let _ = ClusterSettings::decode(&bytes);
        }
    }
}
