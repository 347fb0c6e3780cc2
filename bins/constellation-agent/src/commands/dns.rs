//! `dns`: the zone, as the running agent has it.

use std::{fmt::Write as _, process::ExitCode};

use constellation_api::{Client, dns::WhichRecords};
use constellation_dns::{DnsStatus, Found, Outcome, Stage};

use super::{print, print_json};
use crate::cli::{AskArgs, DnsCommand, DnsRecordsArgs};

/// Exit code of `dns plan` when there is something to do.
const SOMETHING_TO_DO: u8 = 2;

pub(super) async fn execute(command: DnsCommand) -> anyhow::Result<ExitCode> {
    match command {
        DnsCommand::Status(args) => status(args).await,
        DnsCommand::Plan(args) => {
            let plan = Client::new(&args.ask.socket).dns_plan(args.force).await?;
            if args.ask.json {
                print_json(&plan)?;
            } else {
                print(plan.to_string().trim_end())?;
            }
            Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOMETHING_TO_DO) })
        }
        DnsCommand::Apply(args) => {
            let plan = Client::new(&args.ask.socket).dns_apply(args.force).await?;
            if args.ask.json {
                print_json(&plan)?;
            } else {
                print(format!("done: {plan}").trim_end())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        DnsCommand::Adopt(args) => own(args, true).await,
        DnsCommand::Disown(args) => own(args, false).await,
        DnsCommand::Export(args) => {
            print(Client::new(&args.socket).dns_export().await?.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn own(args: DnsRecordsArgs, adopt: bool) -> anyhow::Result<ExitCode> {
    let DnsRecordsArgs { ask, name, kind, take_over } = args;
    let found: Vec<Found> =
        Client::new(&ask.socket).dns_own(adopt, &WhichRecords { name, kind, take_over }).await?;
    if ask.json {
        print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    for found in found {
        let was = found
            .comment
            .filter(|_| adopt)
            .map(|was| format!("; its comment was: {was}"))
            .unwrap_or_default();
        let deed = if adopt { "is the cluster's now" } else { "is let go of" };
        print(&format!("{} {} {} {deed}{was}", found.kind, found.name, found.content))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: AskArgs) -> anyhow::Result<ExitCode> {
    let status = Client::new(&args.socket).dns().await?;
    if args.json {
        print_json(&status)?;
    } else {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = describe(&mut text, &status);
        print(text.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(text: &mut String, status: &DnsStatus) -> std::fmt::Result {
    writeln!(text, "zone      {}", status.place)?;
    let stage = match status.stage {
        Stage::Standby => "stands by: another node writes",
        Stage::Writing => "writes",
        Stage::Frozen => "FROZEN: most peers are out of sight",
        Stage::DryRun => "DRY RUN: makes plans and changes nothing",
    };
    let token = status.token.map(|token| format!(", under token {token}")).unwrap_or_default();
    writeln!(text, "this node {stage}{token}")?;
    if let Some(outcome) = status.outcome {
        let outcome = match outcome {
            Outcome::Settled => "the zone is as it should be, but for what is refused below",
            Outcome::Changed => "the zone was changed",
            Outcome::Failed => "it failed",
            Outcome::Overtaken => "the lease ended meanwhile",
        };
        let took =
            status.took_ms.map(|took| format!(" (the last change took {took} ms)")).unwrap_or_default();
        writeln!(text, "last look {outcome}{took}")?;
    }
    if let Some(error) = &status.error {
        writeln!(text, "error     {error}")?;
    }
    let counters = status.counters;
    let left = status.requests_left.map(|left| format!(", {left} left now")).unwrap_or_default();
    writeln!(
        text,
        "since the start: {} reads, {} writes with {} changes, {} failures, {} records of ours changed by others, {} \
         requests{left}",
        counters.reads,
        counters.writes,
        counters.changes,
        counters.failures,
        counters.drifted,
        status.requests
    )?;
    for note in &status.notes {
        writeln!(text, "note      {note}")?;
    }
    if let Some(plan) = &status.plan {
        writeln!(text, "last plan {plan}")?;
    }
    Ok(())
}
