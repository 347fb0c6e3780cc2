//! What the tool would do on a machine that has nothing.

use std::collections::{BTreeMap, BTreeSet};

use constellation_deploy::catalogue;
use constellation_services::{
    Actual, Config, Deed, Plan, PlanOptions, SecretGenerations, plan, render, validate,
};

fn on_an_empty_engine(cfg: &Config) -> Plan {
    let desired = render(&catalogue::stacks(cfg), cfg, &SecretGenerations::default()).unwrap();
    plan(&desired, &Actual { has_networks: true, ..Actual::default() }, &PlanOptions::default())
}

#[test]
fn the_whole_catalogue_is_valid_and_is_made_on_an_empty_engine() {
    let cfg = Config::example();
    assert_eq!(validate(&catalogue::stacks(&cfg), &cfg), []);
    let plan = on_an_empty_engine(&cfg);
    assert_eq!(plan.count(Deed::Create), 79);
    assert_eq!(plan.services.len(), 79);
    assert_eq!(plan.blockers, []);
    let networks: BTreeSet<&str> = plan.networks.iter().map(|step| step.name.as_str()).collect();
    for shared in ["infra_backend", "infra_publicnet", "infra_nginx_net", "infra_default", "warp-nat-net"] {
        assert!(networks.contains(shared), "{shared} is not made: {networks:?}");
    }
}

#[test]
fn what_is_waited_for_is_made_in_an_earlier_wave() {
    let cfg = Config::example();
    let waves: BTreeMap<String, usize> =
        on_an_empty_engine(&cfg).services.iter().map(|step| (step.service.to_string(), step.wave)).collect();
    let desired = render(&catalogue::stacks(&cfg), &cfg, &SecretGenerations::default()).unwrap();
    for rendered in &desired.services {
        let id = rendered.id.to_string();
        for other in rendered.depends_on.keys() {
            assert!(waves[&other.to_string()] < waves[&id], "{other} is not before {id}");
        }
    }
}

#[test]
fn a_node_without_a_name_and_one_with_another_domain_are_served_as_well() {
    for parts in
        [vec![("DOMAIN", "example.net")], vec![("DOMAIN", "a.b.example.com"), ("TS_HOSTNAME", "west-1")]]
    {
        let cfg = Config::from_parts(parts);
        assert_eq!(validate(&catalogue::stacks(&cfg), &cfg), []);
        assert_eq!(on_an_empty_engine(&cfg).count(Deed::Create), 79);
    }
}
