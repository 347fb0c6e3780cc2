//! The catalogue: services that many people run, in stacks, as definitions to start from.
//!
//! Its facts (images, ports, variables, volumes, labels, health tests) come from a reference collection. Where that was
//! wrong, a service here is right instead, and says so beside its definition: see [`Difference`].

mod authentik;
pub mod common;
mod coolify_proxy;
mod core;
mod elfhosted;
mod entry;
mod firecrawl;
mod headscale;
mod house;
mod llm;
mod metrics;
mod page;
mod rclone;
mod stremio;
mod unsend;
mod variables;
mod warp;
mod wordpress;

pub use self::{
    entry::{Chapter, Difference, Differs, Entry},
    house::EVERYWHERE,
    page::markdown,
    variables::{FromFiles, from_files},
};

use constellation_services::prelude::*;

/// Every stack of the catalogue under this configuration, with what it does otherwise than the reference.
pub fn chapters(cfg: &Config) -> Vec<Chapter> {
    vec![
        core::chapter(cfg),
        authentik::chapter(cfg),
        coolify_proxy::chapter(cfg),
        elfhosted::chapter(cfg),
        firecrawl::chapter(cfg),
        headscale::chapter(cfg),
        llm::chapter(cfg),
        metrics::chapter(cfg),
        stremio::chapter(cfg),
        unsend::chapter(cfg),
        warp::chapter(cfg),
        wordpress::chapter(cfg),
    ]
}

/// Every stack of the catalogue under this configuration.
pub fn stacks(cfg: &Config) -> Vec<Stack> {
    chapters(cfg).into_iter().map(Chapter::into_stack).collect()
}
