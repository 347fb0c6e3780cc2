//! An error with all its causes.

/// An error and its causes on one line, as a log or a person at the rim wants them. Libraries keep causes in `source` and
/// out of their own message, so this is said once.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not {deed}")]
    struct Failed {
        deed: &'static str,
        source: Option<Box<Failed>>,
    }

    #[test]
    fn causes_follow_each_other_on_one_line() {
        let cause = Failed { deed: "open the file", source: None };
        let error = Failed { deed: "read the zone", source: Some(Box::new(cause)) };
        assert_eq!(error_chain(&error), "could not read the zone: could not open the file");
    }
}
