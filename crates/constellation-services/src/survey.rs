//! Looks at a machine: one list of containers, one of networks, and an inspection of each container that is ours.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::ServiceId;
use constellation_docker::{ContainerSummary, ListFilter, MountKind, RuntimeError};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    host::Host,
    plan::{Actual, Found, Role},
    render::{DEFINITION_LABEL, Desired, SERVICE_LABEL, STACK_LABEL},
    store::{Adopted, Store},
};

/// Inspections at once: enough to hide their latency, and no flood for a loaded engine.
const INSPECTIONS: usize = 16;

/// What there is, as far as it concerns `desired`. `images` are references whose meaning on this machine is looked up.
pub async fn survey(
    host: &dyn Host,
    store: &Store,
    desired: &Desired,
    images: &BTreeSet<String>,
) -> Result<Actual, SurveyError> {
    let adopted = store.adopted()?;
    let containers = host.list(&ListFilter::default()).await?;
    let mut actual = Actual { has_networks: host.has_networks(), ..Actual::default() };
    let mut ours = Vec::new();
    for container in containers {
        match owner(&container, &adopted) {
            Some((service, definition)) => ours.push((container, service, definition)),
            None => drop(actual.foreign.insert(container.name, container.id)),
        }
    }
    let inspections = stream::iter(ours)
        .map(|(container, service, definition)| inspect(host, store, container, service, definition))
        .buffered(INSPECTIONS)
        .try_collect::<Vec<_>>();
    let networks = async { if host.has_networks() { host.networks().await } else { Ok(Vec::new()) } };
    let (inspected, networks) = futures::try_join!(inspections, networks)?;
    actual.ours = inspected.into_iter().flatten().collect();
    actual.networks = networks;
    volumes(host, desired, &mut actual).await?;
    for reference in images {
        if let Some(id) = host.image_id(reference).await?.filter(|id| !id.is_empty()) {
            actual.images.insert(reference.clone(), id);
        }
    }
    Ok(actual)
}

/// A machine could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The engine did not answer as it should.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The tool's own folder could not be read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// The service that a container is, and the hash of its definition, if it is ours.
fn owner(
    container: &ContainerSummary,
    adopted: &BTreeMap<ServiceId, Adopted>,
) -> Option<(ServiceId, String)> {
    if let Some((service, adopted)) = adopted.iter().find(|(_, adopted)| adopted.container == container.id) {
        return Some((service.clone(), adopted.definition.clone()));
    }
    let stack = container.labels.get(STACK_LABEL)?;
    let definition = container.labels.get(DEFINITION_LABEL)?;
    let service: ServiceId = container.labels.get(SERVICE_LABEL)?.parse().ok()?;
    (service.stack() == Some(stack)).then(|| (service, definition.clone()))
}

async fn inspect(
    host: &dyn Host,
    store: &Store,
    container: ContainerSummary,
    service: ServiceId,
    definition: String,
) -> Result<Option<Found>, RuntimeError> {
    match host.observe(&container.id).await {
        Ok(observed) => Ok(Some(Found {
            role: Role::of_name(&container.name),
            id: container.id,
            name: container.name,
            service,
            known: store.definition(&definition).map(|stored| stored.spec),
            definition,
            spec: observed.spec,
            state: observed.container.state,
            image_id: observed.image_id,
        })),
        // It went between the list and this.
        Err(RuntimeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A volume that a container of ours has is there; only for others the engine is asked.
async fn volumes(host: &dyn Host, desired: &Desired, actual: &mut Actual) -> Result<(), RuntimeError> {
    let mounts = actual.ours.iter().flat_map(|found| &found.spec.mounts);
    actual.volumes = mounts
        .filter_map(|mount| match &mount.kind {
            MountKind::Volume { name } => Some(name.clone()),
            _ => None,
        })
        .collect();
    let mut wanted = desired.services.iter().flat_map(|service| &service.volumes);
    if host.has_networks() && wanted.any(|volume| !actual.volumes.contains(&volume.name)) {
        actual.volumes.extend(host.volumes().await?.into_keys());
    }
    Ok(())
}
