//! Simulations: production cores on simulated clocks, disks and networks, with oracles that check every step.
//!
//! A run is drawn from one seed and nothing else, so that a failure is a number. [`leases`] runs the consensus crate's
//! nodes and checks its promise; [`cloudflare`] is a zone behind Cloudflare's API over HTTP, with faults to order; [`Chance`] is where all randomness comes from.
//!
//! For tests only: nothing may depend on it but as a dev-dependency. It decides nothing that a program does.

mod chance;
pub mod cloudflare;
pub mod leases;

pub use self::chance::Chance;
