//! The failover proxy by itself: every request goes to the backends that are named on the command line.
//!
//! ```console
//! $ cargo run --release -p constellation-proxy --example ingress -- --listen 127.0.0.1:8000 --backend 127.0.0.1:9000,127.0.0.1:9001
//! ```

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Parser;
use constellation_proxy::http::{
    Backend, HttpProxy, Listen, Policy, ProxyConfig, Router, Service, Table, Target,
};
use constellation_tasks::{Supervisor, SystemClock};
use tokio::sync::watch;

/// As in the agent.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Gives every request to one of these backends.
#[derive(Parser)]
struct Args {
    /// Where to take requests.
    #[arg(long)]
    listen: SocketAddr,
    /// Where the backends are, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    backend: Vec<SocketAddr>,
    /// Threads; as many as the machine has, if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// How long a backend may take to begin its answer, in milliseconds.
    #[arg(long)]
    response_timeout: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let backend = |(number, address): (usize, &SocketAddr)| {
        Ok(Backend {
            node: format!("n{number}").parse()?,
            instance: format!("i{number}").parse()?,
            address: *address,
            scheme: constellation_core::route::Scheme::Http,
            rank: 0,
        })
    };
    let backends: Result<Vec<Backend>, Box<dyn std::error::Error>> =
        args.backend.iter().enumerate().map(backend).collect();
    let policy =
        Policy { response_timeout: args.response_timeout.map(Duration::from_millis), ..Policy::default() };
    let service = Service { name: "all".into(), backends: backends?, policy };
    let router = Router {
        name: "all".into(),
        rule: "PathPrefix(`/`)".parse()?,
        priority: 1,
        entry_points: vec![],
        tls: false,
        target: Target::Service("all".into()),
    };
    let mut config = ProxyConfig::for_listeners(vec![Listen::plain(args.listen)]);
    if let Some(threads) = args.threads {
        config.threads = threads;
    }
    // A table that never changes; whoever has a view of a cluster sends a new one with each change.
    let (_tables, table) = watch::channel(Arc::new(Table::new(vec![router], vec![service])));
    let supervisor = Supervisor::new();
    let proxy = HttpProxy::start(config, table, &supervisor, Arc::new(SystemClock::start()))?;
    println!("takes requests at {:?}", proxy.addresses());
    tokio::signal::ctrl_c().await?;
    supervisor.drain(Duration::from_secs(10)).await;
    println!("{}", serde_json::to_string_pretty(&proxy.status())?);
    Ok(())
}
