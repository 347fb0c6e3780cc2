//! `constellation-deploy`: the catalogue, and the tool on it.

use std::{io::Write as _, process::ExitCode};

use constellation_deploy::catalogue;
use constellation_services::Config;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["catalogue"] | ["catalogue", "--markdown"] => page(),
        ["catalogue", ..] => {
            eprintln!(
                "usage: constellation-deploy catalogue [--markdown]\n\nPrints docs/catalogue.md: what there is, and why it is so."
            );
            ExitCode::from(2)
        }
        _ => constellation_services::cli(catalogue::stacks),
    }
}

/// The page does not depend on who asks, so that the committed one can be compared with it.
fn page() -> ExitCode {
    let text = catalogue::markdown(&Config::example());
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has seen enough, as `head` has.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: could not print the page: {error}");
            ExitCode::FAILURE
        }
    }
}
