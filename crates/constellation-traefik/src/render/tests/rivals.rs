//! What is left out keeps nothing from others.

use super::*;
use crate::render::Renderer;

/// One that has a rule, one that wants it as well, and one that wants the name of the second; on this node and the next ones.
fn rivals(loser_health: Health) -> Vec<Node> {
    let holder = routes("holder", &["Host(`a`)"]);
    let mut loser = routes("loser", &["Host(`a`)"]);
    let mut young = routes("young", &["Host(`b`)"]);
    for set in [&mut loser, &mut young] {
        let router = set.routers.pop_first().unwrap().1;
        set.routers.insert("wanted".parse().unwrap(), router);
    }
    vec![
        node(1).with("a", "holder", Health::Healthy, 1, &holder),
        node(2).with("b", "loser", loser_health, 2, &loser),
        node(3).with("c", "young", Health::Healthy, 3, &young),
    ]
}

#[test]
fn a_router_that_has_lost_its_rule_leaves_its_name_to_another() {
    let rendered = rendered(rivals(Health::Healthy), &RenderConfig::default());
    assert_eq!(names(&rendered.document.http.routers), ["holder", "wanted"]);
    assert_eq!(rendered.document.http.routers["wanted"].rule, "Host(`b`)");
    assert_eq!(rendered.problems.len(), 1, "{:?}", rendered.problems);
}

#[test]
fn a_router_that_asks_again_is_refused_for_the_same_reason_although_its_name_is_taken_by_now() {
    let mut renderer = Renderer::new(RenderConfig::default());
    for health in [Health::Healthy, Health::Unhealthy, Health::Healthy] {
        let view = Arc::new(view(rivals(health)));
        let (update, alone) = (renderer.render(&view), render(&view, &RenderConfig::default()));
        assert_eq!((&*update.document, update.problems), (&alone.document, alone.problems));
    }
}

#[test]
fn a_router_with_a_rule_that_is_none_and_a_balancer_without_its_transport_leave_their_names_to_others() {
    let bad = with_service(routes("web", &["Host(`a"]), |service| {
        service.servers_transport = Some("missing".to_owned());
    });
    let good = routes("web", &["Host(`b`)"]);
    let rendered = rendered(
        vec![
            node(1).with("a", "bad", Health::Healthy, 1, &bad),
            node(2).with("b", "good", Health::Healthy, 2, &good),
        ],
        &RenderConfig::default(),
    );
    assert_eq!(rendered.document.http.routers["web"].rule, "Host(`b`)");
    assert_eq!(urls(&rendered.document, "web"), ["http://10.0.0.2:40000"]);
}
