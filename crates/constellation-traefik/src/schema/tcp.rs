//! TCP middlewares.

use super::{Field, list, number, of};

/// Every middleware by its kind.
pub(crate) const MIDDLEWARES: &[Field] = &[
    of("inFlightConn", &[number("amount")]),
    of("ipAllowList", &[list("sourceRange")]),
    of("ipWhiteList", &[list("sourceRange")]),
];
