//! Supervised processes: no images, networks or volumes.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use constellation_docker::{ContainerId, Network, NetworkSpec, Observed, ProcessRuntime, RuntimeError};

use super::{Host, Progress};
use crate::language::Image;

/// What a process runtime cannot do is asked of it by nobody, since plans for it hold no such step; if it were, this says
/// so.
fn refused(deed: &str) -> RuntimeError {
    let message = "processes have no images, networks or volumes; run this on Docker".to_owned();
    RuntimeError::Refused { deed: deed.to_owned(), message }
}

#[async_trait]
impl Host for ProcessRuntime {
    fn has_networks(&self) -> bool {
        false
    }

    fn can_rename(&self) -> bool {
        false
    }

    async fn observe(&self, id: &ContainerId) -> Result<Observed, RuntimeError> {
        self.observe(id).await
    }

    async fn rename(&self, _id: &ContainerId, name: &str) -> Result<(), RuntimeError> {
        Err(refused(&format!("rename a process to `{name}`")))
    }

    async fn networks(&self) -> Result<Vec<Network>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn network_members(&self, _name: &str) -> Result<BTreeSet<ContainerId>, RuntimeError> {
        Ok(BTreeSet::new())
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError> {
        Err(refused(&format!("create network `{}`", spec.name)))
    }

    async fn remove_network(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn leave_network(&self, name: &str, _container: &ContainerId) -> Result<(), RuntimeError> {
        Err(refused(&format!("leave network `{name}`")))
    }

    async fn volumes(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, RuntimeError> {
        Ok(BTreeMap::new())
    }

    async fn create_volume(
        &self,
        name: &str,
        _labels: &BTreeMap<String, String>,
    ) -> Result<(), RuntimeError> {
        Err(refused(&format!("create volume `{name}`")))
    }

    async fn remove_volume(&self, _name: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn image_id(&self, _reference: &str) -> Result<Option<String>, RuntimeError> {
        // The image is only recorded.
        Ok(Some(String::new()))
    }

    async fn pull(&self, _reference: &str, _progress: Progress<'_>) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn build(
        &self,
        image: &Image,
        _folder: Vec<u8>,
        _progress: Progress<'_>,
    ) -> Result<(), RuntimeError> {
        Err(refused(&format!("build image `{}`", image.reference)))
    }
}
