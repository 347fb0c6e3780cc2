//! The same labels read by Traefik itself and by us: one Traefik has them from its Docker provider, which asks a simulated engine, and
//! from ours, and its API must tell the same of both.
//!
//! `CONSTELLATION_E2E_TRAEFIK=path/to/traefik cargo test -p constellation-traefik --features e2e-traefik --test
//! labels_as_traefik`, with Traefik 3.7 or later.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers may panic"
)]

mod cases;
mod support;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use constellation_core::{Health, RouteSet};
use constellation_tasks::{Early, Supervisor, SystemClock};
use constellation_traefik::{LabelConfig, Provider, ProviderConfig, parse_labels};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use self::cases::{CONSTRAINTS, CONTAINERS, DEFAULT_RULE, MIDDLEWARES};
use self::support::{Placed, Traefik, free_port, unchunked, until, view};

type Labels = BTreeMap<String, String>;

fn labels(name: &str, lines: &[&str]) -> Labels {
    let mut labels: Labels = lines
        .iter()
        .map(|line| line.replace("NAME", name))
        .map(|line| line.split_once('=').map(|(label, value)| (label.to_owned(), value.to_owned())).unwrap())
        .collect();
    labels.insert("traefik.enable".to_owned(), "true".to_owned());
    labels
}

/// Every container, by name: one for each middleware, and those above.
fn containers() -> BTreeMap<String, Labels> {
    let with_middleware = MIDDLEWARES.iter().enumerate().map(|(number, fields)| {
        let name = format!("m{number:02}");
        let mut lines = vec![
            "traefik.http.routers.NAME.rule=Host(`NAME.test`)".to_owned(),
            "traefik.http.routers.NAME.entrypoints=web".to_owned(),
            "traefik.http.routers.NAME.middlewares=NAME".to_owned(),
            "traefik.http.services.NAME.loadbalancer.server.port=80".to_owned(),
        ];
        lines.extend(
            fields
                .iter()
                .map(|field| format!("traefik.http.middlewares.NAME.{}", field.replace("SERVICE", &name))),
        );
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        (name.clone(), labels(&name, &lines))
    });
    let whole = CONTAINERS.iter().enumerate().map(|(number, lines)| {
        let name = format!("c{number:02}");
        (name.clone(), labels(&name, lines))
    });
    with_middleware.chain(whole).collect()
}

/// The part of Docker's API that Traefik asks.
async fn engine(containers: Arc<BTreeMap<String, Labels>>, supervisor: &Supervisor) -> SocketAddr {
    async fn list(State(containers): State<Arc<BTreeMap<String, Labels>>>) -> Json<Value> {
        let row = |(name, labels): (&String, &Labels)| json!({ "Id": name, "Names": [format!("/{name}")], "State": "running", "Labels": labels });
        Json(containers.iter().map(row).collect())
    }
    async fn inspect(
        State(containers): State<Arc<BTreeMap<String, Labels>>>,
        Path((_, name)): Path<(String, String)>,
    ) -> Response {
        let Some(labels) = containers.get(&name) else { return StatusCode::NOT_FOUND.into_response() };
        let ports = json!({ "80/tcp": null });
        Json(json!({
            "Id": name, "Name": format!("/{name}"), "State": { "Running": true, "Status": "running" },
            "Config": { "Labels": labels, "ExposedPorts": { "80/tcp": {} } },
            "HostConfig": { "NetworkMode": "bridge" },
            "NetworkSettings": { "Ports": ports, "Networks": { "bridge": { "IPAddress": "127.0.0.1", "NetworkID": "b" } } },
        }))
        .into_response()
    }
    let version =
        || async { Json(json!({ "Version": "28.0.0", "ApiVersion": "1.48", "MinAPIVersion": "1.24" })) };
    let events = || async {
        let forever = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(forever))
    };
    let router = Router::new()
        .route("/_ping", get(|| async { ([("Api-Version", "1.48")], "OK") }))
        .route("/{version}/version", get(version))
        .route("/version", get(version))
        .route("/{version}/events", get(events))
        .route("/{version}/containers/json", get(list))
        .route("/{version}/containers/{name}/json", get(inspect))
        .with_state(containers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = supervisor.shutdown();
    supervisor.spawn("engine", Early::Fine, async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            served = IntoFuture::into_future(axum::serve(listener, router)) => served.unwrap(),
        }
    });
    address
}

/// What Traefik tells of one kind of thing that a provider named, without what differs by where it came from.
fn told(raw: &Value, kind: &str, provider: &str) -> BTreeMap<String, Value> {
    let suffix = format!("@{provider}");
    let all = raw[kind].as_object().cloned().unwrap_or_default();
    all.into_iter()
        .filter_map(|(name, value)| Some((name.strip_suffix(&suffix)?.to_owned(), value)))
        .map(|(name, mut value)| {
            let fields = value.as_object_mut().unwrap();
            // Who uses it is told elsewhere; `using` repeats the entry points.
            for field in ["usedBy", "using", "provider", "serverStatus"] {
                fields.remove(field);
            }
            // With which timeouts a server is connected to is ours to say.
            let balancer = fields.get_mut("loadBalancer").filter(|_| kind == "services");
            if let Some(balancer) = balancer.and_then(Value::as_object_mut) {
                balancer.remove("serversTransport");
            }
            let text = value.to_string().replace(&suffix, "");
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn traefik_tells_the_same_of_labels_whether_it_or_we_have_read_them() {
    let containers = Arc::new(containers());
    let supervisor = Supervisor::new();
    let engine = engine(Arc::clone(&containers), &supervisor).await;
    let reading = LabelConfig {
        constraints: Some(CONSTRAINTS.parse().unwrap()),
        default_rule: Some(DEFAULT_RULE.parse().unwrap()),
        ..LabelConfig::default()
    };
    let sets: Vec<(String, RouteSet)> = containers
        .iter()
        .filter_map(|(name, labels)| {
            let parsed = parse_labels(&name.parse().unwrap(), labels, &[80], &reading);
            Some((name.clone(), parsed.routes?))
        })
        .collect();
    let placed: Vec<Placed<'_>> = sets
        .iter()
        .map(|(name, routes)| Placed {
            node: 1,
            service: name,
            health: Health::Healthy,
            at: ([127, 0, 0, 1], 80).into(),
            routes,
        })
        .collect();
    let (_views, receiver) = watch::channel(view(1, &placed));
    let config = ProviderConfig { listen: ([127, 0, 0, 1], 0).into(), ..ProviderConfig::default() };
    let provider =
        Provider::start(config, receiver, &supervisor, Arc::new(SystemClock::start())).await.unwrap();
    let more = [
        format!("--providers.docker.endpoint=tcp://{engine}"),
        "--providers.docker.exposedByDefault=false".to_owned(),
        format!("--providers.docker.defaultRule={DEFAULT_RULE}"),
        format!("--providers.docker.constraints={CONSTRAINTS}"),
        format!("--entryPoints.mongo.address={}", free_port().await),
        format!("--entryPoints.dns.address={}/udp", free_port().await),
    ];
    let traefik = Traefik::start_with(provider.listen(), &more).await;
    let raw = || async {
        serde_json::from_str::<Value>(&unchunked(&traefik.api("/api/rawdata").await)).unwrap_or_default()
    };
    until("Traefik has read both", || async {
        let raw = raw().await;
        ["c00@docker", "c00@http"].iter().all(|name| raw["routers"].get(name).is_some())
    })
    .await;
    let raw = raw().await;
    let mut differences = Vec::new();
    let mut compared = 0;
    for kind in
        ["middlewares", "tcpMiddlewares", "routers", "services", "tcpRouters", "udpRouters", "tcpServices"]
    {
        let (theirs, ours) = (told(&raw, kind, "docker"), told(&raw, kind, "http"));
        let names: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for name in names {
            let (theirs, ours) = (theirs.get(name), ours.get(name));
            // A router that cannot be served is told of by Traefik as disabled; we leave it out and say so.
            let disabled = theirs.is_some_and(|it| it["status"] == "disabled");
            // Made for failing over, or of a container that Traefik refuses whole because of one label.
            if kind == "services" && theirs.is_none() {
                continue;
            }
            compared += 1;
            if theirs != ours && !(disabled && ours.is_none()) {
                differences.push(format!("{kind} {name}:\n  Traefik {theirs:?}\n  ours    {ours:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {compared}:\n{}", differences.len(), differences.join("\n"));
    assert!(compared >= 75, "{compared}");
    supervisor.drain(support::PATIENCE).await;
}
