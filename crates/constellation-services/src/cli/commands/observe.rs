//! What is there: status, logs, diff, history.

use std::{collections::BTreeSet, process::ExitCode};

use constellation_core::ServiceId;
use constellation_docker::{ContainerState, HealthReport, LogStream, RunState};
use serde_json::json;

use super::{Ended, Out, Scene, defined_services};
use crate::{
    cli::{args::Selection, out::table, select},
    plan::{Actual, Found, Role, observed},
    render::Desired,
    store::{Entry, Outcome},
    survey::survey,
};

async fn seen(scene: &Scene) -> Result<(Desired, Actual, Box<dyn crate::host::Host>), super::CliError> {
    let desired = scene.defined()?;
    let host = scene.machine().await?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    Ok((desired, actual, host))
}

fn everything(scene: &Scene, actual: &Actual) -> BTreeSet<ServiceId> {
    actual.ours.iter().map(|found| found.service.clone()).chain(defined_services(scene)).collect()
}

fn current<'a>(actual: &'a Actual, id: &ServiceId) -> Option<&'a Found> {
    actual.ours.iter().find(|found| found.service == *id && found.role == Role::Current)
}

pub(super) async fn status(scene: &Scene, selection: &Selection, out: &Out) -> Ended {
    let (desired, actual, _) = seen(scene).await?;
    let known = everything(scene, &actual);
    let chosen = select::select(selection, &known)?.unwrap_or(known);
    let mut rows = vec![
        ["SERVICE", "STATE", "HEALTH", "RESTARTS", "DEFINITION", "CONTAINER"].map(str::to_owned).to_vec(),
    ];
    let mut documents = Vec::new();
    let mut all_well = true;
    for id in &chosen {
        let wanted = desired.services.iter().find(|service| service.id == *id);
        let there = current(&actual, id);
        if wanted.is_none() && there.is_none() {
            continue;
        }
        let definition = match (wanted, there) {
            (Some(wanted), Some(there)) if wanted.definition == there.definition => "as defined",
            (Some(_), Some(_)) => "differs",
            (Some(_), None) => "not there",
            (None, _) => "not defined here",
        };
        let job = wanted.is_some_and(|service| service.job);
        let well = there.is_some_and(|there| is_well(job, &there.state));
        // What nobody defines here is shown, and is nobody's failure here.
        all_well &= well || wanted.is_none();
        let state = there.map_or("-".to_owned(), |there| state_of(job, &there.state));
        let health = there.map_or("-", |there| match there.state.health {
            HealthReport::None => "-",
            HealthReport::Starting => "starting",
            HealthReport::Healthy => "healthy",
            HealthReport::Unhealthy => "unhealthy",
        });
        let restarts = there.map_or("-".to_owned(), |there| there.state.restarts.to_string());
        let container = there.map_or(String::new(), |there| there.id.short().to_owned());
        documents.push(json!({
            "service": id, "well": well, "state": state, "health": health, "definition": definition,
            "container": container, "restarts": there.map(|there| there.state.restarts),
        }));
        rows.push(vec![id.to_string(), state, health.to_owned(), restarts, definition.to_owned(), container]);
    }
    if out.json {
        out.document(&documents)?;
    } else {
        out.text(&table(out.paint, &rows))?;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_well(job: bool, state: &ContainerState) -> bool {
    if job {
        return state.run == RunState::Running
            || (state.run == RunState::Exited && state.exit_code == Some(0));
    }
    state.run == RunState::Running && state.health != HealthReport::Unhealthy
}

fn state_of(job: bool, state: &ContainerState) -> String {
    match (state.run, state.exit_code) {
        (RunState::Exited, Some(0)) if job => "completed".to_owned(),
        (RunState::Exited, Some(code)) => format!("exited ({code})"),
        (run, _) => format!("{run:?}").to_lowercase(),
    }
}

pub(super) async fn logs(scene: &Scene, service: &str, tail: usize, out: &Out) -> Ended {
    let (_, actual, host) = seen(scene).await?;
    let id = select::one(service, &everything(scene, &actual))?;
    let Some(found) = current(&actual, &id) else {
        return Err(format!("{id} is not there").into());
    };
    let lines = host.logs(&found.id, tail).await?;
    if out.json {
        out.document(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines {
        let text: String = line
            .text
            .chars()
            .map(|c| if c.is_control() && c != '\t' && c != '\x1b' { '·' } else { c })
            .collect();
        match line.stream {
            LogStream::Stdout => out.line(&text)?,
            LogStream::Stderr => out.note(&text),
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn diff(scene: &Scene, selection: &Selection, out: &Out) -> Ended {
    let desired = scene.desired()?;
    let host = scene.machine().await?;
    let actual = survey(host.as_ref(), &scene.store, &desired, &BTreeSet::new()).await?;
    let chosen = select::select(selection, &defined_services(scene))?;
    let mut documents = Vec::new();
    let mut differ = false;
    for service in desired
        .services
        .iter()
        .filter(|service| chosen.as_ref().is_none_or(|chosen| chosen.contains(&service.id)))
    {
        let changes = match current(&actual, &service.id) {
            Some(there) => observed(&there.spec, &service.spec),
            None => {
                documents.push(json!({ "service": service.id, "there": false }));
                differ = true;
                if !out.json {
                    out.line(&format!("{}: not there", service.id))?;
                }
                continue;
            }
        };
        differ |= !changes.is_empty();
        if out.json {
            documents.push(json!({ "service": service.id, "there": true, "changes": changes }));
        } else if changes.is_empty() {
            out.line(&format!("{}: equal", service.id))?;
        } else {
            out.line(&format!("{}:", service.id))?;
            out.text(&crate::plan::changes_text(&changes, out.paint))?;
        }
    }
    if out.json {
        out.document(&documents)?;
    }
    Ok(if differ { ExitCode::from(crate::cli::SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

pub(super) fn history(scene: &Scene, last: usize, out: &Out) -> Ended {
    let runs = scene.store.runs(last)?;
    if out.json {
        out.document(&runs)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows =
        vec![["RUN", "COMMAND", "WHEN (UTC)", "HOW IT WENT", "SERVICES"].map(str::to_owned).to_vec()];
    for run in &runs {
        let Some(Entry::Begun { at_ms, command, .. }) = run.entries.first() else { continue };
        let ended = run.entries.iter().find_map(|entry| match entry {
            Entry::Ended { ok, .. } => Some(*ok),
            _ => None,
        });
        let how = match ended {
            Some(true) => "well",
            Some(false) => "not all",
            None => "interrupted",
        };
        let services: Vec<String> = run
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Step { service, outcome, .. } => Some(match outcome {
                    Outcome::Done => service.to_string(),
                    Outcome::RolledBack(_) => format!("{service} (rolled back)"),
                    Outcome::Failed(_) => format!("{service} (failed)"),
                    Outcome::Skipped(_) => format!("{service} (left out)"),
                }),
                _ => None,
            })
            .collect();
        let when = utc(*at_ms);
        rows.push(vec![run.number.to_string(), command.clone(), when, how.to_owned(), services.join(", ")]);
    }
    out.text(&table(out.paint, &rows))?;
    Ok(ExitCode::SUCCESS)
}

/// `2026-01-31 12:00:05`, by the proleptic Gregorian calendar (the days-to-date algorithm of Howard Hinnant).
fn utc(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn moments_are_shown_by_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31 23:59:59");
    }
}
