//! Figures: what was measured, how often, and what it was meant to be.

use serde_json::json;

use crate::table::Table;

/// One measured quantity.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) samples: Vec<f64>,
    /// What we want, in words.
    pub(super) target: &'static str,
}

impl Figure {
    /// The nearest-rank percentile; `None` of nothing.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        percentile(&self.samples, percent)
    }

    /// One object on one line.
    pub(super) fn json(&self) -> String {
        json!({
            "name": self.name, "unit": self.unit, "n": self.samples.len(), "target": self.target,
            "p50": self.percentile(50), "p99": self.percentile(99), "max": self.percentile(100),
        })
        .to_string()
    }
}

/// The nearest-rank percentile; `None` of nothing.
pub(super) fn percentile(samples: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// All of them, one a row.
pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(&["what", "unit", ">n", ">p50", ">p99", ">max", "wanted"]);
    for figure in figures {
        let number =
            |percent| figure.percentile(percent).map_or("-".to_owned(), |value| format!("{value:.2}"));
        table.row([
            figure.name,
            figure.unit,
            &figure.samples.len().to_string(),
            &number(50),
            &number(99),
            &number(100),
            figure.target,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(samples: &[f64]) -> Figure {
        Figure { name: "x", unit: "ms", samples: samples.to_vec(), target: "< 1" }
    }

    #[test]
    fn percentiles_are_samples_that_occurred() {
        let figure = figure(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(figure.percentile(50), Some(3.0));
        assert_eq!(figure.percentile(99), Some(5.0));
        assert_eq!(figure.percentile(1), Some(1.0));
    }

    #[test]
    fn nothing_measured_is_said_and_not_invented() {
        assert_eq!(figure(&[]).percentile(50), None);
        assert!(table(&[figure(&[])]).render().contains('-'));
        assert!(figure(&[]).json().contains("\"p50\":null"));
    }
}
