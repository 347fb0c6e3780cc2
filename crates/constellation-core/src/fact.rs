//! Facts as they travel: keys and values small enough to gossip, and the rule for what is left out when they are not.
//!
//! | key | value | at most |
//! |---|---|---|
//! | `node` | [`NodeFacts`] | 8 KiB |
//! | `i/<instance id>` | [`Instance`] | 512 bytes |
//! | `r/<route set id>` | [`RouteSet`] | 8 KiB |
//!
//! Values are JSON. Unknown keys and fields are left alone, so that versions can differ for the time of an upgrade.

use std::collections::{BTreeMap, BTreeSet};

use crate::{id::RouteSetId, instance::Instance, node::NodeFacts, route::RouteSet};

/// The largest value of any key, in bytes. One larger value would block all later ones in chitchat for good.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// The largest instance, in bytes.
pub const INSTANCE_BYTES_MAX: usize = 512;
/// All keys and values of one node together, in bytes.
pub const NODE_BYTES_MAX: usize = 64 * 1024;

const NODE_KEY: &str = "node";
const INSTANCE_PREFIX: &str = "i/";
const ROUTES_PREFIX: &str = "r/";

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The node itself.
    Node(NodeFacts),
    /// One of its instances.
    Instance(Instance),
    /// A route set that instances refer to.
    Routes(RouteSetId, RouteSet),
}

/// A key or value that is not what its key promises.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFact {
    /// The value is not of the key's form.
    #[error("the value of `{key}` is not understood")]
    Value {
        /// Which key.
        key: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The key names one thing and the value another.
    #[error("the value of `{key}` belongs to `{belongs}`")]
    Mismatch {
        /// Which key.
        key: String,
        /// The key that the value should have.
        belongs: String,
    },
}

/// Reads a fact; `Ok(None)` for a key of a later version.
pub fn decode(key: &str, value: &str) -> Result<Option<Fact>, InvalidFact> {
    let unreadable = |source| InvalidFact::Value { key: key.to_owned(), source };
    let belongs_to = |belongs: String| {
        if belongs == key { Ok(()) } else { Err(InvalidFact::Mismatch { key: key.to_owned(), belongs }) }
    };
    if key == NODE_KEY {
        return Ok(Some(Fact::Node(serde_json::from_str(value).map_err(unreadable)?)));
    }
    if key.starts_with(INSTANCE_PREFIX) {
        let instance: Instance = serde_json::from_str(value).map_err(unreadable)?;
        belongs_to(format!("{INSTANCE_PREFIX}{}", instance.id))?;
        return Ok(Some(Fact::Instance(instance)));
    }
    if key.starts_with(ROUTES_PREFIX) {
        let routes: RouteSet = serde_json::from_str(value).map_err(unreadable)?;
        // The name is taken from the key, not from the content: a peer of another version may know fields that we
        // do not, and its hash covers them.
        let id = key.trim_start_matches(ROUTES_PREFIX).parse().map_err(|_| InvalidFact::Mismatch {
            key: key.to_owned(),
            belongs: format!("{ROUTES_PREFIX}{}", routes.id()),
        })?;
        return Ok(Some(Fact::Routes(id, routes)));
    }
    Ok(None)
}

/// What a node wants to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Itself.
    pub node: NodeFacts,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// The route sets that these refer to.
    pub routes: BTreeMap<RouteSetId, RouteSet>,
}

/// Something that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Omitted {
    /// An instance, or its routes, is larger than any single fact may be.
    #[error(
        "{what} takes {bytes} bytes where {limit} are allowed, so the other nodes do not hear of it: {advice}"
    )]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
        /// What would make it fit.
        advice: &'static str,
    },
    /// The node has more to tell than fits.
    #[error(
        "this node has more to tell than {NODE_BYTES_MAX} bytes: the other nodes do not hear of {count} instances, \
         the first of them {first}; run fewer containers here, or shorten their labels"
    )]
    NoRoom {
        /// How many instances were left out.
        count: usize,
        /// One of them.
        first: String,
    },
}

impl Publication {
    /// The keys and values to gossip, within every bound, and what had to be left out.
    ///
    /// What fits is chosen by use: routed and healthy instances first, then routed ones, then the rest, each by
    /// service and id, so that the choice is stable from one call to the next.
    pub fn entries(&self) -> (BTreeMap<String, String>, Vec<Omitted>) {
        let mut entries = BTreeMap::new();
        let mut omitted = Vec::new();
        let mut room = NODE_BYTES_MAX;
        if let Some(value) = self.fit("this node's own record", &self.node, VALUE_BYTES_MAX, &mut omitted) {
            room = room.saturating_sub(NODE_KEY.len() + value.len());
            entries.insert(NODE_KEY.to_owned(), value);
        }
        let mut instances: Vec<&Instance> = self.instances.iter().collect();
        instances.sort_by_key(|instance| {
            let routed = instance.routes.is_some();
            let rank = match (routed, instance.health.is_routable()) {
                (true, true) => 0,
                (true, false) => 1,
                (false, _) => 2,
            };
            (rank, &instance.service, &instance.id)
        });
        let mut too_large: BTreeSet<&RouteSetId> = BTreeSet::new();
        let mut without_room: Vec<&Instance> = Vec::new();
        for instance in instances {
            let routes = instance.routes.as_ref().filter(|id| !too_large.contains(id));
            let mut addition = BTreeMap::new();
            if let Some((id, set)) = routes.and_then(|id| self.routes.get_key_value(id)) {
                let key = format!("{ROUTES_PREFIX}{id}");
                if !entries.contains_key(&key) {
                    let what = format!("the routing of {}", instance.service);
                    match self.fit(&what, set, VALUE_BYTES_MAX, &mut omitted) {
                        Some(value) => drop(addition.insert(key, value)),
                        None => drop(too_large.insert(id)),
                    }
                }
            }
            let told =
                Instance { routes: routes.filter(|id| !too_large.contains(id)).cloned(), ..instance.clone() };
            let Some(value) = self.fit_instance(told, &mut omitted) else { continue };
            addition.insert(format!("{INSTANCE_PREFIX}{}", instance.id), value);
            let bytes: usize = addition.iter().map(|(key, value)| key.len() + value.len()).sum();
            if bytes > room {
                without_room.push(instance);
                continue;
            }
            room -= bytes;
            entries.append(&mut addition);
        }
        if let Some(first) = without_room.first() {
            let first = format!("{} ({})", first.service, first.id);
            omitted.push(Omitted::NoRoom { count: without_room.len(), first });
        }
        (entries, omitted)
    }

    /// An instance that is too large is told without its networks, which only people read.
    fn fit_instance(&self, mut told: Instance, omitted: &mut Vec<Omitted>) -> Option<String> {
        let what = format!("instance {} of {}", told.id, told.service);
        let whole = serde_json::to_string(&told).ok()?;
        if whole.len() <= INSTANCE_BYTES_MAX {
            return Some(whole);
        }
        told.networks.clear();
        self.fit(&what, &told, INSTANCE_BYTES_MAX, omitted)
    }

    fn fit<T: serde::Serialize>(
        &self,
        what: &str,
        value: &T,
        limit: usize,
        omitted: &mut Vec<Omitted>,
    ) -> Option<String> {
        let text = serde_json::to_string(value).ok()?;
        if text.len() <= limit {
            return Some(text);
        }
        omitted.push(Omitted::TooLarge {
            what: what.to_owned(),
            bytes: text.len(),
            limit,
            advice: "expose fewer ports, or use fewer and shorter labels",
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        endpoint::{Endpoint, Protocol},
        health::Health,
        route::{HttpRouter, HttpService},
        time::WallTime,
    };

    fn instance(id: &str, routes: Option<RouteSetId>) -> Instance {
        Instance {
            id: id.parse().unwrap(),
            service: "web".parse().unwrap(),
            health: Health::Healthy,
            since: WallTime(1),
            endpoints: vec![Endpoint {
                port: 80,
                protocol: Protocol::Tcp,
                address: "100.64.0.1:40001".parse().unwrap(),
            }],
            networks: vec!["backend".parse().unwrap()],
            routes,
            definition: None,
            role: None,
        }
    }

    fn publication(instances: Vec<Instance>, sets: Vec<RouteSet>) -> Publication {
        Publication {
            node: NodeFacts::at("100.64.0.1".parse().unwrap()),
            instances,
            routes: sets.into_iter().map(|set| (set.id(), set)).collect(),
        }
    }

    fn routes(rule: &str) -> RouteSet {
        let mut set = RouteSet::default();
        let router = HttpRouter { rule: rule.to_owned(), service: "web".to_owned(), ..HttpRouter::default() };
        set.routers.insert("web".parse().unwrap(), router);
        set.services.insert("web".parse().unwrap(), HttpService::to_port(80));
        set
    }

    #[test]
    fn what_is_told_is_understood() {
        let set = routes("Host(`a.example.org`)");
        let told = publication(vec![instance("a1", Some(set.id()))], vec![set.clone()]);
        let (entries, omitted) = told.entries();
        assert!(omitted.is_empty(), "{omitted:?}");
        let facts: Vec<Fact> = entries.iter().map(|(k, v)| decode(k, v).unwrap().unwrap()).collect();
        assert!(facts.contains(&Fact::Node(told.node.clone())));
        assert!(facts.contains(&Fact::Instance(told.instances[0].clone())));
        assert!(facts.contains(&Fact::Routes(set.id(), set)));
    }

    #[test]
    fn routing_that_is_too_large_is_left_out_and_its_instance_is_still_told() {
        let set = routes(&"x".repeat(9000));
        let told = publication(vec![instance("a1", Some(set.id()))], vec![set]);
        let (entries, omitted) = told.entries();
        assert!(matches!(&omitted[..], [Omitted::TooLarge { .. }]), "{omitted:?}");
        assert!(matches!(
            decode("i/a1", &entries["i/a1"]),
            Ok(Some(Fact::Instance(Instance { routes: None, .. })))
        ));
    }

    #[test]
    fn a_crowded_node_tells_of_its_routed_instances_first_and_says_what_it_left_out() {
        let set = routes("Host(`a.example.org`)");
        let mut instances: Vec<Instance> =
            (0..900).map(|i| instance(&format!("plain{i:04}"), None)).collect();
        instances.push(instance("routed", Some(set.id())));
        let (entries, omitted) = publication(instances, vec![set]).entries();
        assert!(entries.contains_key("i/routed"));
        assert!(matches!(&omitted[..], [Omitted::NoRoom { count, .. }] if *count > 0), "{omitted:?}");
        let bytes: usize = entries.iter().map(|(k, v)| k.len() + v.len()).sum();
        assert!(bytes <= NODE_BYTES_MAX);
    }

    #[test]
    fn a_key_of_a_later_version_is_left_alone() {
        assert!(matches!(decode("lease/dns", "whatever"), Ok(None)));
    }

    #[test]
    fn an_instance_of_a_version_without_roles_and_one_of_a_version_with_more_are_both_read() {
        let (entries, _) = publication(vec![instance("a1", None)], vec![]).entries();
        let without = &entries["i/a1"];
        assert!(!without.contains("\"o\""), "what has no role is told as it always was: {without}");
        let with = |role: &str| {
            let later = format!("{},\"o\":\"{role}\",\"later\":1}}", without.trim_end_matches('}'));
            match decode("i/a1", &later) {
                Ok(Some(Fact::Instance(instance))) => instance.role,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(with("primary"), Some(crate::Role::Primary));
        assert_eq!(with("arbiter"), Some(crate::Role::Other), "and the instance is not lost for it");
    }

    #[test]
    fn a_value_under_the_key_of_another_is_refused() {
        let (entries, _) = publication(vec![instance("a1", None)], vec![]).entries();
        assert!(matches!(decode("i/b2", &entries["i/a1"]), Err(InvalidFact::Mismatch { .. })));
    }

    proptest! {
        #[test]
        fn no_key_and_value_make_the_decoder_panic(key in "(node|i/.{0,20}|r/.{0,20}|.{0,20})", value in ".{0,200}") {
            let _ = decode(&key, &value);
        }

        #[test]
        fn every_entry_is_within_its_bound(count in 0usize..400, networks in 0usize..40) {
            let networks: Vec<_> = (0..networks).map(|i| format!("network-{i}").parse().unwrap()).collect();
            let instances = (0..count)
                .map(|i| Instance { networks: networks.clone(), ..instance(&format!("i{i}"), None) })
                .collect();
            let (entries, _) = publication(instances, vec![]).entries();
            for (key, value) in &entries {
                let limit = if key.starts_with(INSTANCE_PREFIX) { INSTANCE_BYTES_MAX } else { VALUE_BYTES_MAX };
                prop_assert!(value.len() <= limit);
            }
        }
    }
}
