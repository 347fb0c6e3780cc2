//! Leases: the table that is agreed on, the keeper that asks, and the judge that takes away.

mod codec;
mod command;
mod config;
#[cfg(test)]
mod counters_tests;
mod judge;
mod keeper;
mod table;
mod wish;

pub use self::{
    command::{AskId, Command, Outcome, Refusal},
    config::LeaseConfig,
    judge::{JudgeEvent, LeaseJudge, Sign, Verdict},
    keeper::{Answer, KeeperEffect, KeeperEvent, LeaseKeeper, Wish},
    table::{Change, Deed, LeaseTable, Record, Tenure},
    wish::Candidate,
};
