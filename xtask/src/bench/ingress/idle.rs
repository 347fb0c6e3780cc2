//! Memory of connections that say nothing.

use std::{io::Write as _, net::TcpStream, time::Duration};

use anyhow::{Context as _, Result};

use super::programs::Stage;
use crate::clock;

const CONNECTIONS: usize = 10_000;
/// What is wanted, in MiB.
const WANTED: f64 = 50.0;
/// For what is being freed or settled.
const SETTLE: Duration = Duration::from_secs(2);

/// Opens them all, has each ask once, and looks at our proxy.
///
/// # Errors
/// When a connection cannot be opened; this machine may allow fewer open files.
pub(super) fn run(stage: &Stage) -> Result<()> {
    let proxy = stage.proxy_alone()?;
    let before = proxy.rss_mib();
    let mut open = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(proxy.address)
            .with_context(|| format!("connection {number} of {CONNECTIONS} (see `ulimit -n`)"))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n").context("could not ask")?;
        open.push(stream);
    }
    clock::pass(SETTLE)?;
    let after = proxy.rss_mib();
    let verdict = if after < WANTED { "reached" } else { "MISSED" };
    say!(
        "\n{CONNECTIONS} idle connections that have each asked once: {after:.0} MiB ({before:.0} MiB without them), wanted < \
         {WANTED:.0}: {verdict}"
    );
    Ok(())
}
