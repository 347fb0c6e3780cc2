//! The verbs of the binary.

mod ask;
mod cluster;
mod dns;
mod process;
mod run;
mod whoami;

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::Context;
use clap::CommandFactory;
use comfy_table::{Table, presets};
use constellation_security::{Key, Replace, write_secret};

use crate::cli::{Cli, Command};

/// Does what was asked, and says with which code to exit.
pub fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::execute(&args),
        Command::Version => {
            print(concat!("constellation-agent ", env!("CARGO_PKG_VERSION"))).map(|()| ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "constellation-agent",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Keygen { out } => keygen(out.as_deref()).map(|()| ExitCode::SUCCESS),
        Command::Whoami { listen, name } => {
            block_on(whoami::serve(listen, name))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Process(command) => block_on(process::execute(command)),
        Command::Leases(args) => block_on(cluster::leases(args)),
        Command::Raft(command) => block_on(cluster::raft(command)),
        Command::Dns(command) => block_on(dns::execute(command)),
        Command::Init(args) => cluster::init(&args),
        Command::Token(args) => block_on(cluster::token(args)),
        Command::Join(args) => block_on(cluster::join_cluster(args)),
        Command::Cordon(args) => block_on(cluster::cordon(args, true)),
        Command::Uncordon(args) => block_on(cluster::cordon(args, false)),
        Command::Backup(args) => block_on(cluster::backup(args)),
        Command::Restore(args) => cluster::restore(&args),
        Command::Recover(args) => cluster::recover(&args),
        Command::Obituary(args) => block_on(cluster::tell_of_last(args)),
        Command::Status(args) => block_on(ask::status(args)),
        Command::Members(args) => block_on(ask::members(args)),
        Command::Services(args) => block_on(ask::services(args)),
        Command::Explain(args) => block_on(ask::explain(args)),
    }
}

/// Runs a short command: one thread is enough.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    runtime.block_on(work)
}

fn keygen(out: Option<&Path>) -> anyhow::Result<()> {
    let key = Key::generate();
    let Some(path) = out else {
        return print(key.to_base64().as_str());
    };
    let text = format!(
        "# Seals gossip. Every node of the cluster needs this file, mode 0600.\n{}\n",
        key.to_base64().as_str()
    );
    write_secret(path, text.as_bytes(), Replace::No)?;
    eprintln!("wrote {}: copy it to every node of the cluster, and let nobody else read it", path.display());
    Ok(())
}

fn print_json<T: serde::Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value).context("could not print JSON")?)
}

/// Prints lines. A reader that closed the pipe (`| head`) has what it wanted, which `println!` would call a panic.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("could not print"),
        _ => Ok(()),
    }
}

/// A table without lines, as `docker ps` and `kubectl get` print them.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Ends with SIGTERM or SIGINT.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals keep their default effect, which ends the process as well.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
