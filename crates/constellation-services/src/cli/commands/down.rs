//! `down` and `restart`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use constellation_core::ServiceId;
use constellation_docker::MountKind;
use serde_json::json;

use super::{
    Ended, Out, Scene,
    apply::{Work, nothing, summary},
    defined_services,
};
use crate::{
    apply::GRACE_DEFAULT,
    cli::{args::Selection, progress::Show, select},
    plan::{Actual, Deed, PlanOptions, Role},
    render::{NETWORK_LABEL, STACK_LABEL},
    survey::survey,
};

pub(super) async fn down(scene: &Scene, selection: &Selection, volumes: bool, yes: bool, out: &Out) -> Ended {
    let desired = scene.defined()?;
    let host = scene.machine().await?;
    let _lock = scene.store.lock("down")?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    let stacks: BTreeSet<&String> = desired.stacks.iter().collect();
    let there = actual.ours.iter().map(|found| found.service.clone());
    // Of stacks that are not defined here only what is named goes.
    let known: BTreeSet<ServiceId> = there.clone().chain(defined_services(scene)).collect();
    let chosen = match select::select(selection, &known)? {
        Some(chosen) => chosen,
        None => there
            .filter(|id| id.stack().is_some_and(|stack| stacks.iter().any(|known| *known == stack)))
            .collect(),
    };
    let options = PlanOptions { only: None, remove: chosen.clone(), ..PlanOptions::default() };
    let mut plan = crate::plan::plan(&desired, &actual, &options);
    plan.services.retain(|step| step.deed == Deed::Remove && chosen.contains(&step.service));
    plan.networks.clear();
    plan.volumes.clear();
    plan.blockers.clear();
    let doomed = if volumes && host.has_networks() {
        Doomed::of(&actual, &chosen, &host.volumes().await?)
    } else {
        Doomed::default()
    };
    if plan.services.is_empty() {
        if !out.json {
            out.line("Nothing to do: none of them is there.")?;
        }
        return nothing(out);
    }
    if !out.json {
        out.text(&plan.to_text(out.paint))?;
        for volume in &doomed.goes {
            out.line(&format!(
                "{} volume {volume}, with everything in it",
                out.paint.colour("31", "- remove  ")
            ))?;
        }
        for (volume, why) in &doomed.stays {
            out.line(&format!("  keep     volume {volume}: {why}"))?;
        }
    }
    if !yes && !out.confirm("Do this?")? {
        out.note("Nothing was done.");
        return Ok(ExitCode::FAILURE);
    }
    let show = Show::new(*out);
    let work = Work { scene, host: host.as_ref(), command: "down", parallel: 8 };
    let applied = work.run(&desired, &actual, &plan, &show).await?;
    if applied.is_ok() {
        for volume in &doomed.goes {
            host.remove_volume(volume).await?;
        }
        let rest: BTreeSet<&String> = actual
            .ours
            .iter()
            .filter(|found| !chosen.contains(&found.service))
            .flat_map(|found| found.spec.networks.keys())
            .collect();
        let gone: BTreeSet<&str> = chosen.iter().filter_map(ServiceId::stack).collect();
        for network in &actual.networks {
            let stack = network.labels.get(STACK_LABEL).map(String::as_str);
            let of_gone = stack.is_some_and(|stack| gone.contains(stack));
            if of_gone && network.labels.contains_key(NETWORK_LABEL) && !rest.contains(&network.name) {
                // Somebody else's container may still be on it; then it stays, and that is no failure of ours.
                if let Err(error) = host.remove_network(&network.name).await {
                    out.note(&format!("network {} stays: {error}", network.name));
                }
            }
        }
    }
    summary(&applied, out)
}

/// The volumes of the services that go.
#[derive(Default)]
struct Doomed {
    /// Those that go with them: what their stacks own, and nobody who stays has mounted.
    goes: BTreeSet<String>,
    /// Those that stay, and why.
    stays: BTreeMap<String, &'static str>,
}

impl Doomed {
    fn of(
        actual: &Actual,
        chosen: &BTreeSet<ServiceId>,
        labels: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Self {
        let mounted = |going: bool| {
            let those = actual.ours.iter().filter(move |found| chosen.contains(&found.service) == going);
            those.flat_map(|found| &found.spec.mounts).filter_map(|mount| match &mount.kind {
                MountKind::Volume { name } => Some(name),
                _ => None,
            })
        };
        let staying: BTreeSet<&String> = mounted(false).collect();
        let stacks: BTreeSet<&str> = chosen.iter().filter_map(ServiceId::stack).collect();
        let owned = |name: &String| {
            let stack = labels.get(name).and_then(|labels| labels.get(STACK_LABEL));
            stack.is_some_and(|stack| stacks.contains(stack.as_str()))
        };
        let mut doomed = Self::default();
        for name in mounted(true) {
            if staying.contains(name) {
                doomed.stays.insert(name.clone(), "a service that stays has it, too");
            } else if owned(name) {
                doomed.goes.insert(name.clone());
            } else {
                doomed
                    .stays
                    .insert(name.clone(), "no stack that goes owns it (`docker volume rm` if it is meant)");
            }
        }
        doomed
    }
}

pub(super) async fn restart(scene: &Scene, selection: &Selection, out: &Out) -> Ended {
    let desired = scene.defined()?;
    let host = scene.machine().await?;
    let _lock = scene.store.lock("restart")?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    let there: BTreeSet<ServiceId> = actual.ours.iter().map(|found| found.service.clone()).collect();
    let Some(chosen) = select::select(selection, &there)? else {
        return Err("name the services to restart, or a stack with --stack".into());
    };
    let mut restarted = Vec::new();
    for found in
        actual.ours.iter().filter(|found| found.role == Role::Current && chosen.contains(&found.service))
    {
        let grace = found.spec.stop_grace.unwrap_or(GRACE_DEFAULT);
        host.restart(&found.id, grace).await.map_err(|error| format!("{}: {error}", found.service))?;
        if !out.json {
            out.line(&format!("{} restarted", found.service))?;
        }
        restarted.push(found.service.to_string());
    }
    if out.json {
        out.document(&json!({ "restarted": restarted }))?;
    }
    Ok(ExitCode::SUCCESS)
}
