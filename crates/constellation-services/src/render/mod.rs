//! A definition and a configuration become what the engine is asked for. Pure, and the same input gives the same bytes.

mod container;
mod labels;
mod order;
mod processes;
mod traefik;

pub(crate) use self::{
    container::secret_copy,
    labels::{derived as derived_labels, first_url},
    processes::for_processes,
    traefik::{hosts_of, http_rule, middleware_reference, redirects, route_name, tcp_rule},
};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use constellation_core::ServiceId;
use constellation_docker::{ContainerSpec, NetworkSpec};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    index::{Index, Known, Member},
    language::{Condition, Image, Order, Stack, Update, image},
    problem::Problems,
    store::StoredService,
    validate,
};

/// The stack that a container belongs to.
pub const STACK_LABEL: &str = "constellation.stack";
/// The service that a container is: `stack/name`. The agent reads it as well.
pub const SERVICE_LABEL: &str = "constellation.service";
/// The hash of the specification that a container was made from. The agent tells it on.
pub const DEFINITION_LABEL: &str = "constellation.definition";

/// Why a field has the value that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The field, in the language's words.
    pub field: String,
    /// Its value, for people.
    pub value: String,
    /// Where that comes from.
    pub why: String,
}

/// A file that must be there before the service starts.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FileToWrite {
    /// Where, on the host.
    pub path: PathBuf,
    /// What.
    #[serde(skip)]
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// Whose it is; the tool's own user where nothing was said.
    pub owner: Option<(u32, u32)>,
}

impl std::fmt::Debug for FileToWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:04o}, {} bytes)", self.path.display(), self.mode, self.content.len())
    }
}

/// A secret that is copied, with the mode and owner that the service wants, before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretToCopy {
    /// The operator's file.
    pub source: PathBuf,
    /// The service's own copy.
    pub copy: PathBuf,
    /// The copy's permission bits.
    pub mode: u32,
    /// The copy's owner; the tool's own user where nothing was said.
    pub owner: Option<(u32, u32)>,
}

/// A folder that is made where it is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderToMake {
    /// Where, on the host.
    pub path: PathBuf,
    /// Whose it is then.
    pub owner: Option<(u32, u32)>,
}

/// A volume of the engine that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct VolumeToMake {
    /// The engine's name for it.
    pub name: String,
    /// The stack that owns it; `None` for a shared one.
    pub stack: Option<String>,
}

/// A service as this node will run it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// `stack/name`.
    pub id: ServiceId,
    /// What the engine is asked for.
    pub spec: ContainerSpec,
    /// The hash of that.
    pub definition: String,
    /// Whether it is a job.
    pub job: bool,
    /// Where its image comes from.
    pub image: Image,
    /// What must be true of others on this node first.
    pub depends_on: BTreeMap<ServiceId, Condition>,
    /// What it waits for that runs on other nodes, where nobody here can see it.
    pub elsewhere: BTreeSet<ServiceId>,
    /// Configuration files to write.
    pub files: Vec<FileToWrite>,
    /// Secrets to copy.
    pub secrets: Vec<SecretToCopy>,
    /// Folders to make.
    pub folders: Vec<FolderToMake>,
    /// Volumes to make.
    pub volumes: Vec<VolumeToMake>,
    /// Which goes first when it is replaced.
    pub order: Order,
    /// How it is replaced, besides.
    pub update: Update,
    /// Why each field has its value.
    pub why: Vec<Why>,
}

/// A definition that was kept runs again: its files are where they were, and its image is here or can be fetched.
impl From<StoredService> for Rendered {
    fn from(stored: StoredService) -> Self {
        let definition = stored.spec.labels.get(DEFINITION_LABEL).cloned();
        Self {
            definition: definition.unwrap_or_else(|| definition_hash(&stored.spec)),
            image: image(&stored.spec.image),
            id: stored.id,
            spec: stored.spec,
            job: stored.job,
            depends_on: stored.depends_on,
            elsewhere: BTreeSet::new(),
            files: Vec::new(),
            secrets: Vec::new(),
            folders: Vec::new(),
            volumes: Vec::new(),
            order: stored.order,
            update: stored.update,
            why: Vec::new(),
        }
    }
}

/// A network as the engine is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedNetwork {
    /// What the engine is asked for.
    pub spec: NetworkSpec,
    /// The key that definitions use.
    pub key: String,
    /// The stack that brings it along; `None` for a shared one.
    pub stack: Option<String>,
}

/// Everything that should be on one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Its services, in the order in which they were written.
    pub services: Vec<Rendered>,
    /// The networks that they need.
    pub networks: Vec<RenderedNetwork>,
    /// Every stack that is defined, with or without services on this node: what belongs to one of them and is not wanted
    /// here any more may go.
    pub stacks: BTreeSet<String>,
}

/// Which generation of each secret's copy is the current one, by service and by the operator's file.
///
/// A rotated secret gets a new copy beside the old one, so that what runs keeps what it was started with, and so that a
/// rollback finds it. Without an entry it is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretGenerations(pub BTreeMap<(String, String), u32>);

impl SecretGenerations {
    /// The generation of an optional secret that the operator does not have.
    pub(crate) const LEFT_OUT: u32 = 0;

    pub(crate) fn of(&self, service: &str, file: &str) -> u32 {
        self.0.get(&(service.to_owned(), file.to_owned())).copied().unwrap_or(1)
    }
}

/// Renders what should be on this node.
///
/// ```
/// use constellation_services::{prelude::*, render};
/// let cfg = Config::example();
/// let stack = Stack::new("blog").service(Service::new("web", "ghcr.io/example/blog:1.4.0").expose(8080));
/// let desired = render(&[stack], &cfg, &Default::default())?;
/// assert_eq!(desired.services[0].spec.labels["constellation.service"], "blog/web");
/// assert_eq!(desired.services[0].spec.cap_drop, ["ALL"]);
/// # Ok::<(), constellation_services::Problems>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the definitions, at once.
pub fn render(
    stacks: &[Stack],
    config: &Config,
    generations: &SecretGenerations,
) -> Result<Desired, Problems> {
    let problems = validate(stacks, config);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let index = Index::new(stacks, config);
    let context = Context { config, index: &index, generations };
    let mut services = Vec::new();
    for member in index.members_here() {
        services.push(container::render(member, &context).map_err(|problem| Problems(vec![problem]))?);
    }
    let networks = networks(&index, &services);
    Ok(Desired { services, networks, stacks: stacks.iter().map(|stack| stack.name.clone()).collect() })
}

/// What rendering one service looks things up in.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) index: &'a Index<'a>,
    pub(crate) generations: &'a SecretGenerations,
}

/// Only networks that a service is on: a network that nobody uses is not made.
fn networks(index: &Index<'_>, services: &[Rendered]) -> Vec<RenderedNetwork> {
    let used: BTreeSet<&String> = services.iter().flat_map(|service| service.spec.networks.keys()).collect();
    let mut networks: Vec<RenderedNetwork> =
        index.networks().into_iter().filter(|known| used.contains(&known.engine_name)).map(network).collect();
    networks.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    networks
}

/// The label of a network that this tool made: its key.
pub const NETWORK_LABEL: &str = "constellation.network";

fn network(known: Known) -> RenderedNetwork {
    let Known { engine_name, network, stack } = known;
    let mut labels = BTreeMap::from([(NETWORK_LABEL.to_owned(), network.key.clone())]);
    if let Some(stack) = &stack {
        labels.insert(STACK_LABEL.to_owned(), stack.clone());
    }
    let spec = NetworkSpec {
        name: engine_name,
        labels,
        subnet: network.subnet,
        gateway: network.gateway,
        internal: network.internal,
        attachable: network.attachable,
        options: network.options,
    };
    RenderedNetwork { spec, key: network.key, stack }
}

/// The hash of a specification: what it is without the label that carries the hash.
pub(crate) fn definition_hash(spec: &ContainerSpec) -> String {
    let mut bare = spec.clone();
    bare.labels.remove(DEFINITION_LABEL);
    // A value of this shape always serialises; were it not so, equal ones would still get equal hashes.
    short_hash(&serde_json::to_vec(&bare).unwrap_or_default())
}

/// Sixteen hex digits: enough that two of a few thousand never meet by chance.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn service_id(member: Member<'_>) -> Result<ServiceId, crate::Problem> {
    ServiceId::new(Some(&member.stack.name), &member.service.name)
        .map_err(|error| crate::Problem::new(member.id(), "name", error.to_string(), "choose another name"))
}

#[cfg(test)]
mod tests;
