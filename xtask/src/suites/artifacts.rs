//! The test executables that cargo built, read from its JSON messages.

use std::path::PathBuf;

use serde::Deserialize;

use crate::workspace::{Metadata, Target};

/// One libtest executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    pub(crate) package: String,
    /// The folder that cargo runs it in: its package's.
    pub(crate) folder: PathBuf,
    pub(crate) target: String,
    /// `lib`, `bin`, `test`, `example` or `bench`.
    pub(crate) kind: String,
    pub(crate) required_features: Vec<String>,
    pub(crate) path: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Reads the output of `cargo test --no-run --message-format=json`, sorted by package and kind.
pub(crate) fn executables(messages: &str, metadata: &Metadata) -> Vec<Executable> {
    let mut found: Vec<Executable> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| executable(message, metadata))
        .collect();
    found.sort_by(|a, b| (&a.package, &a.kind, &a.target).cmp(&(&b.package, &b.kind, &b.target)));
    found
}

fn executable(message: Message, metadata: &Metadata) -> Option<Executable> {
    if message.reason != "compiler-artifact" || !message.profile?.test {
        return None;
    }
    let (target, manifest, path) = (message.target?, message.manifest_path?, message.executable?);
    let package = metadata.packages.iter().find(|package| package.manifest_path == manifest)?;
    // The messages do not carry the required features; the metadata does.
    let declared =
        package.targets.iter().find(|known| known.src_path == target.src_path && known.name == target.name);
    Some(Executable {
        package: package.name.clone(),
        folder: manifest.parent()?.to_owned(),
        target: target.name,
        kind: target.kind.into_iter().next()?,
        required_features: declared.map(|known| known.required_features.clone()).unwrap_or_default(),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    #[test]
    fn only_test_executables_of_members_are_taken() {
        let target = Target {
            name: "e2e".to_owned(),
            kind: vec!["test".to_owned()],
            src_path: PathBuf::from("/c/a/tests/e2e.rs"),
            required_features: vec!["e2e-docker".to_owned()],
        };
        let package = Package {
            name: "a".to_owned(),
            manifest_path: PathBuf::from("/c/a/Cargo.toml"),
            targets: vec![target],
            ..Package::default()
        };
        let metadata = Metadata { packages: vec![package], target_directory: PathBuf::new() };
        let line = |manifest: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"{manifest}","target":{{"name":"e2e",
                "kind":["test"],"src_path":"/c/a/tests/e2e.rs"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
            .replace('\n', "")
        };
        let messages = [
            line("/c/a/Cargo.toml", true, "\"/t/e2e-1\""),
            line("/c/a/Cargo.toml", false, "\"/t/bin\""),
            line("/c/a/Cargo.toml", true, "null"),
            line("/elsewhere/Cargo.toml", true, "\"/t/other\""),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
            "not json".to_owned(),
        ]
        .join("\n");
        let found = executables(&messages, &metadata);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].package.as_str(), found[0].kind.as_str()), ("a", "test"));
        assert_eq!(found[0].required_features, ["e2e-docker"]);
        assert_eq!(found[0].folder, PathBuf::from("/c/a"));
    }
}
