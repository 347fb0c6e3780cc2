//! What a rule has to say.

/// Whether a finding fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Must be mended.
    Error,
    /// Listed, so that it is seen while it is still small.
    Warning,
}

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A path relative to the root, with a line where that helps.
    pub(crate) place: String,
    /// What is wrong, then what to do.
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn error(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), text: text.into() }
    }

    pub(crate) fn warning(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), text: text.into() }
    }

    /// One line: `error  path:line  what is wrong`.
    pub(crate) fn line(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "error  ",
            Severity::Warning => "warning",
        };
        format!("{severity}  {}: {}", self.place, self.text)
    }
}
