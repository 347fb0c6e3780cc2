//! Cuts a rule into pieces. Traefik reads rules with Go's own scanner, so values are Go's strings.

use super::error::{RuleError, RuleFault};

/// A piece of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    Value(String),
    And,
    Or,
    Not,
    Open,
    Close,
    Comma,
    End,
}

impl Token {
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

/// The pieces with their positions, counted in characters from 1; the last is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, RuleError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = characters.get(at) {
        let start = at;
        let fail = |fault| RuleError { position: start + 1, fault };
        let twice = characters.get(at + 1) == Some(&c);
        let token = match c {
            ' ' | '\t' | '\n' | '\r' => {
                at += 1;
                continue;
            }
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '!' => Token::Not,
            '&' if twice => Token::And,
            '|' if twice => Token::Or,
            '`' => {
                let length = characters.iter().skip(at + 1).position(|c| *c == '`');
                let length = length.ok_or_else(|| fail(RuleFault::Unclosed('`')))?;
                // Go drops carriage returns from such a value.
                let value = characters.iter().skip(at + 1).take(length).filter(|c| **c != '\r').collect();
                at += length + 2;
                tokens.push((start + 1, Token::Value(value)));
                continue;
            }
            '"' => {
                let (value, next) = quoted(&characters, at)?;
                at = next;
                tokens.push((start + 1, Token::Value(value)));
                continue;
            }
            c if c.is_ascii_alphabetic() => {
                let name: String = characters.iter().skip(at).take_while(|c| c.is_ascii_alphanumeric()).collect();
                at += name.len();
                tokens.push((start + 1, Token::Name(name)));
                continue;
            }
            other => return Err(fail(RuleFault::Character(other))),
        };
        at += if matches!(token, Token::And | Token::Or) { 2 } else { 1 };
        tokens.push((start + 1, token));
    }
    tokens.push((characters.len() + 1, Token::End));
    Ok(tokens)
}

/// A value in double quotes with Go's escapes; the position after it.
fn quoted(characters: &[char], start: usize) -> Result<(String, usize), RuleError> {
    let mut value = String::new();
    let mut at = start + 1;
    loop {
        match characters.get(at) {
            None | Some('\n') => return Err(RuleError { position: start + 1, fault: RuleFault::Unclosed('"') }),
            Some('"') => return Ok((value, at + 1)),
            Some('\\') => {
                let (c, length) = escape(characters.get(at + 1..).unwrap_or_default())
                    .ok_or(RuleError { position: at + 1, fault: RuleFault::Escape })?;
                value.push(c);
                at += 1 + length;
            }
            Some(c) => {
                value.push(*c);
                at += 1;
            }
        }
    }
}

/// What follows a backslash: the character that it means, and how many characters it takes.
fn escape(rest: &[char]) -> Option<(char, usize)> {
    let simple = |c| Some((c, 1));
    let number = |skip: usize, length: usize, radix: u32| {
        let digits: String = rest.get(skip..skip + length)?.iter().collect();
        // `from_str_radix` takes a sign, an escape does not.
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        Some((u32::from_str_radix(&digits, radix).ok()?, skip + length))
    };
    match rest.first()? {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' => simple('\\'),
        '"' => simple('"'),
        // These two name a byte, and only up to 7f is a byte a character.
        'x' => number(1, 2, 16).filter(|(n, _)| *n < 128).and_then(|(n, l)| Some((char::from_u32(n)?, l))),
        '0'..='7' => number(0, 3, 8).filter(|(n, _)| *n < 128).and_then(|(n, l)| Some((char::from_u32(n)?, l))),
        'u' => number(1, 4, 16).and_then(|(n, l)| Some((char::from_u32(n)?, l))),
        'U' => number(1, 8, 16).and_then(|(n, l)| Some((char::from_u32(n)?, l))),
        _ => None,
    }
}
