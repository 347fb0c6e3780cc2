//! What happened when, and how the requests of each phase went.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    clock::{self, millis},
    cluster::{Report, Sample},
    table::Table,
};

struct Row {
    what: String,
    from: Instant,
    to: Instant,
    /// Measured more exactly than by the step's own duration.
    measured: Option<Duration>,
    failed: Option<String>,
}

/// The steps of a script, in order.
pub(super) struct Timeline {
    begun: Instant,
    rows: Vec<Row>,
}

impl Timeline {
    pub(super) fn begin() -> Self {
        Self { begun: clock::now(), rows: Vec::new() }
    }

    /// Performs a step and notes how long it took; what it measured itself counts instead, if it did.
    ///
    /// # Errors
    /// The step's.
    pub(super) fn step(&mut self, what: &str, step: impl FnOnce() -> Result<Option<Duration>>) -> Result<()> {
        let from = clock::now();
        let done = step();
        let to = clock::now();
        let (measured, failed) = match &done {
            Ok(measured) => (*measured, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let shown = millis(measured.unwrap_or(to - from));
        say!(
            "  {:>7.2} s  {what}: {}",
            (from - self.begun).as_secs_f64(),
            match &failed {
                None => format!("{shown:.0} ms"),
                Some(why) => format!("FAILED: {why}"),
            }
        );
        self.rows.push(Row { what: what.to_owned(), from, to, measured, failed });
        done.map(|_| ())
    }

    /// The table; each request counts in the step during which it was sent.
    pub(super) fn render(&self, samples: &[Sample]) -> String {
        let mut table = Table::new(&[">at s", ">took ms", ">requests", ">failed", ">slowest ms", "step"]);
        for (index, row) in self.rows.iter().enumerate() {
            // What is sent between two steps belongs to the one before.
            let until = self.rows.get(index + 1).map_or(row.to + Duration::from_secs(3600), |next| next.from);
            let report = Report::of(samples, row.from, until);
            let verdict = row.failed.as_ref().map_or("", |_| "FAILED: ");
            table.row([
                format!("{:.2}", (row.from - self.begun).as_secs_f64()),
                format!("{:.0}", millis(row.measured.unwrap_or(row.to - row.from))),
                report.requests.to_string(),
                report.failed.to_string(),
                if report.requests == 0 { "-".to_owned() } else { format!("{:.0}", millis(report.slowest)) },
                format!("{verdict}{}", row.what),
            ]);
        }
        table.render()
    }

    /// When a request was sent, as the table counts.
    pub(super) fn offset(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.begun).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_in_the_table_and_ends_the_script() {
        let mut timeline = Timeline::begin();
        timeline.step("fine", || Ok(Some(Duration::from_millis(1234)))).unwrap();
        assert!(timeline.step("bad", || anyhow::bail!("no")).is_err());
        let text = timeline.render(&[]);
        assert!(text.contains("1234") && text.contains("FAILED: bad"), "{text}");
    }
}
