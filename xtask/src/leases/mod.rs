//! Leases from the outside: what can be seen of them, what they promise, and how their cluster is broken and mended.
//!
//! The chaos run, the bench and the demo share this. What was seen is a [`History`], and [`check()`] judges it: both are plain
//! values. [`Witness`] looks, [`Stage`] strikes and heals, [`peace`] waits until all is well.

mod check;
mod history;
pub(crate) mod peace;
mod stage;
mod steer;
mod witness;

pub(crate) use self::{
    check::{Violation, check},
    history::{Deed, History, Process, handovers, longest_gap},
    stage::{Blow, Ground, Stage},
    witness::{Pace, Witness},
};
