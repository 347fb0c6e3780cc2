//! What the command line means, checked.

use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use anyhow::Context;
use constellation_consensus::member::{ClusterSettings, Profile, SeatPolicy};
use constellation_core::{ClusterId, DomainName, NodeFacts, NodeName, Priority};
use constellation_proxy::PortRange;
use constellation_tailscale::PeerSource;
use constellation_traefik::{LabelConfig, Provider, RenderConfig};

use crate::{
    cli::{ProfileArg, RunArgs, RuntimeKind},
    dns::DnsSettings,
    ingress::EntryPoint,
};

/// What a cluster is called that nobody named.
const DEFAULT_CLUSTER: &str = "constellation";
/// How the notary tells its worker which run it is.
pub(crate) const BOOT_VARIABLE: &str = "CONSTELLATION_BOOT";

/// What a cluster is like that is founded so.
pub(crate) fn settings(profile: ProfileArg, ttl: Option<Duration>) -> anyhow::Result<ClusterSettings> {
    let of = |profile| ClusterSettings { auto_pace: false, ..ClusterSettings::of(profile) };
    let settings = match profile {
        ProfileArg::Auto => ClusterSettings::of(Profile::Lan),
        ProfileArg::Lan => of(Profile::Lan),
        ProfileArg::Wan => of(Profile::Wan),
    };
    Ok(match ttl {
        Some(ttl) => settings.with_ttl(ttl)?,
        None => settings,
    })
}

/// The run that the notary named, or a new one.
fn boot(named: Option<&str>) -> u128 {
    named.and_then(|text| u128::from_str_radix(text, 16).ok()).unwrap_or_else(rand::random)
}

/// How gossip is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Sealed with the keys of this file.
    Keyring(PathBuf),
    /// In the clear: somebody said so.
    Insecure,
}

/// Settings of an agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name.
    pub node: NodeName,
    /// The cluster's name, where it was given.
    pub named_cluster: Option<ClusterId>,
    /// The cluster's name: as given, as that of the cluster that this node is a member of, or the default.
    pub cluster: ClusterId,
    /// The domain of generated routes.
    pub domain: Option<DomainName>,
    /// What this node says of itself.
    pub facts: NodeFacts,
    /// Where gossip listens.
    pub gossip: SocketAddr,
    /// Where peers are written down.
    pub peers: Vec<PeerSource>,
    /// The mesh gateway's ports.
    pub gateway_ports: PortRange,
    /// How gossip is secured.
    pub security: Security,
    /// What runs the containers.
    pub runtime: RuntimeKind,
    /// The engine's socket.
    pub docker_socket: PathBuf,
    /// How often every container is looked at.
    pub health_interval: Duration,
    /// Where Traefik polls.
    pub provider: SocketAddr,
    /// Entry points of generated routers.
    pub entry_points: Vec<String>,
    /// Certificate resolver of generated routers.
    pub cert_resolver: Option<String>,
    /// How labels are read.
    pub labels: LabelConfig,
    /// Whether Traefik is new enough to try failed requests elsewhere.
    pub traefik_failover: bool,
    /// How long Traefik may take to connect to a server.
    pub traefik_dial_timeout: Duration,
    /// Where certificates are, if anywhere.
    pub tls_certificates: Option<PathBuf>,
    /// Entry points that speak TLS.
    pub tls_entry_points: Vec<String>,
    /// Where HTTP is served without a Traefik.
    pub ingress: Vec<EntryPoint>,
    /// Where this node's Traefik reaches the failover proxy.
    pub proxy: Option<SocketAddr>,
    /// Files with authorities that may certify servers over TLS, beside those that this machine trusts.
    pub ingress_backend_ca: Vec<PathBuf>,
    /// Whether each request there is written to the log.
    pub ingress_access_log: bool,
    /// Where Raft listens.
    pub raft: SocketAddr,
    /// With how many nodes in all this one founds a cluster, if it is to.
    pub expect: Option<NonZeroU16>,
    /// What a cluster that it founds so is like.
    pub founding: ClusterSettings,
    /// How many members vote.
    pub seats: SeatPolicy,
    /// The zone that is looked after, if one is.
    pub dns: Option<DnsSettings>,
    /// This run of the process.
    pub boot: u128,
    /// Where secrets are.
    pub secrets: PathBuf,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// The API socket.
    pub socket: PathBuf,
    /// Where the metrics are told over TCP, if anywhere.
    pub metrics: Option<SocketAddr>,
}

impl Config {
    /// How routes are rendered here.
    pub fn render(&self) -> RenderConfig {
        RenderConfig {
            domain: self.domain.clone(),
            entry_points: self.entry_points.clone(),
            tls_entry_points: self.tls_entry_points.clone(),
            cert_resolver: self.cert_resolver.clone(),
            proxy: self.proxy,
            dial_timeout: self.traefik_dial_timeout,
            failover_on_errors: self.traefik_failover,
        }
    }

    /// Why Traefik is not given the certificates, where it is not.
    pub(crate) fn certificates_withheld(&self) -> Option<String> {
        let open = self.tls_certificates.is_some() && !Provider::tells_certificates(self.provider);
        open.then(|| {
            format!(
                "Traefik is not given the certificates: their keys would be told to whoever reaches {}; let the provider \
                 listen on 127.0.0.1 (--provider-listen)",
                self.provider
            )
        })
    }

    /// Checks what was said.
    pub fn from_args(args: &RunArgs) -> anyhow::Result<Self> {
        let node = args.node()?;
        let mesh = args.mesh_address;
        anyhow::ensure!(
            !mesh.is_unspecified() && !mesh.is_multicast(),
            "the mesh address {mesh} is not the address of one machine: give the one that the other nodes reach"
        );
        anyhow::ensure!(args.gossip_port != 0, "the gossip port cannot be 0: the other nodes must know it");
        anyhow::ensure!(args.raft_port != 0, "Raft's port cannot be 0: the other nodes must know it");
        let gossip = SocketAddr::new(mesh, args.gossip_port);
        let mut peers = Vec::new();
        for peer in args.join.iter().filter(|peer| !peer.trim().is_empty()) {
            peers.push(PeerSource::parse(peer.trim(), args.gossip_port).context("--join")?);
        }
        peers.extend(args.peers_file.clone().map(PeerSource::File));
        let security = if args.insecure_gossip {
            Security::Insecure
        } else {
            Security::Keyring(args.keyring.clone().unwrap_or_else(|| args.secrets_path.join("gossip.key")))
        };
        let secure = |name: &String| args.tls_entry_points.contains(name);
        anyhow::ensure!(
            args.tls_certificates.is_some() || !args.ingress.iter().any(|it| secure(&it.name)),
            "an entry point of --ingress that speaks TLS needs certificates: give --tls-certificates"
        );
        let facts = NodeFacts {
            public: args.public_ip.clone(),
            priority: Priority(args.priority),
            zone: args
                .zone
                .clone()
                .filter(|zone| !zone.is_empty())
                .map(|zone| zone.chars().take(64).collect()),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            ..NodeFacts::at(mesh)
        };
        Ok(Self {
            node,
            named_cluster: args.cluster.clone(),
            cluster: args.cluster.clone().map_or_else(|| DEFAULT_CLUSTER.parse(), Ok)?,
            domain: args.domain.clone(),
            facts,
            gossip,
            peers,
            gateway_ports: args.gateway_ports,
            security,
            runtime: args.runtime,
            docker_socket: args.docker_socket.clone(),
            health_interval: args.health_interval,
            provider: args.provider_listen,
            entry_points: args.entry_points.clone(),
            cert_resolver: args.cert_resolver.clone(),
            labels: LabelConfig {
                exposed_by_default: args.exposed_by_default,
                constraints: args.constraints.clone(),
                default_rule: args.default_rule.clone(),
                domain: args.domain.clone(),
            },
            traefik_failover: args.traefik_failover,
            traefik_dial_timeout: args.traefik_dial_timeout,
            tls_certificates: args.tls_certificates.clone(),
            tls_entry_points: args.tls_entry_points.iter().filter(|name| !name.is_empty()).cloned().collect(),
            ingress: args.ingress.clone(),
            proxy: args.proxy_listen,
            ingress_backend_ca: args.ingress_backend_ca.clone(),
            ingress_access_log: args.ingress_access_log,
            raft: SocketAddr::new(mesh, args.raft_port),
            expect: args.bootstrap_expect,
            founding: settings(args.raft_profile, args.lease_ttl)?,
            seats: SeatPolicy { voters: args.voters },
            dns: DnsSettings::from_args(args)?,
            boot: boot(std::env::var(BOOT_VARIABLE).ok().as_deref()),
            secrets: args.secrets_path.clone(),
            data_dir: args.data_dir.clone(),
            metrics: args.metrics_listen,
            socket: args.socket.clone().unwrap_or_else(|| args.data_dir.join("agent.sock")),
        })
    }
}
