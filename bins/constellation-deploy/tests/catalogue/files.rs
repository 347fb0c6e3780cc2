//! Files whose content stands in the catalogue: that the programs which read them can.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use constellation_deploy::catalogue;
use constellation_services::{FileToWrite, SecretGenerations, prelude::*, render};

fn files() -> Vec<(String, FileToWrite)> {
    let cfg = Config::example();
    let stacks = catalogue::stacks(&cfg);
    let desired = render(&stacks, &cfg, &SecretGenerations::default()).unwrap();
    let of_service = |rendered: &constellation_services::Rendered| {
        let id = rendered.id.to_string();
        rendered.files.iter().map(|file| (id.clone(), file.clone())).collect::<Vec<_>>()
    };
    desired.services.iter().flat_map(of_service).collect()
}

fn name(file: &FileToWrite) -> &str {
    let name = file.path.file_name().unwrap().to_str().unwrap();
    // Behind the name stands the hash.
    name.rsplit_once('-').unwrap().0
}

#[test]
fn what_is_json_parses_as_such() {
    let mut seen = 0;
    for (id, file) in files() {
        if name(&file).ends_with(".json") {
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&file.content);
            assert!(parsed.is_ok(), "{id}: {}: {parsed:?}", name(&file));
            seen += 1;
        }
    }
    assert!(seen > 0, "no such file");
}

#[test]
fn what_is_a_script_has_the_grammar_of_one() {
    let mut seen = 0;
    for (id, file) in files() {
        let first = file.content.split(|byte| *byte == b'\n').next().unwrap();
        let Some(shell) = first.strip_prefix(b"#!") else { continue };
        let shell = std::str::from_utf8(shell).unwrap();
        let mut check =
            Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        check.stdin.take().unwrap().write_all(&file.content).unwrap();
        let output = check.wait_with_output().unwrap();
        assert!(output.status.success(), "{id}: {}: {output:?}", name(&file));
        seen += 1;
    }
    assert!(seen > 0, "no such file");
}

#[test]
fn every_place_for_a_value_has_got_one() {
    for (id, file) in files() {
        let text = String::from_utf8(file.content.clone()).unwrap();
        for place in ["{address}", "{domain}", "{node}", "{port}", "{remote}", "{victoriametrics}"] {
            assert!(!text.contains(place), "{id}: {}: {place}", name(&file));
        }
    }
}
