//! Volumes that the engine keeps: make them, list them, remove them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    DockerEngine,
    fault::{self, Failure, Fault},
    link::{Load, Request},
    text::is_object_name,
};
use crate::error::RuntimeError;

/// A volume that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl DockerEngine {
    /// The volumes, sorted by name.
    pub async fn list_volumes(&self) -> Result<Vec<VolumeInfo>, RuntimeError> {
        const DEED: &str = "list the volumes";
        let request = Request::get("/volumes".to_owned(), DEED, self.link.limits.query);
        let answer: Value = self.link.call_json(request).await.map_err(|failure| failure.into_error(DEED))?;
        let mut volumes: Vec<VolumeInfo> =
            answer["Volumes"].as_array().into_iter().flatten().filter_map(decode).collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Makes a volume of the local driver. One that is there already is `Ok`, and keeps its labels.
    pub async fn create_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), RuntimeError> {
        let deed = format!("create volume `{name}`");
        if !is_object_name(name) {
            let message = "the name must be letters, digits, `_`, `.` and `-`".to_owned();
            return Err(RuntimeError::Refused { deed, message });
        }
        let body = serde_json::to_vec(&json!({ "Name": name, "Labels": labels }))
            .map_err(|error| fault::nonsense(&deed, error))?;
        let load = Load::Json(Bytes::from(body));
        let request = Request::post("/volumes/create".to_owned(), load, &deed, self.link.limits.change);
        self.link.call(request).await.map(|_| ()).map_err(|failure| failure.into_error(&deed))
    }

    /// Removes a volume with everything in it. `Ok` as well where there is none; refused while a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        if !is_object_name(name) {
            return Ok(());
        }
        let deed = format!("remove volume `{name}`");
        let request = Request::delete(format!("/volumes/{name}"), &deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) | Err(Failure::Fault(Fault { status: 404, .. })) => Ok(()),
            Err(failure) => Err(failure.into_error(&deed)),
        }
    }
}

fn decode(document: &Value) -> Option<VolumeInfo> {
    let labels = document["Labels"].as_object().into_iter().flatten();
    Some(VolumeInfo {
        name: document["Name"].as_str()?.to_owned(),
        labels: labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_leniently() {
        assert_eq!(decode(&json!({"Name": "v", "Labels": null})).unwrap().name, "v");
        assert_eq!(decode(&json!({"Labels": {}})), None);
    }
}
