//! Reads a zone file line by line. One record a line is all that is kept; what goes over several lines is refused rather than
//! misread.

use crate::record::{Found, RecordId, RecordKind, Ttl, Value};

/// A line, and what it is.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) parsed: Parsed,
}

pub(super) enum Parsed {
    /// A record, without an id yet.
    Record(Found),
    /// A comment, an empty line, a directive.
    Other,
}

/// The start of authority, as it stands in the file.
pub(super) struct Soa {
    /// What stands before it: directives and comments.
    pub(super) before: Vec<String>,
    /// Its line up to the serial.
    pub(super) head: String,
    pub(super) serial: u32,
    /// Its line after the serial.
    pub(super) tail: String,
}

const ONE_LINE: &str = "write each record on one line, with its name at the beginning: what goes over several lines is not kept here";

/// A word of a line, without its quotes, and where in the line it ends.
struct Word {
    bytes: Vec<u8>,
    quoted: bool,
    start: usize,
    end: usize,
}

impl Word {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The words of a line and its comment.
fn words(line: &str) -> Result<(Vec<Word>, Option<String>), String> {
    let bytes = line.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' => at += 1,
            b';' => return Ok((words, Some(line.get(at + 1..).unwrap_or_default().trim().to_owned()))),
            b'(' | b')' => return Err(ONE_LINE.to_owned()),
            _ => {
                let word = word(bytes, at)?;
                at = word.end;
                words.push(word);
            }
        }
    }
    Ok((words, None))
}

fn word(bytes: &[u8], start: usize) -> Result<Word, String> {
    let quoted = bytes.get(start) == Some(&b'"');
    let (mut at, mut word) = (start + usize::from(quoted), Vec::new());
    loop {
        match (bytes.get(at), quoted) {
            (Some(b'"'), true) => {
                at += 1;
                break;
            }
            (None, true) => return Err("a quote is not closed".to_owned()),
            (None | Some(b' ' | b'\t' | b';' | b'\r'), false) => break,
            (Some(b'\\'), _) => {
                let digits = bytes.get(at + 1..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_digit));
                let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                match (number, bytes.get(at + 1)) {
                    (Some(byte), _) => {
                        word.push(byte);
                        at += 4;
                    }
                    (None, Some(byte)) => {
                        word.push(*byte);
                        at += 2;
                    }
                    (None, None) => return Err("it ends in a backslash".to_owned()),
                }
            }
            (Some(byte), _) => {
                word.push(*byte);
                at += 1;
            }
        }
    }
    Ok(Word { bytes: word, quoted, start, end: at })
}

/// Reads the whole file. The error is a line's number and what is wrong with it.
pub(super) fn parse(text: &str, zone: &str) -> Result<(Option<Soa>, Vec<Line>), (usize, String)> {
    let (mut origin, mut ttl) = (zone.to_owned(), Ttl::FAST);
    let (mut soa, mut before, mut lines) = (None, Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |why: String| (number, why);
        let (words, comment) = words(line).map_err(wrong)?;
        let texts: Vec<String> = words.iter().map(Word::text).collect();
        let mut parsed = Parsed::Other;
        match texts.first().map(String::as_str) {
            None => {}
            Some("$TTL") => {
                ttl =
                    seconds(texts.get(1)).ok_or_else(|| wrong("$TTL is no number of seconds".to_owned()))?;
            }
            Some("$ORIGIN") => origin = absolute(texts.get(1).map_or("@", String::as_str), &origin),
            Some(directive) if directive.starts_with('$') => {
                return Err(wrong(format!("{directive} hides records from us: write them here")));
            }
            Some(_) if line.starts_with([' ', '\t']) => return Err(wrong(ONE_LINE.to_owned())),
            Some(name) => {
                let name = absolute(name, &origin);
                let mut at = 1;
                let mut own_ttl = ttl;
                while let Some(word) = texts.get(at) {
                    if let Some(given) = seconds(Some(word)) {
                        own_ttl = given;
                    } else if !word.eq_ignore_ascii_case("IN") {
                        break;
                    }
                    at += 1;
                }
                let kind =
                    texts.get(at).ok_or_else(|| wrong("the record has no kind".to_owned()))?.to_uppercase();
                let rest = &words[at + 1..];
                if kind == "SOA" {
                    if soa.is_some() {
                        return Err(wrong("the zone begins twice (SOA)".to_owned()));
                    }
                    let serial = rest.get(2).ok_or_else(|| wrong("the SOA has no serial".to_owned()))?;
                    soa = Some(Soa {
                        before: std::mem::take(&mut before),
                        head: line.get(..serial.start).unwrap_or_default().to_owned(),
                        serial: serial
                            .text()
                            .parse()
                            .map_err(|_| wrong("the serial is no number".to_owned()))?,
                        tail: line.get(serial.end..).unwrap_or_default().to_owned(),
                    });
                    continue;
                }
                parsed = Parsed::Record(found(name, &kind, own_ttl, rest, &origin, comment));
            }
        }
        if soa.is_none() && matches!(parsed, Parsed::Other) {
            before.push(line.to_owned());
        } else {
            lines.push(Line { text: line.to_owned(), parsed });
        }
    }
    if soa.is_none() {
        // Nothing was lost: what stood before a SOA that never came goes first.
        let mut all: Vec<Line> =
            before.into_iter().map(|text| Line { text, parsed: Parsed::Other }).collect();
        all.append(&mut lines);
        lines = all;
    }
    Ok((soa, lines))
}

fn found(name: String, kind: &str, ttl: Ttl, rest: &[Word], origin: &str, comment: Option<String>) -> Found {
    let known: Option<RecordKind> = kind.parse().ok();
    let texts = || rest.iter().map(Word::text);
    let content = match known {
        Some(RecordKind::Txt) => texts().collect::<String>(),
        Some(RecordKind::Cname) => texts().map(|name| absolute(&name, origin)).collect(),
        Some(RecordKind::Srv) => {
            let mut words: Vec<String> = texts().collect();
            if let Some(target) = words.get_mut(3) {
                *target = absolute(target, origin);
            }
            words.join(" ")
        }
        _ => rest
            .iter()
            .map(|word| if word.quoted { format!("{:?}", word.text()) } else { word.text() })
            .collect::<Vec<_>>()
            .join(" "),
    };
    let value = match known {
        Some(RecordKind::Txt) => Some(Value::Txt(content.clone())),
        Some(kind) => Value::read(kind, &content),
        None => None,
    };
    Found {
        id: RecordId(String::new()),
        name,
        kind: kind.to_owned(),
        value,
        content,
        ttl,
        proxied: false,
        comment: comment.filter(|comment| !comment.is_empty()),
    }
}

fn seconds(word: Option<&String>) -> Option<Ttl> {
    word?.parse().ok().map(Ttl)
}

/// A name without its dot at the end, in lower case.
fn absolute(name: &str, origin: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_suffix('.') {
        Some(whole) => whole.to_owned(),
        None if name == "@" => origin.to_owned(),
        None => format!("{name}.{origin}"),
    }
}
