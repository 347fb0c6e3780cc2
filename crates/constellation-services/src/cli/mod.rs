//! The whole tool, for anybody's definitions: `fn main() -> ExitCode { constellation_services::cli(stacks) }`.
//!
//! `args` says what can be written, each command has its module, and `scene` is what they all start from: the
//! configuration, the definitions, the machine.

mod args;
mod commands;
mod machine;
mod out;
mod progress;
mod scene;
mod select;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};

use self::{args::Args, out::Out};
use crate::{config::Config, language::Stack};

/// Nothing was wrong, and something is to be done (`plan`).
const SOMETHING_TO_DO: u8 = 2;
/// What was looked at and what is there are not the same any more (`apply`).
const CHANGED_MEANWHILE: u8 = 3;

/// A command's own end: an exit code, or an error for people.
type Ended = Result<ExitCode, CliError>;

/// Anything that ends a command: its text is printed with its causes, on one line each.
type CliError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the tool on these definitions, with the arguments of the process.
///
/// ```no_run
/// use std::process::ExitCode;
/// use constellation_services::prelude::*;
///
/// fn stacks(cfg: &Config) -> Vec<Stack> {
///     let web = Service::new("web", "docker.io/traefik/whoami:v1.10.3")
///         .route(Route::http(80).host(cfg.host("whoami")).public("it tells who asks, and nothing else"));
///     vec![Stack::new("hello").service(web)]
/// }
///
/// fn main() -> ExitCode {
///     constellation_services::cli(stacks)
/// }
/// ```
pub fn cli(stacks: impl Fn(&Config) -> Vec<Stack>) -> ExitCode {
    run_with(std::env::args_os(), &stacks)
}

/// As [`cli`], with these arguments; the first is the program's name.
pub fn run_with(
    arguments: impl IntoIterator<Item = OsString>,
    stacks: &dyn Fn(&Config) -> Vec<Stack>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program = arguments.first().map_or_else(|| "constellation-deploy".to_owned(), file_name);
    let command = Args::command().bin_name(program.clone());
    let args = match command.try_get_matches_from(arguments).and_then(|found| Args::from_arg_matches(&found))
    {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; where they cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let out = Out::new(args.global.colour, args.global.json);
    match commands::execute(&program, args, stacks, &out) {
        Ok(code) => code,
        Err(error) => {
            out.error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn file_name(path: &OsString) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| "constellation-deploy".to_owned(), |name| name.to_string_lossy().into_owned())
}
