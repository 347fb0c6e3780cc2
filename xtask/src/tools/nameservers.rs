//! Name servers and their checkers, from Debian.

use anyhow::Result;

use super::{apt, find_program};

/// A program and the package that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("named", "bind9"),
    ("named-checkzone", "bind9-utils"),
    ("dig", "bind9-dnsutils"),
    ("kzonecheck", "knot-dnssecutils"),
];

/// Installs what is missing.
///
/// # Errors
/// When something is missing and cannot be installed.
pub(crate) fn prepare() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() { Ok(()) } else { apt::install(&missing, "the suite of name servers") }
}
