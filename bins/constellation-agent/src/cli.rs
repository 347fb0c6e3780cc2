//! What a person may say on the command line or in the environment.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use constellation_core::{ClusterId, DomainName, NodeName};
use constellation_proxy::PortRange;

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
    /// Run the agent of this machine until SIGTERM; SIGHUP reloads the gossip keys.
    Run(Box<RunArgs>),
    /// What the running agent knows of itself: addresses, routes, problems. Exit code 3 when it reports problems.
    Status(AskArgs),
    /// The nodes of the cluster as the running agent sees them.
    Members(AskArgs),
    /// The service instances of the cluster as the running agent sees them.
    Services(AskArgs),
    /// Who holds which lease, under which token, for how long, and what happened before.
    Leases(LeasesArgs),
    /// This node's part in the Raft group, and the others'; hand over the lead, remove a member.
    #[command(subcommand)]
    Raft(RaftCommand),
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

/// Settings of `run`.
#[derive(Debug, Args)]
#[command(next_line_help = true)]
pub struct RunArgs {
    /// This machine's name in the cluster [default: the host name]
    #[arg(long, env = "TS_HOSTNAME", help_heading = "Identity")]
    pub node_name: Option<String>,
    /// The cluster's name; nodes of another one are not listened to [default: that of the cluster that this node joined,
    /// else `constellation`]
    #[arg(long, env = "CONSTELLATION_CLUSTER", help_heading = "Identity")]
    pub cluster: Option<ClusterId>,
    /// The domain under which services get `<service>.<domain>`; without it only routes from labels are served
    #[arg(long, env = "DOMAIN", help_heading = "Identity")]
    pub domain: Option<DomainName>,
    /// An address at which the world reaches this machine; may be given several times
    #[arg(long, env = "PUBLIC_IP", value_delimiter = ',', help_heading = "Identity")]
    pub public_ip: Vec<IpAddr>,
    /// Rank among the nodes where one must be preferred; lower goes first
    #[arg(long, env = "NODE_PRIORITY", default_value_t = 100, help_heading = "Identity")]
    pub priority: u16,
    /// Where this machine is, such as a room or a data centre: the voters are spread over these
    #[arg(long, env = "CONSTELLATION_ZONE", help_heading = "Identity")]
    pub zone: Option<String>,

    /// The address at which the other nodes reach this one (on Tailscale: what `tailscale ip -4` prints)
    #[arg(long, env = "MESH_ADDRESS", help_heading = "Network")]
    pub mesh_address: IpAddr,
    /// UDP port of gossip, on the mesh address
    #[arg(long, env = "GOSSIP_PORT", default_value_t = 7946, help_heading = "Network")]
    pub gossip_port: u16,
    /// A node to join through, as `address`, `name` or either with `:port`; may be given several times
    #[arg(long, env = "CONSTELLATION_JOIN", value_delimiter = ',', help_heading = "Network")]
    pub join: Vec<String>,
    /// A file with one such node a line, read again every 30 s
    #[arg(long, env = "CONSTELLATION_PEERS_FILE", value_name = "FILE", help_heading = "Network")]
    pub peers_file: Option<PathBuf>,
    /// TCP ports of the mesh gateway, on the mesh address
    #[arg(long, env = "GATEWAY_PORTS", default_value_t = PortRange::default(), help_heading = "Network")]
    pub gateway_ports: PortRange,

    /// TCP port of Raft, on the mesh address
    #[arg(long, env = "RAFT_PORT", default_value_t = 8300, help_heading = "Leases")]
    pub raft_port: u16,
    /// Found a cluster together with nodes that share the gossip key, once so many are there in all. Give every one of them
    /// the same number; it has no effect on a node that is a member already
    #[arg(long, env = "CONSTELLATION_BOOTSTRAP_EXPECT", value_name = "N", help_heading = "Leases")]
    pub bootstrap_expect: Option<NonZeroU16>,
    /// How many members vote: 1, 3, 5 or 7; the same on every node
    #[arg(long, env = "CONSTELLATION_VOTERS", default_value_t = 5, value_parser = voters, help_heading = "Leases")]
    pub voters: usize,
    /// How far apart the machines of a cluster are that this node founds with others; `auto` follows the round trips
    #[arg(long, env = "RAFT_PROFILE", value_enum, default_value = "auto", help_heading = "Leases")]
    pub raft_profile: ProfileArg,
    /// How long a lease lasts without renewal in a cluster that this node founds with others [default: 3s; 10s for `wan`]
    #[arg(long, env = "LEASE_TTL", value_parser = duration, help_heading = "Leases")]
    pub lease_ttl: Option<Duration>,
    /// Run without the parent process that tells the other nodes at once when this one died
    #[arg(long, env = "CONSTELLATION_NO_NOTARY", help_heading = "Leases")]
    pub no_notary: bool,
    /// What the parent process starts
    #[arg(long, hide = true, env = "CONSTELLATION_WORKER")]
    pub worker: bool,

    /// The gossip keys, one a line: the first seals, all open [default: SECRETS_PATH/gossip.key]
    #[arg(
        long,
        env = "CONSTELLATION_KEYRING",
        value_name = "FILE",
        conflicts_with = "insecure_gossip",
        help_heading = "Security"
    )]
    pub keyring: Option<PathBuf>,
    /// Gossip without a key: whoever reaches the port can take the cluster over
    #[arg(long, env = "CONSTELLATION_INSECURE_GOSSIP", help_heading = "Security")]
    pub insecure_gossip: bool,
    /// Where secrets are
    #[arg(
        long,
        env = "SECRETS_PATH",
        default_value = "/opt/constellation/secrets",
        help_heading = "Security"
    )]
    pub secrets_path: PathBuf,

    /// What runs the containers of this node
    #[arg(
        long,
        env = "CONSTELLATION_RUNTIME",
        value_enum,
        default_value = "docker",
        help_heading = "Containers"
    )]
    pub runtime: RuntimeKind,
    /// The Docker Engine's socket
    #[arg(long, env = "DOCKER_SOCKET", default_value = "/var/run/docker.sock", help_heading = "Containers")]
    pub docker_socket: PathBuf,
    /// How often every container is looked at; events are followed in between
    #[arg(long, env = "HEALTH_INTERVAL", default_value = "10s", value_parser = duration, help_heading = "Containers")]
    pub health_interval: Duration,

    /// Where Traefik's HTTP provider polls; keep it on an address that only Traefik reaches
    #[arg(long, env = "PROVIDER_LISTEN", default_value = "127.0.0.1:8081", help_heading = "Traefik")]
    pub provider_listen: SocketAddr,
    /// Traefik's entry points for generated routers and for labels that name none
    #[arg(
        long,
        env = "TRAEFIK_ENTRY_POINTS",
        default_value = "web",
        value_delimiter = ',',
        help_heading = "Traefik"
    )]
    pub entry_points: Vec<String>,
    /// Traefik's certificate resolver for generated routers; with it they serve TLS
    #[arg(long, env = "TRAEFIK_CERT_RESOLVER", help_heading = "Traefik")]
    pub cert_resolver: Option<String>,
    /// Let Traefik try a GET that one server failed on another one; needs Traefik 3.7, earlier ones refuse the document
    #[arg(
        long,
        env = "TRAEFIK_FAILOVER",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "true|false",
        help_heading = "Traefik"
    )]
    pub traefik_failover: bool,
    /// How long Traefik may take to connect to a server; well above the longest round trip between two nodes
    #[arg(
        long,
        env = "TRAEFIK_DIAL_TIMEOUT",
        default_value = "300ms",
        value_parser = duration,
        help_heading = "Traefik"
    )]
    pub traefik_dial_timeout: Duration,

    /// Where the agent keeps its state
    #[arg(long, env = "DATA_DIR", default_value = "/opt/constellation/data", help_heading = "Places")]
    pub data_dir: PathBuf,
    /// The API socket [default: DATA_DIR/agent.sock]
    #[arg(long, env = "CONSTELLATION_SOCKET", help_heading = "Places")]
    pub socket: Option<PathBuf>,

    /// How log lines look
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or per crate as in `info,constellation_gossip=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = "info", help_heading = "Logging")]
    pub log_level: String,
}

/// How far apart the machines of a cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// As `lan`, and slower where the round trips ask for it.
    Auto,
    /// Round trips below 5 ms.
    Lan,
    /// Round trips up to 300 ms.
    Wan,
}

/// Where a node's folders are.
#[derive(Clone, Debug, Args)]
pub struct FolderArgs {
    /// Where the agent keeps its state
    #[arg(long, env = "DATA_DIR", default_value = "/opt/constellation/data")]
    pub data_dir: PathBuf,
    /// Where secrets are
    #[arg(long, env = "SECRETS_PATH", default_value = "/opt/constellation/secrets")]
    pub secrets_path: PathBuf,
}

/// Who a node is, and where.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// This machine's name in the cluster [default: the host name]
    #[arg(long, env = "TS_HOSTNAME")]
    pub node_name: Option<String>,
    /// The address at which the other nodes reach this one
    #[arg(long, env = "MESH_ADDRESS")]
    pub mesh_address: IpAddr,
    /// TCP port of Raft, on the mesh address
    #[arg(long, env = "RAFT_PORT", default_value_t = 8300)]
    pub raft_port: u16,
    /// Where its folders are.
    #[command(flatten)]
    pub folders: FolderArgs,
}

/// What to found.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The cluster's name
    #[arg(long, env = "CONSTELLATION_CLUSTER", default_value = "constellation")]
    pub cluster: ClusterId,
    /// Who and where.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How far apart the machines are; `auto` follows the round trips
    #[arg(long, env = "RAFT_PROFILE", value_enum, default_value = "auto")]
    pub profile: ProfileArg,
    /// How long a lease lasts without renewal: longer rides out pauses, shorter hands over sooner [default: 3s; 10s for `wan`]
    #[arg(long, env = "LEASE_TTL", value_parser = duration)]
    pub ttl: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which token to make.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// For how long it is good, at most 30 days
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub expires: Duration,
    /// Do not give the new node the authority's key: it can then let nobody in
    #[arg(long)]
    pub without_authority: bool,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// How to join.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The token that `constellation-agent token` printed on a member, or `-` to read it from standard input, where it
    /// stays out of the shell's history and the list of processes
    pub token: String,
    /// Who and where.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Move what is left of an earlier membership of this node aside first
    #[arg(long)]
    pub start_over: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How to look at the leases.
#[derive(Debug, Args)]
pub struct LeasesArgs {
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Wait until this node knows what the cluster has agreed on by now; fails without a majority
    #[arg(long)]
    pub fresh: bool,
}

/// What to do with the Raft group.
#[derive(Debug, Subcommand)]
pub enum RaftCommand {
    /// This node's part.
    Status(AskArgs),
    /// Who votes and who follows, with round trips.
    Voters(AskArgs),
    /// Hand the lead to another voter.
    Transfer(RaftNodeArgs),
    /// Take a node out of the cluster for good. It can come back only by joining again.
    Remove(RaftNodeArgs),
}

/// Which member.
#[derive(Debug, Args)]
pub struct RaftNodeArgs {
    /// Its name.
    pub node: NodeName,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Where to back up to.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file, which must not exist yet; it gets mode 0600
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What to restore.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
    /// Who and where.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What to recover.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Where its folders are.
    #[command(flatten)]
    pub folders: FolderArgs,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
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

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}: write `10s` or `1m`"))?;
    if duration.is_zero() {
        Err("it must be more than nothing, such as `10s`".to_owned())
    } else {
        Ok(duration)
    }
}

fn voters(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(voters @ (1 | 3 | 5 | 7)) => Ok(voters),
        _ => Err("1, 3, 5 or 7 members vote".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not written KEY=VALUE")),
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

impl RunArgs {
    /// The node's name: as given, else from the host name.
    pub fn node(&self) -> anyhow::Result<NodeName> {
        node_name(self.node_name.as_deref())
    }
}

impl PlaceArgs {
    /// The node's name: as given, else from the host name.
    pub fn node(&self) -> anyhow::Result<NodeName> {
        node_name(self.node_name.as_deref())
    }

    /// Where the others reach its Raft.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let mesh = self.mesh_address;
        anyhow::ensure!(
            !mesh.is_unspecified() && !mesh.is_multicast(),
            "the mesh address {mesh} is not the address of one machine: give the one that the other nodes reach"
        );
        anyhow::ensure!(self.raft_port != 0, "Raft's port cannot be 0: the other nodes must know it");
        Ok(SocketAddr::new(mesh, self.raft_port))
    }
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
