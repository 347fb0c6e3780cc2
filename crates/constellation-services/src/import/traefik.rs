//! Traefik's labels: routers, load balancers and middlewares that become words of the language. Where one label of a
//! service's routes has no word, all of them stay labels, which work as well: half a route would be another one.

use std::collections::BTreeMap;

use super::{
    draft::{Draft, Pair},
    expr::{self, literal},
    interpolate::Template,
    one_line, router,
    yaml::{Node, Value},
};

/// The labels of one router or load balancer, by field in lower case.
pub(super) type Fields = BTreeMap<String, (Template, usize)>;

/// What a service's `traefik.http.*` labels say.
#[derive(Default)]
struct Labels {
    routers: BTreeMap<String, Fields>,
    balancers: BTreeMap<String, Fields>,
    /// By name: kind, and fields as they are written.
    middlewares: BTreeMap<String, Vec<(String, Template)>>,
}

const BALANCER: &[&str] = &[
    "server.port",
    "server.scheme",
    "passhostheader",
    "healthcheck.path",
    "healthcheck.interval",
    "healthcheck.timeout",
    "sticky.cookie",
    "sticky.cookie.name",
    "sticky.cookie.httponly",
    "sticky.cookie.secure",
    "sticky.cookie.samesite",
];

/// Writes what has words, and gives back the labels that stay labels.
pub(super) fn routes(draft: &mut Draft<'_>, pairs: Vec<Pair>) -> Vec<Pair> {
    let labels = read(&pairs);
    let switched = pairs.iter().find(|pair| key_of(pair) == "traefik.enable");
    let enabled = switched.and_then(|pair| pair.value.as_ref()).and_then(Template::as_literal);
    let may_route = match (switched, enabled) {
        (None, _) => true,
        (Some(_), enabled) => enabled.is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")),
    };
    let middlewares: Vec<(String, String)> =
        labels.middlewares.iter().filter_map(|(name, fields)| middleware(name, fields)).collect();
    let mut routed = false;
    if may_route && !labels.routers.is_empty() {
        match plan(draft, &labels) {
            Ok(routes) => {
                routed = true;
                for (head, calls) in routes {
                    draft.call_chain("route", &head, &calls);
                }
            }
            Err((line, why)) => {
                draft.note(line, "labels", format!("{why}: its routes stay labels, which work as they are"));
            }
        }
    }
    for (_, code) in &middlewares {
        draft.call("middleware", code);
    }
    let said: Vec<&String> = middlewares.iter().map(|(name, _)| name).collect();
    let stays = |pair: &Pair| {
        let key = key_of(pair);
        let of_route = key == "traefik.enable"
            || key.starts_with("traefik.http.routers.")
            || key.starts_with("traefik.http.services.");
        let of_middleware = match split_key(pair) {
            Some(("middlewares", name, _)) => said.contains(&&name),
            _ => false,
        };
        !(of_middleware || routed && of_route)
    };
    pairs.into_iter().filter(stays).collect()
}

fn key_of(pair: &Pair) -> String {
    pair.name.as_literal().unwrap_or_default().to_ascii_lowercase()
}

/// `traefik.http.<section>.<name>.<rest>`: the rest as it is written.
fn split_key(pair: &Pair) -> Option<(&'static str, String, String)> {
    let key = pair.name.as_literal()?;
    for section in ["routers", "services", "middlewares"] {
        let prefix = format!("traefik.http.{section}.");
        if key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix)) {
            let (name, rest) = key[prefix.len()..].split_once('.')?;
            return Some((section, name.to_owned(), rest.to_owned()));
        }
    }
    None
}

fn read(pairs: &[Pair]) -> Labels {
    let mut labels = Labels::default();
    for pair in pairs {
        let Some((section, name, rest)) = split_key(pair) else { continue };
        let value = pair.value.clone().unwrap_or_default().trim_end();
        let map = match section {
            "routers" => &mut labels.routers,
            "services" => &mut labels.balancers,
            _ => {
                labels.middlewares.entry(name).or_default().push((rest, value));
                continue;
            }
        };
        map.entry(name).or_default().insert(rest.to_ascii_lowercase(), (value, pair.line));
    }
    labels
}

/// A middleware by its name, if the language can say it.
fn middleware(name: &str, fields: &[(String, Template)]) -> Option<(String, String)> {
    let (kind, _) = split_kind(&fields.first()?.0);
    let same = fields.iter().all(|(field, _)| split_kind(field).0.eq_ignore_ascii_case(kind));
    let word = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
    if !same || !word(kind) || !is_route_name(name) {
        return None;
    }
    let mut code = format!("Middleware::new({}, {})", literal(name), literal(kind));
    for (field, value) in fields {
        match split_kind(field).1 {
            // `compress=true`: the kind alone.
            "" if fields.len() == 1 && value.as_literal() == Some("true") => {}
            "" => return None,
            field => code.push_str(&format!(".set({}, {})", literal(field), expr::text(value))),
        }
    }
    Some((name.to_owned(), code))
}

fn split_kind(field: &str) -> (&str, &str) {
    field.split_once('.').unwrap_or((field, ""))
}

pub(super) fn is_route_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

/// A route: the beginning, and the calls on it.
type Route = (String, Vec<String>);

/// Why routes stay labels, and where.
pub(super) type Stays = (usize, String);

fn plan(draft: &Draft<'_>, labels: &Labels) -> Result<Vec<Route>, Stays> {
    let balancers = balancers(labels)?;
    let mut used = Vec::new();
    let mut routes = Vec::new();
    for (name, fields) in &labels.routers {
        let line = fields.values().map(|(_, line)| *line).min().unwrap_or_default();
        if !is_route_name(name) {
            return Err((line, format!("`{}` cannot be a route's name", one_line(name))));
        }
        let named = fields.get("service").map(|(service, _)| service.at_defaults().unwrap_or_default());
        let only = || (balancers.len() == 1).then(|| balancers.keys().next().cloned()).flatten();
        let service = named.clone().or_else(only).unwrap_or_else(|| name.clone());
        let balancer = balancers.get(&service);
        if balancer.is_none() && named.is_some() {
            return Err((line, format!("its service `{}` is defined elsewhere", one_line(&service))));
        }
        let port = match balancer.and_then(|fields| fields.get("server.port")) {
            Some((port, line)) => {
                expr::port(port).ok_or((*line, "the port of its server is none".to_owned()))?
            }
            None => only_port(draft).ok_or((line, "it names no port".to_owned()))?,
        };
        let mut calls = Vec::new();
        if name != draft.name {
            calls.push(format!(".named({})", literal(name)));
        }
        calls.extend(router::router(fields)?);
        if let Some(balancer) = balancer {
            calls.extend(router::balancer(balancer)?);
        }
        used.push(service);
        routes.push((format!("Route::http({port})"), calls));
    }
    if let Some((name, _)) = balancers.iter().find(|(name, _)| !used.contains(name)) {
        return Err((0, format!("no router here leads to its load balancer `{}`", one_line(name))));
    }
    Ok(routes)
}

/// The fields of every load balancer, without `loadbalancer.` before each.
fn balancers(labels: &Labels) -> Result<BTreeMap<String, Fields>, Stays> {
    let mut balancers = BTreeMap::new();
    for (name, fields) in &labels.balancers {
        let mut own = Fields::new();
        for (field, (value, line)) in fields {
            let known = field.strip_prefix("loadbalancer.").filter(|field| BALANCER.contains(field));
            let Some(known) = known else {
                return Err((*line, format!("the language has no word for `{}`", one_line(field))));
            };
            own.insert(known.to_owned(), (value.clone(), *line));
        }
        balancers.insert(name.clone(), own);
    }
    Ok(balancers)
}

/// The one port that the service publishes or declares.
fn only_port(draft: &Draft<'_>) -> Option<String> {
    let mut ports = Vec::new();
    for field in ["expose", "ports"] {
        let Some(Value::List(items)) = draft.peek(field).map(|node| &node.value) else { continue };
        for item in items {
            let target = item.get("target").and_then(Node::text).or_else(|| item.text())?;
            let inside = target.rsplit(':').next().unwrap_or(target);
            let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
            ports.push(inside.parse::<u16>().ok().filter(|port| *port != 0)?);
        }
    }
    ports.dedup();
    match ports.as_slice() {
        [port] => Some(port.to_string()),
        _ => None,
    }
}
