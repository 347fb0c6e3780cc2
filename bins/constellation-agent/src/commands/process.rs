//! `process`: start, look at and stop the processes of an agent that runs them itself.

use std::process::ExitCode;

use constellation_api::Client;
use constellation_docker::{Container, ContainerSpec, HealthCheck, RestartPolicy};

use super::{print, print_json, table};
use crate::cli::{ProcessCommand, ProcessNameArgs, ProcessRunArgs, RestartArg};

pub(super) async fn execute(command: ProcessCommand) -> anyhow::Result<ExitCode> {
    match command {
        ProcessCommand::Run(args) => run(args).await?,
        ProcessCommand::Ls(ask) => list(&Client::new(&ask.socket).processes().await?, ask.json)?,
        ProcessCommand::Start(target) => act(&target, "start").await?,
        ProcessCommand::Stop(target) => act(&target, "stop").await?,
        ProcessCommand::Restart(target) => act(&target, "restart").await?,
        ProcessCommand::Kill { target, signal } => {
            let container = Client::new(&target.ask.socket).kill_process(&target.name, &signal).await?;
            say(&container, target.ask.json)?;
        }
        ProcessCommand::Rm { target, force } => {
            Client::new(&target.ask.socket).remove_process(&target.name, force).await?;
        }
        ProcessCommand::Logs { target, tail } => {
            let lines = Client::new(&target.ask.socket).process_logs(&target.name, tail).await?;
            if target.ask.json {
                print_json(&lines)?;
            } else {
                lines.iter().try_for_each(|line| print(&line.text))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(args: ProcessRunArgs) -> anyhow::Result<()> {
    let program = args.command.first().cloned().unwrap_or_default();
    let spec = ContainerSpec {
        command: Some(args.command),
        env: args.env.into_iter().collect(),
        labels: args.label.into_iter().collect(),
        exposed: args.expose,
        restart: match args.restart {
            RestartArg::No => RestartPolicy::No,
            RestartArg::Always => RestartPolicy::Always,
            RestartArg::UnlessStopped => RestartPolicy::UnlessStopped,
            RestartArg::OnFailure => RestartPolicy::OnFailure(0),
        },
        health: args.health.map(|command| HealthCheck {
            interval: args.health_interval,
            ..HealthCheck::command(["/bin/sh", "-c", &command])
        }),
        working_dir: args.working_dir,
        ..ContainerSpec::new(args.name, program)
    };
    let container = Client::new(&args.ask.socket).run_process(&spec).await?;
    say(&container, args.ask.json)
}

async fn act(target: &ProcessNameArgs, deed: &str) -> anyhow::Result<()> {
    let container = Client::new(&target.ask.socket).act(&target.name, deed).await?;
    say(&container, target.ask.json)
}

fn say(container: &Container, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(&Row::of(container));
    }
    print(container.id.as_str())
}

/// A process, flat enough to be read by a script.
#[derive(serde::Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    state: constellation_docker::RunState,
    health: constellation_docker::HealthReport,
    pid: Option<u32>,
    exit_code: Option<i64>,
    restarts: u32,
    ports: Vec<String>,
}

impl<'a> Row<'a> {
    fn of(container: &'a Container) -> Self {
        Self {
            id: container.id.as_str(),
            name: &container.name,
            state: container.state.run,
            health: container.state.health,
            pid: container.state.pid,
            exit_code: container.state.exit_code,
            restarts: container.state.restarts,
            ports: container.exposed.iter().map(ToString::to_string).collect(),
        }
    }
}

fn list(containers: &[Container], json: bool) -> anyhow::Result<()> {
    let rows: Vec<Row<'_>> = containers.iter().map(Row::of).collect();
    if json {
        return print_json(&rows);
    }
    let mut table = table(["ID", "NAME", "STATE", "HEALTH", "PID", "RESTARTS", "PORTS"]);
    for (row, container) in rows.iter().zip(containers) {
        table.add_row([
            container.id.short().to_owned(),
            row.name.to_owned(),
            format!("{:?}", row.state).to_lowercase(),
            format!("{:?}", row.health).to_lowercase(),
            row.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            row.restarts.to_string(),
            row.ports.join(", "),
        ]);
    }
    print(&table.to_string())
}
