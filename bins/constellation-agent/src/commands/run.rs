//! `run`: the life of the daemon.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::{Agent, Config, cli::RunArgs, logging};

/// Threads of the daemon. Its work is waiting; a machine of sixty-four cores should not give it sixty-four stacks.
const WORKER_THREADS: usize = 2;

pub(super) fn execute(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = Config::from_args(args)?;
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
                error!(why, "the agent cannot go on");
                break ExitCode::FAILURE;
            }
        }
    };
    info!("draining");
    agent.drain().await;
    Ok(code)
}
