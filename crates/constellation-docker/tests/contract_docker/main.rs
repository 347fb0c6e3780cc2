//! The contract on a real Docker Engine, and what only a real one can show.
//!
//! `cargo test -p constellation-docker --features e2e-docker`, with
//! - `CONSTELLATION_E2E_DOCKER_SOCKET`: the socket of an engine that may be used (containers, one network and one
//!   image of this run are made and removed);
//! - `CONSTELLATION_E2E_BUSYBOX`: a static busybox (default `/bin/busybox`);
//! - `CONSTELLATION_E2E_DOCKERD=1`: we are root and may start an engine of our own. Without it the test that restarts
//!   the engine says that it was left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set its world up may end at once"
)]

mod dockerd;
mod engine;
mod image;
mod restart;
mod world;

use constellation_docker::contract::container_runtime_contract;

use crate::world::with_docker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docker_engine_keeps_the_contract() {
    if let Err(violation) = with_docker(async |world| container_runtime_contract(world).await).await {
        panic!("{violation}");
    }
}
