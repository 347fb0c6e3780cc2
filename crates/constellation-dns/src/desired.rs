//! Which records should be: a plain function of the view, of who serves, and of the settings.

use std::collections::{BTreeMap, BTreeSet};

use constellation_core::{ClusterView, DomainName, NodeName, ServiceId, view::Placed};
use serde::{Deserialize, Serialize};

use crate::{
    public_address::is_public,
    record::{Record, RecordName, Ttl, Value},
    rules::Rules,
    service_record::{ServiceRecord, Target},
};

/// Which machines a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To the one that holds the lease `lb-leader`: one address, moved when the lease moves.
    Leader,
    /// To every ingress machine that is there: resolvers take turns, and clients may try another one.
    All,
    /// To none: the name is left to others.
    Off,
}

/// What is wanted of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The zone.
    pub zone: DomainName,
    /// The domain that services are served under: the zone itself or a name in it.
    pub domain: DomainName,
    /// Where the domain leads, and `*.domain`.
    pub apex: Mode,
    /// Whether each machine has `node.domain` and `*.node.domain`.
    pub nodes: bool,
    /// For how long resolvers may keep what is not proxied.
    pub ttl: Ttl,
    /// Whether the domain and `*.domain` are proxied. Those of single machines never are: they are for people and for SSH.
    pub proxied: bool,
    /// Further names.
    pub services: Vec<ServiceRecord>,
    /// Also publish addresses that the world cannot reach: for a zone that only a private network asks.
    pub any_address: bool,
}

impl DnsConfig {
    /// Every default, for a domain that is its own zone.
    pub fn of(domain: DomainName) -> Self {
        Self {
            zone: domain.clone(),
            domain,
            apex: Mode::Leader,
            nodes: true,
            ttl: Ttl::FAST,
            proxied: false,
            services: Vec::new(),
            any_address: false,
        }
    }
}

/// Who serves, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Who holds the lease `lb-leader`; `None` while nobody is known to.
    pub leader: Option<NodeName>,
    /// The machines that count as being there: [`Presence`](crate::Presence) decides that. `None` while too little was seen.
    pub present: Option<BTreeSet<NodeName>>,
}

/// The records that should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// By name, each in the provider's form, sorted.
    pub records: BTreeMap<RecordName, Vec<Record>>,
    /// Names of which nothing is known for now: what is there stays as it is.
    pub keep: BTreeSet<RecordName>,
    /// What a person should know of, in sentences.
    pub problems: Vec<String>,
}

impl Desired {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// The records that should be.
pub fn desired(view: &ClusterView, serving: &Serving, config: &DnsConfig, rules: &Rules) -> Desired {
    let mut draft = Draft { view, serving, config, wanted: BTreeMap::new(), desired: Desired::default() };
    let domain = config.domain.as_str();
    if let Some(apex) = draft.name(domain) {
        let style = Style { ttl: config.ttl, proxied: config.proxied };
        if config.apex != Mode::Off {
            draft.lead(&apex, config.apex, style);
            if let Some(wildcard) = apex.wildcard() {
                draft.lead(&wildcard, config.apex, style);
            }
        }
    }
    if config.nodes {
        for member in view.members() {
            draft.node(&member.node.name);
        }
    }
    for service in &config.services {
        draft.service(service);
    }
    draft.finish(rules)
}

#[derive(Clone, Copy)]
struct Style {
    ttl: Ttl,
    proxied: bool,
}

struct Draft<'a> {
    view: &'a ClusterView,
    serving: &'a Serving,
    config: &'a DnsConfig,
    wanted: BTreeMap<RecordName, Vec<Record>>,
    desired: Desired,
}

impl Draft<'_> {
    fn problem(&mut self, problem: String) {
        if !self.desired.problems.contains(&problem) {
            self.desired.problems.push(problem);
        }
    }

    fn name(&mut self, text: &str) -> Option<RecordName> {
        text.parse().map_err(|error: crate::record::InvalidRecordName| self.problem(error.to_string())).ok()
    }

    fn want(&mut self, name: &RecordName, value: Value, style: Style) {
        let record = Record { name: name.clone(), value, ttl: style.ttl, proxied: style.proxied };
        self.wanted.entry(name.clone()).or_default().push(record);
    }

    /// The addresses at which the world reaches a machine, as values.
    fn addresses(&mut self, node: &NodeName) -> Vec<Value> {
        let Some(member) = self.view.member(node) else { return Vec::new() };
        let (public, any) = (member.node.facts.public.clone(), self.config.any_address);
        let (good, bad): (Vec<_>, Vec<_>) =
            public.into_iter().partition(|address| any || is_public(*address));
        for address in bad {
            self.problem(format!(
                "{address} of {node} is not an address of the public Internet and is not published"
            ));
        }
        good.into_iter().map(Value::from).collect()
    }

    /// Whether a machine takes requests from outside. Where some say that they do, those that do not say so do not.
    fn is_ingress(&self, node: &NodeName) -> bool {
        let says = |node: &constellation_core::NodeView| node.facts.capabilities.contains("ingress");
        let some_say = self.view.members().any(|member| says(&member.node));
        !some_say || self.view.member(node).is_some_and(|member| says(&member.node))
    }

    fn present(&self) -> impl Iterator<Item = &NodeName> {
        self.serving.present.iter().flatten()
    }

    fn lead(&mut self, name: &RecordName, mode: Mode, style: Style) {
        let nodes: Vec<NodeName> = match mode {
            Mode::Off => return,
            Mode::Leader => self.serving.leader.iter().cloned().collect(),
            Mode::All => self.present().filter(|node| self.is_ingress(node)).cloned().collect(),
        };
        self.lead_to(name, &nodes, style);
    }

    fn lead_to(&mut self, name: &RecordName, nodes: &[NodeName], style: Style) {
        let mut found = false;
        for node in nodes {
            for value in self.addresses(node) {
                found = true;
                self.want(name, value, style);
            }
        }
        if found {
            return;
        }
        self.desired.keep.insert(name.clone());
        if let [node] = nodes {
            self.problem(format!(
                "no public address of {node} is known: {name} stays as it is (set PUBLIC_IP there)"
            ));
        }
    }

    fn node(&mut self, node: &NodeName) {
        // Those of a machine that is out of sight stay: they are its own, and nobody else's.
        let Some(name) = self.name(&format!("{node}.{}", self.config.domain)) else { return };
        let style = Style { ttl: self.config.ttl, proxied: false };
        let addresses = self.addresses(node);
        for name in [Some(name.clone()), name.wildcard()].into_iter().flatten() {
            if addresses.is_empty() {
                self.desired.keep.insert(name);
                continue;
            }
            for value in &addresses {
                self.want(&name, value.clone(), style);
            }
        }
    }

    /// Machines that are there and run an instance that takes traffic.
    fn running(&self, service: &ServiceId) -> Vec<NodeName> {
        let here = |placed: &Placed<'_>| {
            placed.is_routable() && self.present().any(|node| *node == placed.node.name)
        };
        let nodes: BTreeSet<NodeName> =
            self.view.instances_of(service).filter(here).map(|placed| placed.node.name.clone()).collect();
        nodes.into_iter().collect()
    }

    fn service(&mut self, record: &ServiceRecord) {
        let Some(name) = self.name(&record.full_name(&self.config.domain)) else { return };
        let proxied = record.proxied.unwrap_or(false);
        let style = Style { ttl: record.ttl.unwrap_or(self.config.ttl), proxied };
        match &record.target {
            Target::Leader => self.lead(&name, Mode::Leader, style),
            Target::All => self.lead(&name, Mode::All, style),
            Target::Instances(service) => {
                let nodes = self.running(service);
                self.lead_to(&name, &nodes, style);
            }
            Target::Name(target) => self.want(&name, Value::Cname(target.clone()), style),
            Target::Text(text) => self.want(&name, Value::Txt(text.clone()), style),
            Target::Srv { service, port } => {
                let nodes = self.running(service);
                if nodes.is_empty() {
                    self.desired.keep.insert(name);
                    return;
                }
                for node in nodes {
                    if let Some(target) = self.name(&format!("{node}.{}", self.config.domain)) {
                        self.want(&name, Value::Srv { priority: 10, weight: 10, port: *port, target }, style);
                    }
                }
            }
        }
    }

    fn finish(mut self, rules: &Rules) -> Desired {
        for (name, records) in std::mem::take(&mut self.wanted) {
            let (records, problems) = rules.name(self.config.zone.as_str(), &name, records);
            for problem in problems {
                self.problem(problem);
            }
            if records.is_empty() {
                self.desired.keep.insert(name);
            } else {
                self.desired.keep.remove(&name);
                self.desired.records.insert(name, records);
            }
        }
        self.desired
    }
}
