//! The catalogue: services that many people run, as definitions to start from.
//!
//! [`catalogue::stacks`] is all of it. The binary beside is the tool on it; an operator's own crate takes the stacks that
//! it wants, and adds its own.

pub mod catalogue;
