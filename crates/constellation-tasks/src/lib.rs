//! How work runs: every task has a parent, leaving is rehearsed, and what fails is tried again with patience.
//!
//! [`Supervisor`] owns tasks and drains them; [`Reconciler`] drives "look, compare, close the gap" passes;
//! [`Backoff`] says how long to wait; [`SystemClock`] is the real [`Clock`](constellation_core::Clock).
//!
//! Nothing here knows what any task is for.

mod backoff;
mod clock;
mod reconcile;
mod supervisor;

pub use self::{
    backoff::{Backoff, Schedule},
    clock::SystemClock,
    reconcile::{Nudge, Pass, Reconciler, nudge},
    supervisor::{Drained, Early, Ended, Supervisor},
};
