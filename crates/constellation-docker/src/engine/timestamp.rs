//! The engine's timestamps.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since the Unix epoch. `None` for what is no timestamp and for the year 1, by which the engine says
/// "never".
pub(super) fn parse_ms(text: &str) -> Option<u64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_with_every_fraction_and_offset_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-03-01T10:00:00.123456789Z", Some(1_677_664_800_123)),
            ("2023-03-01T10:00:00.5Z", Some(1_677_664_800_500)),
            ("2023-03-01T12:00:00+02:00", Some(1_677_664_800_000)),
            ("0001-01-01T00:00:00Z", None),
            ("", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_ms(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _ = parse_ms(&text);
        }
    }
}
