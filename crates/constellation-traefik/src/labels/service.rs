//! One load balancer from its labels.

use std::time::Duration;

use constellation_core::{
    RouteName,
    route::{Failover, HttpHealthCheck, HttpService, PassiveHealthCheck, Scheme, StickyCookie},
};

use super::{
    draft::{Draft, Drafts, Field},
    problem::{LabelProblemKind, Problems},
    value,
};
use crate::document::ServerUrl;

/// The longest that a server may be allowed to take to begin its answer.
const RESPONSE_TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// What our own labels say of every load balancer of the container.
pub(super) struct OwnLabels {
    response_timeout: Option<Duration>,
    failover: Failover,
    proxied: bool,
}

impl OwnLabels {
    pub(super) fn read(drafts: &Drafts, problems: &mut Problems) -> Self {
        let mut own = Self { response_timeout: None, failover: Failover::Safe, proxied: false };
        if let Some(field) = drafts.own.get("response-timeout") {
            match value::duration(&field.value) {
                Ok(timeout) if !timeout.is_zero() && timeout <= RESPONSE_TIMEOUT_MAX => {
                    own.response_timeout = Some(timeout);
                }
                Ok(_) => problems.invalid(&field.label, "between 1ms and 1h is allowed; there is no limit"),
                Err(reason) => problems.invalid(&field.label, format!("{reason}; there is no limit")),
            }
        }
        if let Some(field) = drafts.own.get("failover") {
            own.failover = match field.value.trim().to_ascii_lowercase().as_str() {
                "safe" => Failover::Safe,
                "off" => Failover::Off,
                other => {
                    // Whoever writes this label has a reason to want less than the default.
                    let text =
                        format!("`{}` is neither safe nor off; it is taken for off", value::short(other));
                    problems.invalid(&field.label, text);
                    Failover::Off
                }
            };
        }
        if let Some(field) = drafts.own.get("proxy") {
            match value::boolean(&field.value) {
                Ok(proxied) => own.proxied = proxied,
                Err(reason) => problems.invalid(&field.label, format!("{reason}; it is served directly")),
            }
        }
        own
    }

    pub(super) fn apply(&self, service: HttpService) -> HttpService {
        HttpService {
            response_timeout: self.response_timeout,
            failover: self.failover,
            proxied: self.proxied,
            ..service
        }
    }
}

/// What is being read, beside the service itself.
#[derive(Default)]
struct Reading {
    port: Option<u16>,
    check: Option<HttpHealthCheck>,
}

/// The load balancer; `None` where it cannot be reached as its labels say, which is then among the problems.
///
/// A wrong health check or cookie leaves out that and keeps the service: it is served less well, not wrongly.
pub(super) fn build(
    name: &RouteName,
    draft: &Draft,
    ports: &[u16],
    own: &OwnLabels,
    problems: &mut Problems,
) -> Option<HttpService> {
    let mut service = own.apply(HttpService::to_port(0));
    let mut reading = Reading::default();
    let mut reachable = true;
    for (path, field) in &draft.fields {
        let vital =
            matches!(path.as_str(), "server.port" | "server.scheme" | "server.url" | "serverstransport");
        if let Err(reason) = read(&mut service, &mut reading, path, field, problems) {
            let follows =
                if vital { format!("the service `{name}` is left out") } else { "it is ignored".to_owned() };
            problems.invalid(&field.label, format!("{reason}; {follows}"));
            reachable &= !vital;
        }
    }
    service.health_check = reading.check.filter(|check| {
        let complete = check.path.starts_with('/') || check.mode.as_deref() == Some("grpc");
        if !complete {
            let label = format!("traefik.http.services.{name}.loadbalancer.healthcheck.path");
            problems.invalid(
                &label,
                "a health check needs a path that begins with `/`; there is no health check",
            );
        }
        complete
    });
    if let Some(url) = draft.fields.get("server.url")
        && ["server.port", "server.scheme"].iter().any(|field| draft.fields.contains_key(*field))
    {
        let text = format!(
            "a server has a URL, or a port and a scheme, and not both; the service `{name}` is left out"
        );
        problems.invalid(&url.label, text);
        return None;
    }
    let port = reading.port.or_else(|| ports.iter().min().copied()).or(service.url.is_some().then_some(80));
    let Some(port) = port else {
        if reachable {
            let label = format!("traefik.http.services.{name}.loadbalancer.server.port");
            let text =
                format!("no port is given and the container exposes none; the service `{name}` is left out");
            problems.invalid(&label, text);
        }
        return None;
    };
    service.port = port;
    reachable.then_some(service)
}

fn read(
    service: &mut HttpService,
    reading: &mut Reading,
    path: &str,
    field: &Field,
    problems: &mut Problems,
) -> Result<(), String> {
    let text = field.value.as_str();
    match path {
        "server.port" => reading.port = Some(value::port(text)?),
        "server.scheme" => {
            service.scheme = match text.trim().to_ascii_lowercase().as_str() {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                "h2c" => Scheme::H2c,
                other => return Err(format!("`{}` is none of http, https and h2c", value::short(other))),
            };
        }
        "serverstransport" => service.servers_transport = Some(value::foreign(text)?),
        "server.url" => {
            let url = value::line(text)?;
            if ServerUrl::parse(&url).is_none() {
                return Err(format!("`{}` is no URL such as http://host:80", value::short(text)));
            }
            service.url = Some(url);
        }
        "server.weight" => service.weight = Some(value::number(text, "a weight, that is a whole number")?),
        "server.preservepath" => service.preserve_path = value::boolean(text)?,
        "strategy" => {
            let strategy = text.trim();
            if !["wrr", "p2c", "hrw", "leasttime"].contains(&strategy) {
                return Err(format!("`{}` is none of wrr, p2c, hrw and leasttime", value::short(text)));
            }
            service.strategy = Some(strategy.to_owned()).filter(|strategy| strategy != "wrr");
        }
        "responseforwarding.flushinterval" => {
            let (negative, positive) =
                text.trim().strip_prefix('-').map_or((false, text), |rest| (true, rest));
            let millis = i64::try_from(value::duration(positive)?.as_millis()).unwrap_or(i64::MAX);
            service.flush_interval = Some(if negative { -millis } else { millis });
        }
        "passhostheader" => service.pass_host_header = Some(value::boolean(text)?),
        "sticky" | "sticky.cookie" => {
            if value::boolean(text)? {
                service.sticky.get_or_insert_with(StickyCookie::default);
            }
        }
        path => {
            if let Some(option) = path.strip_prefix("sticky.cookie.") {
                return cookie(
                    service.sticky.get_or_insert_with(StickyCookie::default),
                    option,
                    field,
                    problems,
                );
            }
            if let Some(option) = path.strip_prefix("healthcheck.") {
                return health(
                    reading.check.get_or_insert_with(HttpHealthCheck::default),
                    option,
                    field,
                    problems,
                );
            }
            if let Some(option) = path.strip_prefix("passivehealthcheck.") {
                return passive(
                    service.passive_health_check.get_or_insert_with(PassiveHealthCheck::default),
                    option,
                    field,
                    problems,
                );
            }
            unknown(field, problems);
        }
    }
    Ok(())
}

fn unknown(field: &Field, problems: &mut Problems) {
    let text = "a load balancer has no such field; it changes nothing";
    problems.push(&field.label, LabelProblemKind::Unknown, text);
}

fn cookie(
    cookie: &mut StickyCookie,
    option: &str,
    field: &Field,
    problems: &mut Problems,
) -> Result<(), String> {
    let text = field.value.as_str();
    match option {
        "name" => cookie.name = Some(value::reference(text)?),
        "secure" => cookie.secure = Some(value::boolean(text)?),
        "httponly" => cookie.http_only = Some(value::boolean(text)?),
        "samesite" => {
            let wanted = text.trim().to_ascii_lowercase();
            if !matches!(wanted.as_str(), "none" | "lax" | "strict") {
                return Err(format!("`{}` is none of none, lax and strict", value::short(text)));
            }
            cookie.same_site = Some(wanted);
        }
        "maxage" => cookie.max_age = Some(value::number(text, "a number of seconds")?),
        "path" => cookie.path = Some(value::line(text)?),
        "domain" => cookie.domain = Some(value::reference(text)?),
        _ => unknown(field, problems),
    }
    Ok(())
}

fn passive(
    check: &mut PassiveHealthCheck,
    option: &str,
    field: &Field,
    problems: &mut Problems,
) -> Result<(), String> {
    match option {
        "failurewindow" => match value::duration(&field.value)? {
            Duration::ZERO => return Err("it must be more than nothing".to_owned()),
            window => check.failure_window = Some(window),
        },
        "maxfailedattempts" => {
            check.max_failed_attempts = Some(value::number(&field.value, "a number of attempts")?);
        }
        _ => unknown(field, problems),
    }
    Ok(())
}

fn health(
    check: &mut HttpHealthCheck,
    option: &str,
    field: &Field,
    problems: &mut Problems,
) -> Result<(), String> {
    let text = field.value.as_str();
    let positive = |text: &str| match value::duration(text)? {
        Duration::ZERO => Err("it must be more than nothing".to_owned()),
        duration => Ok(duration),
    };
    match option {
        "path" => check.path = value::line(text)?,
        "interval" => check.interval = Some(positive(text)?),
        "unhealthyinterval" => check.unhealthy_interval = Some(positive(text)?),
        "timeout" => check.timeout = Some(positive(text)?),
        "hostname" => check.hostname = Some(value::reference(text)?),
        "scheme" => {
            let scheme = text.trim().to_ascii_lowercase();
            if !matches!(scheme.as_str(), "http" | "https" | "h2c") {
                return Err(format!("`{}` is none of http, https and h2c", value::short(text)));
            }
            check.scheme = Some(scheme);
        }
        "mode" => {
            let mode = text.trim().to_ascii_lowercase();
            if !matches!(mode.as_str(), "http" | "grpc") {
                return Err(format!("`{}` is neither http nor grpc", value::short(text)));
            }
            check.mode = Some(mode);
        }
        "method" => check.method = Some(value::reference(text)?.to_ascii_uppercase()),
        "status" => {
            let status: u16 = value::number(text, "a status")?;
            if !(100..=599).contains(&status) {
                return Err(format!("{status} is not a status"));
            }
            check.status = Some(status);
        }
        "port" => check.port = Some(value::port(text)?),
        "followredirects" => check.follow_redirects = Some(value::boolean(text)?),
        option if option.starts_with("headers.") => {
            check.headers.insert(value::reference(&field.last)?, value::line(text)?);
        }
        _ => unknown(field, problems),
    }
    Ok(())
}
