//! An operator's own crate to begin with: one routed service with a health check, and the whole tool around it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Where the new crate finds this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the repository that this program was built from.
    Repository,
    /// In a working copy of it, in this folder.
    Folder(PathBuf),
}

/// The crate could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// No crate can have this name.
    #[error(
        "`{name}` makes no name of a crate; choose a folder whose name begins with a letter, such as `our-services`"
    )]
    Name {
        /// The folder's name.
        name: String,
    },
    /// Something is there already.
    #[error("{path} is there already and not empty; choose another folder", path = .path.display())]
    Taken {
        /// Which folder.
        path: PathBuf,
    },
    /// The working copy is none.
    #[error("{path} is no working copy of this repository: it has no crates/constellation-services", path = .path.display())]
    NoSource {
        /// Which folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not write {path}", path = .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Words that Rust or Cargo keeps for itself.
const RESERVED: &[&str] =
    &["test", "core", "std", "alloc", "proc-macro", "self", "super", "crate", "build", "deps"];

/// The files of a new crate: paths relative to its folder, and what is in them.
pub fn files(name: &str, source: &Source) -> Vec<(&'static str, String)> {
    let named = |text: &str| text.replace("{name}", name);
    vec![
        ("Cargo.toml", manifest(name, source)),
        ("src/main.rs", include_str!("template/main.rs").to_owned()),
        ("deploy.toml", include_str!("template/deploy.toml").to_owned()),
        ("README.md", named(include_str!("template/README.md"))),
        (".gitignore", include_str!("template/gitignore").to_owned()),
    ]
}

fn manifest(name: &str, source: &Source) -> String {
    let dependency = match source {
        Source::Repository => format!("git = {:?}", env!("CARGO_PKG_REPOSITORY")),
        Source::Folder(folder) => {
            let path = folder.join("crates/constellation-services");
            // A string of JSON is one of TOML, too.
            format!("path = {}", serde_json::Value::from(path.display().to_string()))
        }
    };
    format!(
        "[package]\nname = \"{name}\"\ndescription = \"What runs on our machines\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         publish = false\n\n[dependencies]\nconstellation-services = {{ {dependency} }}\n\n\
         # A crate of its own, also where it stands within another workspace.\n[workspace]\n"
    )
}

/// Writes a new crate into a folder that is not there yet, or empty. Returns the crate's name.
///
/// # Errors
/// When the folder has something in it or no name for a crate, or cannot be written.
pub fn write(folder: &Path, source: &Source) -> Result<String, ScaffoldError> {
    let failed = |path: &Path, source: std::io::Error| ScaffoldError::Io { path: path.to_owned(), source };
    if let Source::Folder(copy) = source
        && !copy.join("crates/constellation-services/Cargo.toml").is_file()
    {
        return Err(ScaffoldError::NoSource { path: copy.clone() });
    }
    let last = folder.file_name().unwrap_or_default().to_string_lossy();
    let name =
        crate_name(&last).ok_or_else(|| ScaffoldError::Name { name: last.escape_debug().to_string() })?;
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(ScaffoldError::Taken { path: folder.to_owned() });
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(folder, error)),
    }
    for (path, text) in files(&name, source) {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        // A file that came there meanwhile is somebody's.
        let made = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(&path, error))?;
    }
    Ok(name)
}

/// A crate's name from a folder's.
fn crate_name(folder: &str) -> Option<String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let name: String = folder.chars().map(fits).collect();
    let name = name.trim_matches('-');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    (begins && name.len() <= 64 && !RESERVED.contains(&name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_after_its_folder() {
        assert_eq!(crate_name("Our Services").as_deref(), Some("our-services"));
        assert_eq!(crate_name("infra_2").as_deref(), Some("infra_2"));
        for none in ["", "..", "2nd", "test", "ßß"] {
            assert_eq!(crate_name(none), None, "{none}");
        }
    }

    #[test]
    fn the_manifest_is_toml_and_finds_this_crate() {
        let read = |source: &Source| toml::from_str::<toml::Value>(&manifest("x", source)).unwrap();
        let dependency = |value: &toml::Value| value["dependencies"]["constellation-services"].clone();
        assert!(dependency(&read(&Source::Repository))["git"].as_str().unwrap().starts_with("https://"));
        let odd = Source::Folder(PathBuf::from("/a \"b\"\\c"));
        let path = dependency(&read(&odd));
        assert_eq!(path["path"].as_str(), Some("/a \"b\"\\c/crates/constellation-services"));
    }

    #[test]
    fn nothing_that_is_there_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("ours");
        assert_eq!(write(&place, &Source::Repository).unwrap(), "ours");
        assert!(place.join("src/main.rs").is_file());
        assert!(matches!(write(&place, &Source::Repository), Err(ScaffoldError::Taken { .. })));
        let nowhere = Source::Folder(folder.path().to_owned());
        assert!(matches!(write(&folder.path().join("b"), &nowhere), Err(ScaffoldError::NoSource { .. })));
        assert!(!folder.path().join("b").exists());
    }
}
