//! The five requests that are made, as endpoints of the `cloudflare` crate.

use cloudflare::framework::{
    Environment,
    endpoint::{RequestBody, serialize_query, spec::EndpointSpec},
    response::ApiSuccess,
};
use reqwest::Method;

use super::wire::Batch;
use crate::provider::DnsError;

/// Records a page: a zone of the usual size is one request.
pub(super) const PER_PAGE: usize = 1000;

/// One request.
pub(super) struct Call {
    method: Method,
    path: String,
    query: Option<String>,
    body: Option<String>,
    what: &'static str,
}

impl EndpointSpec for Call {
    type JsonResponse = ();
    type ResponseType = ApiSuccess<()>;

    fn method(&self) -> Method {
        self.method.clone()
    }

    fn path(&self) -> String {
        self.path.clone()
    }

    fn query(&self) -> Option<String> {
        self.query.clone()
    }

    fn body(&self) -> Option<RequestBody<'_>> {
        self.body.clone().map(RequestBody::Json)
    }
}

impl Call {
    fn get(what: &'static str, path: String, query: &[(&str, String)]) -> Self {
        let query = if query.is_empty() { None } else { serialize_query(&query) };
        Self { method: Method::GET, path, query, body: None, what }
    }

    /// <https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/>
    pub(super) fn verify() -> Self {
        Self::get("verify the token for", "user/tokens/verify".to_owned(), &[])
    }

    /// <https://developers.cloudflare.com/api/resources/zones/methods/list/>
    pub(super) fn zones(name: &str) -> Self {
        Self::get("find", "zones".to_owned(), &[("name", name.to_owned())])
    }

    /// <https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/>
    pub(super) fn records(zone: &str, page: usize) -> Self {
        let query = [("page", page.to_string()), ("per_page", PER_PAGE.to_string())];
        Self::get("read the records of", format!("zones/{zone}/dns_records"), &query)
    }

    /// <https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/batch/>
    pub(super) fn batch(zone: &str, batch: &Batch<'_>) -> Result<Self, DnsError> {
        let body = serde_json::to_string(batch)
            .map_err(|error| DnsError::Setting(format!("a batch could not be written as JSON: {error}")))?;
        let path = format!("zones/{zone}/dns_records/batch");
        Ok(Self { method: Method::POST, path, query: None, body: Some(body), what: "change records of" })
    }

    /// Whether it changes anything.
    pub(super) fn writes(&self) -> bool {
        self.method != Method::GET
    }

    pub(super) fn deed(&self, place: &str) -> String {
        format!("{} {place}", self.what)
    }

    /// Its body.
    pub(super) fn json(&self) -> Option<String> {
        self.body.clone()
    }

    pub(super) fn method(&self) -> Method {
        self.method.clone()
    }

    pub(super) fn url(&self, environment: &Environment) -> reqwest::Url {
        EndpointSpec::url(self, environment)
    }
}
