//! Networks: make them, list them, connect containers.
//!
//! Connecting goes as our own JSON: docker-api writes the static address under a key that the daemon ignores, and
//! the container silently gets another one.

use std::{collections::BTreeMap, net::Ipv4Addr};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::{
    DockerEngine,
    fault::{self, Failure, Fault},
    link::{Load, Request},
    text::is_object_name,
};
use crate::{container::ContainerId, error::RuntimeError};

/// A network to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name, of the same grammar as a container's.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its IPv4 range such as `10.9.0.0/24`; `None` lets the engine choose. Static addresses need one.
    pub subnet: Option<String>,
    /// The host's address on it, within the range; `None` lets the engine choose.
    pub gateway: Option<String>,
    /// Without a way out to other networks.
    pub internal: bool,
    /// Whether people may attach containers of their own (only swarm networks refuse it by default).
    pub attachable: bool,
    /// Options of the bridge driver, such as `com.docker.network.bridge.enable_ip_masquerade`.
    pub options: BTreeMap<String, String>,
}

/// A network that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver, such as `bridge`.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its IP ranges.
    pub subnets: Vec<String>,
    /// The host's address in each range that says one.
    pub gateways: Vec<String>,
    /// Whether it has no way out.
    pub internal: bool,
    /// Whether people may attach containers of their own.
    pub attachable: bool,
    /// Options of its driver.
    pub options: BTreeMap<String, String>,
}

/// How a container joins a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkJoin {
    /// Its address there; `None` lets the engine choose.
    pub address: Option<Ipv4Addr>,
    /// Names by which others on the network find it.
    pub aliases: Vec<String>,
}

impl DockerEngine {
    /// The networks that have all these labels, sorted by name.
    pub async fn list_networks(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Network>, RuntimeError> {
        const DEED: &str = "list the networks";
        let request = Request::get("/networks".to_owned(), DEED, self.link.limits.query);
        let documents: Vec<Value> =
            self.link.call_json(request).await.map_err(|failure| failure.into_error(DEED))?;
        let mut networks: Vec<Network> = documents.iter().filter_map(decode).collect();
        networks.retain(|network| labels.iter().all(|(key, value)| network.labels.get(key) == Some(value)));
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    /// Makes a bridge network and returns its id. Refused where the name is in use: whether that one will do is for
    /// the caller to say.
    pub async fn create_network(&self, spec: &NetworkSpec) -> Result<String, RuntimeError> {
        let deed = format!("create network `{}`", spec.name);
        check_name(&spec.name, &deed)?;
        let body =
            serde_json::to_vec(&CreateBody::new(spec)).map_err(|error| fault::nonsense(&deed, error))?;
        let load = Load::Json(Bytes::from(body));
        let request = Request::post("/networks/create".to_owned(), load, &deed, self.link.limits.change);
        let answer: Value =
            self.link.call_json(request).await.map_err(|failure| failure.into_error(&deed))?;
        let id = answer["Id"].as_str().ok_or_else(|| fault::nonsense(&deed, "an answer without `Id`"))?;
        Ok(id.to_owned())
    }

    /// Removes a network by name or id. `Ok` as well where there is none; refused while containers are on it.
    pub async fn remove_network(&self, network: &str) -> Result<(), RuntimeError> {
        if !is_object_name(network) {
            return Ok(());
        }
        let deed = format!("remove network `{network}`");
        let request = Request::delete(format!("/networks/{network}"), &deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) | Err(Failure::Fault(Fault { status: 404, .. })) => Ok(()),
            Err(failure) => Err(failure.into_error(&deed)),
        }
    }

    /// Connects a container to a network.
    pub async fn connect_network(
        &self,
        network: &str,
        container: &ContainerId,
        join: &NetworkJoin,
    ) -> Result<(), RuntimeError> {
        let deed = format!("connect container `{}` to network `{network}`", container.short());
        check_name(network, &deed)?;
        let body = ConnectBody {
            container: container.as_str(),
            endpoint_config: EndpointConfig {
                aliases: &join.aliases,
                ipam_config: join.address.map(|ipv4_address| IpamAddress { ipv4_address }),
            },
        };
        let body = serde_json::to_vec(&body).map_err(|error| fault::nonsense(&deed, error))?;
        let path = format!("/networks/{network}/connect");
        let request = Request::post(path, Load::Json(Bytes::from(body)), &deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.about_container(&deed, container.as_str())),
        }
    }
}

impl DockerEngine {
    /// Takes a container off a network. `Ok` as well where it was not on it.
    pub async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerId,
    ) -> Result<(), RuntimeError> {
        let deed = format!("disconnect container `{}` from network `{network}`", container.short());
        check_name(network, &deed)?;
        let body = serde_json::to_vec(&serde_json::json!({ "Container": container.as_str(), "Force": true }))
            .map_err(|error| fault::nonsense(&deed, error))?;
        let path = format!("/networks/{network}/disconnect");
        let request = Request::post(path, Load::Json(Bytes::from(body)), &deed, self.link.limits.change);
        match self.link.call(request).await {
            Ok(_) => Ok(()),
            Err(Failure::Fault(Fault { message, .. })) if message.contains("is not connected") => Ok(()),
            Err(failure) => Err(failure.about_container(&deed, container.as_str())),
        }
    }
}

fn check_name(name: &str, deed: &str) -> Result<(), RuntimeError> {
    if is_object_name(name) {
        return Ok(());
    }
    let message =
        "the name must be letters, digits, `_`, `.` and `-`, and begin with a letter or digit".to_owned();
    Err(RuntimeError::Refused { deed: deed.to_owned(), message })
}

fn decode(document: &Value) -> Option<Network> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| {
        let entries = value.as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    let of_ranges = |field: &str| {
        let ranges = document["IPAM"]["Config"].as_array().into_iter().flatten();
        ranges.filter_map(|range| range[field].as_str().map(str::to_owned)).collect()
    };
    Some(Network {
        id: document["Id"].as_str()?.to_owned(),
        name: text(&document["Name"]),
        driver: text(&document["Driver"]),
        labels: texts(&document["Labels"]),
        subnets: of_ranges("Subnet"),
        gateways: of_ranges("Gateway"),
        internal: document["Internal"].as_bool().unwrap_or(false),
        attachable: document["Attachable"].as_bool().unwrap_or(false),
        options: texts(&document["Options"]),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateBody<'a> {
    name: &'a str,
    /// Engines before 25 allow two networks of one name unless asked to look.
    check_duplicate: bool,
    driver: &'static str,
    internal: bool,
    attachable: bool,
    labels: &'a BTreeMap<String, String>,
    options: &'a BTreeMap<String, String>,
    #[serde(rename = "IPAM", skip_serializing_if = "Option::is_none")]
    ipam: Option<Ipam<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam<'a> {
    config: [Range<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Range<'a> {
    subnet: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a str>,
}

impl<'a> CreateBody<'a> {
    fn new(spec: &'a NetworkSpec) -> Self {
        Self {
            name: &spec.name,
            check_duplicate: true,
            driver: "bridge",
            internal: spec.internal,
            attachable: spec.attachable,
            labels: &spec.labels,
            options: &spec.options,
            ipam: spec
                .subnet
                .as_deref()
                .map(|subnet| Ipam { config: [Range { subnet, gateway: spec.gateway.as_deref() }] }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConnectBody<'a> {
    container: &'a str,
    endpoint_config: EndpointConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointConfig<'a> {
    aliases: &'a [String],
    #[serde(rename = "IPAMConfig", skip_serializing_if = "Option::is_none")]
    ipam_config: Option<IpamAddress>,
}

#[derive(Serialize)]
struct IpamAddress {
    #[serde(rename = "IPv4Address")]
    ipv4_address: Ipv4Addr,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_static_address_stands_where_the_daemon_reads_it() {
        let aliases = ["db".to_owned()];
        let body = ConnectBody {
            container: "c1",
            endpoint_config: EndpointConfig {
                aliases: &aliases,
                ipam_config: Some(IpamAddress { ipv4_address: Ipv4Addr::new(10, 9, 0, 5) }),
            },
        };
        let expected = json!({"Container": "c1",
            "EndpointConfig": {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.9.0.5"}}});
        assert_eq!(serde_json::to_value(body).unwrap(), expected);
    }

    #[test]
    fn a_network_without_a_range_leaves_the_choice_to_the_daemon() {
        let spec = NetworkSpec { name: "backend".into(), ..NetworkSpec::default() };
        let body = serde_json::to_value(CreateBody::new(&spec)).unwrap();
        assert_eq!(body.get("IPAM"), None);
        let spec = NetworkSpec { subnet: Some("10.9.0.0/24".into()), ..spec };
        let body = serde_json::to_value(CreateBody::new(&spec)).unwrap();
        assert_eq!(body["IPAM"], json!({"Config": [{"Subnet": "10.9.0.0/24"}]}));
        let spec = NetworkSpec { gateway: Some("10.9.0.1".into()), attachable: true, ..spec };
        let body = serde_json::to_value(CreateBody::new(&spec)).unwrap();
        assert_eq!(body["IPAM"], json!({"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]}));
        assert_eq!(body["Attachable"], true);
    }

    #[test]
    fn networks_are_read_leniently() {
        let network =
            decode(&json!({"Id": "n1", "Name": "x", "Labels": null, "IPAM": {"Config": null}})).unwrap();
        assert_eq!((network.name.as_str(), network.subnets.len(), network.internal), ("x", 0, false));
        assert_eq!(decode(&json!({"Name": "x"})), None);
    }
}
