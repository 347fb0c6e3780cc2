//! Cloudflare, by its API v4.
//!
//! Requests are built from the `cloudflare` crate's own pieces (endpoint, environment, credentials), and sent here: its client
//! hands on neither the headers that say how much may still be asked, nor codes above 65,535, which those of DNS are. Records
//! are read leniently: one kind that nobody knew when this was written must not hide the whole zone.

mod answer;
mod budget;
mod endpoints;
mod wire;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cloudflare::framework::{Environment, auth::Credentials};
use constellation_core::{Clock, DomainName};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

pub use self::budget::Budget;
use self::{
    answer::{Answer, Envelope, Problem},
    endpoints::{Call, PER_PAGE},
};
use crate::{
    owner::Marker,
    plan::Change,
    provider::{DnsError, DnsProvider, Usage},
    record::Found,
    rules::Rules,
};

/// Where the API is.
pub const PRODUCTION: &str = "https://api.cloudflare.com/client/v4/";
/// How long a request may take. A lease is renewed more often than that, so a request that hangs is soon nobody's.
const PATIENCE: Duration = Duration::from_secs(5);
/// More pages than this has no zone that we could look after.
const PAGES_MAX: usize = 200;
/// The largest answer, in bytes: a page of the longest records.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Settings of a zone at Cloudflare.
#[derive(Clone, Debug)]
pub struct CloudflareConfig {
    /// Where the API is: [`PRODUCTION`], or a simulator.
    pub api: String,
    /// The file with the API token, mode 0600. It needs Zone.Zone read and Zone.DNS edit, for this zone alone.
    pub token: PathBuf,
    /// The zone's name.
    pub zone: DomainName,
    /// The zone's id; looked up by the name where it is not given.
    pub zone_id: Option<String>,
}

/// A zone at Cloudflare.
pub struct Cloudflare {
    config: CloudflareConfig,
    environment: Environment,
    http: reqwest::Client,
    budget: Budget,
    clock: Arc<dyn Clock>,
    zone_id: OnceCell<String>,
    requests: AtomicU64,
}

impl Cloudflare {
    /// A client. Nothing is asked yet; the token is read at every request, so that a new one counts at once.
    pub fn new(config: CloudflareConfig, clock: Arc<dyn Clock>) -> Result<Self, DnsError> {
        let setting = |why: String| DnsError::Setting(why);
        // The last part of a path without a slash is lost when another path is joined to it.
        let api = if config.api.ends_with('/') { config.api.clone() } else { format!("{}/", config.api) };
        let url =
            reqwest::Url::parse(&api).map_err(|error| setting(format!("`{api}` is no URL: {error}")))?;
        let loopback = url.host_str().is_some_and(|host| {
            host == "localhost"
                || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(setting(format!("`{api}` would send the token in the clear: write https://")));
        }
        let wrong = |id: &&String| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if let Some(id) = config.zone_id.as_ref().filter(wrong) {
            return Err(setting(format!(
                "`{id}` is no zone id: it is 32 letters and digits, on the zone's overview page"
            )));
        }
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // A redirect would carry the token elsewhere, and the API knows none.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| setting(format!("no HTTP client could be made: {error}")))?;
        Ok(Self {
            environment: Environment::Custom(api),
            http,
            budget: Budget::new(),
            clock,
            zone_id: OnceCell::new_with(config.zone_id.clone()),
            requests: AtomicU64::new(0),
            config,
        })
    }

    /// Asks whether the token is a good one, and finds the zone.
    pub async fn verify(&self) -> Result<String, DnsError> {
        let verified: Envelope<answer::TokenStatus> = self.ask(Call::verify()).await?;
        match verified.result.map(|token| token.status) {
            Some(status) if status == "active" => self.zone().await,
            status => Err(DnsError::Denied {
                place: self.place(),
                said: format!("the token is {}", status.as_deref().unwrap_or("unknown")),
                advice: "make a new one at dash.cloudflare.com/profile/api-tokens (Zone.Zone read, Zone.DNS edit)",
            }),
        }
    }

    async fn zone(&self) -> Result<String, DnsError> {
        let find = async || {
            let found: Envelope<Vec<answer::Zone>> = self.ask(Call::zones(self.config.zone.as_str())).await?;
            let zones = found.result.unwrap_or_default();
            let zone = zones.into_iter().find(|zone| zone.name == self.config.zone.as_str());
            zone.map(|zone| zone.id).ok_or_else(|| DnsError::NoZone { place: self.place() })
        };
        self.zone_id.get_or_try_init(find).await.cloned()
    }

    /// Sends one request, if we may.
    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<Envelope<T>, DnsError> {
        let limited = |wait| DnsError::RateLimited { place: self.place(), wait };
        self.budget.take(self.clock.now()).map_err(limited)?;
        let token = constellation_security::read_secret(&self.config.token)?;
        let token = std::str::from_utf8(&token).map(str::trim).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(DnsError::Setting(format!("{} holds no API token", self.config.token.display())));
        }
        // The crate's credentials print the token where they are printed, so they live for this one request.
        let credentials = Credentials::UserAuthToken { token: token.to_owned() };
        let writes = call.writes();
        let deed = call.deed(&self.place());
        let mut request = self.http.request(call.method(), call.url(&self.environment));
        for (name, value) in credentials.headers() {
            request = request.header(name, value);
        }
        if let Some(body) = call.json() {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let unclear = |error: reqwest::Error| {
            let (sent, source) = (!error.is_connect(), Box::new(error.without_url()));
            if writes && sent {
                DnsError::Unknown { deed: deed.clone(), source }
            } else {
                DnsError::Unreachable { deed: deed.clone(), source }
            }
        };
        let mut response = request.send().await.map_err(unclear)?;
        let status = response.status();
        self.budget.hear(response.headers(), self.clock.now());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unclear)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX {
                return Err(DnsError::Incomplete {
                    place: self.place(),
                    why: "the answer is far too long".to_owned(),
                });
            }
        }
        let answer = Answer { status, headers: response.headers(), body: &body };
        answer.read(&Problem {
            place: &self.place(),
            deed: &deed,
            writes,
            budget: &self.budget,
            now: self.clock.now(),
        })
    }

    async fn page(&self, zone: &str, page: usize) -> Result<(Vec<Found>, answer::ResultInfo), DnsError> {
        let envelope: Envelope<Vec<wire::WireRecord>> = self.ask(Call::records(zone, page)).await?;
        let incomplete = |why: &str| DnsError::Incomplete { place: self.place(), why: why.to_owned() };
        let info =
            envelope.result_info.ok_or_else(|| incomplete("the answer does not say how many there are"))?;
        let records = envelope.result.ok_or_else(|| incomplete("the answer has no list"))?;
        Ok((records.into_iter().map(wire::WireRecord::found).collect(), info))
    }
}

#[async_trait]
impl DnsProvider for Cloudflare {
    fn place(&self) -> String {
        format!("zone {} at Cloudflare", self.config.zone)
    }

    fn rules(&self) -> Rules {
        Rules::CLOUDFLARE
    }

    async fn records(&self) -> Result<Vec<Found>, DnsError> {
        let zone = self.zone().await?;
        let incomplete = |why: String| DnsError::Incomplete { place: self.place(), why };
        let (mut all, first) = self.page(&zone, 1).await?;
        let mut page = 1;
        while all.len() < first.total_count {
            page += 1;
            if page > PAGES_MAX {
                return Err(incomplete(format!("there are more than {PAGES_MAX} pages of {PER_PAGE}")));
            }
            let (more, info) = self.page(&zone, page).await?;
            if info.total_count != first.total_count {
                return Err(incomplete("the zone changed while it was read".to_owned()));
            }
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        let mut ids: Vec<&str> = all.iter().map(|found| found.id.0.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != all.len() || all.len() != first.total_count {
            let (read, said) = (ids.len(), first.total_count);
            return Err(incomplete(format!("{read} different ones came, and {said} were announced")));
        }
        Ok(all)
    }

    async fn apply(&self, batch: &[Change], marker: &Marker) -> Result<(), DnsError> {
        if batch.is_empty() {
            return Ok(());
        }
        let zone = self.zone().await?;
        let body = wire::Batch::of(batch, marker);
        let done: Envelope<serde_json::Value> = self.ask(Call::batch(&zone, &body)?).await?;
        drop(done);
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            left: Some(self.budget.left(self.clock.now())),
        }
    }
}

#[cfg(test)]
mod tests;
