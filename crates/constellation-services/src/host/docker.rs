//! A Docker Engine.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use constellation_docker::{
    ContainerId, ContainerRuntime, DockerEngine, ListFilter, Network, NetworkSpec, Observed, RuntimeError,
};

use super::{Host, Progress};
use crate::{language::Image, registry};

#[async_trait]
impl Host for DockerEngine {
    fn has_networks(&self) -> bool {
        true
    }

    fn can_rename(&self) -> bool {
        true
    }

    async fn observe(&self, id: &ContainerId) -> Result<Observed, RuntimeError> {
        self.observe(id).await
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), RuntimeError> {
        self.rename(id, name).await
    }

    async fn networks(&self) -> Result<Vec<Network>, RuntimeError> {
        self.list_networks(&BTreeMap::new()).await
    }

    async fn network_members(&self, name: &str) -> Result<BTreeSet<ContainerId>, RuntimeError> {
        let mut members = BTreeSet::new();
        for container in self.list(&ListFilter::default()).await? {
            match self.observe(&container.id).await {
                Ok(observed) if observed.spec.networks.contains_key(name) => {
                    members.insert(container.id);
                }
                Ok(_) | Err(RuntimeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(members)
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError> {
        self.create_network(spec).await.map(|_| ())
    }

    async fn remove_network(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove_network(name).await
    }

    async fn leave_network(&self, name: &str, container: &ContainerId) -> Result<(), RuntimeError> {
        self.disconnect_network(name, container).await
    }

    async fn volumes(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, RuntimeError> {
        Ok(self.list_volumes().await?.into_iter().map(|volume| (volume.name, volume.labels)).collect())
    }

    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), RuntimeError> {
        self.create_volume(name, labels).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        self.remove_volume(name).await
    }

    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        self.image_id(reference).await
    }

    async fn pull(&self, reference: &str, progress: Progress<'_>) -> Result<(), RuntimeError> {
        let auth = registry::login_for(reference);
        self.pull_image(reference, auth.as_ref(), progress).await
    }

    async fn build(
        &self,
        image: &Image,
        folder: Vec<u8>,
        progress: Progress<'_>,
    ) -> Result<(), RuntimeError> {
        let Some(build) = &image.build else { return Ok(()) };
        self.build_image(&image.reference, &build.dockerfile, &build.args, folder.into(), progress).await
    }
}
