//! The lease promise, attacked: production nodes on a simulated network, disk and clocks.
//!
//! [`Scenario`] is a cluster and a list of faults, drawn from a seed; [`run`] plays it and checks after every single step;
//! [`shrink`] leaves out faults for as long as the run still fails; [`campaign`] plays many seeds on all cores.

mod campaign;
mod checks;
mod clock;
mod disk;
mod fault;
mod inflict;
mod machine;
mod network;
mod operator;
mod production;
mod scenario;
mod shrink;
mod step;
mod world;

pub use self::{
    campaign::{Campaign, Failure, Tally, campaign},
    checks::Violation,
    fault::{Deed, Fault, Planned},
    network::{Cut, Weather},
    scenario::{Scenario, Setting, Theme},
    shrink::shrink,
    world::{Report, run, run_traced},
};
