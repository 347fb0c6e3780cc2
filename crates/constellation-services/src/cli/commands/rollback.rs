//! `rollback`: what ran before a run runs again, from the definitions that were kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use constellation_core::ServiceId;

use super::{
    CliError, Ended, Out, Scene,
    apply::{Work, nothing, show_plan, summary},
};
use crate::{
    cli::{args::RollbackArgs, progress::Show},
    plan::PlanOptions,
    render::{Desired, Rendered},
    store::Run,
    survey::survey,
};

pub(super) async fn rollback(scene: &Scene, args: &RollbackArgs, out: &Out) -> Ended {
    let host = scene.machine().await?;
    let _lock = scene.store.lock("rollback")?;
    let runs = scene.store.runs(usize::MAX)?;
    let undone = undone(&runs, args.to_before)?;
    let touched: BTreeSet<ServiceId> = undone.iter().flat_map(|run| run.touched()).cloned().collect();
    // The oldest of them knows what ran before all of them.
    let before = undone.last().map(|run| run.before()).unwrap_or_default();
    let mut desired = desired(scene, &before, &touched)?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    // What `down` took with it comes back as it is defined now; what is there stays as it is.
    desired.networks.retain(|network| actual.networks.iter().all(|there| there.name != network.spec.name));
    let options = PlanOptions { only: Some(touched), ..PlanOptions::default() };
    let plan = crate::plan::plan(&desired, &actual, &options);
    if !out.json {
        let numbers: Vec<String> = undone.iter().map(|run| run.number.to_string()).collect();
        out.line(&format!("Back to what ran before run {}:", numbers.last().map_or("", String::as_str)))?;
        show_plan(&plan, out)?;
    }
    if plan.is_empty() {
        if !out.json {
            out.line(
                "Nothing to do: what runs has the definitions that ran before. An image that moved under the same tag cannot \
                 be put back: name the earlier one by its digest, and apply.",
            )?;
        }
        return nothing(out);
    }
    if !plan.blockers.is_empty() {
        if out.json {
            show_plan(&plan, out)?;
        }
        return Ok(ExitCode::FAILURE);
    }
    if !args.yes && !out.confirm("Do this?")? {
        out.note("Nothing was done.");
        return Ok(ExitCode::FAILURE);
    }
    let show = Show::new(*out);
    let work = Work { scene, host: host.as_ref(), command: "rollback", parallel: 4 };
    let applied = work.run(&desired, &actual, &plan, &show).await?;
    summary(&applied, out)
}

/// The runs that are undone, newest first: the last one that did something, or all since the one that was named.
fn undone(runs: &[Run], to_before: Option<u64>) -> Result<Vec<&Run>, CliError> {
    if let Some(number) = to_before {
        if !runs.iter().any(|run| run.number == number) {
            return Err(format!("there is no run {number} in the history: see `history`").into());
        }
        return Ok(runs.iter().filter(|run| run.number >= number).collect());
    }
    match runs.iter().find(|run| !run.touched().is_empty()) {
        Some(run) => Ok(vec![run]),
        None => Err("no run in the history did anything".into()),
    }
}

fn desired(
    scene: &Scene,
    before: &BTreeMap<ServiceId, String>,
    touched: &BTreeSet<ServiceId>,
) -> Result<Desired, CliError> {
    let mut services: Vec<Rendered> = Vec::new();
    for (id, definition) in before {
        match scene.store.definition(definition) {
            Some(stored) => services.push(Rendered::from(stored)),
            None if touched.contains(id) => {
                let why = "its definition is not kept any more (or it was taken over from somebody else)";
                return Err(format!(
                    "{id} cannot be put back: {why}; put the definition back in the code and apply"
                )
                .into());
            }
            None => {}
        }
    }
    let stacks = touched.iter().filter_map(|id| id.stack().map(str::to_owned)).collect();
    // What is defined now may be wrong, which is often why somebody goes back.
    let now = scene.defined().unwrap_or_default();
    for service in &mut services {
        let volumes = now.services.iter().filter(|defined| defined.id == service.id);
        service.volumes = volumes.flat_map(|defined| defined.volumes.clone()).collect();
    }
    Ok(Desired { services, networks: now.networks, stacks })
}
