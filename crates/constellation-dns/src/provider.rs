//! The seam where the outside begins: a zone that somebody else keeps.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;

use crate::{owner::Marker, plan::Change, record::Found, rules::Rules};

/// A zone at a provider.
#[async_trait]
pub trait DnsProvider: Send + Sync + 'static {
    /// Which zone at whom, in words.
    fn place(&self) -> String;

    /// What it makes of records.
    fn rules(&self) -> Rules;

    /// Every record of the zone. `Ok` means all of them: what was cut short is an error, never a shorter list.
    async fn records(&self) -> Result<Vec<Found>, DnsError>;

    /// Makes at most [`Rules::batch_max`] changes and marks what is left behind. All of them or, where it fails, none;
    /// [`DnsError::is_unknown`] says when that cannot be told, and then only [`DnsProvider::records`] can.
    ///
    /// `Ok` means that the provider accepted them, not that any resolver has seen them.
    async fn apply(&self, batch: &[Change], marker: &Marker) -> Result<(), DnsError>;

    /// What was asked of the provider so far.
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// What was asked of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests that were sent.
    pub requests: u64,
    /// How many more may be sent now; `None` where nobody counts.
    pub left: Option<u32>,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Soon, and later each time.
    Backoff,
    /// Not before so long.
    After(Duration),
    /// When the wishes or the zone have changed, or a person has mended it.
    Mended,
}

/// What went wrong with a zone.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The provider does not let us.
    #[error("{place} refuses our credentials ({said}): {advice}")]
    Denied {
        /// Which zone.
        place: String,
        /// In the provider's words.
        said: String,
        /// What would help.
        advice: &'static str,
    },
    /// There is no such zone.
    #[error(
        "there is no {place} that our token may see: check the zone's name or id (--dns-zone, CLOUDFLARE_ZONE_ID) and the \
             token's rights (Zone.Zone read, Zone.DNS edit, for that zone)"
    )]
    NoZone {
        /// Which zone.
        place: String,
    },
    /// The provider does not take a change.
    #[error("could not {deed}: {said}{}; {advice}", code.map(|code| format!(" (code {code})")).unwrap_or_default())]
    Refused {
        /// What was tried.
        deed: String,
        /// The provider's number for it.
        code: Option<u32>,
        /// In the provider's words.
        said: String,
        /// What would help.
        advice: &'static str,
    },
    /// We have asked enough for now.
    #[error("{place} is to be asked no more for {wait:?}")]
    RateLimited {
        /// Which zone.
        place: String,
        /// For how long.
        wait: Duration,
    },
    /// The list of records cannot be all of them.
    #[error("the records of {place} were not read to the end ({why}); nothing is changed on half a picture")]
    Incomplete {
        /// Which zone.
        place: String,
        /// How that is known.
        why: String,
    },
    /// Nothing was sent, or the provider says that it failed.
    #[error("could not {deed}")]
    Unreachable {
        /// What was tried.
        deed: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was sent, and nobody knows what became of it.
    #[error("tried to {deed}, and do not know what became of it; the next look will show it")]
    Unknown {
        /// What was tried.
        deed: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A zone file holds what we cannot keep.
    #[error("{path}, line {line}: {why}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A file could not be read or written.
    #[error("could not {deed} {path}", path = path.display())]
    File {
        /// What was tried.
        deed: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A secret could not be read.
    #[error("could not read the token of the DNS provider")]
    Token(#[from] constellation_security::SecretError),
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
}

impl DnsError {
    /// When to try again.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::RateLimited { wait, .. } => Retry::After(*wait),
            Self::Denied { .. }
            | Self::NoZone { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Token(_)
            | Self::Setting(_) => Retry::Mended,
            Self::Incomplete { .. } | Self::Unreachable { .. } | Self::Unknown { .. } | Self::File { .. } => {
                Retry::Backoff
            }
        }
    }

    /// Whether it may have happened all the same.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}
