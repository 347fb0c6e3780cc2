//! Writes a zone file.

use std::fmt::Write as _;

use super::{ZoneFileConfig, line::Soa};
use crate::record::{Found, RecordName, Ttl, Value};

/// Times of the SOA in seconds: other name servers ask again after an hour or, where that failed, ten minutes; they give up
/// after two weeks; and that a name does not exist is believed for a minute, as long as an address is.
const REFRESH_RETRY_EXPIRE_MINIMUM: &str = "3600 600 1209600 60";
/// A text goes in strings of this many bytes at most.
const STRING_MAX: usize = 255;

/// What stands above the records.
pub(super) enum Head {
    /// As it was.
    Kept(Soa),
    /// For a new file.
    Fresh { name_servers: Vec<RecordName> },
}

impl Head {
    pub(super) fn fresh(config: &ZoneFileConfig) -> Self {
        Self::Fresh { name_servers: config.name_servers.clone() }
    }

    /// The head with a serial that is higher than the last: the time, or one more where that is not.
    pub(super) fn render(&self, zone: &str, now: u32) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Kept(soa) => {
                for line in &soa.before {
                    text.push_str(line);
                    text.push('\n');
                }
                writeln!(text, "{}{}{}", soa.head, next(soa.serial, now), soa.tail)
            }
            Self::Fresh { name_servers } => fresh(&mut text, zone, name_servers, now.max(1)),
        };
        text
    }
}

/// Serials go round (RFC 1982): higher is what lies within the next half of the circle.
fn next(serial: u32, now: u32) -> u32 {
    let ahead = now.wrapping_sub(serial);
    if ahead != 0 && ahead < 1 << 31 { now } else { serial.wrapping_add(1).max(1) }
}

fn fresh(text: &mut String, zone: &str, name_servers: &[RecordName], serial: u32) -> std::fmt::Result {
    let first = name_servers.first().map_or("localhost", RecordName::as_str);
    writeln!(text, "; Written by constellation-agent, which changes only the lines with its own comment.")?;
    writeln!(text, "$ORIGIN {zone}.")?;
    writeln!(text, "$TTL {}", Ttl::FAST.0)?;
    writeln!(
        text,
        "{zone}. 3600 IN SOA {first}. hostmaster.{zone}. {serial} {REFRESH_RETRY_EXPIRE_MINIMUM}"
    )?;
    if name_servers.is_empty() {
        writeln!(text, "{zone}. 3600 IN NS localhost.")?;
    }
    for server in name_servers {
        writeln!(text, "{zone}. 3600 IN NS {server}.")?;
    }
    Ok(())
}

/// A record as one line.
pub(super) fn record_line(found: &Found) -> String {
    let kind = &found.kind;
    let content = match &found.value {
        Some(Value::Cname(name)) => format!("{name}."),
        Some(Value::Srv { priority, weight, port, target }) => {
            format!("{priority} {weight} {port} {target}.")
        }
        Some(Value::Txt(text)) => quoted(text),
        _ => found.content.clone(),
    };
    let comment: String =
        found.comment.as_deref().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let comment = if comment.is_empty() { comment } else { format!(" ; {comment}") };
    let ttl = if found.ttl == Ttl::AUTO { Ttl::FAST } else { found.ttl };
    format!("{}. {} IN {kind} {content}{comment}", found.name, ttl.0)
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let strings = text.as_bytes().chunks(STRING_MAX).map(|bytes| {
        let mut string = String::from("\"");
        for byte in bytes {
            match byte {
                b'"' | b'\\' => string.extend(['\\', char::from(*byte)]),
                b' '..=b'~' => string.push(char::from(*byte)),
                other => string.push_str(&format!("\\{other:03}")),
            }
        }
        string + "\""
    });
    strings.collect::<Vec<_>>().join(" ")
}

/// The records of any provider as a zone file: what one can take along. SOA and NS are the provider's own, and new ones are
/// written where there are none.
pub fn zone_file_text(zone: &str, records: &[Found], serial: u32) -> String {
    let servers: Vec<RecordName> = records
        .iter()
        .filter(|found| found.kind == "NS" && found.name == zone)
        .filter_map(|found| found.content.parse().ok())
        .collect();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = fresh(&mut text, zone, &servers, serial.max(1));
    let mut lines: Vec<String> = records
        .iter()
        .filter(|found| !(matches!(found.kind.as_str(), "NS" | "SOA") && found.name == zone))
        .map(|found| {
            let note = if found.proxied { " ; proxied" } else { "" };
            format!("{}{note}", record_line(found))
        })
        .collect();
    lines.sort();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}
