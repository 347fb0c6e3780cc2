//! `adopt`: a container that somebody else made becomes ours, as it is.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::json;

use super::{Ended, Out, Scene, defined_services};
use crate::{
    cli::select,
    plan::{changes_text, observed},
    store::Adopted,
    survey::survey,
};

pub(super) async fn adopt(scene: &Scene, service: &str, different: bool, out: &Out) -> Ended {
    let id = select::one(service, &defined_services(scene))?;
    let desired = scene.desired()?;
    let Some(wanted) = desired.services.iter().find(|service| service.id == id) else {
        return Err(format!("{id} does not run on this node").into());
    };
    let host = scene.machine().await?;
    let _lock = scene.store.lock("adopt")?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    if actual.ours.iter().any(|found| found.service == id) {
        return Err(format!("{id} is there already, and ours").into());
    }
    let Some(container) = actual.foreign.get(&wanted.spec.name) else {
        return Err(format!("there is no container `{}` to take over", wanted.spec.name).into());
    };
    let there = host.observe(container).await?;
    let changes = observed(&there.spec, &wanted.spec);
    let equal = changes.is_empty();
    if !equal && !different {
        if out.json {
            out.document(&json!({ "adopted": false, "changes": changes }))?;
        } else {
            out.line(&format!("`{}` is not what {id} defines:", wanted.spec.name))?;
            out.text(&changes_text(&changes, out.paint))?;
            out.note(
                "Nothing was done. With --different it is taken over, and the next `apply` recreates it.",
            );
        }
        return Ok(ExitCode::FAILURE);
    }
    scene.store.remember(wanted)?;
    let definition = if equal { wanted.definition.clone() } else { String::new() };
    scene.store.adopt(&id, Some(Adopted { container: container.clone(), definition }))?;
    if out.json {
        out.document(&json!({ "adopted": true, "equal": equal, "changes": changes }))?;
    } else if equal {
        out.line(&format!("{id} is taken over, and goes on running as it is."))?;
    } else {
        out.line(&format!("{id} is taken over; the next `apply` recreates it."))?;
    }
    Ok(ExitCode::SUCCESS)
}
