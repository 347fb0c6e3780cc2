//! `plan` and `apply`.

use std::{collections::BTreeSet, path::Path, process::ExitCode};

use constellation_core::error_chain;
use constellation_tasks::SystemClock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{CliError, Ended, Out, Scene, defined_services};
use crate::{
    apply::{Applied, Apply, Fetch, fetch_images},
    cli::{
        CHANGED_MEANWHILE, SOMETHING_TO_DO,
        args::{ApplyArgs, PlanArgs, Selection},
        progress::Show,
        select,
    },
    host::Host,
    language::Pull,
    plan::{Actual, Plan, PlanOptions},
    problem::Problem,
    render::Desired,
    store::{Outcome, write_whole},
    survey::survey,
};

/// A plan in a file: what was seen, to be compared with what would be done.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPlan {
    hash: String,
    options: SavedOptions,
    plan: Plan,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedOptions {
    services: Vec<String>,
    stacks: Vec<String>,
    recreate_networks: bool,
}

pub(super) async fn plan(scene: &Scene, args: &PlanArgs, out: &Out) -> Ended {
    let options = options(scene, &args.selection, args.recreate_networks)?;
    let (desired, missing) = scene.desired_and_missing()?;
    let host = scene.machine().await?;
    // As they are here: a plan fetches nothing.
    let images = moving_images(&desired, &options, false);
    let (_, plan) = look(host.as_ref(), scene, (&desired, &missing), &options, &images).await?;
    if let Some(path) = &args.out {
        let options = SavedOptions {
            services: args.selection.services.clone(),
            stacks: args.selection.stacks.clone(),
            recreate_networks: args.recreate_networks,
        };
        save(path, &SavedPlan { hash: plan.hash(), options, plan: plan.clone() })?;
    }
    show_plan(&plan, out)?;
    Ok(if plan.has_steps() {
        ExitCode::from(SOMETHING_TO_DO)
    } else if plan.blockers.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A plan in words, or as the document that stands for the whole answer.
pub(super) fn show_plan(plan: &Plan, out: &Out) -> Result<(), CliError> {
    if out.json {
        out.document(&json!({ "hash": plan.hash(), "empty": plan.is_empty(), "plan": plan }))
    } else {
        out.text(&plan.to_text(out.paint))
    }
}

/// Says that what was seen is not what would be done any more.
fn changed_meanwhile(plan: &Plan, why: &str, out: &Out) -> Ended {
    show_plan(plan, out)?;
    out.note(&format!("error: {why}"));
    Ok(ExitCode::from(CHANGED_MEANWHILE))
}

/// Definitions hold what may be secret, so a plan is for its owner's eyes.
fn save(path: &Path, plan: &SavedPlan) -> Result<(), CliError> {
    let failed = |error| format!("could not write {}: {error}", path.display());
    let path = std::path::absolute(path).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        return Err(
            format!("could not write {}: there is no folder {}", path.display(), folder.display()).into()
        );
    }
    Ok(write_whole(&path, &serde_json::to_vec_pretty(plan)?, 0o600, None)?)
}

fn read(path: &Path) -> Result<SavedPlan, CliError> {
    let text = std::fs::read(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
    let plan = serde_json::from_slice(&text)
        .map_err(|error| format!("{} is not a plan of this version: {error}", path.display()))?;
    Ok(plan)
}

fn options(scene: &Scene, selection: &Selection, recreate_networks: bool) -> Result<PlanOptions, CliError> {
    let only = select::select(selection, &defined_services(scene))?;
    Ok(PlanOptions { only, recreate_networks, ..PlanOptions::default() })
}

pub(super) async fn apply(scene: &Scene, args: &ApplyArgs, out: &Out) -> Ended {
    let saved = args.plan.as_deref().map(read).transpose()?;
    let options = match &saved {
        Some(saved) => {
            let selection =
                Selection { services: saved.options.services.clone(), stacks: saved.options.stacks.clone() };
            options(scene, &selection, saved.options.recreate_networks)?
        }
        None => options(scene, &args.selection, args.recreate_networks)?,
    };
    let (desired, missing) = scene.desired_and_missing()?;
    let host = scene.machine().await?;
    let _lock = scene.store.lock("apply")?;
    let show = Show::new(*out);
    let fetch = if args.pull { Fetch::All } else { Fetch::AsDefined };
    let images = moving_images(&desired, &options, args.pull);
    if !images.is_empty() {
        let services = desired.services.iter().filter(|service| images.contains(service.image.reference()));
        fetch_images(host.as_ref(), services, fetch, &show)
            .await
            .map_err(crate::apply::ApplyError::Blocked)?;
    }
    let (actual, plan) = look(host.as_ref(), scene, (&desired, &missing), &options, &images).await?;
    if let Some(saved) = &saved
        && saved.hash != plan.hash()
    {
        let why =
            "this is not what the saved plan says: the definitions or the machine changed since; plan again";
        return changed_meanwhile(&plan, why, out);
    }
    if !plan.blockers.is_empty() {
        show_plan(&plan, out)?;
        return Ok(ExitCode::FAILURE);
    }
    if !out.json {
        show_plan(&plan, out)?;
    }
    if plan.is_empty() {
        return nothing(out);
    }
    let (actual, plan) = if args.yes || saved.is_some() {
        (actual, plan)
    } else {
        if !out.confirm("Do this?")? {
            out.note("Nothing was done.");
            return Ok(ExitCode::FAILURE);
        }
        // The answer may have taken an hour.
        let (actual, now) = look(host.as_ref(), scene, (&desired, &missing), &options, &images).await?;
        if now.hash() != plan.hash() {
            let why = "the machine changed while you looked: this is what would be done now; apply again";
            return changed_meanwhile(&now, why, out);
        }
        (actual, now)
    };
    let work = Work { scene, host: host.as_ref(), command: "apply", parallel: args.parallel };
    let applied = work.run(&desired, &actual, &plan, &show).await?;
    summary(&applied, out)
}

/// Carrying out, as several commands do it.
pub(super) struct Work<'a> {
    pub(super) scene: &'a Scene,
    pub(super) host: &'a dyn Host,
    pub(super) command: &'a str,
    pub(super) parallel: usize,
}

impl Work<'_> {
    pub(super) async fn run(
        &self,
        desired: &Desired,
        actual: &Actual,
        plan: &Plan,
        show: &Show,
    ) -> Result<Applied, CliError> {
        let stopping = CancellationToken::new();
        let clock = SystemClock::start();
        let apply = Apply {
            host: self.host,
            clock: &clock,
            store: &self.scene.store,
            watcher: show,
            parallel: self.parallel,
            command: self.command.to_owned(),
            // They are here already; what was fetched once in this run need not be again.
            fetch: Fetch::Missing,
            stopping: stopping.clone(),
        };
        let run = apply.run(desired, actual, plan);
        tokio::pin!(run);
        let applied = loop {
            tokio::select! {
                applied = &mut run => break applied?,
                signal = tokio::signal::ctrl_c() => {
                    signal?;
                    if stopping.is_cancelled() {
                        return Err("ended in the middle: the next run goes on from here".into());
                    }
                    show.say("What has begun comes to its end, and nothing else begins. Again to end at once.");
                    stopping.cancel();
                }
            }
        };
        // What is done is done, and its summary comes first: what could not be tidied is tidied by the next run.
        if let Err(error) =
            crate::store::tidy(&self.scene.store, &self.scene.config.data_dir(), desired, actual)
        {
            show.say(&format!("Old files of this tool are left: {}", error_chain(&error)));
        }
        Ok(applied)
    }
}

pub(super) fn summary(applied: &Applied, out: &Out) -> Ended {
    if out.json {
        out.document(applied)?;
    } else {
        let count = |matches: fn(&Outcome) -> bool| {
            applied.results.iter().filter(|result| matches(&result.outcome)).count()
        };
        let done = count(|outcome| *outcome == Outcome::Done);
        let back = count(|outcome| matches!(outcome, Outcome::RolledBack(_)));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let mut parts = vec![format!("{done} done")];
        for (number, word) in [(back, "rolled back"), (failed, "failed"), (skipped, "left out")] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        out.line(&format!("Run {}: {}.", applied.run, parts.join(", ")))?;
    }
    Ok(if applied.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn nothing(out: &Out) -> Ended {
    if out.json {
        out.document(&json!({ "run": null, "results": [] }))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(
    host: &dyn Host,
    scene: &Scene,
    (desired, missing): (&Desired, &[Problem]),
    options: &PlanOptions,
    images: &BTreeSet<String>,
) -> Result<(Actual, Plan), CliError> {
    let actual = survey(host, &scene.store, desired, images).await?;
    let mut plan = crate::plan::plan(desired, &actual, options);
    // What a service lacks that nobody asked about is in nobody's way.
    let concerned: BTreeSet<String> = plan
        .services
        .iter()
        .map(|step| &step.service)
        .chain(&plan.unchanged)
        .map(ToString::to_string)
        .collect();
    plan.blockers.extend(missing.iter().filter(|problem| concerned.contains(&problem.place)).cloned());
    Ok((actual, plan))
}

/// Images that are fetched before the plan is made, because what they are now is part of it.
fn moving_images(desired: &Desired, options: &PlanOptions, all: bool) -> BTreeSet<String> {
    desired
        .services
        .iter()
        .filter(|service| options.only.as_ref().is_none_or(|only| only.contains(&service.id)))
        .filter(|service| service.image.pull == Pull::Always || (all && service.image.pull != Pull::Never))
        .map(|service| service.image.reference().to_owned())
        .collect()
}
