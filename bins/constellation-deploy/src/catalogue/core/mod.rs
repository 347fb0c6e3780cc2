//! What the other stacks stand on: databases, ways to the engine, and the pages that everybody sees.

mod data;
mod engine;
mod names;
mod pages;
mod workbench;

use constellation_services::prelude::*;

use super::Chapter;

/// Databases and what uses them, without a way out.
pub(super) const DATA: &str = "data";

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("core", "databases, access to the engine, and the pages that everybody sees")
        // For services that leave through WARP only, and so may not be on `backend`.
        .network(Network::new(DATA).internal())
        .service(engine::dockerproxy_ro(cfg))
        .service(engine::dockerproxy_rw(cfg))
        .service(data::redis(cfg))
        .service(data::mongodb(cfg))
        .service(names::dns_server(cfg))
        .service(pages::bolabaden_nextjs(cfg))
        .service(pages::homepage(cfg))
        .service(pages::searxng(cfg))
        .service(engine::dozzle(cfg))
        .service(engine::portainer(cfg))
        .service(engine::watchtower(cfg))
        .service(workbench::code_server(cfg))
        .service(workbench::session_manager(cfg))
        .service(workbench::telemetry_auth(cfg))
}
