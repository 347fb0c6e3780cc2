//! The promises of [`ContainerRuntime`](crate::ContainerRuntime), as one suite for every implementation.
//!
//! A world supplies the runtime and a few specifications that it can run; the suite supplies the promises. It ships
//! with the crate so that a runtime that is written elsewhere can be held to them as well.
//!
//! ```no_run
//! # async fn held(world: &dyn constellation_docker::contract::ContractWorld) {
//! use constellation_docker::contract::container_runtime_contract;
//!
//! if let Err(violation) = container_runtime_contract(world).await {
//!     panic!("{violation}");
//! }
//! # }
//! ```

mod bench;
mod health;
mod lifecycle;
mod observation;
mod policy;
mod world;

use std::{fmt, time::Duration};

use futures::{StreamExt, future::BoxFuture};

use self::bench::{Bench, Kept};
pub use self::world::{ContractWorld, HealthSwitch, SharedFolder};

/// The label that every container of the suite carries; its value is unique to the run.
pub const RUN_LABEL: &str = "constellation.contract";

/// How many promises are tried at a time: enough to fill the waiting, too few to starve a small machine.
const AT_ONCE: usize = 4;

/// The longest that one promise may take. None needs more than a few seconds on a machine that has nothing else to
/// do; a runtime that needs a minute for one is broken or starved.
const PROMISE_LIMIT: Duration = Duration::from_secs(120);

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPromise {
    /// The promise, as a sentence.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise.replace('_', " "), self.seen)
    }
}

/// A runtime does not keep the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractViolation {
    /// The promises that it broke; never empty.
    pub broken: Vec<BrokenPromise>,
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the container runtime broke {} promise(s) of its contract", self.broken.len())?;
        self.broken.iter().try_for_each(|broken| write!(f, "\n  {broken}"))
    }
}

impl std::error::Error for ContractViolation {}

/// Names each promise after the function that tries it.
macro_rules! promises {
    ($bench:expr; $($module:ident::{$($promise:ident),* $(,)?}),* $(,)?) => {
        [$($((stringify!($promise), Box::pin($module::$promise($bench)) as BoxFuture<'_, Kept>)),*),*]
    };
}

/// Tries every promise, and removes what it made whether they are kept or not.
///
/// Containers carry a name and a label of this run, so several runs on one runtime do not meet. A caller that drops
/// the future half way is left with what it was doing.
pub async fn container_runtime_contract(world: &dyn ContractWorld) -> Result<(), ContractViolation> {
    let bench = &Bench::new(world);
    let promises = promises![bench;
        lifecycle::{
            a_created_container_does_not_run,
            a_name_belongs_to_one_container,
            a_name_outside_the_grammar_is_refused,
            starting_what_runs_is_ok,
            stopping_says_whether_there_was_something_to_stop,
            what_ignores_the_request_to_stop_is_killed_after_its_grace,
            the_exit_code_is_kept,
            restarting_starts_what_is_stopped_and_renews_what_runs,
            a_signal_reaches_the_main_process_and_what_does_not_run_is_refused,
            a_running_container_is_removed_only_by_force,
            what_does_not_exist_is_not_found_and_its_removal_is_ok,
        },
        policy::{
            always_brings_back_what_died_and_counts,
            on_failure_gives_up_after_its_count,
            on_failure_leaves_success_alone,
            without_a_policy_what_died_stays_dead,
            a_stop_beats_the_policy,
            a_crash_loop_can_be_stopped,
        },
        health::{
            without_a_check_there_is_no_report,
            failures_within_the_start_period_do_not_count,
            health_follows_its_check_and_tells,
        },
        observation::{
            events_tell_a_life_in_its_order,
            a_list_is_filtered_by_labels_and_state_and_sorted_by_name,
            labels_image_and_ports_come_back_as_they_were_given,
            variables_reach_the_process,
            logs_keep_streams_apart_and_order_within,
            logs_give_the_last_lines,
            a_published_port_can_be_reached,
            the_runtime_names_itself,
        },
    ];
    let mut broken: Vec<BrokenPromise> = futures::stream::iter(promises)
        .map(|(promise, attempt)| async move {
            let seen = match tokio::time::timeout(PROMISE_LIMIT, attempt).await {
                Ok(Ok(())) => return None,
                Ok(Err(seen)) => seen.to_string(),
                Err(_) => format!("no end after {PROMISE_LIMIT:?}"),
            };
            Some(BrokenPromise { promise, seen })
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    if let Err(seen) = bench.remove_everything().await {
        broken.push(BrokenPromise { promise: "what_was_made_can_be_removed", seen: seen.to_string() });
    }
    if broken.is_empty() { Ok(()) } else { Err(ContractViolation { broken }) }
}
