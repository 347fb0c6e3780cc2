//! `cloudflare-sim`: Cloudflare's API v4 for DNS on this machine, to try an agent against.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use constellation_tasks::Supervisor;
use constellation_testkit::cloudflare::{Limits, Simulator};

/// Cloudflare's API v4 for DNS, in memory. Faults are ordered by
/// `curl -H 'content-type: application/json' -d '["broken-afterwards"]' http://ADDRESS/simulator/faults`,
/// and a zone is looked at without a token at `http://ADDRESS/simulator/zones/NAME`.
#[derive(Parser)]
#[command(name = "cloudflare-sim")]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// A zone; may be given several times
    #[arg(long = "zone", default_value = "example.org")]
    zones: Vec<String>,
    /// The most requests in five minutes
    #[arg(long, default_value_t = 1200)]
    requests: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let zones: Vec<&str> = options.zones.iter().map(String::as_str).collect();
    let simulator = Simulator::new(&zones, Limits { requests_max: options.requests, ..Limits::default() });
    let supervisor = Supervisor::new();
    match simulator.listen(options.listen, &supervisor).await {
        Ok(base) => {
            println!("{base} with the token {} and the zones {}", Simulator::token(), zones.join(", "));
        }
        Err(error) => {
            eprintln!("error: could not listen on {}: {error}", options.listen);
            return ExitCode::FAILURE;
        }
    }
    // Only a signal ends it, and what it knows ends with it.
    std::future::pending().await
}
