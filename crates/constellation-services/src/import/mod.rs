//! Rust code from a Compose file, for those who come from there. The one place where YAML is read: an import, not a
//! configuration.
//!
//! [`import`] is a plain function of a text. What has a word in the language becomes that word; variables stay questions
//! to the configuration; everything else becomes a comment where it stood, and a [`Note`], so that nothing is lost
//! silently.

mod draft;
mod expr;
mod interpolate;
mod life;
mod mounts;
mod ports;
mod project;
mod reach;
mod rights;
mod router;
mod traefik;
mod what;
mod write;
mod yaml;

use serde::Serialize;

/// The Compose file could not be read as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is too large.
    #[error("the file has {bytes} bytes, and no Compose file has more than {limit}; check the path")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is read.
        limit: usize,
    },
    /// It is not YAML, or not of a reasonable shape.
    #[error("line {line}: {what}; Compose itself would refuse the file, so mend it first")]
    Malformed {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It is YAML and no Compose file.
    #[error("this is not a Compose file: {what}; give the file that has `services:` in it")]
    NotCompose {
        /// What is missing.
        what: String,
    },
}

/// Something that could not be carried over, or that the language does differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The line of the Compose file, counted from 1; 0 where it is about the whole file.
    pub line: usize,
    /// The field, such as `services.web.stdin_open`.
    pub place: String,
    /// What became of it, and what to do.
    pub text: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.text),
            line => write!(f, "line {line}: {}: {}", self.place, self.text),
        }
    }
}

/// What the file does not say.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The stack's name where the file has no `name`: Compose takes that of the folder.
    pub stack: Option<String>,
    /// The absolute folder that relative paths are relative to. Without one they are below `ROOT_PATH`.
    pub folder: Option<String>,
}

/// A Compose file as Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The stack's name.
    pub stack: String,
    /// A module with `pub fn stack(cfg: &Config) -> Stack`.
    pub code: String,
    /// What to look at, in the order of the code.
    pub notes: Vec<Note>,
}

/// Writes the Rust code for a Compose file.
///
/// ```
/// use constellation_services::{ImportOptions, import};
/// let compose = "services:\n  web:\n    image: nginx:1.27\n    ports: ['127.0.0.1:8080:80']\n    tty: true\n";
/// let imported = import(compose, &ImportOptions::default())?;
/// assert!(imported.code.contains(".publish(localhost(8080).to(80))"));
/// assert!(imported.notes.iter().any(|note| note.place == "services.web.tty"));
/// # Ok::<(), constellation_services::ImportError>(())
/// ```
///
/// # Errors
/// When the text is no Compose file. A field that makes no sense is a note, and not an error.
pub fn import(text: &str, options: &ImportOptions) -> Result<Imported, ImportError> {
    let document = yaml::read(text)?;
    let project = project::Project::read(&document, options)?;
    Ok(write::write(&project, &document.asides))
}

/// A text as it is shown in a comment: one line, not too long.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    let cut: String = text.chars().take(CHARS_MAX).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

#[cfg(test)]
mod tests;
