//! Values as Traefik (that is, Go) reads them. Errors are the reason alone: the caller knows the label.

use std::time::Duration;

/// The longest duration that a label may name.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("`{}` is neither true nor false", short(other))),
    }
}

/// A whole number within bounds.
pub(crate) fn number<T>(text: &str, what: &str) -> Result<T, String>
where
    T: std::str::FromStr,
{
    text.trim().parse().map_err(|_| format!("`{}` is not {what}", short(text)))
}

/// A port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    number(text, "a port").and_then(|port| match port {
        0 => Err("0 is not a port".to_owned()),
        port => Ok(port),
    })
}

/// Items separated by commas, without empty ones.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The name of something in Traefik's configuration, such as an entry point or a certificate resolver.
pub(super) fn reference(text: &str) -> Result<String, String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@');
    if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not a name: use letters, digits, `_`, `.` and `-`", short(text)))
    }
}

/// The name of something that another provider defines: `name@provider`.
pub(super) fn foreign(text: &str) -> Result<String, String> {
    let name = reference(text)?;
    match name.split_once('@') {
        Some((name_part, provider))
            if !name_part.is_empty() && !provider.is_empty() && !provider.contains('@') =>
        {
            Ok(name)
        }
        _ => Err(format!(
            "nothing here defines `{name}`; definitions by label are not read yet: define it in Traefik's file \
             provider and write `{}@file`",
            name.trim_matches('@')
        )),
    }
}

/// The name of a middleware: one that labels define, here or on another container, or `name@provider`.
pub(super) fn ours_or_foreign(text: &str) -> Result<String, String> {
    let name = reference(text)?;
    let own = super::middleware::own(&name);
    if own.contains('@') {
        return foreign(own);
    }
    own.parse::<constellation_core::RouteName>()
        .map(|name| name.as_str().to_owned())
        .map_err(|error| error.to_string())
}

/// Free text on one line.
pub(crate) fn line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    Ok(text.trim().to_owned())
}

/// Go's `time.ParseDuration`, or a bare number of seconds. Fractions of a millisecond are rounded up.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{}` is not a duration; write for example 500ms, 30s or 1m30s", short(text));
    let trimmed = text.trim();
    let nanos = match trimmed.parse::<u64>() {
        Ok(seconds) => u128::from(seconds) * 1_000_000_000,
        Err(_) => go_duration(trimmed.strip_prefix('+').unwrap_or(trimmed)).ok_or_else(wrong)?,
    };
    let millis = u64::try_from(nanos.div_ceil(1_000_000)).map_err(|_| wrong())?;
    let duration = Duration::from_millis(millis);
    if duration > DURATION_MAX {
        return Err(format!("`{}` is more than a day", short(text)));
    }
    Ok(duration)
}

fn go_duration(mut rest: &str) -> Option<u128> {
    let mut total: u128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (whole, after) = rest.split_at_checked(digits)?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                after.split_at_checked(digits)?
            }
            None => ("", after),
        };
        // Twelve digits are centuries in every unit, and keep the sums far from overflow.
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 12 {
            return None;
        }
        let (unit, after) = unit(after)?;
        total += whole.parse::<u128>().unwrap_or(0) * unit;
        let fraction = fraction.get(..fraction.len().min(9))?;
        if !fraction.is_empty() {
            let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
            total += fraction.parse::<u128>().ok()? * unit / scale;
        }
        rest = after;
    }
    Some(total)
}

fn unit(text: &str) -> Option<(u128, &str)> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    UNITS.iter().find_map(|(name, nanos)| text.strip_prefix(name).map(|rest| (*nanos, rest)))
}

/// The beginning of a value, for a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("0", 0),
            ("500ms", 500),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("+5s", 5000),
            (".5s", 500),
            ("1.s", 1000),
            ("100us", 1),
            ("1h0m0.25s", 3_600_250),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5", "-5s", "1x", "1s ", "1 s", ".s", "99999999999999999999s", "25h", "90000"] {
            let expected_good = matches!(text, "5" | "1s ");
            assert_eq!(duration(text).is_ok(), expected_good, "{text}");
        }
    }

    #[test]
    fn truth_is_read_as_go_reads_it() {
        assert_eq!(boolean(" T "), Ok(true));
        assert_eq!(boolean("False"), Ok(false));
        assert!(boolean("yes").is_err());
        assert!(boolean("").is_err());
    }

    #[test]
    fn what_another_provider_defines_is_named_with_its_provider() {
        assert_eq!(foreign(" auth@file "), Ok("auth@file".to_owned()));
        for bad in ["auth", "@file", "auth@", "a@b@c", "a b@file", ""] {
            assert!(foreign(bad).is_err(), "{bad}");
        }
        assert!(foreign("auth").unwrap_err().contains("write `auth@file`"));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_parser_panic(text in ".{0,60}", number_like in "[0-9.]{0,30}[a-zµ]{0,3}[0-9.]{0,30}") {
            for text in [text, number_like] {
                let _ = (boolean(&text), port(&text), list(&text), reference(&text), foreign(&text));
                let _ = (duration(&text), number::<i64>(&text, "a number"), line(&text));
            }
        }
    }
}
