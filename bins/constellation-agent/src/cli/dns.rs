//! What may be said of the zone.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use constellation_core::DomainName;
use constellation_dns::{RecordKind, RecordName, ServiceRecord, cloudflare::PRODUCTION};

use super::{AskArgs, duration};

/// Who keeps the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderArg {
    /// Cloudflare where there is a token, else a zone file; none without a domain.
    Auto,
    /// Cloudflare.
    Cloudflare,
    /// A zone file.
    File,
    /// Nobody: DNS is left alone.
    Off,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ApexArg {
    /// To the holder of the lease `lb-leader`.
    Leader,
    /// To every ingress machine that is there.
    All,
    /// It is left alone.
    Off,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StrategyArg {
    /// Everything, within the guards.
    Sync,
    /// Nothing is removed.
    UpsertOnly,
    /// Nothing is removed or changed.
    CreateOnly,
}

/// Settings of the zone.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "DNS")]
pub struct DnsArgs {
    /// Who keeps the zone
    #[arg(long, env = "DNS_PROVIDER", value_enum, default_value = "auto")]
    pub dns_provider: ProviderArg,
    /// The zone that the domain is in [default: the domain]
    #[arg(long, env = "DNS_ZONE")]
    pub dns_zone: Option<DomainName>,
    /// The zone's id at Cloudflare [default: looked up by the zone's name]
    #[arg(long, env = "CLOUDFLARE_ZONE_ID")]
    pub cloudflare_zone_id: Option<String>,
    /// The file with Cloudflare's API token, mode 0600 [default: SECRETS_PATH/cloudflare.token]
    #[arg(long, env = "CLOUDFLARE_TOKEN_FILE", value_name = "FILE")]
    pub cloudflare_token_file: Option<PathBuf>,
    /// Where Cloudflare's API is, such as a simulator
    #[arg(long, env = "CLOUDFLARE_API", default_value = PRODUCTION, value_name = "URL")]
    pub cloudflare_api: String,
    /// The zone file [default: DATA_DIR/dns/ZONE.zone]
    #[arg(long, env = "DNS_ZONE_FILE", value_name = "FILE")]
    pub dns_zone_file: Option<PathBuf>,
    /// A name server of the zone, for a zone file that is not there yet; may be given several times
    #[arg(long, env = "DNS_NAME_SERVERS", value_delimiter = ',', value_name = "NAME")]
    pub dns_name_server: Vec<RecordName>,
    /// Where the domain and `*.domain` lead
    #[arg(long, env = "DNS_APEX", value_enum, default_value = "leader")]
    pub dns_apex: ApexArg,
    /// Whether each machine has `node.domain` and `*.node.domain`
    #[arg(long, env = "DNS_NODES", default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false")]
    pub dns_nodes: bool,
    /// For how many seconds resolvers may keep an answer that is not proxied
    #[arg(long, env = "DNS_TTL", default_value_t = 60, value_name = "SECONDS")]
    pub dns_ttl: u32,
    /// Have Cloudflare stand in front of the domain and `*.domain`
    #[arg(long, env = "DNS_PROXIED")]
    pub dns_proxied: bool,
    /// A further name, as `NAME=TARGET[,ttl=60][,proxied]` with the target `leader`, `all`, `instances:SERVICE`, `name:OTHER`,
    /// `srv:SERVICE:PORT` or `text:ANYTHING`; may be given several times (in the variable with `;` between them)
    #[arg(long, env = "DNS_RECORDS", value_delimiter = ';', value_name = "NAME=TARGET")]
    pub dns_record: Vec<ServiceRecord>,
    /// What may be done to records of ours
    #[arg(long, env = "DNS_STRATEGY", value_enum, default_value = "sync")]
    pub dns_strategy: StrategyArg,
    /// How many in a hundred of our records may go at once; the share of one machine always may
    #[arg(long, env = "DNS_REMOVALS_PERCENT", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub dns_removals_percent: u8,
    /// How long a machine must be out of sight before its addresses leave names with several
    #[arg(long, env = "DNS_HOLD", default_value = "5s", value_parser = duration)]
    pub dns_hold: Duration,
    /// Make plans and show them, and change nothing in the zone
    #[arg(long, env = "DNS_DRY_RUN")]
    pub dns_dry_run: bool,
    /// Publish addresses that the public Internet cannot reach, too: for a zone that only a private network asks
    #[arg(long, env = "DNS_ANY_ADDRESS")]
    pub dns_any_address: bool,
    /// Ask services on the Internet for this machine's public addresses where no --public-ip is given [default: with
    /// Cloudflare]
    #[arg(long, env = "DNS_DETECT_PUBLIC_IP", action = clap::ArgAction::Set, value_name = "true|false")]
    pub dns_detect_public_ip: Option<bool>,
}

/// Verbs of `dns`.
#[derive(Clone, Debug, Subcommand)]
pub enum DnsCommand {
    /// What looks after the zone, and how the last look at it ended.
    Status(AskArgs),
    /// What would be done now. Exit code 2 when there is something to do.
    Plan(DnsForceArgs),
    /// Do it now; on the node that holds the lease `dns-writer`.
    Apply(DnsForceArgs),
    /// Make records that are there already the cluster's: from then on it changes them.
    Adopt(DnsRecordsArgs),
    /// Let go of records of the cluster: they stay as they are.
    Disown(DnsRecordsArgs),
    /// Print the whole zone as a zone file.
    Export(AskArgs),
}

/// A plan, with or without the guards.
#[derive(Clone, Debug, Args)]
pub struct DnsForceArgs {
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Also what the guards hold back: removing much at once, and the last address of a name
    #[arg(long)]
    pub force: bool,
}

/// Some records.
#[derive(Clone, Debug, Args)]
pub struct DnsRecordsArgs {
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Their whole name
    pub name: RecordName,
    /// Their kind: A, AAAA, CNAME, SRV or TXT [default: A, AAAA and CNAME]
    #[arg(long)]
    pub kind: Option<RecordKind>,
    /// Also records of another cluster, where that is no more
    #[arg(long)]
    pub take_over: bool,
}
