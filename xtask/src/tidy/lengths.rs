//! Files stay short enough to be read in one go.

use super::finding::Finding;

/// Above this a file is listed.
const LINES_WANTED: usize = 400;
/// Above this it is an error.
const LINES_MAX: usize = 500;

/// Looks at Rust files, given as path and text.
pub(crate) fn check<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files {
        if !path.ends_with(".rs") {
            continue;
        }
        let lines = text.lines().count();
        let advice = "split it by idea, one per file";
        if lines > LINES_MAX {
            findings.push(Finding::error(path, format!("{lines} lines, more than {LINES_MAX}: {advice}")));
        } else if lines > LINES_WANTED {
            findings
                .push(Finding::warning(path, format!("{lines} lines, more than {LINES_WANTED}: {advice}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::Severity;

    #[test]
    fn a_long_file_is_listed_and_a_very_long_one_is_an_error() {
        let (fine, long, very_long) = ("\n".repeat(400), "\n".repeat(401), "\n".repeat(501));
        let found =
            check([("a.rs", fine.as_str()), ("b.rs", &long), ("c.rs", &very_long), ("d.md", &very_long)]);
        let severities: Vec<_> =
            found.iter().map(|finding| (finding.place.as_str(), finding.severity)).collect();
        assert_eq!(severities, [("b.rs", Severity::Warning), ("c.rs", Severity::Error)]);
    }
}
