//! What a container's labels say of it. Names are taken from labels, and never guessed from parts of a name: a rule
//! such as "what stands behind the last underscore" turns `node_exporter` into `exporter`.

use std::collections::BTreeMap;

use constellation_core::{InstanceId, ServiceId, id::InvalidName};
use constellation_docker::{Container, ContainerId};
use serde::{Deserialize, Serialize};

/// Names the service: `name` or `stack/name`. It goes before the labels of Compose.
pub const SERVICE_LABEL: &str = "constellation.service";
/// `restart` asks for restarts of an unhealthy container, `none` refuses them whatever other labels say.
pub const HEAL_LABEL: &str = "constellation.heal";
/// The label of the deunhealth tool, which asks for the same.
pub const DEUNHEALTH_LABEL: &str = "deunhealth.restart.on.unhealthy";
/// A hash of the definition that a container was made from.
pub const DEFINITION_LABEL: &str = "constellation.definition";

const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// Which service a container belongs to: its own label, else its Compose project and service, else its whole name.
pub fn service_of(name: &str, labels: &BTreeMap<String, String>) -> Result<ServiceId, InvalidName> {
    if let Some(service) = labels.get(SERVICE_LABEL) {
        return service.parse();
    }
    if let Some(service) = labels.get(COMPOSE_SERVICE) {
        return ServiceId::new(labels.get(COMPOSE_PROJECT).map(String::as_str), service);
    }
    ServiceId::new(None, name)
}

/// The identity of a container among the instances of its node.
pub fn instance_of(id: &ContainerId) -> Result<InstanceId, InvalidName> {
    id.short().parse()
}

/// Whether a container is restarted when its health check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealPolicy {
    /// It is left alone.
    None,
    /// It is restarted, with backoff and within a budget.
    Restart,
}

/// A value that a label may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the label `{label}` is `{value}`, it may be {allowed}; the container is left alone")]
pub struct InvalidLabel {
    /// Which label.
    pub label: &'static str,
    /// What it says.
    pub value: String,
    /// What it may say.
    pub allowed: &'static str,
}

/// What a container wants done when it is unhealthy.
pub fn heal_policy(container: &Container) -> Result<HealPolicy, InvalidLabel> {
    let read =
        |label: &'static str| container.labels.get(label).map(|value| value.trim().to_ascii_lowercase());
    match read(HEAL_LABEL).as_deref() {
        Some("restart") => return Ok(HealPolicy::Restart),
        Some("none") => return Ok(HealPolicy::None),
        Some(other) => {
            let value = other.chars().take(80).collect();
            return Err(InvalidLabel { label: HEAL_LABEL, value, allowed: "`restart` or `none`" });
        }
        None => {}
    }
    match read(DEUNHEALTH_LABEL).as_deref() {
        Some("true") => Ok(HealPolicy::Restart),
        None | Some("false") => Ok(HealPolicy::None),
        Some(other) => {
            let value = other.chars().take(80).collect();
            Err(InvalidLabel { label: DEUNHEALTH_LABEL, value, allowed: "`true` or `false`" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn our_label_goes_before_compose_and_compose_before_the_name() {
        let compose = [(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "db")];
        let own = [compose[0], compose[1], (SERVICE_LABEL, "postgres")];
        let name = |pairs: &[(&str, &str)]| service_of("shop_db_1", &labels(pairs)).unwrap().to_string();
        assert_eq!(name(&own), "postgres");
        assert_eq!(name(&compose), "shop/db");
        assert_eq!(name(&[]), "shop_db_1");
    }

    #[test]
    fn an_underscore_is_part_of_the_name() {
        assert_eq!(service_of("node_exporter", &labels(&[])).unwrap().name(), "node_exporter");
        let init = service_of("init_prometheus", &labels(&[])).unwrap();
        assert_ne!(init, service_of("prometheus", &labels(&[])).unwrap());
    }

    #[test]
    fn a_label_that_is_no_name_is_refused_and_not_mended() {
        assert!(service_of("x", &labels(&[(SERVICE_LABEL, "a/b/c")])).is_err());
        assert!(service_of("x", &labels(&[(SERVICE_LABEL, "")])).is_err());
    }
}
