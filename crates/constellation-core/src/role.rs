//! Which part an instance has in a service of which one instance is written to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The part that an instance has, as it was last told: by whoever keeps the service, or by the instance itself.
///
/// It is a reading, not a grant: two instances may say at once that they are the primary. Whoever sends traffic by role has to
/// mean something by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is written to.
    Primary,
    /// It follows the primary.
    Replica,
    /// One that only a later version knows. Nothing is sent by it.
    #[serde(other)]
    Other,
}

impl Role {
    /// Whether an instance that has told this of itself is one of those that are meant. One that has told nothing never is.
    pub fn is_of(self, told: Option<Self>) -> bool {
        self != Self::Other && told == Some(self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Other => "other",
        })
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: write `primary` or `replica`")]
pub struct NoRole(String);

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        match text.to_ascii_lowercase().as_str() {
            "primary" => Ok(Self::Primary),
            "replica" => Ok(Self::Replica),
            _ => Err(NoRole(text.chars().take(32).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_a_later_version_is_read_and_means_nobody() {
        let later: Role = serde_json::from_str("\"arbiter\"").unwrap();
        assert_eq!(later, Role::Other);
        assert!(!later.is_of(Some(later)) && !Role::Primary.is_of(Some(later)) && !Role::Primary.is_of(None));
        assert!(Role::Primary.is_of(Some(Role::Primary)) && !Role::Primary.is_of(Some(Role::Replica)));
    }
}
