//! Why instances are behind a request or not, also where none is.

use super::*;
use crate::explain::{Out, Standing, explain};

fn standings(nodes: Vec<Node>) -> Vec<(String, Standing, bool)> {
    let view = view(nodes);
    let document = render(&view, &RenderConfig::default()).document;
    let request = asking("web.example.org");
    let explained = explain(&document, &view, &request);
    assert_eq!(explained.routers.first().map(|(name, _)| &**name), Some("web"));
    let row = |backend: crate::explain::Backend| {
        (backend.instance.to_string(), backend.standing, backend.server.is_some())
    };
    explained.backends.into_iter().map(row).collect()
}

#[test]
fn every_instance_has_a_reason_also_where_none_is_in() {
    let set = routes("web", &["Host(`web.example.org`)"]);
    let mut unreachable = node(4).with("d", "web", Health::Healthy, 4, &set);
    unreachable.0.instances.values_mut().for_each(|instance| instance.endpoints.clear());
    let nodes = vec![
        node(1).with("a", "web", Health::Unhealthy, 1, &set),
        node(2).with("b", "web", Health::Stopped, 2, &set),
        node(3).with("c", "web", Health::Healthy, 3, &set).lost(),
        unreachable,
    ];
    let expected = [
        ("a".to_owned(), Standing::Unhealthy, false),
        ("b".to_owned(), Standing::Unhealthy, false),
        ("c".to_owned(), Standing::NodeLost, false),
        ("d".to_owned(), Standing::Out(Out::Unreachable(80)), false),
    ];
    assert_eq!(standings(nodes), expected);
}

#[test]
fn a_cordoned_instance_is_out_beside_another_and_in_alone() {
    let set = routes("web", &["Host(`web.example.org`)"]);
    let cordoned = || node(1).with("a", "web", Health::Healthy, 1, &set).cordoned();
    let both = standings(vec![cordoned(), node(2).with("b", "web", Health::Healthy, 2, &set)]);
    assert_eq!(
        both,
        [("b".to_owned(), Standing::Well, true), ("a".to_owned(), Standing::Cordoned, false)],
        "what is in comes first"
    );
    assert_eq!(standings(vec![cordoned()]), [("a".to_owned(), Standing::OnlyCordoned, true)]);
}

#[test]
fn an_instance_that_its_label_says_where_to_reach_is_in_at_its_url() {
    let set = with_service(routes("web", &["Host(`web.example.org`)"]), |service| {
        service.url = Some("https://web.internal/base".to_owned());
    });
    let mut no_port = node(2).with("b", "web", Health::Healthy, 2, &set).cordoned();
    no_port.0.instances.values_mut().for_each(|instance| instance.endpoints.clear());
    assert_eq!(standings(vec![no_port]), [("b".to_owned(), Standing::OnlyCordoned, true)]);
    let with_port = node(1).with("a", "web", Health::Healthy, 1, &set);
    assert_eq!(standings(vec![with_port]), [("a".to_owned(), Standing::Well, true)]);
}
