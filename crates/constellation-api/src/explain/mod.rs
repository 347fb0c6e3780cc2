//! Why a request goes where it goes: which router wins, and which instances are behind it or not, and why.

mod l4;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use constellation_core::{Health, InstanceId, NodeName, ServiceId};
use constellation_proxy::http::ProxyStatus;
use constellation_rules::Request;
use constellation_traefik::{
    document::{self, Name},
    explain::{Backend, Explained},
};
use serde::{Deserialize, Serialize};

use crate::server::{Agent, Refusal};

/// The longest URL that is asked about, in bytes.
const URL_BYTES_MAX: usize = 8192;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The URL, as a browser has it; or `tls://name`, `tcp://` or `udp://` for what is not HTTP.
    pub url: String,
    /// The method; GET where it is not given.
    #[serde(default)]
    pub method: Option<String>,
    /// The client's address, for rules that look at it.
    #[serde(default)]
    pub client: Option<std::net::IpAddr>,
    /// The entry point, where only routers that are on it are meant. Of connections and datagrams alone.
    #[serde(default)]
    pub entry_point: Option<String>,
    /// The protocols that the client offers by ALPN, with commas between them. Of connections with TLS alone.
    #[serde(default)]
    pub alpn: Option<String>,
}

impl Question {
    /// Asks about a URL, and nothing more.
    pub fn about(url: &str) -> Self {
        Self { url: url.to_owned(), method: None, client: None, entry_point: None, alpn: None }
    }
}

/// A router that takes the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterRow {
    /// Its name.
    pub name: String,
    /// Its rule.
    pub rule: String,
    /// The higher number wins.
    pub priority: i64,
    /// The entry points that it is on.
    pub entry_points: Vec<String>,
    /// What happens on the way.
    pub middlewares: Vec<String>,
    /// Where it leads.
    pub service: String,
}

/// An instance of a service that the request is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendRow {
    /// The service.
    pub service: ServiceId,
    /// Where it runs.
    pub node: NodeName,
    /// Which instance.
    pub instance: InstanceId,
    /// What is known of it.
    pub health: Health,
    /// The server that Traefik is told; `None` where it gets no request.
    pub server: Option<String>,
    /// Why it gets requests, or none.
    pub why: String,
    /// The breaker of this node's own ingress, where it has one and sends requests there: `closed`, `open` or `half-open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The routers that take the request; the first wins.
    pub routers: Vec<RouterRow>,
    /// The instances, those that get requests first.
    pub backends: Vec<BackendRow>,
    /// Servers that no known instance has: of a run or a container that is gone, and kept for now.
    pub others: Vec<String>,
    /// What comes of the request, in a sentence.
    pub outcome: String,
}

pub(crate) fn routes() -> Router<Arc<dyn Agent>> {
    Router::new().route("/v1/explain", get(answer))
}

async fn answer(
    State(agent): State<Arc<dyn Agent>>,
    Query(question): Query<Question>,
) -> Result<Json<Explanation>, Refusal> {
    if let Some(traffic) = l4::traffic(&question).map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))? {
        let explained = agent.explain_l4(&traffic, question.entry_point.as_deref());
        return explained.map(|it| Json(l4::explanation(&it, &traffic))).ok_or_else(no_routes);
    }
    let request = request(&question).map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, why))?;
    let explained = agent.explain(&request).ok_or_else(no_routes)?;
    let mut answer = explanation(&explained);
    if let Some(ingress) = agent.ingress() {
        tell_breakers(&mut answer, &ingress);
    }
    Ok(Json(answer))
}

fn no_routes() -> Refusal {
    let why = "the agent has no routes yet: it has just started, and tells its Traefik to keep what it has";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn request(question: &Question) -> Result<Request, String> {
    if question.url.len() > URL_BYTES_MAX {
        return Err(format!("the URL has more than {URL_BYTES_MAX} bytes"));
    }
    if question.alpn.is_some() {
        return Err("rules of HTTP do not look at ALPN: ask about tls://NAME, or leave it out".to_owned());
    }
    if question.entry_point.is_some() {
        return Err(
            "routers of HTTP are not told apart by entry point yet: leave it out, and see which ones each of them is on".to_owned()
        );
    }
    // People write a host and a path, and mean HTTP.
    let whole =
        if question.url.contains("://") { question.url.clone() } else { format!("http://{}", question.url) };
    let url = url::Url::parse(&whole).map_err(|error| format!("`{}` is no URL: {error}", question.url))?;
    let host = url.host_str().ok_or_else(|| format!("`{}` names no host", question.url))?;
    Ok(Request {
        method: question.method.as_deref().unwrap_or("GET").to_ascii_uppercase(),
        host: host.to_owned(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: Vec::new(),
        client: question.client,
    })
}

fn explanation(explained: &Explained) -> Explanation {
    let row = |(name, router): &(Name, document::Router)| RouterRow {
        name: name.to_string(),
        rule: router.rule.clone(),
        priority: router.priority,
        entry_points: texts(&router.entry_points),
        middlewares: texts(&router.middlewares),
        service: router.service.to_string(),
    };
    let led = Led {
        backends: &explained.backends,
        servers: &explained.servers,
        elsewhere: explained.elsewhere.as_ref(),
    };
    let routers = explained.routers.iter().map(row).collect();
    led.explanation(routers, "no router takes it: Traefik answers 404", "Traefik answers 503")
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Where the router that wins leads to.
struct Led<'e> {
    backends: &'e [Backend],
    servers: &'e [Name],
    elsewhere: Option<&'e Name>,
}

impl Led<'_> {
    /// The answer, with what is to be said where no router takes it, and what happens where no server is behind the one that does.
    fn explanation(self, routers: Vec<RouterRow>, nobody: &str, without_server: &str) -> Explanation {
        let outcome = match (routers.first(), self.elsewhere) {
            (None, _) => nobody.to_owned(),
            (Some(router), Some(service)) => {
                format!("`{}` takes it and leads to `{service}`, which another provider defines", router.name)
            }
            (Some(router), None) if self.servers.is_empty() => {
                format!("`{}` takes it, and its service has no server now: {without_server}", router.name)
            }
            (Some(router), None) => {
                let count = self.servers.len();
                let plural = if count == 1 { "" } else { "s" };
                format!("`{}` takes it and leads to {count} server{plural}", router.name)
            }
        };
        let (backends, others) = self.rows();
        Explanation { routers, backends, others, outcome }
    }

    /// The instances, and the servers that are none of theirs.
    fn rows(&self) -> (Vec<BackendRow>, Vec<String>) {
        let known =
            |server: &&Name| self.backends.iter().any(|backend| backend.server.as_ref() == Some(server));
        let others = self.servers.iter().filter(|server| !known(server)).map(ToString::to_string).collect();
        let row = |backend: &Backend| BackendRow {
            service: backend.service.clone(),
            node: backend.node.clone(),
            instance: backend.instance.clone(),
            health: backend.health,
            server: backend.server.as_ref().map(ToString::to_string),
            why: backend.standing.to_string(),
            breaker: None,
        };
        (self.backends.iter().map(row).collect(), others)
    }
}

/// Adds what this node's own ingress has learnt of the servers.
fn tell_breakers(answer: &mut Explanation, ingress: &ProxyStatus) {
    let service = answer.routers.first().map(|router| router.service.clone()).unwrap_or_default();
    for row in &mut answer.backends {
        let address = row.server.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
        // The proxy's service is the plain one of all that the router's may be made of.
        row.breaker = ingress
            .backends
            .iter()
            .filter(|backend| service.starts_with(&backend.service))
            .find(|backend| address == Some(backend.address.to_string().as_str()))
            .map(|backend| backend.breaker.clone());
        if row.breaker.as_deref().is_some_and(|breaker| breaker != "closed") {
            row.why
                .push_str("; but it did not answer this node's ingress, which leaves it alone for a while");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Question {
        Question { method: Some("post".to_owned()), ..Question::about(url) }
    }

    #[test]
    fn a_url_is_read_as_a_browser_reads_it_and_a_host_alone_is_enough() {
        let whole = request(&asked("https://App.example.org:8443/a%20b?page=2&debug#part")).unwrap();
        assert_eq!(
            (whole.host.as_str(), whole.path.as_str(), whole.method.as_str()),
            ("app.example.org", "/a%20b", "POST")
        );
        let query = [("page".to_owned(), "2".to_owned()), ("debug".to_owned(), String::new())];
        assert_eq!(whole.query, query);
        let short = request(&asked("app.example.org/x")).unwrap();
        assert_eq!((short.host.as_str(), short.path.as_str()), ("app.example.org", "/x"));
    }

    #[test]
    fn what_is_no_url_is_refused_in_words() {
        for url in ["http://", "http://[::1", &format!("http://a/{}", "x".repeat(URL_BYTES_MAX))] {
            assert!(request(&asked(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn what_would_change_nothing_about_http_is_refused() {
        let offering = Question { alpn: Some("h2".to_owned()), ..asked("https://a.test") };
        let entering = Question { entry_point: Some("web".to_owned()), ..asked("a.test") };
        assert!(request(&offering).unwrap_err().contains("ALPN"));
        assert!(request(&entering).unwrap_err().contains("entry point"));
    }
}
