//! Every crate says what it is for, inherits the lints, and is on the map.

use std::collections::BTreeSet;

use super::finding::Finding;

/// A member as this rule sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its manifest, relative to the root, and the manifest's text.
    pub(crate) manifest: String,
    pub(crate) manifest_text: String,
    pub(crate) description: Option<String>,
    /// `lib.rs` and `main.rs`: paths relative to the root, and text.
    pub(crate) roots: Vec<(String, String)>,
    pub(crate) is_lib: bool,
}

/// The documents that name the crates; `None` where the file is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Documents {
    pub(crate) architecture: Option<String>,
    pub(crate) readme: Option<String>,
}

const ARCHITECTURE: &str = "docs/architecture.md";
const README: &str = "README.md";

/// Checks every member, then the map.
pub(crate) fn check(members: &[Member], documents: &Documents) -> Vec<Finding> {
    let mut findings: Vec<Finding> = members.iter().flat_map(member).collect();
    let libs: Vec<&str> = members
        .iter()
        .filter(|member| member.is_lib && !member.manifest.starts_with("examples/"))
        .map(|member| member.name.as_str())
        .collect();
    match &documents.readme {
        None => findings.push(Finding::error(README, "is missing: write what it is for and how to start")),
        Some(readme) => {
            for name in libs.iter().filter(|name| !readme.contains(**name)) {
                findings.push(Finding::error(
                    README,
                    format!("does not name `{name}`: add a line that says what it is"),
                ));
            }
        }
    }
    match documents.architecture.as_deref().map(map) {
        None => {
            findings.push(Finding::error(ARCHITECTURE, "is missing: draw the map of the crates by floor"));
        }
        Some(lines) if lines.is_empty() => findings.push(Finding::error(
            ARCHITECTURE,
            "has no map: a fenced block that names the crates by floor, with `constellation-core` in it",
        )),
        Some(lines) => findings.extend(compare(&lines, &libs, members)),
    }
    findings
}

fn member(member: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    if member.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
        findings.push(Finding::error(
            &member.manifest,
            "has no `description`: one line that says what it is for",
        ));
    }
    if !inherits_lints(&member.manifest_text) {
        findings.push(Finding::error(
            &member.manifest,
            "does not inherit the lints: add `[lints]` `workspace = true`",
        ));
    }
    for (path, text) in &member.roots {
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        if !first.is_some_and(|line| line.starts_with("//!") && line.len() > "//!".len()) {
            let advice =
                "does not start with a `//!` line: say why this crate exists and what it does not know";
            findings.push(Finding::error(path, advice));
        }
    }
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    let compact = |line: &str| line.replace(' ', "");
    if manifest.lines().any(|line| compact(line) == "lints.workspace=true") {
        return true;
    }
    lines.any(|line| line == "[lints]")
        && lines.take_while(|line| !line.starts_with('[')).any(|line| compact(line) == "workspace=true")
}

/// A line of the map, and the crates that it names.
struct MapLine {
    number: usize,
    text: String,
    names: BTreeSet<String>,
}

/// The first fenced block that names `constellation-core`.
fn map(architecture: &str) -> Vec<MapLine> {
    let mut block: Vec<MapLine> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(architecture.lines()) {
        if line.trim_start().starts_with("```") {
            if inside && block.iter().any(|line| line.names.contains("constellation-core")) {
                return block;
            }
            inside = !inside;
            block.clear();
        } else if inside {
            block.push(MapLine { number, text: line.to_owned(), names: names(line) });
        }
    }
    Vec::new()
}

/// `constellation-x` and its short form `-x`, which must stand alone.
fn names(line: &str) -> BTreeSet<String> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter_map(|word| {
            let short = word.strip_prefix("constellation-").or_else(|| word.strip_prefix('-'))?;
            let named = short.starts_with(|c: char| c.is_ascii_lowercase()) && !short.ends_with('-');
            named.then(|| format!("constellation-{short}"))
        })
        .collect()
}

fn compare(map: &[MapLine], libs: &[&str], members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in libs {
        if !map.iter().any(|line| line.names.contains(*name)) {
            findings
                .push(Finding::error(ARCHITECTURE, format!("the map lacks `{name}`: draw it on its floor")));
        }
    }
    for line in map {
        for name in &line.names {
            let exists = members.iter().any(|member| member.name == *name);
            if !exists && !line.text.contains("later") {
                findings.push(Finding::error(
                    format!("{ARCHITECTURE}:{}", line.number),
                    format!("the map names `{name}`, which does not exist: mark the line with \"later\""),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
    const MAP: &str =
        "# Map\n```text\n3  -dns (later)   -traefik\n0  constellation-core   ids - plain values\n```\n";

    fn lib(name: &str) -> Member {
        Member {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            manifest_text: LINTS.to_owned(),
            description: Some("Says what it is for".to_owned()),
            roots: vec![(format!("crates/{name}/src/lib.rs"), "//! Why.\n".to_owned())],
            is_lib: true,
        }
    }

    fn documents(architecture: &str, readme: &str) -> Documents {
        Documents { architecture: Some(architecture.to_owned()), readme: Some(readme.to_owned()) }
    }

    fn texts(members: &[Member], documents: &Documents) -> Vec<String> {
        check(members, documents).iter().map(Finding::line).collect()
    }

    #[test]
    fn a_documented_workspace_has_no_findings() {
        let members = [lib("constellation-core"), lib("constellation-traefik")];
        let documents = documents(MAP, "constellation-core and constellation-traefik");
        assert_eq!(texts(&members, &documents), [""; 0]);
    }

    #[test]
    fn a_crate_without_words_description_or_lints_is_told_what_to_add() {
        let mut bare = lib("constellation-core");
        bare.manifest_text = "[package]\n[lints.rust]\nworkspace = true".to_owned();
        bare.description = None;
        bare.roots[0].1 = "\nfn main() {}".to_owned();
        let found = texts(&[bare], &documents("```\nconstellation-core\n```", "constellation-core"));
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found[0].contains("description") && found[1].contains("lints") && found[2].contains("lib.rs")
        );
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_or_in_the_readme_is_named() {
        let found = texts(
            &[lib("constellation-core"), lib("constellation-proxy")],
            &documents(MAP, "constellation-core"),
        );
        assert!(
            found.iter().any(|text| text.contains("README.md: does not name `constellation-proxy`")),
            "{found:#?}"
        );
        assert!(found.iter().any(|text| text.contains("the map lacks `constellation-proxy`")), "{found:#?}");
    }

    #[test]
    fn a_name_on_the_map_that_does_not_exist_must_say_later() {
        let map = "```\n3  -dns\n3  -stateful   later\n0  constellation-core\n```";
        let found = texts(&[lib("constellation-core")], &documents(map, "constellation-core"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("architecture.md:2") && found[0].contains("constellation-dns"));
    }

    #[test]
    fn missing_documents_are_findings() {
        assert_eq!(texts(&[], &Documents::default()).len(), 2);
        assert!(texts(&[], &documents("no map here", "")).iter().any(|text| text.contains("has no map")));
    }
}
