//! What has to be done so that what should be is. Pure: the same two values give the same plan, and an empty one means
//! that nothing is to be done.

mod actual;
mod diff;
mod services;
mod text;

use std::collections::BTreeSet;

use constellation_core::ServiceId;
use constellation_docker::{ContainerId, Network};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::{
    actual::{Actual, Found, Role},
    diff::FieldChange,
    text::Paint,
};
pub(crate) use self::{
    actual::{NEXT_SUFFIX, OLD_SUFFIX},
    diff::{candidate_hostname, observed},
    text::{changes_text, shown},
};
use crate::{
    language::Order,
    problem::Problem,
    render::{Desired, NETWORK_LABEL, RenderedNetwork},
};

/// What is done with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// There is none: it is made.
    Create,
    /// It is made anew, and the old one goes when the new one has proven itself.
    Recreate,
    /// The same container goes on: it is started.
    Change,
    /// A replacement that was interrupted is brought to its end.
    Finish,
    /// It is stopped and removed.
    Remove,
}

/// A step for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStep {
    /// Which service.
    pub service: ServiceId,
    /// The name of its container.
    pub container: String,
    /// What is done.
    pub deed: Deed,
    /// Why.
    pub reason: String,
    /// What differs.
    pub changes: Vec<FieldChange>,
    /// The container that is there.
    pub current: Option<ContainerId>,
    /// Containers that an interrupted run left behind, and that go first.
    pub leftovers: Vec<ContainerId>,
    /// A container that an interrupted run had put aside, and that gets its name back first.
    pub restore: Option<ContainerId>,
    /// The hash of the definition that there is.
    pub from: Option<String>,
    /// The hash of the definition that there will be.
    pub to: Option<String>,
    /// Which goes first, where one is replaced.
    pub order: Option<Order>,
    /// When: services of one wave need only those of earlier ones.
    pub wave: usize,
}

/// What is done with a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStep {
    /// Its name in the engine.
    pub name: String,
    /// `Create`, or `Recreate` where its settings cannot be changed otherwise.
    pub deed: Deed,
    /// What differs.
    pub changes: Vec<FieldChange>,
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Networks that are made first.
    pub networks: Vec<NetworkStep>,
    /// Volumes that are made first.
    pub volumes: Vec<String>,
    /// Services, in the order of their waves; removals come last.
    pub services: Vec<ServiceStep>,
    /// Services that stay as they are.
    pub unchanged: Vec<ServiceId>,
    /// What must be put in order by a person before anything can be done.
    pub blockers: Vec<Problem>,
}

/// What a plan is asked to do besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Only these services (and what they wait for); `None` for all.
    pub only: Option<BTreeSet<ServiceId>>,
    /// Whether a network with other settings may be removed and made again, with an interruption for all that is on it.
    pub recreate_networks: bool,
    /// Services that go, although they are defined.
    pub remove: BTreeSet<ServiceId>,
}

impl Plan {
    /// Whether nothing is to be done, and nothing is in the way.
    pub fn is_empty(&self) -> bool {
        !self.has_steps() && self.blockers.is_empty()
    }

    /// Whether something is to be done, once nothing is in the way.
    pub fn has_steps(&self) -> bool {
        !(self.networks.is_empty() && self.volumes.is_empty() && self.services.is_empty())
    }

    /// How many services have this deed.
    pub fn count(&self, deed: Deed) -> usize {
        self.services.iter().filter(|step| step.deed == deed).count()
    }

    /// Names this plan: two plans with one hash do the same to the same containers.
    pub fn hash(&self) -> String {
        // A value of this shape always serialises.
        let bytes = serde_json::to_vec(&(&self.networks, &self.volumes, &self.services)).unwrap_or_default();
        Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Compares what should be with what is.
pub fn plan(desired: &Desired, actual: &Actual, options: &PlanOptions) -> Plan {
    let mut plan = Plan::default();
    let chosen = services::chosen(desired, actual, options);
    networks(desired, actual, options, &chosen, &mut plan);
    volumes(desired, actual, &chosen, &mut plan);
    services::plan(desired, actual, &chosen, &options.remove, &mut plan);
    plan
}

fn networks(
    desired: &Desired,
    actual: &Actual,
    options: &PlanOptions,
    chosen: &BTreeSet<ServiceId>,
    plan: &mut Plan,
) {
    if !actual.has_networks {
        return;
    }
    let used = |network: &&RenderedNetwork| {
        let services = desired.services.iter().filter(|service| chosen.contains(&service.id));
        services.into_iter().any(|service| service.spec.networks.contains_key(&network.spec.name))
    };
    for network in desired.networks.iter().filter(used) {
        let name = network.spec.name.clone();
        let named: Vec<&Network> = actual.networks.iter().filter(|there| there.name == name).collect();
        let [there] = named.as_slice() else {
            if named.is_empty() {
                plan.networks.push(NetworkStep { name, deed: Deed::Create, changes: Vec::new() });
            } else {
                plan.blockers.push(Problem::new(
                    format!("network {}", network.key),
                    "name",
                    format!("the engine has {} networks `{name}`", named.len()),
                    "remove all but one: nobody can say which one a service joins",
                ));
            }
            continue;
        };
        let changes = network_changes(network, there);
        if changes.is_empty() {
            continue;
        }
        let is_ours = there.labels.contains_key(NETWORK_LABEL);
        if options.recreate_networks && is_ours {
            plan.networks.push(NetworkStep { name, deed: Deed::Recreate, changes });
            continue;
        }
        let differences: Vec<String> = changes
            .iter()
            .map(|change| {
                let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
                format!("{} is {} and should be {}", change.field, show(&change.from), show(&change.to))
            })
            .collect();
        let advice = if is_ours {
            "say --recreate-networks, which interrupts every service on it, or change the configuration"
                .to_owned()
        } else {
            format!(
                "it was not made by this tool: change the configuration, or remove it (`docker network rm {name}`)"
            )
        };
        plan.blockers.push(Problem::new(
            format!("network {}", network.key),
            "settings",
            format!("`{name}` is there with other settings: {}", differences.join(", ")),
            advice,
        ));
    }
}

/// Settings, and not just the name. What the definition leaves to the engine is not compared.
fn network_changes(wanted: &RenderedNetwork, there: &Network) -> Vec<FieldChange> {
    let wanted = &wanted.spec;
    let mut changes = Vec::new();
    let mut compare = |field: &str, from: Option<String>, to: Option<String>| {
        if from != to {
            changes.push(FieldChange { field: field.to_owned(), from, to });
        }
    };
    compare("driver", Some(there.driver.clone()), Some("bridge".to_owned()));
    if wanted.subnet.is_some() {
        compare("subnet", there.subnets.first().cloned(), wanted.subnet.clone());
    }
    if wanted.gateway.is_some() {
        compare("gateway", there.gateways.first().cloned(), wanted.gateway.clone());
    }
    compare("internal", Some(there.internal.to_string()), Some(wanted.internal.to_string()));
    for (option, value) in &wanted.options {
        compare(&format!("options.{option}"), there.options.get(option).cloned(), Some(value.clone()));
    }
    changes
}

fn volumes(desired: &Desired, actual: &Actual, chosen: &BTreeSet<ServiceId>, plan: &mut Plan) {
    if !actual.has_networks {
        return;
    }
    let services = desired.services.iter().filter(|service| chosen.contains(&service.id));
    let wanted: BTreeSet<&String> =
        services.flat_map(|service| service.volumes.iter().map(|volume| &volume.name)).collect();
    plan.volumes = wanted.into_iter().filter(|name| !actual.volumes.contains(*name)).cloned().collect();
}

#[cfg(test)]
mod tests;
