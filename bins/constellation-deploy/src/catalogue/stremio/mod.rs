//! Stremio with its add-ons: what they ask for leaves the machine through WARP only.

mod addons;
mod comet;
mod indexers;
mod mediafusion;
mod mounts;
mod server;

use constellation_services::prelude::*;

use super::Chapter;

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("stremio", "Stremio with add-ons that leave the machine through WARP only")
        .network(Network::new(INDEXERS).internal())
        .service(addons::aiostreams(cfg))
        .service(comet::comet(cfg))
        .service(indexers::flaresolverr(cfg))
        .service(indexers::jackett(cfg))
        .service(addons::mediaflow_proxy(cfg))
        .service(mediafusion::mediafusion(cfg))
        .service(indexers::prowlarr(cfg))
        .service(mounts::rclone(cfg))
        .service(mounts::rclone_init(cfg))
        .service(server::stremio(cfg))
        .service(addons::stremthru(cfg))
}

/// Between indexers and what asks them. Without a way out, so whoever leaves through WARP may be on it.
const INDEXERS: &str = "indexers";

/// A service whose connections leave through WARP: it is on that network, and on these, which have no way out. It starts
/// when the gateway is well, since until then it could reach nobody.
fn through_warp(inside: &'static [&'static str]) -> impl FnOnce(Service) -> Service {
    move |service| {
        let service = service.egress(Egress::Warp).depends_on("warp-nat-gateway", Healthy);
        match inside {
            [] => service,
            inside => service.network(WARP_NAT_NET).networks(inside.iter().copied()),
        }
    }
}

const SECOND_WAY_OUT: &str =
    "a second network with a way out is a way past WARP; Traefik reaches it all the same";
const READS_ENV_FILE: &str =
    "it reads no `*_FILE` variables, but a file of variables: one secret file holds them all";
