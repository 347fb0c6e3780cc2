//! How an operator begins: a crate of their own, and code from what they had.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{CliError, Ended, Out};
use crate::{
    cli::args::{ImportArgs, NewArgs},
    import::{ImportOptions, Imported, import as read_compose},
    scaffold::{self, Source},
};

/// A Compose file is never larger; the reader says so in its own words.
const COMPOSE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn new(args: &NewArgs, out: &Out) -> Ended {
    let source = match &args.source {
        Some(folder) => Source::Folder(absolute(folder)?),
        None => Source::Repository,
    };
    let folder = absolute(&args.folder)?;
    let name = scaffold::write(&folder, &source)?;
    if out.json {
        out.document(&json!({ "name": name, "folder": folder }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = args.folder.display();
    out.line(&format!("Made {shown}: one service with a route and a health check, in src/main.rs."))?;
    out.line(&format!("Set the domain in {shown}/deploy.toml, then:\n\n  cd {shown}\n  cargo run -- plan"))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn import(args: &ImportArgs, out: &Out) -> Ended {
    let failed = |error: std::io::Error| format!("could not read {}: {error}", args.file.display());
    let file = fs::File::open(&args.file).map_err(failed)?;
    let mut text = String::new();
    file.take(COMPOSE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let folder = absolute(args.file.parent().unwrap_or(Path::new(".")))?;
    let folder = folder.canonicalize().unwrap_or(folder);
    let of_folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let options =
        ImportOptions { stack: args.name.clone().or(of_folder), folder: folder.to_str().map(str::to_owned) };
    let imported = read_compose(&text, &options)
        .map_err(|error| -> CliError { format!("{}: {error}", args.file.display()).into() })?;
    if out.json {
        let Imported { stack, code, notes } = &imported;
        out.document(&json!({ "stack": stack, "code": code, "notes": notes }))?;
        return Ok(ExitCode::SUCCESS);
    }
    match &args.out {
        None => out.text(&imported.code)?,
        Some(path) => {
            let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
            made.and_then(|mut file| std::io::Write::write_all(&mut file, imported.code.as_bytes()))
                .map_err(|error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        format!("{} is there already: move it away, or name another file", path.display())
                    }
                    _ => format!("could not write {}: {error}", path.display()),
                })?;
        }
    }
    for note in &imported.notes {
        out.note(&note.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
