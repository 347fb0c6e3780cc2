//! Figures beside a peer's.

use serde_json::json;

use crate::{bench::stats::percentile, table::Table};

/// What was measured of us, of etcd, and what it was meant to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) ours: Vec<f64>,
    /// Empty where etcd has no counterpart or was not measured.
    pub(super) etcd: Vec<f64>,
    pub(super) target: &'static str,
}

impl Figure {
    /// One object on one line.
    pub(super) fn json(&self) -> String {
        let side = |samples: &[f64]| {
            let at = |percent| percentile(samples, percent);
            json!({ "n": samples.len(), "p50": at(50), "min": at(0), "max": at(100), "p99": at(99) })
        };
        json!({ "name": self.name, "unit": self.unit, "target": self.target,
            "ours": side(&self.ours), "etcd": side(&self.etcd) })
        .to_string()
    }
}

/// All of them, one a row: median [min-max] n, and p99.
pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table =
        Table::new(&["what", "unit", ">p50 [min-max] n", ">p99", ">etcd: p50 [min-max] n", ">p99", "wanted"]);
    for figure in figures {
        table.row([
            figure.name.clone(),
            figure.unit.to_owned(),
            spread(&figure.ours),
            last(&figure.ours),
            spread(&figure.etcd),
            last(&figure.etcd),
            figure.target.to_owned(),
        ]);
    }
    table
}

/// `12.3 [10.1-20.5] n=10`
fn spread(samples: &[f64]) -> String {
    let at = |percent| percentile(samples, percent).map(number);
    match (at(50), at(0), at(100)) {
        (Some(median), Some(least), Some(most)) => format!("{median} [{least}-{most}] n={}", samples.len()),
        _ => "-".to_owned(),
    }
}

fn last(samples: &[f64]) -> String {
    // Of three rounds it would only be the maximum again.
    if samples.len() < 10 { String::new() } else { percentile(samples, 99).map(number).unwrap_or_default() }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_stand_in_one_row_and_what_was_not_measured_is_a_dash() {
        let ours = (1..=10).map(f64::from).collect();
        let figure = Figure { name: "x".to_owned(), unit: "ms", ours, etcd: Vec::new(), target: "< 1" };
        let text = table(std::slice::from_ref(&figure)).render();
        assert!(text.contains("5.00 [1.00-10.0] n=10") && text.contains(" - "), "{text}");
        assert!(figure.json().contains("\"p50\":null"));
    }
}
