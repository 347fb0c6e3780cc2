//! The text form of a keyring: one key per line, the one that seals first.

use crate::{
    key::{InvalidKey, Key},
    keyring::{EmptyKeyring, KEYS_MAX, Keyring},
    secret_file::{SecretError, read_secret},
};
use std::path::{Path, PathBuf};

/// A key file could not be used. Says the file and the line, never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKeyFile {
    /// The file itself was refused.
    #[error("could not read the key file")]
    File(#[from] SecretError),
    /// It is not text.
    #[error("the key file {path} is not UTF-8 text; write one base64 key per line", path = .path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// A line is neither a key nor a comment.
    #[error("line {line} of the key file {path} is not usable: {problem}", path = .path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// It holds no key.
    #[error("the key file {path} holds no key; write one base64 key of 32 bytes per line", path = .path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
}

/// What is wrong with a line of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It is not a key.
    #[error(transparent)]
    NotAKey(#[from] InvalidKey),
    /// The same key stands on an earlier line.
    #[error("the same key stands on line {line}")]
    Repeated {
        /// Which line has it, too.
        line: usize,
    },
    /// There are more keys than a ring holds.
    #[error("a keyring holds {KEYS_MAX} keys at most; remove the old ones")]
    TooMany,
}

impl Keyring {
    /// Reads a key file: one base64 key per line, the one that seals first; empty lines and what follows a `#` do
    /// not count. The file must be a secret file, see [`read_secret`].
    pub fn read(path: &Path) -> Result<Self, InvalidKeyFile> {
        let bytes = read_secret(path)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| InvalidKeyFile::NotText { path: path.to_owned() })?;
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, InvalidKeyFile> {
        let mut keys: Vec<(usize, Key)> = Vec::new();
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            let refuse = |problem| InvalidKeyFile::Line { path: path.to_owned(), line, problem };
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let key: Key = content.parse().map_err(|problem: InvalidKey| refuse(problem.into()))?;
            if let Some((earlier, _)) = keys.iter().find(|(_, other)| other.id() == key.id()) {
                return Err(refuse(LineProblem::Repeated { line: *earlier }));
            }
            if keys.len() == KEYS_MAX {
                return Err(refuse(LineProblem::TooMany));
            }
            keys.push((line, key));
        }
        Self::new(keys.into_iter().map(|(_, key)| key))
            .map_err(|EmptyKeyring| InvalidKeyFile::Empty { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Keyring, InvalidKeyFile> {
        Keyring::parse(Path::new("/etc/keys"), text)
    }

    #[test]
    fn the_first_key_seals_and_comments_do_not_count() {
        let (first, second) = (Key::generate(), Key::generate());
        let text = format!("# new\n{} # since May\n\n  {}\r\n", *first.to_base64(), *second.to_base64());
        let ring = parse(&text).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), [first.id(), second.id()]);
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number_and_not_by_content() {
        let text = format!("{}\nsecretish\n", *Key::generate().to_base64());
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains("line 2 of the key file /etc/keys"), "{error}");
        assert!(!error.contains("secretish"), "{error}");
    }

    #[test]
    fn a_repeated_key_and_a_file_without_keys_are_refused() {
        let key = Key::generate().to_base64();
        let repeated = parse(&format!("{}\n{}", *key, *key)).unwrap_err();
        assert!(matches!(
            repeated,
            InvalidKeyFile::Line { line: 2, problem: LineProblem::Repeated { line: 1 }, .. }
        ));
        assert!(matches!(parse("# nothing yet\n"), Err(InvalidKeyFile::Empty { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(.|\n){0,200}") {
            let _ = parse(&text);
        }
    }
}
