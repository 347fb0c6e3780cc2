//! The verbs for processes.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{AskArgs, duration};

/// What to do with processes.
#[derive(Debug, Subcommand)]
pub enum ProcessCommand {
    /// Start a process and print its id.
    Run(ProcessRunArgs),
    /// List the processes.
    Ls(AskArgs),
    /// Start one that ended.
    Start(ProcessNameArgs),
    /// Ask one to end, and kill it after 10 s. Its restart policy does not bring it back.
    Stop(ProcessNameArgs),
    /// Stop one and start it again.
    Restart(ProcessNameArgs),
    /// Send a signal to one. Its restart policy applies.
    Kill {
        /// Which one.
        #[command(flatten)]
        target: ProcessNameArgs,
        /// The signal.
        #[arg(long, default_value = "SIGKILL")]
        signal: String,
    },
    /// Remove one.
    Rm {
        /// Which one.
        #[command(flatten)]
        target: ProcessNameArgs,
        /// Also one that runs: it is killed.
        #[arg(long, short)]
        force: bool,
    },
    /// Print the last lines of one.
    Logs {
        /// Which one.
        #[command(flatten)]
        target: ProcessNameArgs,
        /// How many lines.
        #[arg(long, default_value_t = 100)]
        tail: usize,
    },
}

/// Which process.
#[derive(Debug, Args)]
pub struct ProcessNameArgs {
    /// Its name, or the beginning of its id.
    pub name: String,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What to start.
#[derive(Debug, Args)]
pub struct ProcessRunArgs {
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Its name, unique on this node
    #[arg(long)]
    pub name: String,
    /// A label, such as `traefik.enable=true`; may be given several times
    #[arg(long, short, value_parser = pair, value_name = "KEY=VALUE")]
    pub label: Vec<(String, String)>,
    /// An environment variable; may be given several times
    #[arg(long, short, value_parser = pair, value_name = "KEY=VALUE")]
    pub env: Vec<(String, String)>,
    /// A port that it listens on, as `8080`, `8080/tcp` or `53/udp`; may be given several times
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<constellation_docker::Port>,
    /// When it is started again
    #[arg(long, value_enum, default_value = "no")]
    pub restart: RestartArg,
    /// A shell command that tells whether it works
    #[arg(long, value_name = "COMMAND")]
    pub health: Option<String>,
    /// From one such check to the next
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub health_interval: Duration,
    /// The working directory
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Restart policies, as Docker names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RestartArg {
    /// Never.
    No,
    /// Whatever its exit code.
    Always,
    /// Unless somebody stopped it.
    UnlessStopped,
    /// After a failure.
    OnFailure,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not written KEY=VALUE")),
    }
}
