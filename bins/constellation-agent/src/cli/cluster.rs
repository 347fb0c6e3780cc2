//! The verbs around a cluster.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use constellation_core::{ClusterId, NodeName};

use super::{AskArgs, duration, node_name};

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
