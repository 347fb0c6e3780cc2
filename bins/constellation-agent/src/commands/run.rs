//! `run`: the life of the daemon, as the notary that watches over it or as the worker that does the work.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::{Agent, Config, cli::RunArgs, logging, notary};

/// Threads of the daemon. Its work is waiting; a machine of sixty-four cores should not give it sixty-four stacks.
const WORKER_THREADS: usize = 2;

pub(super) fn execute(args: &RunArgs) -> anyhow::Result<ExitCode> {
    // Also where the worker will find it again: a mistake is then said once, by whoever was started.
    let config = Config::from_args(args)?;
    if !args.worker && !args.no_notary {
        return notary::run(args);
    }
    if args.worker {
        notary::end_with_the_notary()?;
    }
    logging::start(args.log_format, &args.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("could not start")?;
    runtime.block_on(live(config))
}

async fn live(config: Config) -> anyhow::Result<ExitCode> {
    let mut hangup = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let agent = Agent::start(config).await?;
    let code = loop {
        tokio::select! {
            _ = hangup.recv() => agent.reload_keys(),
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            why = agent.fatal() => {
                error!(why, "the agent cannot go on as this process");
                break ExitCode::from(notary::AGAIN);
            }
        }
    };
    info!("draining");
    agent.drain().await;
    Ok(code)
}
