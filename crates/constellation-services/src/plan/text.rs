//! A plan for people.

use std::fmt::Write;

use super::{Deed, FieldChange, Plan};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    #[default]
    Plain,
    /// With a terminal's colours.
    Coloured,
}

impl Paint {
    /// Text in a colour by its ANSI number.
    pub(crate) fn colour(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const BLUE: &str = "36";
const FAINT: &str = "2";
const BOLD: &str = "1";

/// In place of what may be a secret.
const HIDDEN: &str = "(not shown)";
/// The longest value that is shown whole.
const SHOWN_MAX: usize = 100;

impl Deed {
    fn sign(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Create => ("+", "create", GREEN),
            Self::Recreate => ("±", "recreate", YELLOW),
            Self::Change => ("~", "change", BLUE),
            Self::Finish => ("…", "finish", BLUE),
            Self::Remove => ("-", "remove", RED),
        }
    }
}

impl Plan {
    /// The plan as text, every field that changes on a line of its own.
    pub fn to_text(&self, paint: Paint) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, paint);
        out
    }

    fn write(&self, out: &mut String, paint: Paint) -> std::fmt::Result {
        for step in &self.networks {
            let (sign, word, colour) = step.deed.sign();
            writeln!(out, "{} network {}", paint.colour(colour, &format!("{sign} {word:<8}")), step.name)?;
            changes(out, &step.changes, paint)?;
        }
        for volume in &self.volumes {
            let (sign, word, colour) = Deed::Create.sign();
            writeln!(out, "{} volume {volume}", paint.colour(colour, &format!("{sign} {word:<8}")))?;
        }
        for step in &self.services {
            let (sign, word, colour) = step.deed.sign();
            let name = paint.colour(BOLD, &step.service.to_string());
            let order = step.order.map(|order| format!(", {order}")).unwrap_or_default();
            let why = paint.colour(FAINT, &format!("({}{order})", step.reason));
            writeln!(out, "{} {name} {why}", paint.colour(colour, &format!("{sign} {word:<8}")))?;
            changes(out, &step.changes, paint)?;
        }
        for problem in &self.blockers {
            writeln!(out, "{} {problem}", paint.colour(RED, "! blocked "))?;
        }
        if self.is_empty() {
            writeln!(out, "Nothing to do: {} as they should be.", counted(self.unchanged.len(), "service"))?;
            return Ok(());
        }
        let counts: Vec<String> = [Deed::Create, Deed::Recreate, Deed::Change, Deed::Finish, Deed::Remove]
            .into_iter()
            .filter(|deed| self.count(*deed) > 0)
            .map(|deed| format!("{} to {}", self.count(deed), deed.sign().1))
            .collect();
        let counts = if counts.is_empty() { "no service to touch".to_owned() } else { counts.join(", ") };
        writeln!(out, "\nPlan {}: {counts}, {} unchanged.", &self.hash()[..12], self.unchanged.len())?;
        if !self.blockers.is_empty() {
            writeln!(out, "{} must be put in order first.", counted(self.blockers.len(), "thing"))?;
        }
        Ok(())
    }
}

/// Fields that differ, a line each.
pub(crate) fn changes_text(changed: &[FieldChange], paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = changes(&mut out, changed, paint);
    out
}

fn changes(out: &mut String, changes: &[FieldChange], paint: Paint) -> std::fmt::Result {
    for change in changes {
        let field = &change.field;
        let (sign, value) = match (&change.from, &change.to) {
            (None, Some(to)) => (paint.colour(GREEN, "+"), shown(field, to)),
            (Some(from), None) => (paint.colour(RED, "-"), shown(field, from)),
            (Some(from), Some(to)) => {
                let (from, to) = shown_pair(field, from, to);
                (paint.colour(YELLOW, "~"), format!("{from} → {to}"))
            }
            (None, None) => continue,
        };
        writeln!(out, "      {sign} {field}: {value}")?;
    }
    Ok(())
}

/// A value on one line. What may be a secret that somebody put into the environment is not printed.
pub(crate) fn shown(field: &str, value: &str) -> String {
    if field.strip_prefix("env.").is_some_and(crate::lint::is_secret_name) && !value.starts_with('/') {
        return HIDDEN.to_owned();
    }
    cut(value, 0)
}

/// Two values, from where they begin to differ if they are long.
fn shown_pair(field: &str, from: &str, to: &str) -> (String, String) {
    if shown(field, to) == HIDDEN || shown(field, from) == HIDDEN {
        return (HIDDEN.to_owned(), HIDDEN.to_owned());
    }
    let common = from.chars().zip(to.chars()).take_while(|(a, b)| a == b).count();
    let start = if common > SHOWN_MAX / 2 { common - SHOWN_MAX / 4 } else { 0 };
    (cut(from, start), cut(to, start))
}

/// A value on one line: so much of it, without what would move the cursor.
fn cut(value: &str, start: usize) -> String {
    let mut out = String::from(if start > 0 { "…" } else { "" });
    let mut rest = value.chars().skip(start);
    for c in rest.by_ref().take(SHOWN_MAX) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if rest.next().is_some() {
        out.push('…');
    }
    out
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
