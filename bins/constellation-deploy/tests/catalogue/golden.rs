//! What the engine would be asked for, committed: a change of a helper or of the language shows in every service that it
//! touches. And the page of the catalogue, which the tool prints.

use std::{fs, path::PathBuf};

use constellation_deploy::catalogue;
use constellation_services::{Config, SecretGenerations, render};
use serde_json::{Value, json};

/// Writes the files anew instead of comparing them.
const UPDATE: &str = "UPDATE_GOLDEN";

fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The file is what it should be, or becomes it where the variable asks for that.
fn same_as(below: &str, wanted: &str) -> Result<(), String> {
    let path = path(below);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, wanted).map_err(|error| format!("{below}: {error}"))?;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found == wanted {
        return Ok(());
    }
    let line = found.lines().zip(wanted.lines()).position(|(a, b)| a != b).unwrap_or(0) + 1;
    Err(format!("{below} differs from line {line} on"))
}

fn check(results: impl IntoIterator<Item = Result<(), String>>) {
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        wrong.is_empty(),
        "look at what changed, then run the tests once with {UPDATE}=1 and commit the files:\n  {}",
        wrong.join("\n  ")
    );
}

#[test]
fn the_catalogue_renders_what_is_committed() {
    let cfg = Config::example();
    let stacks = catalogue::stacks(&cfg);
    let desired = render(&stacks, &cfg, &SecretGenerations::default()).unwrap();
    let mut wanted: Vec<(String, Value)> = Vec::new();
    for stack in &stacks {
        let services = desired.services.iter().filter(|rendered| rendered.id.stack() == Some(stack.name()));
        let specs: Value = services
            .map(|rendered| {
                let spec = serde_json::to_value(&rendered.spec).unwrap();
                (rendered.id.name().to_owned(), json!({ "spec": spec, "depends_on": rendered.depends_on }))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        wanted.push((format!("tests/golden/{}.json", stack.name()), specs));
    }
    check(
        wanted
            .iter()
            .map(|(below, specs)| same_as(below, &(serde_json::to_string_pretty(specs).unwrap() + "\n"))),
    );
}

#[test]
fn the_page_of_the_catalogue_is_what_the_tool_prints() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_constellation-deploy"))
        .args(["catalogue", "--markdown"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    check([same_as("../../docs/catalogue.md", &String::from_utf8(output.stdout).unwrap())]);
}
