//! What can be said without a machine: validate, lint, list, explain.

use std::{collections::BTreeSet, process::ExitCode};

use constellation_core::ServiceId;
use serde_json::json;

use super::{Ended, Out, Scene, defined_services};
use crate::{
    cli::{args::Selection, out::table, select},
    index::Index,
    language::{AnyRoute, Placement},
    lint::{Finding, Severity, lint as look_for_risks},
    plan::shown,
    render::hosts_of,
};

pub(super) fn validate(scene: &Scene, out: &Out) -> Ended {
    let problems = crate::validate::validate(&scene.stacks, &scene.config);
    if out.json {
        out.document(&problems)?;
    } else if problems.is_empty() {
        let services: usize = scene.stacks.iter().map(|stack| stack.iter().count()).sum();
        let stacks = scene.stacks.len();
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let text =
            format!("{services} service{} in {stacks} stack{}: nothing is wrong.", s(services), s(stacks));
        out.line(&text)?;
    } else {
        for problem in &problems {
            out.line(&format!("{} {problem}", out.paint.colour("31", "error")))?;
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn lint(scene: &Scene, selection: &Selection, all: bool, out: &Out) -> Ended {
    let chosen = select::select(selection, &defined_services(scene))?;
    let is_chosen = |finding: &Finding| match &chosen {
        Some(chosen) => finding.place.parse::<ServiceId>().is_ok_and(|id| chosen.contains(&id)),
        None => true,
    };
    let findings: Vec<Finding> =
        look_for_risks(&scene.stacks, &scene.config).into_iter().filter(is_chosen).collect();
    let open = |severity: Severity| {
        findings.iter().filter(|finding| finding.allowed.is_none() && finding.severity == severity).count()
    };
    let (errors, warnings, notes) = (open(Severity::Error), open(Severity::Warning), open(Severity::Note));
    let answered = findings.iter().filter(|finding| finding.allowed.is_some()).count();
    if out.json {
        out.document(&findings)?;
    } else {
        for finding in findings.iter().filter(|finding| all || finding.allowed.is_none()) {
            let (colour, word) = match finding.severity {
                Severity::Error => ("31", "error  "),
                Severity::Warning => ("33", "warning"),
                Severity::Note => ("36", "note   "),
            };
            match &finding.allowed {
                None => out.line(&format!("{} {finding}", out.paint.colour(colour, word)))?,
                Some(reason) => {
                    let text = format!(
                        "answered {}: {}: {}; because: {reason}",
                        finding.place, finding.lint, finding.what
                    );
                    out.line(&out.paint.colour("2", &text))?;
                }
            }
        }
        out.line(&format!("{errors} errors, {warnings} warnings, {notes} notes; {answered} answered for"))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn list(scene: &Scene, selection: &Selection, out: &Out) -> Ended {
    let chosen = select::select(selection, &defined_services(scene))?;
    let index = Index::new(&scene.stacks, &scene.config);
    let members: Vec<_> = index
        .members()
        .filter(|member| {
            let id: Option<ServiceId> = member.id().parse().ok();
            chosen.as_ref().is_none_or(|chosen| id.is_some_and(|id| chosen.contains(&id)))
        })
        .collect();
    if out.json {
        let services: Vec<_> = members
            .iter()
            .map(|member| {
                json!({
                    "service": member.id(), "here": index.is_here(*member), "definition": member.service,
                })
            })
            .collect();
        out.document(&services)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["SERVICE", "IMAGE", "RUNS ON", "HOSTS", "WHAT"].map(str::to_owned).to_vec()];
    for member in members {
        let service = member.service;
        let placement = match &service.placement {
            Placement::EveryNode => "every node".to_owned(),
            Placement::On(node) => node.clone(),
            Placement::Replicas(count) => format!("{count} nodes"),
        };
        let here = if index.is_here(member) { placement } else { format!("{placement} (not this one)") };
        let hosts: Vec<String> = service
            .routes
            .iter()
            .filter_map(|route| match route {
                AnyRoute::Http(route) if route.rule.is_none() => {
                    hosts_of(service, route, &scene.config).names().first().cloned()
                }
                AnyRoute::Http(_) => Some("(by rule)".to_owned()),
                AnyRoute::Tcp(route) => Some(format!("tcp {}", route.port)),
                AnyRoute::Udp(route) => Some(format!("udp {}", route.port)),
            })
            .collect();
        rows.push(vec![
            member.id(),
            service.image.reference().to_owned(),
            here,
            hosts.join(" "),
            service.purpose().unwrap_or_default().to_owned(),
        ]);
    }
    out.text(&table(out.paint, &rows))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn explain(scene: &Scene, service: &str, out: &Out) -> Ended {
    let id = select::one(service, &defined_services(scene))?;
    let desired = scene.defined()?;
    let Some(rendered) = desired.services.iter().find(|service| service.id == id) else {
        let node = if scene.config.node().is_empty() { "this node" } else { scene.config.node() };
        return Err(format!("{id} does not run on {node}: see its placement with `list {id}`").into());
    };
    let findings: Vec<Finding> = look_for_risks(&scene.stacks, &scene.config)
        .into_iter()
        .filter(|finding| finding.place == id.to_string())
        .collect();
    if out.json {
        out.document(&json!({ "service": rendered, "findings": findings }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let about = scene.stacks.iter().find(|stack| Some(stack.name()) == id.stack());
    let about = about.and_then(|stack| stack.get(id.name())).and_then(|service| service.purpose());
    out.line(&format!("{} {}", out.paint.colour("1", &id.to_string()), about.unwrap_or_default()))?;
    out.line(&format!("definition {}\n", rendered.definition))?;
    let mut rows = vec![["FIELD", "VALUE", "WHY"].map(str::to_owned).to_vec()];
    for why in &rendered.why {
        rows.push(vec![why.field.clone(), shown(&why.field, &why.value), why.why.clone()]);
    }
    out.text(&table(out.paint, &rows))?;
    if !findings.is_empty() {
        out.line("")?;
    }
    for finding in &findings {
        let answer =
            finding.allowed.as_ref().map(|reason| format!(" (answered: {reason})")).unwrap_or_default();
        out.line(&format!("{:?} {}: {}{answer}", finding.severity, finding.lint, finding.what))?;
    }
    if !rendered.elsewhere.is_empty() {
        let others: BTreeSet<String> = rendered.elsewhere.iter().map(ToString::to_string).collect();
        let others: Vec<String> = others.into_iter().collect();
        out.line(&format!(
            "It waits for {} as well, on other nodes: nobody here can see them.",
            others.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
