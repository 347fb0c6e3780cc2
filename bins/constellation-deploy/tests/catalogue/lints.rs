//! What the lints say of the catalogue.

use constellation_deploy::catalogue;
use constellation_services::{Severity, lint, prelude::*};

#[test]
fn no_lint_finds_an_error_that_nobody_answers_for() {
    let cfg = Config::example();
    let findings = lint(&catalogue::stacks(&cfg), &cfg);
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.allowed.is_none() && finding.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_answer_to_a_lint_answers_something() {
    let cfg = Config::example();
    let findings = lint(&catalogue::stacks(&cfg), &cfg);
    let unused: Vec<String> = findings
        .iter()
        .filter(|finding| [Lint::UnusedAllow, Lint::ContradictingDefaults].contains(&finding.lint))
        .map(ToString::to_string)
        .collect();
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}
