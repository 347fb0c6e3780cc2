//! The stacks, one module each.

use constellation_services::prelude::*;

/// Every stack of the catalogue.
pub fn stacks(_cfg: &Config) -> Vec<Stack> {
    Vec::new()
}
