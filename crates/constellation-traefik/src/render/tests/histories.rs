//! One view after another renders to what each renders to alone.

use std::time::Duration;

use constellation_core::{
    Health::{Healthy, Unhealthy},
    InstanceId,
    route::{Failover, StickyCookie, TcpRouter, TcpService, UdpRouter},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::render::Renderer;

/// Two of them have one name, in two stacks.
const SERVICES: [&str; 6] = ["s0", "s1", "s2", "st/s1", "s3", "s4"];

/// The routes of a service, by bits. Some names and rules are its own, and some are wanted by others as well.
fn set(service: usize, bits: u16) -> RouteSet {
    let on = |bit: u16| bits & (1 << bit) != 0;
    let own = format!("of-{service}");
    let balancer = if on(7) { "shared" } else { &own };
    let rule = |rule: String| HttpRouter {
        rule,
        service: balancer.to_owned(),
        middlewares: if on(3) { vec!["m".to_owned()] } else { vec![] },
        ..HttpRouter::default()
    };
    let mut set = RouteSet::default();
    set.services.insert(
        balancer.parse().unwrap(),
        HttpService {
            response_timeout: on(6).then_some(Duration::from_secs(2)),
            failover: if on(11) { Failover::Off } else { Failover::Safe },
            sticky: on(12).then(StickyCookie::default),
            proxied: on(13),
            ..HttpService::to_port(80)
        },
    );
    set.generated = (!on(10)).then(|| balancer.parse().unwrap());
    if on(0) {
        set.routers.insert(own.parse().unwrap(), rule(format!("Host(`{own}.test`)")));
    }
    if on(1) {
        set.routers.insert(
            if on(14) { own.parse() } else { "both".parse() }.unwrap(),
            rule(if on(15) { "Host(`b`)" } else { "Host(`a`)" }.to_owned()),
        );
    }
    if on(2) {
        // The host that is generated for its neighbour.
        let host = format!("Host(`s{}.example.org`)", (service + 1) % 5);
        set.routers.insert(format!("{own}-host").parse().unwrap(), rule(host));
    }
    if on(4) {
        let value = json!({"headers": {"customRequestHeaders": {"X": if on(5) { "1" } else { "2" }}}});
        set.middlewares.insert("m".parse().unwrap(), value);
    }
    if on(8) {
        let name = |own: &str| if on(9) { "stream".parse().unwrap() } else { own.parse().unwrap() };
        set.tcp.services.insert(name(&own), TcpService::to_port(80));
        let router = TcpRouter {
            rule: "HostSNI(`*`)".to_owned(),
            service: name(&own).to_string(),
            entry_points: vec!["tcp".to_owned()],
            ..TcpRouter::default()
        };
        set.tcp.routers.insert(name(&own), router);
    }
    if on(15) {
        set.udp.services.insert(own.parse().unwrap(), 80);
        let router = UdpRouter { service: own.clone(), entry_points: vec![format!("udp{}", service % 3)] };
        set.udp.routers.insert(own.parse().unwrap(), router);
    }
    set
}

#[derive(Clone, Debug)]
enum Step {
    /// An instance comes, or is another from now on.
    Put {
        slot: u8,
        service: usize,
        healthy: bool,
        since: u64,
        bits: u16,
    },
    Remove {
        slot: u8,
    },
    Live(bool),
    Cordon(bool),
    /// The routes of its instances have not come yet.
    Unknown,
    /// Nobody knows the node any more.
    Forgotten,
    /// It says the same again.
    Again,
}

fn any_step() -> impl Strategy<Value = (u8, Step)> {
    let put = (0u8..5, 0..SERVICES.len(), any::<bool>(), 0u64..4, any::<[u16; 3]>(), any::<bool>()).prop_map(
        |(slot, service, healthy, since, [a, b, c], busy)| {
            // Seldom many of them at once, otherwise everything is contested always.
            let bits = (if busy { a & b } else { a & b & c }) | 1;
            Step::Put { slot, service, healthy, since, bits }
        },
    );
    let step = prop_oneof![
        12 => put,
        4 => (0u8..5).prop_map(|slot| Step::Remove { slot }),
        1 => any::<bool>().prop_map(Step::Live),
        1 => any::<bool>().prop_map(Step::Cordon),
        1 => Just(Step::Unknown),
        1 => Just(Step::Forgotten),
        1 => Just(Step::Again),
    ];
    (1u8..4, step)
}

/// What each node says. A node that has said nothing new is the same value, as with gossip.
#[derive(Default)]
struct World(BTreeMap<u8, (Arc<NodeView>, bool)>);

impl World {
    fn step(&mut self, number: u8, step: &Step) {
        if matches!(step, Step::Forgotten) {
            self.0.remove(&number);
            return;
        }
        let (known, live) = self.0.entry(number).or_insert_with(|| (Arc::new(node(number).0), true));
        let mut said = NodeView::clone(known);
        let id = |slot: u8| format!("n{number}i{slot}").parse::<InstanceId>().unwrap();
        match *step {
            Step::Put { slot, service, healthy, since, bits } => {
                let health = if healthy { Healthy } else { Unhealthy };
                let alone = node(number).with(
                    id(slot).as_str(),
                    SERVICES[service],
                    health,
                    since,
                    &set(service, bits),
                );
                let mut instance = alone.0.instances.into_values().next().unwrap();
                instance.endpoints[0].address.set_port(40_000 + u16::from(slot));
                instance.endpoints.push(Endpoint { protocol: Protocol::Udp, ..instance.endpoints[0] });
                said.instances.insert(instance.id.clone(), instance);
                said.routes.extend(alone.0.routes);
            }
            Step::Remove { slot } => drop(said.instances.remove(&id(slot))),
            Step::Live(is) => *live = is,
            Step::Cordon(is) => said.facts.cordoned = is,
            Step::Unknown => said.routes.clear(),
            Step::Forgotten | Step::Again => {}
        }
        *known = Arc::new(said);
    }

    fn view(&self) -> Arc<ClusterView> {
        let nodes = self.0.values();
        let incarnations = nodes.map(|(node, live)| Incarnation { node: Arc::clone(node), live: *live });
        Arc::new(ClusterView::derive("n1".parse().unwrap(), 1, incarnations))
    }
}

fn config(domain: bool, old: bool, proxy: bool) -> RenderConfig {
    RenderConfig {
        failover_on_errors: !old,
        proxy: proxy.then(|| "127.0.0.1:8082".parse().unwrap()),
        ..if domain { under_domain() } else { RenderConfig::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_view_of_a_history_renders_to_what_it_renders_to_alone(
        steps in proptest::collection::vec(any_step(), 1..40), domain: bool, old: bool, proxy: bool,
    ) {
        let config = config(domain, old, proxy);
        let (mut world, mut renderer) = (World::default(), Renderer::new(config.clone()));
        let mut sound = false;
        for (number, step) in &steps {
            world.step(*number, step);
            let view = world.view();
            let (update, alone) = (renderer.render(&view), render(&view, &config));
            prop_assert_eq!(&*update.document, &alone.document, "after {:?} on {}", step, number);
            prop_assert_eq!(update.document.to_bytes(), serde_json::to_vec(&alone.document).unwrap());
            prop_assert_eq!(&update.problems, &alone.problems);
            let parts = update.changed.filter(|_| sound);
            let found = parts.map_or_else(|| update.document.validate(), |parts| update.document.validate_parts(&parts));
            prop_assert_eq!(&found, &update.document.validate());
            sound = found.is_ok();
        }
    }
}

/// Many services, each with two instances on two nodes and nothing that another wants.
fn quiet_world() -> World {
    let mut world = World::default();
    for (slot, service) in (0..).zip(0..SERVICES.len()).filter(|(_, service)| *service != 3) {
        for number in [1, 2] {
            world.step(number, &Step::Put { slot, service, healthy: true, since: 1, bits: 1 });
        }
    }
    world
}

#[test]
fn what_concerns_one_service_is_rendered_alone() {
    let mut world = quiet_world();
    let mut renderer = Renderer::new(under_domain());
    assert_eq!(renderer.render(&world.view()).changed, None, "the first is rendered whole");
    let put = |healthy, since, bits| Step::Put { slot: 2, service: 2, healthy, since, bits };
    for (what, step) in [
        ("it falls ill", put(false, 1, 1)),
        ("it is well again", put(true, 1, 1)),
        ("it was replaced", put(true, 7, 1)),
        ("it has another router", put(true, 7, 3)),
        ("it goes", Step::Remove { slot: 2 }),
        ("it comes", put(true, 8, 0b1_0000_0001)),
    ] {
        world.step(2, &step);
        let update = renderer.render(&world.view());
        let parts = update.changed.unwrap_or_else(|| panic!("{what}: all was rendered"));
        let own = |name: &Name| {
            name.contains("of-2") || name.contains("s2.") || &**name == "both" || name.contains("both+")
        };
        assert!(parts.routers.iter().chain(&parts.services).all(own), "{what}: {parts:?}");
        assert_eq!(*update.document, render(&world.view(), &under_domain()).document, "{what}");
    }
}

#[test]
fn what_two_services_want_is_decided_by_their_age() {
    let mut world = quiet_world();
    let mut renderer = Renderer::new(under_domain());
    renderer.render(&world.view());
    let put = |service: usize, since| Step::Put {
        slot: u8::try_from(service).unwrap(),
        service,
        healthy: true,
        since,
        bits: 3,
    };
    for (service, since, winner) in [(1, 5, "of-1"), (2, 4, "of-2"), (1, 3, "of-1")] {
        for number in [1, 2] {
            world.step(number, &put(service, since));
        }
        let update = renderer.render(&world.view());
        assert_eq!(&*update.document.http.routers["both"].service, [winner, "++failover"].concat());
    }
}
