//! The tool as a process against a real Docker Engine, with images made of this machine's own programs.
//!
//! It needs `CONSTELLATION_E2E_DOCKER_SOCKET`, Debian's Redis and `ldd`; `cargo xtask test` sets all of that up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod bad;
mod change;
#[path = "../../../../crates/constellation-docker/tests/contract_docker/dockerd.rs"]
mod dockerd;
mod failure;
mod foreign;
mod fresh;
mod image;
mod kill;
mod outage;
mod remote;
mod walk;
mod world;
