use std::{collections::BTreeMap, sync::Arc, time::Duration};

use constellation_core::{
    ClusterView, Endpoint, Evidence, Generation, Governor, Health, Incarnation, Instance, Moment, NodeFacts,
    Protocol, RouteSet, WallTime,
    route::{HttpRouter, HttpService, TcpRouter, TcpService, UdpRouter},
    view::NodeView,
};
use proptest::prelude::*;

use super::*;
use crate::{
    document::{DynamicConfig, L4Service, Name},
    render::{RenderConfig, render},
};

const GRACE: Duration = Duration::from_secs(5);

fn at(second: u64) -> Moment {
    Moment::after_start(Duration::from_secs(second))
}

/// What is to reach a service: by HTTP, or by TCP and UDP where its name says so.
fn to_reach(service: &str) -> RouteSet {
    let mut set = RouteSet::default();
    let name = || service.parse().unwrap();
    if service.starts_with("l4-") {
        let entry_points = vec![service.to_owned()];
        let router = TcpRouter {
            rule: "HostSNI(`*`)".to_owned(),
            service: service.to_owned(),
            entry_points: entry_points.clone(),
            middlewares: vec![service.to_owned()],
            ..TcpRouter::default()
        };
        let balancer = TcpService::to_port(80);
        set.tcp.routers.insert(name(), router);
        set.tcp.services.insert(name(), balancer);
        set.tcp.middlewares.insert(name(), serde_json::json!({ "inFlightConn": { "amount": 9 } }));
        set.udp.routers.insert(name(), UdpRouter { service: service.to_owned(), entry_points });
        set.udp.services.insert(name(), 53);
        return set;
    }
    let rule = format!("Host(`{service}`)");
    let router = HttpRouter { rule, service: service.to_owned(), ..HttpRouter::default() };
    set.routers.insert(name(), router);
    set.services.insert(name(), HttpService::to_port(80));
    set
}

/// A view of node 1 of these nodes, each with these services, and whether it is live.
fn view(nodes: &[(u8, bool, &[&str])]) -> ClusterView {
    let incarnations = nodes.iter().map(|(number, live, services)| {
        let mut routes = BTreeMap::new();
        let instances = services.iter().enumerate().map(|(index, service)| {
            let set = to_reach(service);
            let id = set.id();
            routes.insert(id.clone(), Arc::new(set));
            let address = ([10, 0, 0, *number], 40_000 + u16::try_from(index).unwrap()).into();
            Instance {
                id: format!("{service}{number}").parse().unwrap(),
                service: service.parse().unwrap(),
                health: Health::Healthy,
                since: WallTime(1),
                endpoints: vec![
                    Endpoint { port: 80, protocol: Protocol::Tcp, address },
                    Endpoint { port: 53, protocol: Protocol::Udp, address },
                ],
                networks: vec![],
                routes: Some(id),
                definition: None,
                role: None,
            }
        });
        let instances = instances.map(|instance| (instance.id.clone(), instance)).collect();
        let name = format!("n{number}").parse().unwrap();
        let facts = NodeFacts::at([10, 0, 0, *number].into());
        Incarnation {
            node: Arc::new(NodeView { name, generation: Generation(1), facts, instances, routes }),
            live: *live,
        }
    });
    ClusterView::derive("n1".parse().unwrap(), 1, incarnations)
}

fn rendered(view: &ClusterView) -> DynamicConfig {
    render(view, &RenderConfig::default()).document
}

fn urls(document: &DynamicConfig, service: &str) -> Vec<String> {
    let balancer = document.http.services[service].as_load_balancer().unwrap();
    balancer.urls().map(str::to_owned).collect()
}

/// The servers of a service below HTTP, which are the same by TCP and UDP here.
fn addresses(document: &DynamicConfig, service: &str) -> Vec<String> {
    let of = |service: &L4Service| -> Vec<String> {
        service.load_balancer.servers.iter().map(|server| server.address.clone()).collect()
    };
    let tcp = of(&document.tcp.services[service]);
    assert_eq!(tcp, of(&document.udp.services[service]), "by TCP and by UDP");
    tcp
}

/// A memory that has served this view for a long time.
fn after(view: &ClusterView) -> HoldBack {
    let mut hold_back = HoldBack::new(Governor::default(), None, at(0), GRACE);
    hold_back.settle(view, Arc::new(rendered(view)), at(10));
    hold_back
}

fn settled(hold_back: &mut HoldBack, view: &ClusterView, now: Moment) -> (DynamicConfig, Option<Held>) {
    let settled = hold_back.settle(view, Arc::new(rendered(view)), now);
    let document = (*settled.document.unwrap()).clone();
    document.validate().unwrap();
    (document, settled.held)
}

const ALL: [(u8, bool, &[&str]); 4] =
    [(1, true, &["web"]), (2, true, &["web", "db"]), (3, true, &["web", "db"]), (4, true, &["mail"])];

#[test]
fn a_node_that_lost_sight_of_most_peers_keeps_their_servers_for_what_nobody_else_has() {
    let mut hold_back = after(&view(&ALL));
    let alone = view(&[
        (1, true, &["web"]),
        (2, false, &["web", "db"]),
        (3, false, &["web", "db"]),
        (4, false, &["mail"]),
    ]);
    let (document, held) = settled(&mut hold_back, &alone, at(60));
    assert_eq!(urls(&document, "web"), ["http://10.0.0.1:40000"], "what is still seen is enough");
    assert_eq!(urls(&document, "db"), ["http://10.0.0.2:40001", "http://10.0.0.3:40001"]);
    assert_eq!(urls(&document, "mail"), ["http://10.0.0.4:40000"]);
    assert_eq!(held, Some(Held { routers: 2, reason: HeldReason::CutOff { peers_known: 3, peers_live: 0 } }));
    let (document, held) = settled(&mut hold_back, &alone, at(600));
    assert_eq!((urls(&document, "db").len(), held.is_some()), (2, true), "for as long as it lasts");
    let (document, held) = settled(&mut hold_back, &view(&ALL), at(700));
    assert_eq!((document, held), (rendered(&view(&ALL)), None), "and not longer");
}

#[test]
fn peers_that_fade_one_after_the_other_are_remembered_together() {
    let mut hold_back = after(&view(&ALL));
    for (second, live) in [(60, [false, true, true]), (61, [false, false, true]), (62, [false, false, false])]
    {
        let fading = view(&[
            (1, true, &["web"]),
            (2, live[0], &["web", "db"]),
            (3, live[1], &["web", "db"]),
            (4, live[2], &["mail"]),
        ]);
        let (document, _) = settled(&mut hold_back, &fading, at(second));
        if second == 62 {
            assert_eq!(urls(&document, "db").len(), 2);
            assert_eq!(urls(&document, "mail").len(), 1);
        }
    }
}

#[test]
fn one_node_lost_of_several_is_simply_lost() {
    let mut hold_back = after(&view(&ALL));
    let one_lost = view(&[ALL[0], ALL[1], ALL[2], (4, false, &["mail"])]);
    let (document, held) = settled(&mut hold_back, &one_lost, at(60));
    assert_eq!((document, held), (rendered(&one_lost), None));
}

#[test]
fn what_its_own_containers_do_always_applies() {
    let mut hold_back =
        after(&view(&[(1, true, &["mine", "web"]), (2, true, &["web", "db"]), (3, true, &["db"])]));
    let alone = view(&[(1, true, &[]), (2, false, &["web", "db"]), (3, false, &["db"])]);
    let (document, held) = settled(&mut hold_back, &alone, at(60));
    assert!(!document.http.routers.contains_key("mine"), "its container is gone, and this node knows");
    assert_eq!(urls(&document, "web"), ["http://10.0.0.2:40000"], "without its own server");
    assert!(held.is_some());
}

#[test]
fn an_agent_that_starts_says_nothing_until_it_knows_whether_there_is_nothing() {
    let mut hold_back = HoldBack::new(Governor::default(), None, at(0), GRACE);
    let nothing = view(&[(1, true, &[])]);
    assert_eq!(
        hold_back.settle(&nothing, Arc::new(rendered(&nothing)), at(1)),
        Settled { document: None, held: None }
    );
    assert_eq!(hold_back.wake(at(1)), Some(at(5)));
    let (document, _) = settled(&mut hold_back, &nothing, at(5));
    assert_eq!(document, DynamicConfig::default(), "then it says that there is nothing");
    assert_eq!(hold_back.wake(at(5)), None);
}

#[test]
fn an_agent_that_starts_serves_what_it_knows_at_once() {
    let mut hold_back = HoldBack::new(Governor::default(), None, at(0), GRACE);
    let one = view(&[(1, true, &["web"])]);
    assert_eq!(settled(&mut hold_back, &one, at(0)), (rendered(&one), None));
}

#[test]
fn after_a_restart_what_was_served_stays_until_it_can_be_told_from_what_is_not_seen_yet() {
    let good = Arc::new(rendered(&view(&ALL)));
    let mut hold_back = HoldBack::new(Governor::default(), Some(good), at(0), GRACE);
    let (document, held) = settled(&mut hold_back, &view(&[(1, true, &[])]), at(1));
    assert_eq!(urls(&document, "web").len(), 3, "its own as well: its containers may not be looked at yet");
    assert_eq!(held.map(|held| held.reason), Some(HeldReason::Starting));
    let without_mail = view(&[ALL[0], ALL[1], ALL[2], (4, true, &[])]);
    let (document, held) = settled(&mut hold_back, &without_mail, at(6));
    assert_eq!((document, held), (rendered(&without_mail), None), "the peers are there: it was taken away");
}

#[test]
fn what_an_agent_has_seen_since_its_start_and_sees_no_more_is_gone_also_while_it_starts() {
    let good = Arc::new(rendered(&view(&ALL)));
    let mut hold_back = HoldBack::new(Governor::default(), Some(good), at(0), GRACE);
    settled(&mut hold_back, &view(&[(1, true, &["web"]), (2, true, &["web", "db"])]), at(1));
    let (document, held) = settled(&mut hold_back, &view(&[(1, true, &["web"]), (2, true, &[])]), at(2));
    assert_eq!(urls(&document, "web"), ["http://10.0.0.1:40000"]);
    assert!(!document.http.routers.contains_key("db"), "its node was heard of, and it has none");
    assert_eq!(urls(&document, "mail").len(), 1, "of its node nothing was heard yet");
    assert_eq!(held.map(|held| held.routers), Some(1));
}

#[test]
fn without_anything_from_before_a_server_that_dies_just_after_the_start_is_gone_at_once() {
    let mut hold_back = HoldBack::new(Governor::default(), None, at(0), GRACE);
    settled(&mut hold_back, &view(&[(1, true, &["web"]), (2, true, &["web"])]), at(1));
    let one = view(&[(1, true, &["web"]), (2, true, &[])]);
    assert_eq!(settled(&mut hold_back, &one, at(2)), (rendered(&one), None));
}

#[test]
fn an_agent_that_starts_while_cut_off_knows_from_its_last_document_that_it_is_not_alone() {
    let good = Arc::new(rendered(&view(&ALL)));
    let mut hold_back = HoldBack::new(Governor::default(), Some(good), at(0), GRACE);
    let (document, held) = settled(&mut hold_back, &view(&[(1, true, &["web"])]), at(60));
    assert_eq!(urls(&document, "web"), ["http://10.0.0.1:40000"]);
    assert_eq!(urls(&document, "db").len(), 2);
    assert_eq!(held.map(|held| held.reason), Some(HeldReason::CutOff { peers_known: 3, peers_live: 0 }));
}

#[test]
fn peers_that_said_goodbye_are_not_held_on_to() {
    let mut hold_back = after(&view(&[(1, true, &["web"]), (2, true, &["db"])]));
    let mut leaving =
        view(&[(2, true, &["db"])]).member(&"n2".parse().unwrap()).unwrap().node.as_ref().clone();
    leaving.facts.leaving = true;
    let me = view(&[(1, true, &["web"])]).member(&"n1".parse().unwrap()).unwrap().node.clone();
    let incarnations = [(me, true), (Arc::new(leaving), false)];
    let incarnations = incarnations.map(|(node, live)| Incarnation { node, live });
    let left = ClusterView::derive("n1".parse().unwrap(), 2, incarnations);
    let (document, held) = settled(&mut hold_back, &left, at(60));
    assert_eq!((document, held), (rendered(&left), None));
}

const BELOW_HTTP: [(u8, bool, &[&str]); 3] =
    [(1, true, &["l4-own", "l4-dns"]), (2, true, &["l4-dns", "l4-db"]), (3, true, &["l4-db"])];

#[test]
fn a_node_that_lost_sight_of_most_peers_keeps_their_tcp_and_udp_servers_for_what_nobody_else_has() {
    let mut hold_back = after(&view(&BELOW_HTTP));
    let alone = view(&[(1, true, &["l4-dns"]), (2, false, &["l4-dns", "l4-db"]), (3, false, &["l4-db"])]);
    let (document, held) = settled(&mut hold_back, &alone, at(60));
    assert_eq!(addresses(&document, "l4-dns"), ["10.0.0.1:40000"], "what is still seen is enough");
    assert_eq!(addresses(&document, "l4-db"), ["10.0.0.2:40001", "10.0.0.3:40000"]);
    assert!(document.tcp.middlewares.contains_key("l4-db"), "with what it goes through");
    assert!(!document.tcp.routers.contains_key("l4-own"), "its own container is gone, and this node knows");
    assert_eq!(held, Some(Held { routers: 2, reason: HeldReason::CutOff { peers_known: 2, peers_live: 0 } }));
    let (document, held) = settled(&mut hold_back, &view(&BELOW_HTTP), at(700));
    assert_eq!((document, held), (rendered(&view(&BELOW_HTTP)), None), "and not longer than it lasts");
}

#[test]
fn an_agent_that_starts_while_cut_off_keeps_tcp_and_udp_servers_too() {
    let good = Arc::new(rendered(&view(&BELOW_HTTP)));
    let mut hold_back = HoldBack::new(Governor::default(), Some(good), at(0), GRACE);
    let (document, held) = settled(&mut hold_back, &view(&[(1, true, &["l4-dns"])]), at(1));
    assert_eq!(addresses(&document, "l4-db").len(), 2);
    assert_eq!(held.map(|held| held.reason), Some(HeldReason::Starting));
    let (document, held) = settled(&mut hold_back, &view(&[(1, true, &["l4-dns"])]), at(60));
    assert_eq!(addresses(&document, "l4-db").len(), 2);
    assert_eq!(held.map(|held| held.reason), Some(HeldReason::CutOff { peers_known: 2, peers_live: 0 }));
}

#[test]
fn a_router_on_an_entry_point_that_another_has_by_now_is_not_kept() {
    let mut hold_back = after(&view(&BELOW_HTTP));
    let alone = view(&[(1, true, &["l4-dns"]), (2, false, &["l4-db"]), (3, false, &["l4-db"])]);
    let mut next = rendered(&alone);
    for name in ["l4-own", "l4-db"] {
        next.tcp.routers.remove(name);
        next.udp.routers.remove(name);
    }
    // By another name, with servers.
    let mut streams = next.tcp.routers["l4-dns"].clone();
    streams.entry_points = [Name::from("l4-db")].into();
    next.tcp.routers.insert("newer".into(), streams);
    let mut datagrams = next.udp.routers["l4-dns"].clone();
    datagrams.entry_points = [Name::from("l4-db")].into();
    next.udp.routers.insert("newer".into(), datagrams);
    let settled = hold_back.settle(&alone, Arc::new(next.clone()), at(60));
    assert_eq!(settled, Settled { document: Some(Arc::new(next)), held: None });
}

fn any_view() -> impl Strategy<Value = ClusterView> {
    let services = proptest::sample::subsequence(vec!["a", "b", "c", "l4-a", "l4-b"], 0..5);
    let node = |number: u8| (Just(number), any::<bool>(), services.clone());
    (node(2), node(3), node(4), services.clone()).prop_map(|(two, three, four, own)| {
        let nodes = [(1, true, own), two, three, four];
        let borrowed: Vec<(u8, bool, &[&str])> =
            nodes.iter().map(|(n, l, s)| (*n, *l, s.as_slice())).collect();
        view(&borrowed)
    })
}

proptest! {
    #[test]
    fn whatever_is_held_back_the_document_is_valid_and_nothing_that_lives_is_missing(
        before in any_view(), now in any_view(), starting: bool, live in 0usize..4, own: bool,
    ) {
        let situation = Situation {
            evidence: Evidence { peers_known: 3, peers_live: live },
            own: own.then(|| "10.0.0.1".parse().unwrap()).into_iter().collect(),
            starting,
        };
        let next = rendered(&now);
        let (document, held) = settle(&rendered(&before), Arc::new(next.clone()), &situation, &Governor::default());
        prop_assert_eq!(document.validate(), Ok(()));
        for (name, router) in &next.http.routers {
            let service = next.http.services[&router.service].as_load_balancer();
            if service.is_none_or(|balancer| !balancer.servers.is_empty()) {
                prop_assert_eq!(document.http.routers.get(name), Some(router));
            }
        }
        let has_servers = |service: Option<&L4Service>| {
            service.is_none_or(|service| !service.load_balancer.servers.is_empty())
        };
        for (name, router) in &next.tcp.routers {
            if has_servers(next.tcp.services.get(&router.service)) {
                prop_assert_eq!(document.tcp.routers.get(name), Some(router));
                prop_assert_eq!(document.tcp.services.get(&router.service), next.tcp.services.get(&router.service));
            }
        }
        for (name, router) in &next.udp.routers {
            if has_servers(next.udp.services.get(&router.service)) {
                prop_assert_eq!(document.udp.routers.get(name), Some(router));
                prop_assert_eq!(document.udp.services.get(&router.service), next.udp.services.get(&router.service));
            }
        }
        // What is kept is somebody else's.
        for (_, address) in document.l4_servers() {
            let ours = address.starts_with("10.0.0.1:") && !starting && own;
            prop_assert!(!ours || next.l4_servers().any(|(_, known)| known == address), "{} is gone", address);
        }
        if held.is_none() {
            prop_assert_eq!(&*document, &next);
        }
    }
}
