//! Names and passwords for registries, from the file that `docker login` writes.

use std::path::PathBuf;

use base64::Engine;
use constellation_docker::RegistryAuth;
use serde_json::Value;

/// What the engine calls the registry of images without one.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The login for an image's registry; `None` where nobody logged in, or the login is kept by a helper program.
pub(crate) fn login_for(reference: &str) -> Option<RegistryAuth> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".docker"))
    })?;
    let text = std::fs::read(folder.join("config.json")).ok()?;
    login(&serde_json::from_slice(&text).ok()?, reference)
}

fn login(config: &Value, reference: &str) -> Option<RegistryAuth> {
    let registry = registry_of(reference);
    let entry =
        config["auths"].get(registry).or_else(|| config["auths"].get(format!("https://{registry}")))?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(entry["auth"].as_str()?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(RegistryAuth {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
        server: registry.to_owned(),
    })
}

/// The registry of a reference, by the rule of Docker: a first part with a dot, a colon, or `localhost`.
fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            if first == "docker.io" {
                DOCKER_HUB
            } else {
                first
            }
        }
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_login_is_the_one_of_the_image_s_registry() {
        let auth = base64::engine::general_purpose::STANDARD.encode("me:pass:word");
        let config = json!({"auths": {"ghcr.io": {"auth": auth}}});
        let found = login(&config, "ghcr.io/a/b:1").unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("me", "pass:word"));
        assert!(login(&config, "docker.io/a/b:1").is_none());
        assert_eq!(registry_of("redis:7"), DOCKER_HUB);
        assert_eq!(registry_of("docker.io/library/redis"), DOCKER_HUB);
        assert_eq!(registry_of("localhost:5000/x"), "localhost:5000");
    }
}
