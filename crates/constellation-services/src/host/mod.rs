//! The machine that services are put on, as applying sees it: a container runtime with images, networks and volumes,
//! or one without.

mod docker;
mod process;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use constellation_docker::{
    ContainerId, ContainerRuntime, Network, NetworkSpec, Observed, RuntimeError, TransferProgress,
};

use crate::language::Image;

/// Hears how far a pull or a build is. It must not block.
pub type Progress<'a> = &'a mut (dyn FnMut(TransferProgress) + Send);

/// What applying needs beside [`ContainerRuntime`].
#[async_trait]
pub trait Host: ContainerRuntime {
    /// Whether it has networks, volumes and images.
    fn has_networks(&self) -> bool;

    /// Whether a container can get another name: only then an old one can wait beside the new one.
    fn can_rename(&self) -> bool;

    /// A container, and what it was made with.
    async fn observe(&self, id: &ContainerId) -> Result<Observed, RuntimeError>;

    /// Gives a container another name.
    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), RuntimeError>;

    /// All networks.
    async fn networks(&self) -> Result<Vec<Network>, RuntimeError>;

    /// The containers on a network, running or not.
    async fn network_members(&self, name: &str) -> Result<BTreeSet<ContainerId>, RuntimeError>;

    /// Makes a network.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), RuntimeError>;

    /// Removes a network. `Ok` as well where there is none.
    async fn remove_network(&self, name: &str) -> Result<(), RuntimeError>;

    /// Takes a container off a network.
    async fn leave_network(&self, name: &str, container: &ContainerId) -> Result<(), RuntimeError>;

    /// All volumes by name, each with its labels.
    async fn volumes(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, RuntimeError>;

    /// Makes a volume.
    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), RuntimeError>;

    /// Removes a volume with everything in it. `Ok` as well where there is none.
    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError>;

    /// The identity of an image that is here; `None` where there is none.
    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError>;

    /// Fetches an image.
    async fn pull(&self, reference: &str, progress: Progress<'_>) -> Result<(), RuntimeError>;

    /// Makes an image as its definition says. `folder` is a tar archive of the build folder.
    async fn build(&self, image: &Image, folder: Vec<u8>, progress: Progress<'_>)
    -> Result<(), RuntimeError>;
}
