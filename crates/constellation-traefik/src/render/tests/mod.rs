//! Views by hand, and what they render to.

mod explained;
mod explained_l4;
mod from_labels;
mod golden;
mod histories;
mod l4;
mod middlewares;
mod properties;
mod proxied;
mod rivals;
mod rules;

use std::{collections::BTreeMap, sync::Arc};

use constellation_core::{
    ClusterView, Endpoint, Generation, Health, Incarnation, Instance, NodeFacts, Protocol, RouteSet,
    WallTime,
    route::{HttpRouter, HttpService},
    view::NodeView,
};

use super::{RenderConfig, Rendered, render};
use crate::{
    document::{DynamicConfig, LoadBalancer, Name},
    rules::Request,
};

/// A node with instances, and whether it is live.
struct Node(NodeView, bool);

fn node(number: u8) -> Node {
    Node(
        NodeView {
            name: format!("n{number}").parse().unwrap(),
            generation: Generation(1),
            facts: NodeFacts::at([10, 0, 0, number].into()),
            instances: BTreeMap::new(),
            routes: BTreeMap::new(),
        },
        true,
    )
}

impl Node {
    fn with(mut self, id: &str, service: &str, health: Health, since: u64, set: &RouteSet) -> Self {
        let number = self.0.name.as_str().trim_start_matches('n').parse::<u8>().unwrap();
        let host_port = 40_000 + u16::try_from(self.0.instances.len()).unwrap();
        let instance = Instance {
            id: id.parse().unwrap(),
            service: service.parse().unwrap(),
            health,
            since: WallTime(since),
            endpoints: vec![Endpoint {
                port: 80,
                protocol: Protocol::Tcp,
                address: ([10, 0, 0, number], host_port).into(),
            }],
            networks: vec![],
            routes: Some(set.id()),
            definition: None,
            role: None,
        };
        self.0.routes.insert(set.id(), Arc::new(set.clone()));
        self.0.instances.insert(instance.id.clone(), instance);
        self
    }

    fn lost(mut self) -> Self {
        self.1 = false;
        self
    }

    fn cordoned(mut self) -> Self {
        self.0.facts.cordoned = true;
        self
    }
}

fn view(nodes: Vec<Node>) -> ClusterView {
    let incarnations = nodes.into_iter().map(|Node(node, live)| Incarnation { node: Arc::new(node), live });
    ClusterView::derive("n1".parse().unwrap(), 1, incarnations)
}

/// A set with one load balancer and a router to it for each rule.
fn routes(service: &str, rules: &[&str]) -> RouteSet {
    let mut set = RouteSet::default();
    set.services.insert(service.parse().unwrap(), HttpService::to_port(80));
    set.generated = service.parse().ok();
    for (index, rule) in rules.iter().enumerate() {
        let name = if index == 0 { service.to_owned() } else { format!("{service}-{index}") };
        let router =
            HttpRouter { rule: (*rule).to_owned(), service: service.to_owned(), ..HttpRouter::default() };
        set.routers.insert(name.parse().unwrap(), router);
    }
    set
}

/// A GET of `/` at a host.
fn asking(host: &str) -> Request {
    Request { host: host.to_owned(), path: "/".to_owned(), method: "GET".to_owned(), ..Request::default() }
}

fn with_service(mut set: RouteSet, change: impl Fn(&mut HttpService)) -> RouteSet {
    set.services.values_mut().for_each(change);
    set
}

fn under_domain() -> RenderConfig {
    RenderConfig { domain: "example.org".parse().ok(), ..RenderConfig::default() }
}

fn rendered(nodes: Vec<Node>, config: &RenderConfig) -> Rendered {
    let rendered = render(&view(nodes), config);
    rendered.document.validate().unwrap();
    rendered
}

fn document(nodes: Vec<Node>) -> DynamicConfig {
    let rendered = rendered(nodes, &RenderConfig::default());
    assert_eq!(rendered.problems, []);
    rendered.document
}

fn balancer<'d>(document: &'d DynamicConfig, name: &str) -> &'d LoadBalancer {
    let service =
        document.http.services.get(name).unwrap_or_else(|| panic!("no service {name} in {document:?}"));
    service.as_load_balancer().unwrap_or_else(|| panic!("{name} is no load balancer"))
}

fn urls(document: &DynamicConfig, name: &str) -> Vec<String> {
    balancer(document, name).urls().map(str::to_owned).collect()
}

fn names<V>(map: &BTreeMap<Name, V>) -> Vec<&str> {
    map.keys().map(AsRef::as_ref).collect()
}

fn texts(rendered: &Rendered) -> Vec<String> {
    rendered.problems.iter().map(ToString::to_string).collect()
}
