//! TCP and UDP routers and services from their labels.

use std::{collections::BTreeMap, time::Duration};

use constellation_core::{
    Role, RouteName,
    role::NoRole,
    route::{TcpHealthCheck, TcpRouter, TcpRoutes, TcpService, UdpRouter, UdpRoutes},
};
use constellation_rules::TcpRule;

use super::{
    draft::{Draft, Drafts, Field, L4Drafts},
    middleware,
    problem::Problems,
    tls, value,
};
use crate::schema::TCP_MIDDLEWARES;

pub(super) fn tcp(drafts: &Drafts, problems: &mut Problems) -> TcpRoutes {
    let L4Drafts { routers, services, middlewares } = &drafts.tcp;
    for (service, field) in &drafts.roles {
        if service.as_ref().map_or(services.is_empty(), |service| !services.contains_key(service)) {
            problems.invalid(&field.label, "there is no such TCP service; only TCP has routes by role");
        }
    }
    let services: BTreeMap<RouteName, TcpService> = services
        .iter()
        .filter_map(|(key, (name, draft))| {
            let service = tcp_service(name, draft, problems)?;
            let role = role(key, drafts).map_err(|(field, reason)| {
                // Sent to all of them, writes would end anywhere.
                problems.invalid(&field.label, format!("{reason}; the service `{name}` is left out"));
            });
            Some((name.clone(), TcpService { role: role.ok()?, ..service }))
        })
        .collect();
    let routers = routers
        .values()
        .filter_map(|(name, draft)| Some((name.clone(), tcp_router(name, draft, &services, problems)?)))
        .collect();
    let named = middlewares.values().map(|(name, draft)| (name, draft));
    let middlewares = middleware::all(named, TCP_MIDDLEWARES, problems);
    TcpRoutes { routers, services, middlewares }
}

pub(super) fn udp(drafts: &Drafts, problems: &mut Problems) -> UdpRoutes {
    let L4Drafts { routers, services, .. } = &drafts.udp;
    let services: BTreeMap<RouteName, u16> = services
        .values()
        .filter_map(|(name, draft)| {
            let mut port = None;
            let read = |path: &str, field: &Field| match path {
                "server.port" => value::port(&field.value).map(|given| port = Some(given)),
                _ => Err("a UDP load balancer has no such field".to_owned()),
            };
            each("service", name, draft, problems, read).then_some(())?;
            Some((name.clone(), port_given(port, "udp", name, problems)?))
        })
        .collect();
    let routers = routers
        .values()
        .filter_map(|(name, draft)| {
            let mut router = UdpRouter::default();
            let read = |path: &str, field: &Field| match bare(path) {
                "service" => value::reference(&field.value).map(|name| router.service = name),
                "entrypoints" => Ok(()),
                _ => Err("a UDP router has no such field".to_owned()),
            };
            each("router", name, draft, problems, read).then_some(())?;
            router.entry_points = entry_points("udp", name, draft, problems)?;
            router.service = destination("udp", name, &router.service, services.keys(), problems)?;
            Some((name.clone(), router))
        })
        .collect();
    UdpRoutes { routers, services }
}

/// The role that a service leads to: its own, or that of all of the container.
fn role<'d>(service: &str, drafts: &'d Drafts) -> Result<Option<Role>, (&'d Field, NoRole)> {
    let field = drafts.roles.get(&Some(service.to_owned())).or_else(|| drafts.roles.get(&None));
    let read = |field: &'d Field| field.value.trim().parse().map_err(|reason| (field, reason));
    field.map(read).transpose()
}

fn tcp_service(name: &RouteName, draft: &Draft, problems: &mut Problems) -> Option<TcpService> {
    let mut service = TcpService::to_port(0);
    let mut port = None;
    let read = |path: &str, field: &Field| {
        let text = field.value.as_str();
        match path {
            "server.port" => port = Some(value::port(text)?),
            "proxyprotocol.version" => match value::number::<u8>(text, "a version")? {
                version @ (1 | 2) => service.proxy_protocol = Some(version),
                _ => return Err("the PROXY protocol has the versions 1 and 2".to_owned()),
            },
            // On, with Traefik's default.
            "proxyprotocol" => {
                service.proxy_protocol = value::boolean(text)?.then_some(2);
            }
            "server.tls" => service.tls = value::boolean(text)?,
            "healthcheck" if !value::boolean(text)? => {}
            path if path == "healthcheck" || path.starts_with("healthcheck.") => {
                health(service.health_check.get_or_insert_default(), path, text)?;
            }
            "serverstransport" => service.servers_transport = Some(value::foreign(text)?),
            // Traefik reads it no more, and nothing depends on it.
            "terminationdelay" => {}
            _ => return Err("a TCP load balancer has no such field".to_owned()),
        }
        Ok(())
    };
    each("service", name, draft, problems, read).then_some(())?;
    service.port = port_given(port, "tcp", name, problems)?;
    Some(service)
}

fn health(check: &mut TcpHealthCheck, path: &str, text: &str) -> Result<(), String> {
    let positive = || match value::duration(text)? {
        Duration::ZERO => Err("it must be more than nothing".to_owned()),
        duration => Ok(Some(duration)),
    };
    match path.strip_prefix("healthcheck.").unwrap_or_default() {
        "" => {}
        // As they are: a line's end may be meant.
        "send" => check.send = Some(text.to_owned()),
        "expect" => check.expect = Some(text.to_owned()),
        "interval" => check.interval = positive()?,
        "unhealthyinterval" => check.unhealthy_interval = positive()?,
        "timeout" => check.timeout = positive()?,
        "port" => {
            return Err("a server is an endpoint of the mesh gateway, where another port is none".to_owned());
        }
        _ => return Err("a health check over TCP has no such field".to_owned()),
    }
    Ok(())
}

fn tcp_router(
    name: &RouteName,
    draft: &Draft,
    services: &BTreeMap<RouteName, TcpService>,
    problems: &mut Problems,
) -> Option<TcpRouter> {
    let mut router = TcpRouter::default();
    let read = |path: &str, field: &Field| {
        let text = field.value.as_str();
        match bare(path) {
            "rule" => router.rule = rule(text)?,
            "service" => router.service = value::reference(text)?,
            "priority" => {
                let priority = value::number::<i64>(text, "a priority, that is a whole number")?;
                router.priority = Some(priority).filter(|priority| *priority != 0);
            }
            "tls.passthrough" => router.tls.get_or_insert_default().passthrough = value::boolean(text)?,
            field if field == "tls" || field.starts_with("tls.") => {
                tls::read(path, text, || &mut router.tls.get_or_insert_default().ends)?;
            }
            "entrypoints" | "middlewares" => {}
            _ => return Err("a TCP router has no such field".to_owned()),
        }
        Ok(())
    };
    each("router", name, draft, problems, read).then_some(())?;
    tls::finish(router.tls.as_mut().map(|tls| &mut tls.ends));
    if router.rule.is_empty() {
        problems.invalid(
            &format!("traefik.tcp.routers.{name}.rule"),
            format!("there is no rule; write for example HostSNI(`*`); the router `{name}` is left out"),
        );
        return None;
    }
    if router.tls.is_none() && router.rule.parse::<TcpRule>().is_ok_and(|rule| rule.needs_tls()) {
        // Traefik would disable it and say so only in its own API.
        problems.invalid(
            &format!("traefik.tcp.routers.{name}.rule"),
            format!(
                "only TLS tells a name: write traefik.tcp.routers.{name}.tls=true or …tls.passthrough=true, or HostSNI(`*`); \
                 the router `{name}` is left out"
            ),
        );
        return None;
    }
    router.entry_points = entry_points("tcp", name, draft, problems)?;
    let through: Result<Vec<String>, String> =
        draft.list("middlewares").iter().map(|item| value::ours_or_foreign(item)).collect();
    match through {
        Ok(middlewares) => router.middlewares = middlewares,
        Err(reason) => {
            let label = format!("traefik.tcp.routers.{name}.middlewares");
            problems.invalid(&label, format!("{reason}; the router `{name}` is left out"));
            return None;
        }
    }
    router.service = destination("tcp", name, &router.service, services.keys(), problems)?;
    Some(router)
}

fn rule(text: &str) -> Result<String, String> {
    let rule = value::line(text)?;
    rule.parse::<TcpRule>()
        .map(|_| rule)
        .map_err(|error| format!("{error}; a rule for TCP asks by HostSNI, HostSNIRegexp, ClientIP or ALPN"))
}

/// Reads every field; false where one of them is wrong, which is then said.
fn each(
    what: &str,
    name: &RouteName,
    draft: &Draft,
    problems: &mut Problems,
    mut read: impl FnMut(&str, &Field) -> Result<(), String>,
) -> bool {
    let mut whole = true;
    for (path, field) in &draft.fields {
        if let Err(reason) = read(path, field) {
            problems.invalid(&field.label, format!("{reason}; the {what} `{name}` is left out"));
            whole = false;
        }
    }
    whole
}

fn bare(path: &str) -> &str {
    path.split('[').next().unwrap_or(path)
}

fn port_given(port: Option<u16>, protocol: &str, name: &RouteName, problems: &mut Problems) -> Option<u16> {
    if port.is_none() {
        let label = format!("traefik.{protocol}.services.{name}.loadbalancer.server.port");
        problems.invalid(&label, format!("no port is given; the service `{name}` is left out"));
    }
    port
}

/// Traefik would put a router that names none on every entry point, web's among them.
fn entry_points(
    protocol: &str,
    name: &RouteName,
    draft: &Draft,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let named: Result<Vec<String>, String> =
        draft.list("entrypoints").iter().map(|item| value::reference(item)).collect();
    let reason = match named {
        Ok(mut named) if !named.is_empty() => {
            named.sort_unstable();
            named.dedup();
            return Some(named);
        }
        Ok(_) => "say on which entry points it is: it would be on all of them".to_owned(),
        Err(reason) => reason,
    };
    let label = format!("traefik.{protocol}.routers.{name}.entrypoints");
    problems.invalid(&label, format!("{reason}; the router `{name}` is left out"));
    None
}

fn destination<'n>(
    protocol: &str,
    router: &RouteName,
    wanted: &str,
    services: impl ExactSizeIterator<Item = &'n RouteName>,
    problems: &mut Problems,
) -> Option<String> {
    let mut services = services;
    let wanted = middleware::own(wanted);
    let count = services.len();
    let reason = if wanted.contains('@') {
        match value::foreign(wanted) {
            Ok(foreign) => return Some(foreign),
            Err(reason) => reason,
        }
    } else if wanted.is_empty() {
        match services.next() {
            Some(only) if count == 1 => return Some(only.as_str().to_owned()),
            _ => format!("the container has {count} such services; say which of them it leads to"),
        }
    } else {
        match services.find(|known| known.as_str().eq_ignore_ascii_case(wanted)) {
            Some(own) => return Some(own.as_str().to_owned()),
            None => format!("this container has no {protocol} service `{wanted}`"),
        }
    };
    let label = format!("traefik.{protocol}.routers.{router}.service");
    problems.invalid(&label, format!("{reason}; the router `{router}` is left out"));
    None
}
