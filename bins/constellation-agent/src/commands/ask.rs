//! `status`, `members`, `services`: what the running agent knows.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use constellation_api::{Client, Explanation, Question, Status};

use super::{print, print_json, table};
use crate::cli::{AskArgs, ExplainArgs};

/// Exit code of `status` when the agent answers and reports problems.
const HAS_PROBLEMS: u8 = 3;
/// Exit code of `explain` when no router takes the request.
const NO_ROUTER: u8 = 4;

pub(super) async fn status(args: AskArgs) -> anyhow::Result<ExitCode> {
    let status = Client::new(&args.socket).status().await?;
    if args.json {
        print_json(&status)?;
    } else {
        print(describe(&status).trim_end())?;
    }
    let well = status.problems.is_empty();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(HAS_PROBLEMS) })
}

fn describe(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_status(&mut text, status);
    text
}

fn write_status(text: &mut String, status: &Status) -> std::fmt::Result {
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    writeln!(
        text,
        "node        {} of cluster {}, agent {}, up {uptime}",
        status.node, status.cluster, status.version
    )?;
    let rung = match status.rung {
        constellation_api::Rung::Full => "full",
        constellation_api::Rung::NoQuorum => "NO QUORUM",
        constellation_api::Rung::Isolated => "ISOLATED",
        constellation_api::Rung::RuntimeDown => "CONTAINER RUNTIME DOWN",
    };
    writeln!(text, "service     {rung}: {}", status.still_works)?;
    writeln!(text, "nodes       {} live of {} known", status.nodes_live, status.nodes_known)?;
    writeln!(
        text,
        "containers  {} here; {} instances of the cluster take traffic",
        status.containers, status.routable
    )?;
    writeln!(text, "runtime     {}", status.addresses.runtime)?;
    let gossip = &status.gossip;
    let seal = if gossip.sealed { "sealed" } else { "NOT SEALED" };
    let dropped: u64 = gossip.dropped.values().sum();
    writeln!(
        text,
        "gossip      {} {seal}, {} datagrams in, {} out, {dropped} dropped",
        status.addresses.gossip, gossip.datagrams_in, gossip.datagrams_out
    )?;
    writeln!(text, "leases      {}", status.leases)?;
    if !status.dns.is_empty() {
        writeln!(text, "dns         {}", status.dns)?;
    }
    let traefik = &status.traefik;
    writeln!(
        text,
        "traefik     http://{}/api/dynamic: {} routers, {} services, {} bytes; last known good: {}",
        status.addresses.provider, traefik.routers, traefik.services, traefik.bytes, traefik.last_known_good
    )?;
    if let Some(held) = &traefik.held {
        writeln!(text, "held back   {held}")?;
    }
    for forward in &status.gateway {
        let draining = if forward.draining { ", draining" } else { "" };
        writeln!(
            text,
            "gateway     {} -> {} port {} of {} ({} open{draining})",
            forward.listen, forward.upstream, forward.port, forward.service, forward.open
        )?;
    }
    for certificate in &status.certificates {
        let names = certificate.names.join(", ");
        writeln!(text, "certificate {names}: {} days left ({})", certificate.days_left, certificate.file)?;
    }
    if let Some(ingress) = &status.ingress {
        let [_, fine, moved, clients, servers] = ingress.answers;
        writeln!(
            text,
            "ingress     {} routers, {} connections; answered {fine} with 2xx, {moved} with 3xx, {clients} with 4xx, {servers} \
             with 5xx; {} tried elsewhere",
            ingress.routers, ingress.connections, ingress.retries
        )?;
        for backend in ingress.backends.iter().filter(|backend| backend.breaker != "closed") {
            writeln!(
                text,
                "            {} on {} at {} does not answer: breaker {}",
                backend.service, backend.node, backend.address, backend.breaker
            )?;
        }
    }
    for problem in &status.problems {
        writeln!(text, "problem     {} {}: {}", problem.area, problem.subject, problem.message)?;
    }
    Ok(())
}

pub(super) async fn members(args: AskArgs) -> anyhow::Result<ExitCode> {
    let members = Client::new(&args.socket).members().await?;
    if args.json {
        print_json(&members)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(["NODE", "STATE", "ADDRESS", "PRIORITY", "INSTANCES", "TAKE TRAFFIC", "AGENT"]);
    for member in members {
        let me = if member.me { " (this node)" } else { "" };
        let state = if member.cordoned { format!("{}, cordoned", member.state) } else { member.state };
        table.add_row([
            format!("{}{me}", member.node),
            state,
            member.mesh.to_string(),
            member.priority.0.to_string(),
            member.instances.to_string(),
            member.routable.to_string(),
            member.agent,
        ]);
    }
    print(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn services(args: AskArgs) -> anyhow::Result<ExitCode> {
    let services = Client::new(&args.socket).services().await?;
    if args.json {
        print_json(&services)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(["SERVICE", "NODE", "INSTANCE", "HEALTH", "ROUTED", "ENDPOINTS"]);
    for row in services {
        table.add_row([
            row.service.to_string(),
            row.node.to_string(),
            row.instance.to_string(),
            row.role.map_or_else(|| row.health.to_string(), |role| format!("{}, {role}", row.health)),
            if row.routed { "yes" } else { "no" }.to_owned(),
            row.endpoints.join(", "),
        ]);
    }
    print(&table.to_string())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let question = Question {
        url: args.url,
        method: Some(args.method),
        client: args.client,
        entry_point: args.entry_point,
        alpn: args.alpn,
    };
    let answer = Client::new(&args.ask.socket).explain(&question).await?;
    if args.ask.json {
        print_json(&answer)?;
    } else {
        print(&why(&answer))?;
    }
    Ok(if answer.routers.is_empty() { ExitCode::from(NO_ROUTER) } else { ExitCode::SUCCESS })
}

fn why(answer: &Explanation) -> String {
    let mut text = format!("{}\n", answer.outcome);
    for (rank, router) in answer.routers.iter().enumerate() {
        let place = if rank == 0 { "wins" } else { "loses" };
        let middlewares = match router.middlewares.as_slice() {
            [] => String::new(),
            some => format!(", through {}", some.join(", ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{place:<6}{}  priority {} on {}{middlewares}\n      {}",
            router.name,
            router.priority,
            router.entry_points.join(", "),
            router.rule
        );
    }
    if !answer.backends.is_empty() {
        let mut table = table(["", "SERVICE", "NODE", "INSTANCE", "HEALTH", "SERVER", "WHY"]);
        for row in &answer.backends {
            table.add_row([
                if row.server.is_some() { "in" } else { "out" }.to_owned(),
                row.service.to_string(),
                row.node.to_string(),
                row.instance.to_string(),
                row.health.to_string(),
                row.server.clone().unwrap_or_default(),
                row.why.clone(),
            ]);
        }
        let _ = writeln!(text, "\n{table}");
    }
    for server in &answer.others {
        let _ =
            writeln!(text, "in    {server}: no instance that is known has this address; it is kept for now");
    }
    text.trim_end().to_owned()
}
