//! `h2load` as the client of both: it costs little, and it is not ours.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    child,
    tools::{apt, find_program},
};

const LIMIT: Duration = Duration::from_secs(120);

/// Where the requests go.
pub(super) enum Target {
    /// HTTP/1.1 over a unix socket, in JSON.
    Agent(PathBuf),
    /// gRPC over TCP, to this method.
    Grpc(String),
}

/// What it measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Load {
    pub(super) per_second: f64,
    pub(super) succeeded: u64,
    /// One a request, in milliseconds.
    pub(super) latencies: Vec<f64>,
}

/// The program and a folder for what it reads and writes.
pub(super) struct H2load {
    program: PathBuf,
    folder: PathBuf,
}

impl H2load {
    /// Installs it where it is missing.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub(super) fn prepare(folder: &Path) -> Result<Self> {
        if find_program("h2load").is_none() {
            apt::install(&["nghttp2-client"], "measuring commits")?;
        }
        fs::create_dir_all(folder)?;
        Ok(Self { program: find_program("h2load").context("there is no h2load")?, folder: folder.to_owned() })
    }

    /// Sends `requests` with this body from `clients` connections, each waiting for its answer before its next.
    ///
    /// # Errors
    /// When not all of them are answered with success.
    pub(super) fn run(&self, target: &Target, body: &[u8], clients: u32, requests: u32) -> Result<Load> {
        let (data, log) = (self.folder.join("body"), self.folder.join("latencies"));
        fs::write(&data, body)?;
        let _ = fs::remove_file(&log); // it appends
        let mut command = Command::new(&self.program);
        command
            .args(["-t1", "-m1", &format!("-c{clients}"), &format!("-n{requests}")])
            .arg("-d")
            .arg(&data)
            .arg(format!("--log-file={}", log.display()))
            .stderr(Stdio::null());
        match target {
            Target::Agent(socket) => {
                command.args(["--h1", "-H", "content-type: application/json", "-B"]);
                command.arg(format!("unix:{}", socket.display())).arg("http://agent/v1/raft/commit");
            }
            Target::Grpc(url) => {
                command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", url]);
            }
        }
        let text = child::output("h2load", &mut command, LIMIT)?;
        let log = fs::read_to_string(&log).context("h2load wrote no latencies")?;
        let load = read(&text, &log).with_context(|| format!("could not understand h2load: {text}"))?;
        let wanted = u64::from(requests);
        ensure!(load.succeeded == wanted, "{} of {wanted} commits succeeded: {text}", load.succeeded);
        Ok(load)
    }
}

/// Reads what it printed, and its log: when, status, and microseconds, one request a line.
fn read(text: &str, log: &str) -> Option<Load> {
    let finished = text.lines().find(|line| line.starts_with("finished in "))?;
    let per_second = finished.split(", ").nth(1)?.strip_suffix(" req/s")?.trim().parse().ok()?;
    let codes = text.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    let succeeded = codes.split(' ').next()?.parse().ok()?;
    let latencies: Option<Vec<f64>> = log
        .lines()
        .map(|line| line.split('\t').nth(2)?.trim().parse::<f64>().ok().map(|micros| micros / 1000.0))
        .collect();
    Some(Load { per_second, succeeded, latencies: latencies? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "starting benchmark...\n\nfinished in 1.59s, 1259.55 req/s, 90.41KB/s\n\
        requests: 2000 total, 2000 started, 2000 done, 1999 succeeded, 1 failed, 0 errored, 0 timeout\n\
        status codes: 1999 2xx, 0 3xx, 0 4xx, 1 5xx\ntraffic: 1KB\n";

    #[test]
    fn rate_successes_and_latencies_are_read() {
        let load = read(TEXT, "1700000000000000\t200\t1500\n1700000000000100\t200\t720\n").unwrap();
        assert_eq!(load, Load { per_second: 1259.55, succeeded: 1999, latencies: vec![1.5, 0.72] });
    }

    #[test]
    fn what_is_no_report_is_not_taken_for_one() {
        assert_eq!(read("could not connect", ""), None);
        assert_eq!(read(TEXT, "nonsense\n"), None);
    }
}
