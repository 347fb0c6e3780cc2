//! What should leave through WARP leaves through nothing else.

use std::collections::BTreeSet;

use constellation_deploy::catalogue;
use constellation_services::{SecretGenerations, prelude::*, render};

#[test]
fn what_is_on_the_network_of_warp_has_no_other_way_out() {
    let cfg = Config::example();
    let stacks = catalogue::stacks(&cfg);
    let desired = render(&stacks, &cfg, &SecretGenerations::default()).unwrap();
    let with_a_way_out: BTreeSet<&str> = desired
        .networks
        .iter()
        .filter(|network| !network.spec.internal && network.key != WARP_NAT_NET)
        .map(|network| network.spec.name.as_str())
        .collect();
    let mut anonymous = BTreeSet::new();
    for rendered in &desired.services {
        if !rendered.spec.networks.contains_key(WARP_NAT_NET) {
            continue;
        }
        let name = rendered.id.name();
        anonymous.insert(name);
        for network in rendered.spec.networks.keys() {
            assert!(!with_a_way_out.contains(network.as_str()), "{name} is on {network} as well");
        }
    }
    for name in [
        "aiostreams",
        "comet",
        "jackett",
        "mediaflow-proxy",
        "mediafusion",
        "prowlarr",
        "stremio",
        "stremthru",
    ] {
        assert!(anonymous.contains(name), "{name} does not leave through WARP");
    }
}
