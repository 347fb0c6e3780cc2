//! Images: is one there, pull it, import it, remove it.
//!
//! docker-api's image types stop at engines from 25 on (a field that these no longer send), and its pull hands errors
//! over as successes; both are a few lines here.

use std::collections::BTreeMap;

use base64::Engine;
use bytes::Bytes;
use containers_api::conn::{self, hyper::Body};
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;

use super::{
    DockerEngine,
    documents::Documents,
    fault::{self, Failure, Fault},
    link::{Load, Request},
    text::{is_image_reference, query, split_tag},
};
use crate::error::RuntimeError;

/// Name and password for a registry.
#[derive(Clone, Serialize)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The password or access token.
    pub password: String,
    /// The registry's host, such as `ghcr.io`.
    #[serde(rename = "serveraddress")]
    pub server: String,
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAuth")
            .field("username", &self.username)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// A step of a pull or an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferProgress {
    /// The layer, where it is about one.
    pub layer: Option<String>,
    /// What is being done, in the engine's words (`Downloading`, `Extracting`, `Pull complete`).
    pub status: String,
    /// Bytes done of this layer's step.
    pub current: Option<u64>,
    /// Bytes of this layer's step in all.
    pub total: Option<u64>,
}

impl DockerEngine {
    /// Whether the image is on this machine. A text that cannot be a reference is not.
    pub async fn image_exists(&self, reference: &str) -> Result<bool, RuntimeError> {
        Ok(self.image_id(reference).await?.is_some())
    }

    /// The identity of the image that this reference means on this machine; `None` where there is none.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        if !is_image_reference(reference) {
            return Ok(None);
        }
        let deed = format!("inspect image `{reference}`");
        let request = Request::get(format!("/images/{reference}/json"), &deed, self.link.limits.query);
        match self.link.call_json::<Value>(request).await {
            Ok(document) => Ok(Some(document["Id"].as_str().unwrap_or_default().to_owned())),
            Err(Failure::Fault(Fault { status: 404, .. })) => Ok(None),
            Err(failure) => Err(failure.into_error(&deed)),
        }
    }

    /// Pulls an image; without tag or digest, `latest`. The whole pull may take long, but a silence of two minutes
    /// ends it. `progress` hears each step and must not block.
    pub async fn pull_image(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
        mut progress: impl FnMut(TransferProgress) + Send,
    ) -> Result<(), RuntimeError> {
        let deed = format!("pull image `{reference}`");
        check_reference(reference, &deed)?;
        let (name, tag) = split_tag(reference);
        let path = format!("/images/create{}", query(&[("fromImage", name), ("tag", tag)]));
        let auth = match auth {
            Some(auth) => Some(encode(auth).map_err(|error| fault::nonsense(&deed, error))?),
            None => None,
        };
        let request = Request {
            registry_auth: auth.as_deref(),
            ..Request::post(path, Load::Nothing, &deed, self.link.limits.transfer_silence)
        };
        let body = self.link.open(request).await.map_err(|failure| match failure {
            Failure::Fault(Fault { status: 404, message }) => {
                RuntimeError::Refused { deed: deed.clone(), message }
            }
            other => other.into_error(&deed),
        })?;
        self.follow(&deed, body, &mut progress).await
    }

    /// Makes an image of a tar archive that holds its whole file system, under a name with or without tag.
    pub async fn import_image(&self, reference: &str, tar: Bytes) -> Result<(), RuntimeError> {
        let deed = format!("import image `{reference}`");
        check_reference(reference, &deed)?;
        let (name, tag) = split_tag(reference);
        let path = format!("/images/create{}", query(&[("fromSrc", "-"), ("repo", name), ("tag", tag)]));
        let request = Request::post(path, Load::Tar(tar), &deed, self.link.limits.transfer_silence);
        let body = self.link.open(request).await.map_err(|failure| failure.into_error(&deed))?;
        self.follow(&deed, body, &mut |_| {}).await
    }

    /// Builds an image from a tar archive of its folder, by the engine's own builder. As with a pull, only silence ends
    /// it. The builder's output comes as `status`.
    pub async fn build_image(
        &self,
        reference: &str,
        dockerfile: &str,
        arguments: &BTreeMap<String, String>,
        folder: Bytes,
        mut progress: impl FnMut(TransferProgress) + Send,
    ) -> Result<(), RuntimeError> {
        let deed = format!("build image `{reference}`");
        check_reference(reference, &deed)?;
        let arguments = serde_json::to_string(arguments).map_err(|error| fault::nonsense(&deed, error))?;
        let options =
            [("t", reference), ("dockerfile", dockerfile), ("buildargs", &arguments), ("rm", "true")];
        let path = format!("/build{}", query(&options));
        let request = Request::post(path, Load::Tar(folder), &deed, self.link.limits.transfer_silence);
        let body = self.link.open(request).await.map_err(|failure| failure.into_error(&deed))?;
        self.follow(&deed, body, &mut progress).await
    }

    /// Removes the image, and what only it needed. `Ok` as well where there is none; refused while containers are
    /// made of it, unless `force`.
    pub async fn remove_image(&self, reference: &str, force: bool) -> Result<(), RuntimeError> {
        if !is_image_reference(reference) {
            return Ok(());
        }
        let deed = format!("remove image `{reference}`");
        let path =
            format!("/images/{reference}{}", query(&[("force", if force { "true" } else { "false" })]));
        match self.link.call(Request::delete(path, &deed, self.link.limits.change)).await {
            Ok(_) | Err(Failure::Fault(Fault { status: 404, .. })) => Ok(()),
            Err(failure) => Err(failure.into_error(&deed)),
        }
    }

    /// Reads progress to its end. The status was 200 long before the outcome is known: an error is a document in
    /// the stream like any other.
    async fn follow(
        &self,
        deed: &str,
        mut body: Body,
        progress: &mut (dyn FnMut(TransferProgress) + Send),
    ) -> Result<(), RuntimeError> {
        let silence = self.link.limits.transfer_silence;
        let mut documents = Documents::default();
        loop {
            let chunk = tokio::time::timeout(silence, body.next())
                .await
                .map_err(|_| RuntimeError::TimedOut { deed: deed.to_owned(), limit: silence })?;
            let Some(chunk) = chunk else { break };
            let chunk = chunk
                .map_err(|error| fault::transport(self.link.endpoint(), deed, conn::Error::Hyper(error)))?;
            documents.push(&chunk);
            while let Some(document) = documents.next().map_err(|error| fault::nonsense(deed, error))? {
                progress(
                    step(&document)
                        .map_err(|message| RuntimeError::Refused { deed: deed.to_owned(), message })?,
                );
            }
        }
        if documents.is_incomplete() {
            return Err(fault::unreachable_at(self.link.endpoint(), "the stream of progress was cut off"));
        }
        Ok(())
    }
}

fn check_reference(reference: &str, deed: &str) -> Result<(), RuntimeError> {
    if is_image_reference(reference) {
        return Ok(());
    }
    let message = "this is not an image reference such as `registry/name:tag`".to_owned();
    Err(RuntimeError::Refused { deed: deed.to_owned(), message })
}

/// The header's value: JSON in the URL-safe alphabet of base64, with padding.
fn encode(auth: &RegistryAuth) -> Result<String, serde_json::Error> {
    Ok(base64::engine::general_purpose::URL_SAFE.encode(serde_json::to_vec(auth)?))
}

/// One document of progress, or the daemon's words where it is an error.
fn step(document: &Value) -> Result<TransferProgress, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(message) = text(&document["errorDetail"]["message"]).or_else(|| text(&document["error"])) {
        return Err(message);
    }
    let detail = &document["progressDetail"];
    Ok(TransferProgress {
        layer: text(&document["id"]),
        status: text(&document["status"]).or_else(|| text(&document["stream"])).unwrap_or_default(),
        current: detail["current"].as_u64(),
        total: detail["total"].as_u64(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_and_errors_are_told_apart() {
        let ok = step(
            &json!({"status": "Downloading", "id": "abc", "progressDetail": {"current": 5, "total": 9}}),
        );
        let ok = ok.unwrap();
        assert_eq!((ok.layer.as_deref(), ok.current, ok.total), (Some("abc"), Some(5), Some(9)));
        assert_eq!(step(&json!({"error": "no space"})).unwrap_err(), "no space");
        assert_eq!(step(&json!({"errorDetail": {"message": "denied"}, "error": "x"})).unwrap_err(), "denied");
        assert!(step(&json!({"status": "Digest: sha256:1", "progressDetail": {}})).is_ok());
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let auth =
            RegistryAuth { username: "u".into(), password: "hunter2".into(), server: "ghcr.io".into() };
        assert!(!format!("{auth:?}").contains("hunter2"));
        let bytes = base64::engine::general_purpose::URL_SAFE.decode(encode(&auth).unwrap()).unwrap();
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(sent, json!({"username": "u", "password": "hunter2", "serveraddress": "ghcr.io"}));
    }
}
