//! What an answer means, and what to do about one that says no.

use constellation_core::Moment;
use reqwest::{StatusCode, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};

use super::budget::Budget;
use crate::provider::DnsError;

/// What every answer is wrapped in. <https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/>
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Envelope<T> {
    success: bool,
    #[serde(default)]
    errors: Vec<Said>,
    #[serde(default = "Option::default")]
    pub(super) result: Option<T>,
    #[serde(default)]
    pub(super) result_info: Option<ResultInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ResultInfo {
    pub(super) total_count: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenStatus {
    pub(super) status: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Said {
    code: u32,
    #[serde(default)]
    message: String,
}

/// An answer, as it came.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// What an error is to be told with.
pub(super) struct Problem<'a> {
    pub(super) place: &'a str,
    pub(super) deed: &'a str,
    pub(super) writes: bool,
    pub(super) budget: &'a Budget,
    pub(super) now: Moment,
}

impl Answer<'_> {
    /// The envelope of a success; else what the answer means.
    pub(super) fn read<T: DeserializeOwned>(&self, problem: &Problem<'_>) -> Result<Envelope<T>, DnsError> {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let wait = problem.budget.refused(self.headers, problem.now);
            return Err(DnsError::RateLimited { place: problem.place.to_owned(), wait });
        }
        if self.status.is_success() {
            let read: Result<Envelope<T>, _> = serde_json::from_slice(self.body);
            return match read {
                Ok(envelope) if envelope.success => Ok(envelope),
                Ok(envelope) => Err(self.refused(&envelope.errors, problem)),
                // It was accepted, or so it seems: a write counts as one of which nothing is known.
                Err(error) => Err(unclear(problem, format!("the answer is not of the API's form: {error}"))),
            };
        }
        let said = serde_json::from_slice::<Envelope<serde_json::Value>>(self.body);
        let errors = said.map(|envelope| envelope.errors).unwrap_or_default();
        Err(self.refused(&errors, problem))
    }

    fn refused(&self, errors: &[Said], problem: &Problem<'_>) -> DnsError {
        let first = errors.first();
        let code = first.map(|said| said.code);
        let status = self.status;
        let said = match errors {
            [] => format!("HTTP {status}"),
            _ => errors
                .iter()
                .map(|said| format!("{}: {}", said.code, said.message))
                .collect::<Vec<_>>()
                .join("; "),
        };
        let place = problem.place.to_owned();
        match (status.as_u16(), code) {
            (500.., _) => unclear(problem, said),
            (404, _) | (_, Some(7003 | 7000 | 1001)) => DnsError::NoZone { place },
            (401 | 403, _) | (_, Some(9109 | 10000 | 6003 | 1000)) => {
                DnsError::Denied { place, said, advice: advice_on_token(code) }
            }
            _ => DnsError::Refused { deed: problem.deed.to_owned(), code, said, advice: advice(code) },
        }
    }
}

fn unclear(problem: &Problem<'_>, said: String) -> DnsError {
    let (deed, source) = (problem.deed.to_owned(), said.into());
    if problem.writes { DnsError::Unknown { deed, source } } else { DnsError::Unreachable { deed, source } }
}

fn advice_on_token(code: Option<u32>) -> &'static str {
    match code {
        Some(1000 | 6003 | 6111) => {
            "the file holds no valid API token: write one there (an API token, not the global key)"
        }
        Some(9109) => "the token has expired, is switched off, or may not be used from this address",
        _ => {
            "give the token Zone.Zone read and Zone.DNS edit for this zone, at dash.cloudflare.com/profile/api-tokens"
        }
    }
}

/// What helps, by the API's number for what is wrong.
fn advice(code: Option<u32>) -> &'static str {
    match code {
        Some(81053 | 81054) => {
            "another record of that name stands in the way (an address and an alias cannot share one): see \
             `constellation-agent dns plan`, remove it or adopt it"
        }
        Some(81057 | 81058) => "there is such a record already, which is not ours: adopt it or remove it",
        Some(81044 | 81061) => "the record went meanwhile: nothing to do, the next look will show it",
        Some(81045) => "the zone has as many records as its plan allows: remove some, or take a larger plan",
        Some(9005..=9009) => {
            "the record's content is not of its kind's form: look at `constellation-agent dns plan`"
        }
        Some(9313) => {
            "the comment, which says whose the record is, is too long for the zone's plan: shorten the cluster's name"
        }
        Some(1004) => {
            "Cloudflare does not take a record as it is (its TTL, whether it is proxied, its content): look at \
                       `constellation-agent dns plan`"
        }
        _ => {
            "look the number up at developers.cloudflare.com/api, and at `constellation-agent dns plan` for what was tried"
        }
    }
}
