//! What a person may say on the command line or in the environment.

mod cluster;
mod dns;
mod process;
mod run;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use constellation_core::NodeName;

pub use self::{
    cluster::{
        BackupArgs, FolderArgs, InitArgs, JoinArgs, LeasesArgs, PlaceArgs, ProfileArg, RaftCommand,
        RaftNodeArgs, RecoverArgs, RestoreArgs, TokenArgs,
    },
    dns::{ApexArg, DnsArgs, DnsCommand, DnsRecordsArgs, ProviderArg, StrategyArg},
    process::{ProcessCommand, ProcessNameArgs, ProcessRunArgs, RestartArg},
    run::RunArgs,
};

/// Zero-single-point-of-failure orchestration for Docker: gossips what runs where, heals it, and gives Traefik its routes.
#[derive(Debug, Parser)]
#[command(name = "constellation-agent", version, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent of this machine until SIGTERM; SIGHUP reloads the gossip keys and the certificates.
    Run(Box<RunArgs>),
    /// What the running agent knows of itself: addresses, routes, problems. Exit code 3 when it reports problems.
    Status(AskArgs),
    /// The nodes of the cluster as the running agent sees them.
    Members(AskArgs),
    /// The service instances of the cluster as the running agent sees them.
    Services(AskArgs),
    /// Why a request goes where it goes: which router wins, and which instances are behind it or not, and why. Exit code 4
    /// when no router takes it.
    Explain(ExplainArgs),
    /// Who holds which lease, under which token, for how long, and what happened before.
    Leases(LeasesArgs),
    /// This node's part in the Raft group, and the others'; hand over the lead, remove a member.
    #[command(subcommand)]
    Raft(RaftCommand),
    /// The zone: what would be done, what was, and whose records are whose.
    #[command(subcommand)]
    Dns(DnsCommand),
    /// Found a cluster of this node alone, before it runs; the others join it with tokens.
    Init(InitArgs),
    /// Make a token with which one node may join.
    Token(TokenArgs),
    /// Join a cluster with a token, before this node runs.
    Join(JoinArgs),
    /// Take no new work and hold no lease on this node, until `uncordon`; what runs goes on, and other nodes are preferred.
    Cordon(AskArgs),
    /// End what `cordon` began.
    Uncordon(AskArgs),
    /// Write down what a cluster can be rebuilt from: a secret.
    Backup(BackupArgs),
    /// Begin a cluster anew on this node from a backup, before it runs. Only when no member of the old one is left.
    Restore(RestoreArgs),
    /// Rebuild the cluster from this member alone, while it does not run. Only when a majority is lost for good.
    Recover(RecoverArgs),
    /// Tell the members that this node's last process is dead: for systemd, after the agent ended.
    #[command(hide = true)]
    Obituary(FolderArgs),
    /// Start, look at and stop the processes of an agent that runs with `--runtime process`.
    #[command(subcommand)]
    Process(ProcessCommand),
    /// Make a key that seals gossip; every node of a cluster needs the same one.
    Keygen {
        /// Write it to this file with mode 0600 instead of printing it. An existing file is left alone.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the version.
    Version,
    /// Print a completion script for a shell, such as `constellation-agent completions bash`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// A small HTTP service that says who answered: for the demo and for trying out routes.
    Whoami {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8000", env = "WHOAMI_LISTEN")]
        listen: SocketAddr,
        /// The name to answer with.
        #[arg(long, default_value = "whoami", env = "WHOAMI_NAME")]
        name: String,
    },
}

/// Which container runtime this node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RuntimeKind {
    /// A Docker Engine.
    Docker,
    /// Supervised child processes of this agent.
    Process,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How to ask a running agent.
#[derive(Clone, Debug, Args)]
pub struct AskArgs {
    /// The agent's API socket
    #[arg(long, env = "CONSTELLATION_SOCKET", default_value = "/opt/constellation/data/agent.sock")]
    pub socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `explain` is asked.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The URL, such as `https://whoami.example.org/path`; or `tls://db.example.org` for a connection with TLS, `tcp://` for one in
    /// the clear, `udp://` for datagrams
    pub url: String,
    /// The method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// The client's address, for rules that look at it
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<std::net::IpAddr>,
    /// Only routers on this entry point; for `tls://`, `tcp://` and `udp://` alone
    #[arg(long, value_name = "NAME")]
    pub entry_point: Option<String>,
    /// The protocols that the client offers by ALPN, such as `h2,http/1.1`, for rules that look at them; for `tls://` alone
    #[arg(long, value_name = "PROTOCOLS")]
    pub alpn: Option<String>,
    /// How to ask
    #[command(flatten)]
    pub ask: AskArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}: write `10s` or `1m`"))?;
    if duration.is_zero() {
        Err("it must be more than nothing, such as `10s`".to_owned())
    } else {
        Ok(duration)
    }
}

/// The node's name: as given, else from the host name.
fn node_name(given: Option<&str>) -> anyhow::Result<NodeName> {
    if let Some(name) = given {
        // TS_HOSTNAME may hold a whole host name; a flag is held to the same leniency.
        return Ok(NodeName::from_hostname(name)?);
    }
    let hostname = rustix::system::uname();
    let hostname = hostname.nodename().to_string_lossy();
    NodeName::from_hostname(&hostname).map_err(|error| {
        anyhow::anyhow!("the host name cannot be this node's name ({error}): give one with --node-name")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_of_run_has_its_environment_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        let missing: Vec<_> = run
            .get_arguments()
            .filter(|argument| {
                argument.get_env().is_none() && !matches!(argument.get_id().as_str(), "help" | "version")
            })
            .map(|argument| argument.get_id().to_string())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn durations_are_written_with_a_unit_and_are_more_than_nothing() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("0s").is_err() && duration("10").is_err());
    }
}
