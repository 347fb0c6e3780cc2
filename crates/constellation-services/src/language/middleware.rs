//! What happens to a request on its way: definitions of Traefik's middlewares.

use std::collections::BTreeMap;

use serde::Serialize;

/// A middleware that the service defines by its labels, for its own routes and everybody else's (`name@docker`).
///
/// ```
/// use constellation_services::prelude::*;
/// let gzip = Middleware::compress("gzip");
/// let auth = Middleware::forward_auth("sso", "http://auth:3000/verify").response_headers(["Remote-User"]);
/// let limit = Middleware::new("limit", "rateLimit").set("average", "100").set("burst", "50");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Middleware {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Middleware {
    /// Any middleware that Traefik has, by the name of its section in Traefik's documentation. Fields are added with
    /// [`set`](Self::set).
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { name: name.into(), kind: kind.into(), fields: BTreeMap::new() }
    }

    /// Compresses answers.
    pub fn compress(name: impl Into<String>) -> Self {
        Self::new(name, "compress")
    }

    /// Asks this address who is there, and passes the request on where it answers with 2xx.
    pub fn forward_auth(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self::new(name, "forwardAuth").set("address", address)
    }

    /// Sends who comes to `regex` to `replacement`.
    pub fn redirect_regex(
        name: impl Into<String>,
        regex: impl Into<String>,
        replacement: impl Into<String>,
    ) -> Self {
        Self::new(name, "redirectRegex")
            .set("regex", regex)
            .set("replacement", replacement)
            .set("permanent", "false")
    }

    /// Answers of these statuses (`400-599`) are replaced by what `service` answers to `query` (`/error/{status}`).
    pub fn errors(
        name: impl Into<String>,
        status: impl Into<String>,
        service: impl Into<String>,
        query: impl Into<String>,
    ) -> Self {
        Self::new(name, "errors").set("status", status).set("service", service).set("query", query)
    }

    /// Takes this prefix off the path.
    pub fn strip_prefix(name: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::new(name, "stripPrefix").set("prefixes", prefix)
    }

    /// Lets only these ranges in.
    pub fn allow_from<I: IntoIterator<Item = S>, S: AsRef<str>>(name: impl Into<String>, ranges: I) -> Self {
        Self::new(name, "ipAllowList").set("sourceRange", joined(ranges))
    }

    /// The headers that the authenticating service hands over to the routed one.
    #[must_use]
    pub fn response_headers<I: IntoIterator<Item = S>, S: AsRef<str>>(self, headers: I) -> Self {
        self.set("authResponseHeaders", joined(headers))
    }

    /// Believes the `X-Forwarded-*` headers of who asks.
    #[must_use]
    pub fn trust_forward_header(self) -> Self {
        self.set("trustForwardHeader", "true")
    }

    /// Redirects for good: browsers remember it.
    #[must_use]
    pub fn permanent(self) -> Self {
        self.set("permanent", "true")
    }

    /// A field of it, dots for what is nested.
    #[must_use]
    pub fn set(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }
}

fn joined<I: IntoIterator<Item = S>, S: AsRef<str>>(items: I) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    items.join(",")
}
