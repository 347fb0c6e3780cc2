//! Rust expressions: texts, variables of the configuration, amounts.

use std::net::IpAddr;

use super::interpolate::{Otherwise, Part, Template, Variable};

/// A literal that is this text, whatever is in it.
pub(super) fn literal(text: &str) -> String {
    let plain = |c: char| c == '\n' || matches!(c, '"' | '\\') || c.escape_debug().len() == 1 || c == '\'';
    let would_be_full_of_escapes = text.contains(['"', '\\', '\n']);
    if would_be_full_of_escapes && !text.contains("\"#") && text.chars().all(plain) {
        return format!("r#\"{text}\"#");
    }
    format!("{text:?}")
}

/// An expression of type `&str` or `String`.
pub(super) fn text(template: &Template) -> String {
    match template.as_literal() {
        Some(text) => literal(text),
        None => owned(template),
    }
}

/// An expression of type `String`; only the domain alone stays a `&str`, which goes wherever a `String` goes here.
fn owned(template: &Template) -> String {
    if let [Part::Text(label), Part::Variable(variable)] = template.0.as_slice()
        && is_setting(variable) == Some("domain")
        && let Some(label) = label.strip_suffix('.')
        && !label.is_empty()
    {
        return format!("cfg.fqdn({})", literal(label));
    }
    match template.0.as_slice() {
        [] => "String::new()".to_owned(),
        [Part::Text(text)] => format!("{}.to_owned()", literal(text)),
        [Part::Variable(variable)] => match (is_setting(variable), &variable.otherwise) {
            (Some(setting), _) => format!("cfg.{setting}().to_owned()"),
            (None, Otherwise::Alternative(_)) => var(variable),
            (None, _) => format!("String::from({})", var(variable)),
        },
        parts => formatted(parts, ""),
    }
}

/// `format!` of a text before, and the parts.
fn formatted(parts: &[Part], before: &str) -> String {
    let (mut pattern, mut arguments) = (before.to_owned(), String::new());
    for part in parts {
        match part {
            Part::Text(text) => pattern.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Variable(variable) => {
                pattern.push_str("{}");
                arguments.push_str(", ");
                match is_setting(variable) {
                    Some(setting) => arguments.push_str(&format!("cfg.{setting}()")),
                    None => arguments.push_str(&var(variable)),
                }
            }
        }
    }
    format!("format!({}{arguments})", literal(&pattern))
}

/// A path below the constant `HERE`.
pub(super) fn below_here(template: &Template) -> String {
    match template.as_literal() {
        Some("") => "HERE".to_owned(),
        _ => formatted(&template.0, "{HERE}/"),
    }
}

/// What an environment variable may be set to. A variable of the configuration stays one, so that `explain` names it.
pub(super) fn env_value(template: &Template) -> String {
    if let [Part::Variable(variable)] = template.0.as_slice()
        && is_setting(variable).is_none()
    {
        return var(variable);
    }
    match template.as_literal() {
        Some(text @ ("true" | "false")) => text.to_owned(),
        Some(number) if number.parse::<i32>().is_ok_and(|parsed| parsed.to_string() == number) => {
            number.to_owned()
        }
        _ => text(template),
    }
}

/// An array, all of one type.
pub(super) fn array(items: &[Template]) -> String {
    let all_literal = items.iter().all(|item| item.as_literal().is_some());
    let items: Vec<String> = items.iter().map(if all_literal { text } else { owned }).collect();
    bracketed(&items)
}

/// Items between brackets, in lines where one is too long.
pub(super) fn bracketed(items: &[String]) -> String {
    let line = format!("[{}]", items.join(", "));
    if line.len() <= LINE_WANTED || items.iter().any(|item| item.contains('\n')) {
        return line;
    }
    let lines: Vec<String> = items.iter().map(|item| format!("            {item},\n")).collect();
    format!("[\n{}        ]", lines.concat())
}

/// An address as the array that the language takes it for.
pub(super) fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:?}", address.octets()),
        IpAddr::V6(address) => {
            let words: Vec<String> = address.segments().iter().map(|word| format!("{word:#x}")).collect();
            format!("[{}]", words.join(", ").replacen(',', "_u16,", 1))
        }
    }
}

/// A builder with each call on its own line.
pub(super) fn chain(head: &str, calls: &[String], indent: usize) -> String {
    let calls: Vec<String> = calls.iter().map(|call| format!("\n{:indent$}{call}", "")).collect();
    format!("{head}{}", calls.concat())
}

/// Longer calls are broken into lines.
pub(super) const LINE_WANTED: usize = 90;

/// The variables that every configuration has a word for.
fn is_setting(variable: &Variable) -> Option<&'static str> {
    let plain = matches!(variable.otherwise, Otherwise::Empty | Otherwise::Refused(_));
    match variable.name.as_str() {
        "DOMAIN" if plain => Some("domain"),
        "TS_HOSTNAME" if plain => Some("node"),
        _ => None,
    }
}

/// A `Var`, or a `String` of an alternative.
fn var(variable: &Variable) -> String {
    let name = literal(&variable.name);
    match &variable.otherwise {
        Otherwise::Empty => format!("cfg.var({name}, \"\")"),
        Otherwise::Default(default) => format!("cfg.var({name}, {})", text(default)),
        Otherwise::Refused(why) if why.is_empty() => {
            format!("cfg.required({name}, \"the Compose file required it\")")
        }
        Otherwise::Refused(why) => format!("cfg.required({name}, {})", literal(why)),
        Otherwise::Alternative(instead) => {
            format!("cfg.optional({name}).map_or_else(String::new, |_| {})", owned(instead))
        }
    }
}

/// A port: a number, or a variable that is one.
pub(super) fn port(template: &Template) -> Option<String> {
    match template.0.as_slice() {
        [Part::Text(number)] => {
            number.parse::<u16>().ok().filter(|port| *port != 0).map(|port| port.to_string())
        }
        [Part::Variable(variable)] => {
            let Otherwise::Default(default) = &variable.otherwise else { return None };
            let default: u16 = default.as_literal()?.parse().ok().filter(|port| *port != 0)?;
            Some(format!("cfg.port({}, {default})", literal(&variable.name)))
        }
        _ => None,
    }
}

/// A size as Docker reads it: `512m`, `1.5g`, `64kib`, bytes without a unit.
pub(super) fn size(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1_u64 << power)?,
        // `1.5g`: thousandths are finer than anybody's limits.
        Err(_) => {
            let (whole, fraction) = number.split_once('.')?;
            let thousandths: u64 = format!("{:0<3}", fraction.get(..fraction.len().min(3))?).parse().ok()?;
            let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
            whole.checked_mul(1000)?.checked_add(thousandths)?.checked_mul(1_u64 << power)? / 1000
        }
    };
    for (unit, power) in [("gib", 30), ("mib", 20), ("kib", 10)] {
        if bytes >= 1 << power && bytes.is_multiple_of(1 << power) {
            return Some(format!("{}.{unit}()", bytes >> power));
        }
    }
    Some(format!("{bytes}.bytes()"))
}

/// A time as Compose reads it: `1m30s`, `500ms`.
pub(super) fn duration(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut micros = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let each: u32 = match unit {
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" | "µs" => 1,
            _ => return None,
        };
        micros = micros.checked_add(scaled(number, each)?)?;
        rest = after;
    }
    let millis = micros / 1000;
    Some(match () {
        () if millis == 0 && micros > 0 => return None,
        () if millis > 0 && millis.is_multiple_of(3_600_000) => format!("hours({})", millis / 3_600_000),
        () if millis > 60_000 && millis.is_multiple_of(60_000) => format!("mins({})", millis / 60_000),
        () if millis.is_multiple_of(1000) => format!("secs({})", millis / 1000),
        () => format!("millis({millis})"),
    })
}

/// A decimal number times a whole one.
fn scaled(number: &str, each: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(each.into())?;
    let mut unit = u64::from(each);
    for digit in fraction.chars() {
        unit /= 10;
        total = total.checked_add(u64::from(digit.to_digit(10)?).checked_mul(unit)?)?;
    }
    Some(total)
}

/// Cores as Compose writes them.
pub(super) fn cores(text: &str) -> Option<String> {
    let number: f64 = text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let shown = format!("{number}");
    // Neither `1e21` nor a million cores.
    (number < 1e6 && shown.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .then(|| format!("{shown}.cores()"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn a_literal_is_the_text_whatever_is_in_it() {
        assert_eq!(literal("plain"), r#""plain""#);
        assert_eq!(literal("Host(\"a\")"), "r#\"Host(\"a\")\"#");
        assert_eq!(literal("a\"#b"), "\"a\\\"#b\"");
        assert_eq!(literal("a\r\n"), "\"a\\r\\n\"");
        assert_eq!(literal("\u{202e}"), "\"\\u{202e}\"");
    }

    #[test]
    fn variables_stay_variables() {
        assert_eq!(text(&of("a")), "\"a\"");
        assert_eq!(text(&of("blog.${DOMAIN}")), "cfg.fqdn(\"blog\")");
        assert_eq!(text(&of("${A:-b}")), "String::from(cfg.var(\"A\", \"b\"))");
        assert_eq!(text(&of("x{${A}}")), "format!(\"x{{{}}}\", cfg.var(\"A\", \"\"))");
        assert_eq!(env_value(&of("${A:?say it}")), "cfg.required(\"A\", \"say it\")");
        assert_eq!(
            text(&of("${A:+-x}")),
            "cfg.optional(\"A\").map_or_else(String::new, |_| \"-x\".to_owned())"
        );
        assert_eq!(array(&[of("a"), of("$B")]), "[\"a\".to_owned(), String::from(cfg.var(\"B\", \"\"))]");
    }

    #[test]
    fn numbers_and_answers_of_an_environment_are_written_bare_where_that_changes_nothing() {
        for (value, code) in [("8080", "8080"), ("-1", "-1"), ("true", "true"), ("007", "\"007\"")] {
            assert_eq!(env_value(&of(value)), code);
        }
        assert_eq!(env_value(&of("99999999999")), "\"99999999999\"");
    }

    #[test]
    fn amounts_are_read_as_docker_reads_them() {
        for (text, code) in
            [("512m", "512.mib()"), ("1.5g", "1536.mib()"), ("1gb", "1.gib()"), ("1000", "1000.bytes()")]
        {
            assert_eq!(size(text).as_deref(), Some(code));
        }
        for text in ["", "m", "12x", "99999999999g", "1.2.3m"] {
            assert_eq!(size(text), None, "{text}");
        }
        for (text, code) in [
            ("1m30s", "secs(90)"),
            ("500ms", "millis(500)"),
            ("2h", "hours(2)"),
            ("1.5s", "millis(1500)"),
            ("1m", "secs(60)"),
            ("0s", "secs(0)"),
        ] {
            assert_eq!(duration(text).as_deref(), Some(code), "{text}");
        }
        for text in ["", "10", "s", "1d", "1µs", "99999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(cores("0.50").as_deref(), Some("0.5.cores()"));
        assert_eq!(cores("2").as_deref(), Some("2.cores()"));
        assert_eq!((cores("nan"), cores("-1"), cores("1e300")), (None, None, None));
    }
}
