//! A backend that dies under load.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::programs::Stage;
use crate::{clock, http::Client};

const REQUESTS: u32 = 400;
const PER_SECOND: u32 = 100;
/// The request before which it dies.
const KILLED_AT: u32 = 50;
/// A visitor waits no longer.
const LIMIT: Duration = Duration::from_secs(2);
const TRIALS: usize = 3;

/// Kills one of two backends of our proxy, three times.
///
/// # Errors
/// When any request fails.
pub(super) fn run(stage: &Stage) -> Result<()> {
    let mut failed = Vec::new();
    let mut slowest = Duration::ZERO;
    for trial in 1..=TRIALS {
        let mut doomed = stage.backend(&format!("doomed-{trial}"))?;
        let other = stage.backend(&format!("other-{trial}"))?;
        let proxy = stage.proxy(&[doomed.address, other.address])?;
        let begun = clock::now();
        for number in 0..REQUESTS {
            if number == KILLED_AT {
                doomed.kill();
            }
            // By the clock and not after each other's answers, as visitors come.
            let due = begun + Duration::from_secs(1) / PER_SECOND * number;
            clock::pass(due.saturating_duration_since(clock::now()))?;
            let sent = clock::now();
            match Client::tcp(proxy.address, LIMIT).get("/") {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => failed.push(format!("trial {trial}, request {number}: {}", answer.status)),
                Err(error) => failed.push(format!("trial {trial}, request {number}: {error:#}")),
            }
            slowest = slowest.max(clock::now() - sent);
        }
    }
    say!(
        "\nkill -9 of one of two backends at {PER_SECOND} GET/s: {} of {} failed in {TRIALS} trials, slowest {slowest:?}, \
         wanted 0",
        failed.len(),
        REQUESTS as usize * TRIALS
    );
    ensure!(failed.is_empty(), "requests failed: {}", failed.join("; "));
    Ok(())
}
