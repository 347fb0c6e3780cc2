use std::sync::Arc;

use constellation_core::{WallTime, route::HttpService};
use constellation_docker::{NetworkAttachment, Port, PublishedPort};
use constellation_monitor::HealState;
use constellation_proxy::ProxyProtocol;

use super::*;
use crate::fixtures::container;

const MESH: &str = "100.64.0.1";

fn mesh() -> IpAddr {
    MESH.parse().unwrap()
}

fn published(on: &str) -> Container {
    let port = PublishedPort { container: Port::tcp(80), host_ip: on.parse().unwrap(), host_port: 8080 };
    Container { published: vec![port], ..container() }
}

fn on_networks(networks: &[(&str, &str)]) -> Container {
    let attach = |(name, address): &(&str, &str)| NetworkAttachment {
        name: (*name).to_owned(),
        address: Some(address.parse().unwrap()),
    };
    Container { networks: networks.iter().map(attach).collect(), ..container() }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_port_that_is_published_on_the_mesh_needs_no_gateway() {
    for on in [MESH, "0.0.0.0"] {
        assert_eq!(
            reach(&published(on), (Protocol::Tcp, 80), mesh()),
            Some(Reach::Published(address("100.64.0.1:8080"))),
            "{on}"
        );
    }
}

#[test]
fn a_port_that_is_published_on_loopback_only_is_forwarded() {
    assert_eq!(
        reach(&published("127.0.0.1"), (Protocol::Tcp, 80), mesh()),
        Some(Reach::Forward(address("127.0.0.1:8080")))
    );
}

#[test]
fn a_port_that_is_not_published_is_forwarded_to_the_container_on_traefiks_network_first() {
    let container = on_networks(&[("backend", "10.0.7.2"), ("stack_publicnet", "10.76.0.2")]);
    assert_eq!(reach(&container, (Protocol::Tcp, 80), mesh()), Some(Reach::Forward(address("10.76.0.2:80"))));
}

#[test]
fn a_container_without_any_address_is_not_reached() {
    assert_eq!(reach(&container(), (Protocol::Tcp, 80), mesh()), None);
}

fn seen(container: Container, health: Health) -> (Report, BTreeMap<InstanceId, Wanted>) {
    let instance: InstanceId = "abcdef012345".parse().unwrap();
    let observed = Observed {
        instance: instance.clone(),
        service: "web".parse().unwrap(),
        container: Arc::new(container),
        health,
        since: WallTime(1),
        heal: HealState::Idle,
        removed: false,
    };
    let mut routes = RouteSet::default();
    routes.services.insert("web".parse().unwrap(), HttpService::to_port(80));
    let report = Report { containers: BTreeMap::from([(instance.clone(), observed)]), ..Report::default() };
    (report, BTreeMap::from([(instance, Wanted { routes: Some(routes), ..Wanted::default() })]))
}

#[test]
fn a_stopped_container_is_told_with_its_routes_and_without_endpoints() {
    let (report, wanted) = seen(published(MESH), Health::Stopped);
    assert!(forwards(&report, &wanted, mesh()).is_empty());
    let told = publication(NodeFacts::at(mesh()), &report, &wanted, &BTreeMap::new(), &BTreeMap::new());
    assert_eq!(told.instances[0].endpoints, []);
    assert!(told.instances[0].routes.is_some(), "its routes answer 503, not 404");
}

#[test]
fn an_endpoint_is_told_only_once_the_gateway_listens_for_it() {
    let (report, wanted) = seen(on_networks(&[("backend", "10.0.7.2")]), Health::Healthy);
    let told = |listening| {
        publication(NodeFacts::at(mesh()), &report, &wanted, &listening, &BTreeMap::new()).instances[0]
            .clone()
    };
    assert_eq!(forwards(&report, &wanted, mesh()).len(), 1);
    assert_eq!(told(BTreeMap::new()).endpoints, []);
    let listening =
        BTreeMap::from([(("abcdef012345".parse().unwrap(), Protocol::Tcp, 80), address("100.64.0.1:40001"))]);
    assert_eq!(told(listening).tcp(80), Some(address("100.64.0.1:40001")));
}

#[test]
fn a_routed_container_that_cannot_be_reached_is_named_with_the_remedy() {
    let (report, wanted) = seen(container(), Health::Healthy);
    let problems = unreachable(&report, &wanted, mesh());
    assert!(
        problems[0].0 == "web" && problems[0].1.contains("publish the port on 100.64.0.1"),
        "{problems:?}"
    );
}

#[test]
fn a_container_that_asks_the_gateway_for_a_greeting_gets_one_where_the_gateway_is_between() {
    let greeted = |container: Container| {
        let (report, mut wanted) = seen(container, Health::Healthy);
        let labels = BTreeMap::from([("constellation.gateway-proxy-protocol".to_owned(), "1".to_owned())]);
        for wanted in wanted.values_mut() {
            wanted.greetings = Greetings::read(&labels, wanted.routes.as_ref().unwrap()).0;
        }
        let forwards: Vec<_> = forwards(&report, &wanted, mesh()).into_iter().collect();
        (forwards, unreachable(&report, &wanted, mesh()))
    };
    let (forwards, problems) = greeted(on_networks(&[("backend", "10.0.7.2")]));
    assert_eq!((forwards[0].greeting, problems), (Some(ProxyProtocol::V1), vec![]));
    let (forwards, problems) = greeted(published(MESH));
    assert!(forwards.is_empty() && problems[0].1.contains("nobody greets it"), "{problems:?}");
}

#[test]
fn ports_of_tcp_and_udp_routes_are_forwarded_and_told_each_by_its_protocol() {
    let (report, mut wanted) = seen(on_networks(&[("backend", "10.0.7.2")]), Health::Healthy);
    let mut routes = RouteSet::default();
    routes.udp.services.insert("dns".parse().unwrap(), 53);
    let service = constellation_core::route::TcpService::to_port(53);
    routes.tcp.services.insert("dns".parse().unwrap(), service);
    wanted.values_mut().for_each(|wanted| wanted.routes = Some(routes.clone()));
    let forwards: Vec<_> = forwards(&report, &wanted, mesh()).into_iter().collect();
    assert_eq!(forwards.len(), 2);
    let listening = forwards
        .into_iter()
        .map(|it| {
            let port = if it.protocol == Protocol::Udp { 2 } else { 1 };
            ((it.instance, it.protocol, it.port), SocketAddr::new(mesh(), port))
        })
        .collect();
    let told = publication(NodeFacts::at(mesh()), &report, &wanted, &listening, &BTreeMap::new()).instances
        [0]
    .clone();
    assert_eq!(told.tcp(53), Some(address("100.64.0.1:1")));
    assert_eq!(told.udp(53), Some(address("100.64.0.1:2")));
}
