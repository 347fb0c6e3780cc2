//! A name server for the machines around.

use std::net::{IpAddr, Ipv4Addr};

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{service, versioned},
};

pub(super) fn dns_server(cfg: &Config) -> Entry {
    let address = cfg.address("DNS_SERVER_ADDRESS", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let service = [80, 443, 538, 853, 8053, 53443].into_iter().fold(
        service("dns-server", versioned(cfg, "docker.io/technitium/dns-server", "DNS_SERVER_TAG", "15.4.0")),
        Service::expose,
    );
    service
        .about("Technitium DNS server")
        .hostname(cfg.fqdn("dns-server"))
        .secret(secret("dns-server-admin-password.txt").env_file("DNS_SERVER_ADMIN_PASSWORD_FILE"))
        .volume(bind(cfg.volume("dns-server/config")).at("/etc/dns"))
        .expose_udp(853)
        .publish(on_address(address, 53).udp())
        .publish(on_address(address, 53))
        .network(PUBLICNET)
        .route(Route::http(5380).own_login())
        .caps(&[Cap::NetBindService])
        .homepage(
            Homepage::new("Infrastructure", "Technitium DNS Server")
                .icon("dns-server.png")
                .description("Zones, block lists and what was asked"),
        )
        .uptime(Uptime::http().every(secs(60)))
        .differs(
            "ports",
            "an open resolver on every interface, beside one that the system runs: DNS_SERVER_ADDRESS says where it \
             listens, and TCP belongs to DNS",
        )
        .differs("expose", "TCP belongs to DNS")
        .differs("*DNS_SERVER_ADMIN_PASSWORD_FILE", "its first password was `admin`, on a page that everybody reaches")
        .differs("secrets.*", "its first password")
}
