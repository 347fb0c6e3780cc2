//! Finding services and networks by the names that definitions use for them.

use std::collections::BTreeMap;

use crate::{
    config::Config,
    language::{Attach, BACKEND, Egress, Network, PUBLICNET, Reach, Service, Stack, WARP_NAT_NET},
    place,
};

/// A service within its stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) service: &'a Service,
}

impl Member<'_> {
    /// `stack/service`.
    pub(crate) fn id(self) -> String {
        format!("{}/{}", self.stack.name, self.service.name)
    }
}

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Nothing has it.
    Nowhere,
    /// Several stacks have it, and the one that asks does not.
    Ambiguous(Vec<String>),
}

/// A network with the name that the engine knows it by.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) engine_name: String,
    pub(crate) network: Network,
    /// The stack that brings it along; `None` for a shared one.
    pub(crate) stack: Option<String>,
}

/// Everything that is defined, by name.
pub(crate) struct Index<'a> {
    stacks: &'a [Stack],
    shared: BTreeMap<String, Known>,
    node: String,
    placed: BTreeMap<String, bool>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(stacks: &'a [Stack], config: &Config) -> Self {
        let shared = config.networks().into_iter().map(|network| {
            let engine_name = network.name.clone().unwrap_or_else(|| network.key.clone());
            (network.key.clone(), Known { engine_name, network, stack: None })
        });
        let mut index = Self {
            stacks,
            shared: shared.collect(),
            node: config.node().to_owned(),
            placed: BTreeMap::new(),
        };
        let nodes = config.nodes();
        let placed = index
            .members()
            .map(|member| (member.id(), place::runs_on(&member.id(), member.service, &nodes, &index.node)));
        index.placed = placed.collect();
        index
    }

    /// Every service, in the order in which they were written.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        self.stacks
            .iter()
            .flat_map(|stack| stack.services.iter().map(move |service| Member { stack, service }))
    }

    /// Whether it runs on this node.
    pub(crate) fn is_here(&self, member: Member<'_>) -> bool {
        self.placed.get(&member.id()).copied().unwrap_or(false)
    }

    /// The services that run on this node.
    pub(crate) fn members_here(&self) -> impl Iterator<Item = Member<'a>> + '_ {
        self.members().filter(|member| self.is_here(*member))
    }

    /// The service that `name` means to somebody in `stack`: `stack/name`, or a name there, or else one of a kind.
    pub(crate) fn service(&self, stack: &str, name: &str) -> Result<Member<'a>, Unknown> {
        let (stack, name, whole) = match name.split_once('/') {
            Some((stack, name)) => (stack, name, true),
            None => (stack, name, false),
        };
        let named: Vec<Member<'a>> = self.members().filter(|member| member.service.name == name).collect();
        if let Some(member) = named.iter().find(|member| member.stack.name == stack) {
            return Ok(*member);
        }
        match named.as_slice() {
            [] => Err(Unknown::Nowhere),
            _ if whole => Err(Unknown::Nowhere),
            [member] => Ok(*member),
            _ => Err(Unknown::Ambiguous(named.iter().map(|member| member.id()).collect())),
        }
    }

    /// The network that `key` means to somebody in `stack`.
    pub(crate) fn network(&self, stack: &str, key: &str) -> Option<Known> {
        let (stack, key, whole) = match key.split_once('/') {
            Some((stack, key)) => (stack, key, true),
            None => (stack, key, false),
        };
        let brought = self.stacks.iter().find(|other| other.name == stack).and_then(|stack| {
            let network = stack.networks.iter().find(|network| network.key == key)?;
            Some(known(stack, network))
        });
        brought.or_else(|| if whole { None } else { self.shared.get(key).cloned() })
    }

    /// Every network that there could be: shared ones and those of stacks.
    pub(crate) fn networks(&self) -> Vec<Known> {
        let brought =
            self.stacks.iter().flat_map(|stack| stack.networks.iter().map(|network| known(stack, network)));
        self.shared.values().cloned().chain(brought).collect()
    }

    /// The keys that somebody in `stack` may name.
    pub(crate) fn network_keys(&self, stack: &Stack) -> Vec<String> {
        let own = stack.networks.iter().map(|network| network.key.clone());
        let mut keys: Vec<String> = own.chain(self.shared.keys().cloned()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

fn known(stack: &Stack, network: &Network) -> Known {
    Known {
        engine_name: network.name.clone().unwrap_or_else(|| format!("{}_{}", stack.name, network.key)),
        network: network.clone(),
        stack: Some(stack.name.clone()),
    }
}

/// The networks that a service is on, and why.
pub(crate) fn attachments(service: &Service) -> (Vec<Attach>, &'static str) {
    match &service.reach {
        Reach::Networks(networks) => (networks.clone(), "said in the definition"),
        Reach::Derived if service.egress == Egress::Warp => (
            vec![WARP_NAT_NET.into()],
            "its egress is `warp`: a second network with a way out would be a leak, and the agent's gateway \
             reaches it there",
        ),
        Reach::Derived if service.is_routed() => {
            (vec![BACKEND.into(), PUBLICNET.into()], "it is routed, so Traefik must reach it")
        }
        Reach::Derived => (vec![BACKEND.into()], "it is not routed, so nobody outside needs to reach it"),
        Reach::Host | Reach::None | Reach::Service(_) => (Vec::new(), "its network mode has none"),
    }
}
