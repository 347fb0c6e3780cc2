//! The mesh gateway by itself: one port that forwards to one address.
//!
//! ```console
//! $ cargo run --release -p constellation-proxy --example gateway -- --listen 127.0.0.1:41999 --upstream 127.0.0.1:9000
//! ```

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use clap::Parser;
use constellation_core::Protocol;
use constellation_proxy::{Forward, Gateway, GatewayConfig};
use constellation_tasks::Supervisor;

/// Forwards one port.
#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to forward to.
    #[arg(long)]
    upstream: SocketAddr,
    /// Datagrams in place of connections.
    #[arg(long)]
    udp: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let port = args.listen.port();
    let config =
        GatewayConfig { ports: format!("{port}-{port}").parse()?, ..GatewayConfig::at(args.listen.ip()) };
    let supervisor = Supervisor::new();
    let gateway = Gateway::start(config, &supervisor).await;
    let protocol = if args.udp { Protocol::Udp } else { Protocol::Tcp };
    let (service, instance) = ("example".parse()?, "one".parse()?);
    // An agent asks for everything that is routed on its node, again whenever that changes.
    let wanted = Forward { service, instance, port, protocol, upstream: args.upstream, greeting: None };
    let opened = gateway.sync(BTreeSet::from([wanted])).await?;
    if let Some(error) = opened.failed.into_iter().next() {
        return Err(error.into());
    }
    println!("forwards {} to {}", args.listen, args.upstream);
    tokio::signal::ctrl_c().await?;
    supervisor.drain(Duration::from_secs(10)).await;
    Ok(())
}
