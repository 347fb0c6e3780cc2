//! Where a service's file system comes from.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// When an image is fetched from its registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// When this machine has none of that name. What a moving tag means then stays as it was at the first pull.
    #[default]
    Missing,
    /// At every `apply`, and the service is recreated where the registry has another one.
    Always,
    /// Never: it is made on this machine.
    Never,
}

/// How an image is made on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    pub(crate) source: BuildSource,
    pub(crate) dockerfile: String,
    pub(crate) args: BTreeMap<String, String>,
}

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BuildSource {
    /// An absolute folder of the host.
    Folder(String),
    /// Files by name, the Dockerfile among them.
    #[serde(serialize_with = "names_only")]
    Files(BTreeMap<String, Vec<u8>>),
}

fn names_only<S: serde::Serializer>(
    files: &BTreeMap<String, Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(files.keys())
}

/// An image, by reference or with how to make it.
///
/// ```
/// use constellation_services::prelude::*;
/// let pinned = image("docker.io/library/redis:7.4-alpine");
/// let moving = image("ghcr.io/open-webui/open-webui:main").pull(Pull::Always);
/// let ours = build("/srv/router").dockerfile("Dockerfile.prod").tagged("warp-router:1");
/// let small = build_from("FROM docker.io/library/alpine:3.22\nRUN apk add --no-cache curl\n").tagged("curl:1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    pub(crate) reference: String,
    pub(crate) pull: Pull,
    pub(crate) build: Option<Build>,
}

/// An image by its reference: `registry/name:tag`, or `…@sha256:…` which nobody can move.
pub fn image(reference: impl Into<String>) -> Image {
    Image { reference: reference.into(), pull: Pull::default(), build: None }
}

/// An image made on this machine from an absolute folder with a Dockerfile. [`Build::tagged`] names it.
pub fn build(context: impl Into<String>) -> Build {
    let source = BuildSource::Folder(context.into());
    Build { source, dockerfile: DOCKERFILE.to_owned(), args: BTreeMap::new() }
}

/// An image made on this machine from a Dockerfile that stands in the definition. [`Build::file`] adds what it copies,
/// [`Build::tagged`] names it. The name's tag gets a hash of all of that, so a changed text is another image, which is
/// built and put into the old one's place.
pub fn build_from(dockerfile: impl Into<Vec<u8>>) -> Build {
    let source = BuildSource::Files([(DOCKERFILE.to_owned(), dockerfile.into())].into());
    Build { source, dockerfile: DOCKERFILE.to_owned(), args: BTreeMap::new() }
}

const DOCKERFILE: &str = "Dockerfile";

impl Build {
    /// Another name than `Dockerfile`, relative to the folder.
    #[must_use]
    pub fn dockerfile(mut self, name: impl Into<String>) -> Self {
        self.dockerfile = name.into();
        self
    }

    /// A file beside a Dockerfile that stands in the definition, executable for everybody. A folder has its files.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        if let BuildSource::Files(files) = &mut self.source {
            files.insert(name.into(), content.into());
        }
        self
    }

    /// A build argument. Never a secret: arguments stay readable in the image.
    #[must_use]
    pub fn arg(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.args.insert(name.into(), value.into());
        self
    }

    /// The image of this name.
    pub fn tagged(self, reference: impl Into<String>) -> Image {
        let mut reference = reference.into();
        if let BuildSource::Files(files) = &self.source {
            let mut all = Sha256::new();
            for (name, content) in files {
                all.update(format!("{name}\0{}\0", content.len()));
                all.update(content);
            }
            for (name, value) in &self.args {
                all.update(format!("{name}={value}\0"));
            }
            let hash: String = all.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let has_tag = reference.rsplit('/').next().is_some_and(|name| name.contains(':'));
            reference.push_str(if has_tag { "-" } else { ":" });
            reference.push_str(&hash);
        }
        Image { reference, pull: Pull::Never, build: Some(self) }
    }
}

impl Image {
    /// When it is fetched.
    #[must_use]
    pub fn pull(mut self, pull: Pull) -> Self {
        self.pull = pull;
        self
    }

    /// The reference.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Whether the same reference may mean another image tomorrow: no tag, `latest`, or a tag without a full version.
    ///
    /// An image that is never pulled is this machine's own and moves when somebody here moves it.
    /// `16-alpine` moves and `16.4-alpine` is called fixed: that is how nearly all images are tagged. Only a digest
    /// is a promise.
    pub fn is_floating(&self) -> bool {
        if self.pull == Pull::Never || self.reference.contains("@sha256:") {
            return false;
        }
        let name = self.reference.rsplit('/').next().unwrap_or_default();
        let Some((_, tag)) = name.split_once(':') else { return true };
        let version: String =
            tag.trim_start_matches('v').chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        version.split('.').filter(|part| !part.is_empty()).count() < 2
    }
}

impl From<&str> for Image {
    fn from(reference: &str) -> Self {
        image(reference)
    }
}

impl From<String> for Image {
    fn from(reference: String) -> Self {
        image(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_changed_is_another_image() {
        let of = |text: &str| build_from(text).tagged("registry.example/x:1").reference().to_owned();
        assert_ne!(of("FROM a"), of("FROM b"));
        assert_eq!(of("FROM a"), of("FROM a"));
        assert!(of("FROM a").starts_with("registry.example/x:1-"), "{}", of("FROM a"));
        let with = |content: &str| build_from("FROM a").file("run.sh", content).tagged("localhost:5000/x");
        assert_ne!(with("1").reference(), with("2").reference());
        assert_eq!(with("1").reference().matches(':').count(), 2);
    }

    #[test]
    fn a_tag_without_a_full_version_floats() {
        for floating in
            ["redis", "redis:latest", "postgres:16-alpine", "a/b:main", "localhost:5000/x", "f/x:1"]
        {
            assert!(image(floating).is_floating(), "{floating}");
        }
        for fixed in ["redis:7.4-alpine", "x:v1.2.3", "localhost:5000/x:2025.8.3", "x@sha256:0123"] {
            assert!(!image(fixed).is_floating(), "{fixed}");
        }
        assert!(!build("/srv/x").tagged("x:latest").is_floating());
    }
}
