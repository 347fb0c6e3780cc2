//! The load generator, and what it says.

use anyhow::{Context as _, Result};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// A few bytes over 64 kept connections.
    Small,
    /// 1 MiB over 16 kept connections.
    Large,
    /// A few bytes, each over a connection of its own.
    Fresh,
}

impl Load {
    /// Its arguments, without the URL's host.
    pub(super) fn arguments(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Small => (&["-t1", "-c64", "-d4s", "--latency"], "/"),
            Self::Large => (&["-t1", "-c16", "-d4s", "--latency"], "/large"),
            Self::Fresh => (&["-t1", "-c16", "-d4s", "--latency", "-H", "Connection: close"], "/"),
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) per_second: f64,
    pub(super) requests: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) mib_per_second: f64,
    pub(super) cpu_us: f64,
    pub(super) rss_mib: f64,
}

/// Reads what wrk prints.
///
/// # Errors
/// When something is not there, or requests failed.
pub(super) fn read(text: &str) -> Result<Run> {
    let after = |start: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
        line.map(str::trim).with_context(|| format!("wrk says nothing of `{start}`:\n{text}"))
    };
    anyhow::ensure!(!text.contains("Non-2xx"), "requests failed:\n{text}");
    let requests =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(count, _)| count);
    Ok(Run {
        per_second: after("Requests/sec:")?.parse().context("no rate")?,
        requests: requests.context("no count of requests")?.parse().context("no count")?,
        p50_ms: millis(after("50%")?)?,
        p99_ms: millis(after("99%")?)?,
        mib_per_second: mebibytes(after("Transfer/sec:")?)?,
        ..Run::default()
    })
}

fn millis(text: &str) -> Result<f64> {
    let number = |unit: &str| text.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok());
    number("us")
        .map(|micros| micros / 1000.0)
        .or_else(|| number("ms"))
        .or_else(|| number("s").map(|it| it * 1000.0))
        .with_context(|| format!("`{text}` is no time"))
}

fn mebibytes(text: &str) -> Result<f64> {
    let number = |unit: &str| text.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok());
    let kibi = 1024.0;
    number("GB")
        .map(|it| it * kibi)
        .or_else(|| number("MB"))
        .or_else(|| number("KB").map(|it| it / kibi))
        .or_else(|| number("B").map(|it| it / kibi / kibi))
        .with_context(|| format!("`{text}` is no rate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read_with_its_units() {
        let text = "Running 4s test @ http://127.0.0.1:9000/\n  1 threads and 64 connections\n  Latency Distribution\n     50%  541.00us\n     75%  600.00us\n     90%    1.20ms\n     99%    1.89ms\n  445000 requests in 4.00s, 67.48MB read\nRequests/sec: 111194.53\nTransfer/sec:     16.86MB\n";
        let run = read(text).unwrap();
        assert_eq!((run.per_second, run.requests, run.p50_ms), (111_194.53, 445_000.0, 0.541));
        assert_eq!((run.p99_ms, run.mib_per_second), (1.89, 16.86));
        assert!(read(&text.replace("445000", "  Non-2xx or 3xx responses: 7\n 445000")).is_err());
        assert!(read("rubbish").is_err());
    }
}
