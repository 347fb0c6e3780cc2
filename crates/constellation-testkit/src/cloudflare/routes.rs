//! The paths, and what is answered there.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State as Shared},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    fault::Fault,
    server::{Rights, Simulator, Token},
    zone::{Batch, Refused, Zone, read},
};

type Params = Query<BTreeMap<String, String>>;

pub(super) fn router(simulator: Simulator) -> Router {
    let api = Router::new()
        .route("/user/tokens/verify", get(verify))
        .route("/zones", get(zones))
        .route("/zones/{zone}", get(zone))
        .route("/zones/{zone}/dns_records", get(list).post(create))
        .route("/zones/{zone}/dns_records/batch", post(batch))
        .route("/zones/{zone}/dns_records/{id}", get(one).patch(change).put(change).delete(delete))
        .layer(middleware::from_fn_with_state(simulator.clone(), misbehave))
        .layer(middleware::from_fn_with_state(simulator.clone(), dated));
    let control = Router::new().route("/faults", post(order)).route("/zones/{name}", get(look));
    Router::new()
        .nest("/client/v4", api)
        // Not of the real one: to order faults, and to look without being counted.
        .nest("/simulator", control)
        .fallback(|| async {
            Answer::error(StatusCode::NOT_FOUND, 7000, "No route for that URI").with_budget(0, 0)
        })
        .with_state(simulator)
}

/// Every answer says when it was given, by the simulator's calendar.
async fn dated(Shared(simulator): Shared<Simulator>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(date) = httpdate::fmt_http_date(simulator.date()).parse() {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// What fails before or after the deed.
async fn misbehave(Shared(simulator): Shared<Simulator>, request: Request, next: Next) -> Response {
    let budget = simulator.charge();
    let fault = simulator.with(|state| state.faults.pop_front());
    let too_many = |seconds: u64| {
        // A 429 says when to come back. <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
        let answer =
            Answer::error(StatusCode::TOO_MANY_REQUESTS, 10429, "Rate limited. Please wait and try again.");
        let mut response = answer.with_budget(0, seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        response
    };
    if let Err(seconds) = budget {
        return too_many(seconds);
    }
    let writes = request.method() != Method::GET;
    match fault {
        Some(Fault::TooManyRequests(seconds)) => return too_many(seconds),
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, [(header::CONTENT_TYPE, "text/html")], "<html><h1>error</h1></html>")
                .into_response();
        }
        Some(Fault::Broken) => return broken(),
        _ => {}
    }
    let mut request = request;
    if let Some(fault) = fault {
        request.extensions_mut().insert(fault);
    }
    if writes {
        simulator.with(|state| {
            state.before = state.zones.clone();
            state.changed = Some(simulator.clock.now());
        });
    }
    let response = next.run(request).await;
    if writes && response.status().is_success() {
        simulator.with(|state| state.written += 1);
    }
    match fault {
        Some(Fault::BrokenAfterwards) => broken(),
        Some(Fault::SilentAfterwards) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            response
        }
        _ => response,
    }
}

/// An answer that ends in the middle.
fn broken() -> Response {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let mut response = Response::new(Body::from_stream(Cut(Some(cut))));
    response.headers_mut().insert(header::CONTENT_LENGTH, 4096.into());
    response
}

struct Cut(Option<std::io::Error>);

impl futures::Stream for Cut {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Err))
    }
}

/// Whose token it is. <https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/>;
/// the numbers are seen in github.com/cloudflare/cloudflare-go and many reports: 6003 for a header that is none, 1000 for a
/// token that is none, 9109 for one that is over, 10000 for one without the right.
fn token(simulator: &Simulator, headers: &HeaderMap) -> Result<Token, Answer> {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(text) = bearer else {
        return Err(Answer::error(StatusCode::BAD_REQUEST, 6003, "Invalid request headers"));
    };
    let token = simulator.with(|state| state.tokens.get(text).cloned());
    token.ok_or_else(|| Answer::error(StatusCode::UNAUTHORIZED, 1000, "Invalid API Token"))
}

async fn verify(Shared(simulator): Shared<Simulator>, headers: HeaderMap) -> Response {
    let answer = match token(&simulator, &headers) {
        Ok(token) => Answer::ok(json!({ "id": format!("{:032x}", 1), "status": token.status })),
        Err(answer) => answer,
    };
    respond(&simulator, answer)
}

fn respond(simulator: &Simulator, answer: Answer) -> Response {
    let left = simulator.with(|state| simulator.limits.requests_max.saturating_sub(state.requests.len()));
    answer.with_budget(left, 300)
}

fn about(zone: &Zone) -> Json {
    json!({
        "id": zone.id, "name": zone.name, "status": "active", "paused": false, "type": "full",
        "plan": { "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": "Free Website" },
    })
}

async fn zones(Shared(simulator): Shared<Simulator>, headers: HeaderMap, Query(params): Params) -> Response {
    let answer = match token(&simulator, &headers) {
        Err(answer) => answer,
        Ok(token) => {
            let seen = |zone: &&Zone| {
                token.zones.contains(&zone.name) && params.get("name").is_none_or(|name| *name == zone.name)
            };
            let found: Vec<Json> =
                simulator.with(|state| state.zones.iter().filter(seen).map(about).collect());
            let total = found.len();
            Answer::page(found, 1, 20, total)
        }
    };
    respond(&simulator, answer)
}

/// Does something with a zone that the token may see.
fn within(
    simulator: &Simulator,
    headers: &HeaderMap,
    id: &str,
    writes: bool,
    deed: impl FnOnce(&mut Zone) -> Result<Answer, Refused>,
) -> Response {
    let done = token(simulator, headers).and_then(|token| {
        if token.status != "active" {
            return Err(Answer::error(
                StatusCode::FORBIDDEN,
                9109,
                "Unauthorized to access requested resource",
            ));
        }
        simulator.with(|state| {
            let zone = state.zones.iter_mut().find(|zone| zone.id == id);
            let Some(zone) = zone else {
                let text =
                    format!("Could not route to /zones/{id}, perhaps your object identifier is invalid?");
                return Err(Answer::error(StatusCode::BAD_REQUEST, 7003, &text));
            };
            let may = match token.rights {
                Rights::Edit => true,
                Rights::Read => !writes,
                Rights::None => false,
            };
            if !may || !token.zones.contains(&zone.name) {
                return Err(Answer::error(StatusCode::FORBIDDEN, 10000, "Authentication error"));
            }
            deed(zone).map_err(|(code, text)| Answer::error(StatusCode::BAD_REQUEST, code, &text))
        })
    });
    respond(simulator, done.unwrap_or_else(|answer| answer))
}

async fn zone(Shared(simulator): Shared<Simulator>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    within(&simulator, &headers, &id, false, |zone| Ok(Answer::ok(about(zone))))
}

fn fault_of(extensions: &axum::http::Extensions) -> Option<Fault> {
    extensions.get::<Fault>().copied()
}

/// Page by page, 100 at a time where nothing is said, 5,000 at most.
/// <https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/>
async fn list(
    Shared(simulator): Shared<Simulator>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(params): Params,
    request: Request,
) -> Response {
    let number =
        |name: &str, default: usize| params.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (page, per_page) = (number("page", 1).max(1), number("per_page", 100).clamp(5, 5000));
    let fault = fault_of(request.extensions());
    let before = simulator.with(|state| state.before.iter().find(|zone| zone.id == id).cloned());
    within(&simulator, &headers, &id, false, |zone| {
        let shown = before.filter(|_| fault == Some(Fault::StaleList)).unwrap_or_else(|| zone.clone());
        let is = |record: &&super::zone::StoredRecord| {
            params.get("name").is_none_or(|name| *name == record.name)
                && params.get("type").is_none_or(|kind| *kind == record.kind)
        };
        let all: Vec<Json> = shown.records.iter().filter(is).map(full).collect();
        let total = all.len();
        let mut part: Vec<Json> = all.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        if fault == Some(Fault::TruncatedPage) {
            part.truncate(part.len() / 2);
        }
        Ok(Answer::page(part, page, per_page, total))
    })
}

/// A record with everything that the real one sends.
fn full(record: &super::zone::StoredRecord) -> Json {
    let mut json = json!(record);
    if let Some(fields) = json.as_object_mut() {
        let proxiable = matches!(record.kind.as_str(), "A" | "AAAA" | "CNAME");
        fields.insert("proxiable".to_owned(), json!(proxiable));
        fields.insert("settings".to_owned(), json!({}));
        fields.insert("meta".to_owned(), json!({}));
        fields.insert("tags".to_owned(), json!([]));
        fields.insert("created_on".to_owned(), json!("2026-01-01T00:00:00.000000Z"));
        fields.insert("modified_on".to_owned(), json!("2026-01-01T00:00:00.000000Z"));
    }
    json
}

fn body(bytes: &Bytes) -> Result<Json, Refused> {
    serde_json::from_slice(bytes).map_err(|error| (9207, format!("Request body is invalid: {error}")))
}

async fn create(
    Shared(simulator): Shared<Simulator>,
    headers: HeaderMap,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Response {
    within(&simulator, &headers, &id, true, |zone| {
        let record = read(&body(&bytes)?)?;
        zone.create(record).map(|record| Answer::ok(full(&record)))
    })
}

async fn batch(
    Shared(simulator): Shared<Simulator>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let fault = fault_of(request.extensions());
    let bytes = axum::body::to_bytes(request.into_body(), 16 * 1024 * 1024).await.unwrap_or_default();
    within(&simulator, &headers, &id, true, |zone| {
        let asked: Batch = serde_json::from_slice(&bytes).map_err(|error| (9207, error.to_string()))?;
        if fault == Some(Fault::HalfABatch) {
            zone.batch(&asked.half())?;
            return Err((1000, "something went wrong in the middle".to_owned()));
        }
        zone.batch(&asked).map(Answer::ok)
    })
}

async fn one(
    Shared(simulator): Shared<Simulator>,
    headers: HeaderMap,
    Path((id, record)): Path<(String, String)>,
) -> Response {
    within(&simulator, &headers, &id, false, |zone| {
        let found = zone.records.iter().find(|known| known.id == record);
        found
            .map(|record| Answer::ok(full(record)))
            .ok_or_else(|| (81044, "Record does not exist.".to_owned()))
    })
}

async fn change(
    Shared(simulator): Shared<Simulator>,
    method: Method,
    headers: HeaderMap,
    Path((id, record)): Path<(String, String)>,
    bytes: Bytes,
) -> Response {
    within(&simulator, &headers, &id, true, |zone| {
        zone.change(&record, &body(&bytes)?, method == Method::PUT).map(|record| Answer::ok(full(&record)))
    })
}

async fn delete(
    Shared(simulator): Shared<Simulator>,
    headers: HeaderMap,
    Path((id, record)): Path<(String, String)>,
) -> Response {
    within(&simulator, &headers, &id, true, |zone| zone.delete(&record).map(Answer::ok))
}

async fn order(
    Shared(simulator): Shared<Simulator>,
    axum::Json(faults): axum::Json<Vec<Fault>>,
) -> StatusCode {
    simulator.faults(faults);
    StatusCode::NO_CONTENT
}

async fn look(Shared(simulator): Shared<Simulator>, Path(name): Path<String>) -> Response {
    let changed = simulator.with(|state| state.changed);
    let ago =
        changed.map(|at| u64::try_from(simulator.clock.now().since(at).as_millis()).unwrap_or(u64::MAX));
    let (requests, writes) = simulator.counts();
    axum::Json(json!({
        "records": simulator.records(&name), "requests": requests, "writes": writes, "changed_ms_ago": ago,
    }))
    .into_response()
}
