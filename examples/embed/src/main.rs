//! Gossip and Traefik's provider in another program: joins a cluster without running anything itself, and serves its
//! routes to a Traefik on this machine.
//!
//! `cargo run -p embed -- 127.0.0.50:7946 100.64.0.7:7946` listens on the first address and joins through the second, where an
//! agent of the cluster `demo` runs with `--insecure-gossip`. A sealed cluster needs `GossipSecurity::Sealed` with its keyring.

use std::sync::Arc;

use constellation_gossip::{Gossip, GossipConfig, GossipSecurity};
use constellation_tasks::{Supervisor, SystemClock};
use constellation_traefik::{Provider, ProviderConfig};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:7946".to_owned()).parse()?;
    let (clock, supervisor) = (Arc::new(SystemClock::start()), Supervisor::new());
    let state = std::env::temp_dir().join("constellation-embed");
    let (name, cluster) = ("observer".parse()?, "demo".parse()?);
    let config = GossipConfig::new(name, cluster, listen, listen, GossipSecurity::Insecure, &state);
    let config = GossipConfig { seeds: arguments.collect(), ..config };
    let gossip = Gossip::start(config, clock.clone(), &supervisor).await?;
    let traefik = Provider::start(ProviderConfig::default(), gossip.view(), &supervisor, clock).await?;
    let mut view = gossip.view();
    while view.changed().await.is_ok() {
        let (live, routers) = (view.borrow_and_update().live_nodes().count(), traefik.status().routers);
        println!("{live} nodes are live, {routers} routers are served at http://127.0.0.1:8081/api/dynamic");
    }
    Ok(())
}
