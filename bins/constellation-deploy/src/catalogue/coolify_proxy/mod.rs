//! The way in: Traefik, who may pass it, what watches it, and the names that lead to it.

mod dynamic;
mod guards;
mod helpers;
mod traefik;

use constellation_services::prelude::*;

use super::Chapter;

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("coolify-proxy", "the way in: Traefik, its guards and its names")
        .service(traefik::traefik(cfg))
        .service(guards::nginx_traefik_extensions(cfg))
        .service(guards::tinyauth(cfg))
        .service(guards::crowdsec(cfg))
        .service(helpers::docker_gen_failover(cfg))
        .service(helpers::logrotate_traefik(cfg))
        .service(helpers::cloudflare_ddns(cfg))
        .service(helpers::autokuma(cfg))
        .service(helpers::whoami(cfg))
}

/// The addresses from which Cloudflare asks: what they say of the client is believed.
const CLOUDFLARE: &[&str] = &[
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "2400:cb00::/32",
    "2405:8100::/32",
    "2405:b500::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// Where Traefik's guard keeps the addresses that it turns away.
const CROWDSEC_KEY: &str = "crowdsec-lapi-key.txt";
