//! The settings of `run`.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use constellation_core::{ClusterId, DomainName, NodeName};
use constellation_proxy::PortRange;
use constellation_traefik::{DefaultRule, rules::LabelRule};

use crate::ingress::EntryPoint;

use super::{DnsArgs, LogFormat, ProfileArg, RuntimeKind, duration, node_name};

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
    /// Route every container, also those without the label traefik.enable=true
    #[arg(long, env = "EXPOSED_BY_DEFAULT", help_heading = "Traefik")]
    pub exposed_by_default: bool,
    /// Route only containers whose labels meet this, as in Label(`tier`,`web`) && !LabelRegex(`name`,`^test-`)
    #[arg(long, env = "TRAEFIK_CONSTRAINTS", value_name = "EXPRESSION", help_heading = "Traefik")]
    pub constraints: Option<LabelRule>,
    /// The rule of routers whose labels have none, as in Host(`{{ normalize .Name }}.example.org`); without it it is
    /// `<service>.<domain>`
    #[arg(long, env = "TRAEFIK_DEFAULT_RULE", value_name = "TEMPLATE", help_heading = "Traefik")]
    pub default_rule: Option<DefaultRule>,
    /// How long Traefik may take to connect to a server; well above the longest round trip between two nodes
    #[arg(
        long,
        env = "TRAEFIK_DIAL_TIMEOUT",
        default_value = "300ms",
        value_parser = duration,
        help_heading = "Traefik"
    )]
    pub traefik_dial_timeout: Duration,

    /// A folder with certificates, for Traefik and for the agent's own ingress: NAME.crt (or .pem) beside NAME.key, or folders with
    /// fullchain.pem and privkey.pem. Read again every 5 s
    #[arg(long, env = "TLS_CERTIFICATES", value_name = "FOLDER", help_heading = "TLS")]
    pub tls_certificates: Option<PathBuf>,
    /// Entry points that speak TLS, such as `websecure`: generated routers are served there too, with the certificate for their host
    #[arg(long, env = "TLS_ENTRY_POINTS", value_delimiter = ',', value_name = "NAME", help_heading = "TLS")]
    pub tls_entry_points: Vec<String>,

    /// Serve HTTP on this machine without a Traefik: an entry point and its address, as in `web=0.0.0.0:80`; may be given
    /// several times. Routers that need what only Traefik has (middlewares, say) are refused there
    #[arg(
        long,
        env = "INGRESS",
        value_name = "NAME=ADDRESS",
        value_delimiter = ',',
        help_heading = "Ingress"
    )]
    pub ingress: Vec<EntryPoint>,
    /// Where this node's Traefik reaches the agent's failover proxy, for services with the label `constellation.proxy=true`; on
    /// loopback, as in `127.0.0.1:8082`
    #[arg(long, env = "PROXY_LISTEN", value_name = "ADDRESS:PORT", help_heading = "Ingress")]
    pub proxy_listen: Option<SocketAddr>,
    /// An authority that may certify servers over TLS (`loadbalancer.server.scheme=https`), beside those that this machine trusts: a
    /// file with certificates in PEM; may be given several times
    #[arg(
        long,
        env = "INGRESS_BACKEND_CA",
        value_name = "FILE",
        value_delimiter = ',',
        help_heading = "Ingress"
    )]
    pub ingress_backend_ca: Vec<PathBuf>,
    /// Write every request of the ingress to the log
    #[arg(long, env = "INGRESS_ACCESS_LOG", help_heading = "Ingress")]
    pub ingress_access_log: bool,

    /// The zone
    #[command(flatten)]
    pub dns: DnsArgs,

    /// Where the agent keeps its state
    #[arg(long, env = "DATA_DIR", default_value = "/opt/constellation/data", help_heading = "Places")]
    pub data_dir: PathBuf,
    /// The API socket [default: DATA_DIR/agent.sock]
    #[arg(long, env = "CONSTELLATION_SOCKET", help_heading = "Places")]
    pub socket: Option<PathBuf>,

    /// Where a monitoring system reads the metrics over TCP, at `/metrics`; nothing can be changed there, and nobody is asked
    /// for a password [default: only on the API socket]
    #[arg(long, env = "METRICS_LISTEN", value_name = "ADDRESS:PORT", help_heading = "Logging")]
    pub metrics_listen: Option<SocketAddr>,
    /// How log lines look
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or per crate as in `info,constellation_gossip=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = "info", help_heading = "Logging")]
    pub log_level: String,
}

fn voters(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(voters @ (1 | 3 | 5 | 7)) => Ok(voters),
        _ => Err("1, 3, 5 or 7 members vote".to_owned()),
    }
}

impl RunArgs {
    /// The node's name: as given, else from the host name.
    pub fn node(&self) -> anyhow::Result<NodeName> {
        node_name(self.node_name.as_deref())
    }
}
