//! What the command line means for the zone, checked.

use anyhow::Context;
use constellation_core::ClusterId;
use constellation_dns::{
    ControllerConfig, DnsConfig, Guard, Mode, Patience, Strategy, Ttl, ZoneFileConfig,
    cloudflare::{CloudflareConfig, PRODUCTION},
    public_address::is_public,
};

use crate::cli::{ApexArg, ProviderArg, RunArgs, StrategyArg};

/// Where the zone is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// At Cloudflare.
    Cloudflare(CloudflareConfig),
    /// In a file.
    File(ZoneFileConfig),
}

/// Settings of the zone.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Where it is kept.
    pub place: Place,
    /// What is wanted of it.
    pub dns: DnsConfig,
    /// How long silent machines are waited for.
    pub patience: Patience,
    /// What may be done.
    pub strategy: Strategy,
    /// How much of it at once.
    pub guard: Guard,
    /// Make plans, and carry none out.
    pub dry_run: bool,
    /// Whether this machine's public addresses are asked for.
    pub detect: bool,
}

impl DnsSettings {
    /// Checks what was said. `None` where no zone is looked after.
    pub fn from_args(args: &RunArgs) -> anyhow::Result<Option<Self>> {
        let said = &args.dns;
        let token =
            said.cloudflare_token_file.clone().unwrap_or_else(|| args.secrets_path.join("cloudflare.token"));
        let cloudflare = match (said.dns_provider, &args.domain) {
            (ProviderArg::Off, _) | (ProviderArg::Auto, None) => return Ok(None),
            // What cannot be read is said when it is read: a token of the wrong mode is no reason to write a file instead.
            (ProviderArg::Auto, Some(_)) => {
                said.cloudflare_token_file.is_some() || token.symlink_metadata().is_ok()
            }
            (ProviderArg::Cloudflare, _) => true,
            (ProviderArg::File, _) => false,
        };
        let domain =
            args.domain.clone().context("DNS needs a domain: give --domain, or --dns-provider off")?;
        let zone = said.dns_zone.clone().unwrap_or_else(|| domain.clone());
        let within = domain == zone || domain.as_str().ends_with(&format!(".{zone}"));
        anyhow::ensure!(within, "the domain {domain} is not in the zone {zone} (--dns-zone)");
        if !said.dns_any_address {
            let private = args.public_ip.iter().find(|address| !is_public(**address));
            anyhow::ensure!(
                private.is_none() || !cloudflare,
                "--public-ip {} is not an address of the public Internet, and would not be published: leave it out, or say \
                 --dns-any-address",
                private.map(ToString::to_string).unwrap_or_default()
            );
        }
        let place = if cloudflare {
            Place::Cloudflare(CloudflareConfig {
                api: said.cloudflare_api.clone(),
                token,
                zone: zone.clone(),
                zone_id: said.cloudflare_zone_id.clone().filter(|id| !id.is_empty()),
            })
        } else {
            let default = || args.data_dir.join("dns").join(format!("{zone}.zone"));
            Place::File(ZoneFileConfig {
                path: said.dns_zone_file.clone().unwrap_or_else(default),
                zone: zone.clone(),
                name_servers: said.dns_name_server.clone(),
            })
        };
        let dns = DnsConfig {
            zone,
            apex: match said.dns_apex {
                ApexArg::Leader => Mode::Leader,
                ApexArg::All => Mode::All,
                ApexArg::Off => Mode::Off,
            },
            nodes: said.dns_nodes,
            ttl: Ttl(said.dns_ttl),
            proxied: said.dns_proxied,
            services: said.dns_record.clone(),
            any_address: said.dns_any_address,
            ..DnsConfig::of(domain)
        };
        let strategy = match said.dns_strategy {
            StrategyArg::Sync => Strategy::Sync,
            StrategyArg::UpsertOnly => Strategy::UpsertOnly,
            StrategyArg::CreateOnly => Strategy::CreateOnly,
        };
        let asks = said.dns_detect_public_ip.unwrap_or(cloudflare && said.cloudflare_api == PRODUCTION);
        Ok(Some(Self {
            place,
            dns,
            patience: Patience { hold: said.dns_hold, ..Patience::default() },
            strategy,
            guard: Guard { percent: said.dns_removals_percent, ..Guard::default() },
            dry_run: said.dns_dry_run,
            detect: asks && args.public_ip.is_empty(),
        }))
    }

    pub(super) fn controller(&self, cluster: ClusterId) -> ControllerConfig {
        ControllerConfig {
            patience: self.patience,
            strategy: self.strategy,
            guard: self.guard,
            dry_run: self.dry_run,
            ..ControllerConfig::of(cluster, self.dns.clone())
        }
    }
}
