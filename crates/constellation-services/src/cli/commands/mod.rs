//! One module for each command, or for a few that belong together.

mod adopt;
mod apply;
mod begin;
mod define;
mod down;
mod observe;
mod rollback;

use std::{collections::BTreeSet, process::ExitCode};

use clap::CommandFactory;
use constellation_core::ServiceId;

use super::{
    CliError, Ended,
    args::{Args, Command},
    out::Out,
    scene::Scene,
};
use crate::{config::Config, language::Stack};

/// Runs a command.
pub(super) fn execute(program: &str, args: Args, stacks: &dyn Fn(&Config) -> Vec<Stack>, out: &Out) -> Ended {
    if let Command::Completions { shell } = args.command {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), program, &mut text);
        out.text(&String::from_utf8_lossy(&text))?;
        return Ok(ExitCode::SUCCESS);
    }
    // What needs no configuration must not stumble over one.
    match &args.command {
        Command::New(args) => return begin::new(args, out),
        Command::Import(args) => return begin::import(args, out),
        _ => {}
    }
    let scene = Scene::new(&args.global, stacks)?;
    match args.command {
        Command::Validate => define::validate(&scene, out),
        Command::Lint { selection, all } => define::lint(&scene, &selection, all, out),
        Command::List(selection) => define::list(&scene, &selection, out),
        Command::Explain { service } => define::explain(&scene, &service, out),
        Command::History { last } => observe::history(&scene, last, out),
        Command::Plan(args) => on_machine(apply::plan(&scene, &args, out)),
        Command::Apply(args) => on_machine(apply::apply(&scene, &args, out)),
        Command::Rollback(args) => on_machine(rollback::rollback(&scene, &args, out)),
        Command::Status(selection) => on_machine(observe::status(&scene, &selection, out)),
        Command::Logs { service, tail } => on_machine(observe::logs(&scene, &service, tail, out)),
        Command::Diff(selection) => on_machine(observe::diff(&scene, &selection, out)),
        Command::Restart(selection) => on_machine(down::restart(&scene, &selection, out)),
        Command::Down { selection, volumes, yes } => {
            on_machine(down::down(&scene, &selection, volumes, yes, out))
        }
        Command::Adopt { service, different } => on_machine(adopt::adopt(&scene, &service, different, out)),
        Command::New(_) | Command::Import(_) | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// Only commands that talk to a machine pay for a runtime; `--help` does not.
fn on_machine(work: impl Future<Output = Ended>) -> Ended {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| -> CliError { format!("could not start: {error}").into() })?;
    runtime.block_on(work)
}

/// Every service that is defined, wherever it runs.
fn defined_services(scene: &Scene) -> BTreeSet<ServiceId> {
    let all = scene.stacks.iter().flat_map(|stack| {
        stack.iter().filter_map(move |service| ServiceId::new(Some(stack.name()), service.name()).ok())
    });
    all.collect()
}
