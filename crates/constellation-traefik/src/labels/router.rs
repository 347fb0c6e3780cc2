//! One router from its labels.

use std::collections::BTreeMap;

use constellation_core::{
    RouteName, ServiceId,
    route::{HttpRouter, HttpService, Observability},
};
use constellation_rules::Rule;

use super::{
    Built, LabelConfig,
    draft::{Draft, Field},
    middleware, only_service, own_service,
    problem::Problems,
    tls, value,
};
use crate::document::PRIORITY_MAX;

/// What a router's labels are read against.
pub(super) struct Context<'a> {
    pub(super) service: &'a ServiceId,
    pub(super) services: &'a BTreeMap<RouteName, HttpService>,
    pub(super) config: &'a LabelConfig,
    /// What a router without a rule has.
    pub(super) default_rule: Option<&'a str>,
}

/// The router of a container whose labels name none.
pub(super) fn by_default(
    service: &ServiceId,
    target: &RouteName,
    rule: &str,
    problems: &mut Problems,
) -> Option<(RouteName, HttpRouter)> {
    if let Err(error) = rule.parse::<Rule>() {
        problems.invalid(
            "traefik.enable",
            format!("the default rule comes to `{}`: {error}", value::short(rule)),
        );
        return None;
    }
    let router = HttpRouter {
        rule: rule.trim().to_owned(),
        service: target.as_str().to_owned(),
        ..HttpRouter::default()
    };
    super::default_service_name(service).map(|name| (name, router))
}

/// The router; `None` where anything that it says cannot be kept, which is then among the problems.
pub(super) fn build(
    name: &RouteName,
    draft: &Draft,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Built {
    let mut router = HttpRouter::default();
    let mut whole = true;
    for (path, field) in &draft.fields {
        if let Err(reason) = read(&mut router, path, field) {
            problems.invalid(&field.label, format!("{reason}; the router `{name}` is left out"));
            whole = false;
        }
    }
    tls::finish(router.tls.as_mut());
    let label = |field: &str| {
        let known = draft.fields.get(field).map(|field| field.label.clone());
        known.unwrap_or_else(|| format!("traefik.http.routers.{name}.{field}"))
    };
    match lists(draft) {
        Ok((entry_points, middlewares)) => {
            (router.entry_points, router.middlewares) = (entry_points, middlewares);
        }
        Err((field, reason)) => {
            problems.invalid(&label(field), format!("{reason}; the router `{name}` is left out"));
            whole = false;
        }
    }
    if router.rule.is_empty() && !draft.fields.contains_key("rule") {
        match (context.default_rule, &context.config.domain) {
            (Some(rule), _) => match rule.parse::<Rule>() {
                Ok(_) => rule.trim().clone_into(&mut router.rule),
                Err(error) => {
                    let text = format!(
                        "the default rule comes to `{}`: {error}; the router `{name}` is left out",
                        value::short(rule)
                    );
                    problems.invalid(&label("rule"), text);
                    whole = false;
                }
            },
            (None, Some(domain)) => {
                router.rule = Rule::host(&format!("{}.{domain}", context.service.host_label())).to_string();
            }
            (None, None) => {
                let text = format!(
                    "there is no rule, and no domain to make one of; write for example \
                     traefik.http.routers.{name}.rule=Host(`app.example.org`); the router `{name}` is left out"
                );
                problems.invalid(&label("rule"), text);
                whole = false;
            }
        }
    }
    match destination(&router.service, context.services) {
        Ok(service) => router.service = service,
        Err(reason) => {
            problems.invalid(&label("service"), format!("{reason}; the router `{name}` is left out"));
            whole = false;
        }
    }
    whole.then_some(router)
}

fn read(router: &mut HttpRouter, path: &str, field: &Field) -> Result<(), String> {
    let text = field.value.as_str();
    match path.split('[').next().unwrap_or(path) {
        "rule" => {
            text.parse::<Rule>().map_err(|error| error.to_string())?;
            // Trimmed, otherwise as it was written: its length is its priority.
            text.trim().clone_into(&mut router.rule);
        }
        "service" => router.service = value::reference(text)?,
        "priority" => {
            // Traefik takes 0 for "not given".
            let priority = value::number::<i64>(text, "a priority, that is a whole number")?;
            if priority > PRIORITY_MAX {
                return Err(format!("Traefik keeps priorities above {PRIORITY_MAX} to itself"));
            }
            router.priority = Some(priority).filter(|priority| *priority != 0);
        }
        field if field == "tls" || field.starts_with("tls.") => {
            tls::read(path, text, || router.tls.get_or_insert_default())?;
        }
        "rulesyntax" => {
            if !matches!(text.trim(), "" | "v3" | "default") {
                return Err("only version 3 of Traefik's rules is understood".to_owned());
            }
        }
        // Read by `lists`, because they may be spread over several labels.
        "entrypoints" | "middlewares" => {}
        path => match path.strip_prefix("observability.") {
            Some(option) => observe(router.observability.get_or_insert_default(), option, text)?,
            None => return Err("a router has no such field".to_owned()),
        },
    }
    Ok(())
}

fn observe(observability: &mut Observability, option: &str, text: &str) -> Result<(), String> {
    match option {
        "accesslogs" => observability.access_logs = Some(value::boolean(text)?),
        "metrics" => observability.metrics = Some(value::boolean(text)?),
        "tracing" => observability.tracing = Some(value::boolean(text)?),
        "traceverbosity" => {
            let verbosity = text.trim();
            if !["minimal", "detailed"].contains(&verbosity) {
                return Err(format!("`{}` is neither minimal nor detailed", value::short(text)));
            }
            observability.trace_verbosity = Some(verbosity.to_owned());
        }
        _ => return Err("observability has no such field".to_owned()),
    }
    Ok(())
}

type Lists = (Vec<String>, Vec<String>);

fn lists(draft: &Draft) -> Result<Lists, (&'static str, String)> {
    let named = |field: &'static str, check: fn(&str) -> Result<String, String>| {
        let items: Result<Vec<String>, String> = draft.list(field).iter().map(|item| check(item)).collect();
        items.map_err(|reason| (field, reason))
    };
    let mut entry_points = named("entrypoints", value::reference)?;
    // Their order means nothing; sorted, two spellings of one router are equal.
    entry_points.sort_unstable();
    entry_points.dedup();
    Ok((entry_points, named("middlewares", value::ours_or_foreign)?))
}

fn destination(wanted: &str, services: &BTreeMap<RouteName, HttpService>) -> Result<String, String> {
    if wanted.is_empty() {
        return match (only_service(services), services.len()) {
            (Some(only), _) => Ok(only.as_str().to_owned()),
            (None, 0) => Err("there is no service for it".to_owned()),
            (None, count) => {
                Err(format!("the container has {count} services; say which of them it leads to"))
            }
        };
    }
    let wanted = middleware::own(wanted);
    if wanted.contains('@') {
        return value::foreign(wanted);
    }
    match own_service(services, wanted) {
        Some(own) => Ok(own.as_str().to_owned()),
        None => Err(format!(
            "this container has no service `{wanted}`; one of another provider is `{wanted}@file`"
        )),
    }
}
