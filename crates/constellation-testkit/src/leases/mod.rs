//! The lease promise, attacked: production nodes on a simulated network, disk and clocks.
//!
//! [`Scenario`] is a cluster and a list of faults, drawn from a seed; [`run`] plays it and checks after every single step;
//! [`shrink`] leaves out faults for as long as the run still fails; [`campaign`] plays many seeds on all cores.

mod ambush;
mod campaign;
mod checks;
mod clock;
mod coverage;
mod disk;
mod draw;
mod fault;
mod history;
mod inflict;
mod linear;
mod machine;
mod network;
mod operator;
mod production;
mod report;
mod scenario;
mod shrink;
mod step;
mod world;

pub use self::{
    campaign::{Campaign, Failure, Tally, campaign},
    checks::Violation,
    coverage::{Coverage, Hit},
    fault::{Deed, Fault, Planned, Return, Target},
    network::{Cut, Weather},
    report::{Report, Succession},
    scenario::{Scenario, Setting, Theme},
    shrink::shrink,
    world::{run, run_traced},
};
