//! The words of the language, in the order in which a definition uses them.

mod caps;
mod dashboard;
mod env;
mod files;
mod health;
mod hosts;
mod image;
mod lifecycle;
mod middleware;
mod network;
mod ports;
pub mod refused;
mod route;
mod service;
mod stack;
mod units;
mod words;

pub(crate) use self::{
    caps::Capabilities,
    files::VolumeKind,
    image::BuildSource,
    network::Reach,
    route::{Access, TcpTls},
    service::Kind,
};
pub use self::{
    caps::{Cap, STEP_DOWN},
    dashboard::{Homepage, Uptime},
    env::EnvValue,
    files::{
        ConfigFile, HostPath, SECRETS_DIR, Secret, Volume, VolumeSource, bind, config_file, named, secret,
        shared_volume, tmpfs,
    },
    health::Health,
    hosts::Hosts,
    image::{Build, Image, Pull, build, build_from, image},
    lifecycle::{
        Condition, Heal, Logging, NodeEntry, Order, Placement, Restart, Update, every_node, on, replicas,
    },
    middleware::Middleware,
    network::{Attach, BACKEND, DEFAULT_NET, Egress, NGINX_NET, Network, PUBLICNET, WARP_NAT_NET, attach},
    ports::{Publish, all_interfaces, localhost, on_address},
    route::{AnyRoute, HttpRoute, Route, TcpRoute, UdpRoute},
    service::Service,
    stack::Stack,
    units::{
        CpuShares, CpuUnits, Cpus, MillicoreUnits, ShareUnits, Size, SizeUnits, hours, millis, mins, secs,
    },
};
