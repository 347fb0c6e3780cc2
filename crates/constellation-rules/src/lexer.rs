//! Cuts a rule into pieces. Traefik reads rules with Go's own scanner, so values are Go's strings.

use std::borrow::Cow;

use super::error::{RuleError, RuleFault};

/// A piece of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Value(Cow<'t, str>),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    End,
}

impl Token<'_> {
    /// The piece as it is named in a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Value(_) => "a value".to_owned(),
            Self::And => "`&&`".to_owned(),
            Self::Or => "`||`".to_owned(),
            Self::Not => "`!`".to_owned(),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

/// A fault at a byte of the text; positions are told in characters, counted from 1.
pub(super) fn fault_at(text: &str, byte: usize, fault: RuleFault) -> RuleError {
    let before = text.get(..byte).unwrap_or(text);
    RuleError { position: before.chars().count() + 1, fault }
}

/// The pieces, each with the byte at which it begins; the last is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, RuleError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (token, length) = match rest.as_bytes() {
            [b' ' | b'\t' | b'\n' | b'\r', ..] => {
                at += 1;
                continue;
            }
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'!', ..] => (Token::Not, 1),
            [b'&', b'&', ..] => (Token::And, 2),
            [b'|', b'|', ..] => (Token::Or, 2),
            [b'`', ..] => {
                let value = rest.get(1..).and_then(|inner| inner.split_once('`')).map(|(value, _)| value);
                let value = value.ok_or_else(|| fault_at(text, at, RuleFault::Unclosed('`')))?;
                let length = value.len() + 2;
                // Go drops carriage returns from such a value.
                let kept = if value.contains('\r') { value.replace('\r', "").into() } else { value.into() };
                (Token::Value(kept), length)
            }
            [b'"', ..] => {
                let (value, length) =
                    quoted(rest).map_err(|(byte, fault)| fault_at(text, at + byte, fault))?;
                (Token::Value(value.into()), length)
            }
            [first, ..] if first.is_ascii_alphabetic() => {
                let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
                (Token::Name(rest.get(..length).unwrap_or(rest)), length)
            }
            _ => {
                let other = rest.chars().next().unwrap_or_default();
                return Err(fault_at(text, at, RuleFault::Character(other)));
            }
        };
        tokens.push((at, token));
        at += length;
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

/// A value in double quotes with Go's escapes, and its length with the quotes; or the byte of a fault.
fn quoted(text: &str) -> Result<(String, usize), (usize, RuleFault)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((value, at + 1)),
            '\n' => break,
            '\\' => {
                let rest = text.get(at + 1..).unwrap_or_default();
                let (c, length) = escape(rest).ok_or((at, RuleFault::Escape))?;
                value.push(c);
                // Escapes are ASCII: one character each byte.
                for _ in 0..length {
                    characters.next();
                }
            }
            c => value.push(c),
        }
    }
    Err((0, RuleFault::Unclosed('"')))
}

/// What follows a backslash: the character that it means, and how many bytes it takes.
fn escape(rest: &str) -> Option<(char, usize)> {
    let simple = |c| Some((c, 1));
    let number = |skip: usize, length: usize, radix: u32| {
        let digits = rest.get(skip..skip + length)?;
        // `from_str_radix` takes a sign, an escape does not.
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        Some((u32::from_str_radix(digits, radix).ok()?, skip + length))
    };
    let character = |(code, length): (u32, usize)| Some((char::from_u32(code)?, length));
    match rest.as_bytes().first()? {
        b'a' => simple('\u{7}'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'v' => simple('\u{b}'),
        b'\\' => simple('\\'),
        b'"' => simple('"'),
        // These two name a byte, and only up to 7f is a byte a character.
        b'x' => number(1, 2, 16).filter(|(code, _)| *code < 128).and_then(character),
        b'0'..=b'7' => number(0, 3, 8).filter(|(code, _)| *code < 128).and_then(character),
        b'u' => number(1, 4, 16).and_then(character),
        b'U' => number(1, 8, 16).and_then(character),
        _ => None,
    }
}
