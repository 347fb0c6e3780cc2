//! The words that every part of Constellation shares: plain values, without tokio and without I/O.
//!
//! In reading order: [`id`] names things; [`time`] is an argument, never a call; [`health`] judges an instance;
//! [`endpoint`] says where it is reached and [`route`] what is to reach it; [`instance`] and [`node`] are the facts
//! that nodes tell each other, in the form that [`fact`] gives them on the wire; [`view`] is the one picture that is
//! derived from them; [`lease`] says who may; [`governor`] holds back a change that looks like our own isolation. [`error_chain`] prints an error with its causes.
//!
//! Nothing here knows how facts travel, who renders them, or what a lease is for.

pub mod endpoint;
mod error;
pub mod fact;
pub mod governor;
pub mod health;
pub mod id;
pub mod instance;
pub mod lease;
pub mod node;
pub mod role;
pub mod route;
mod route_l4;
pub mod time;
pub mod view;

pub use self::{
    endpoint::{Endpoint, Protocol},
    error::error_chain,
    governor::{Evidence, Governor, Verdict},
    health::{Health, Hysteresis, Reading, Thresholds},
    id::{ClusterId, DomainName, InstanceId, NetworkName, NodeName, RouteName, RouteSetId, ServiceId},
    instance::Instance,
    lease::{FencingToken, LeaseHolder, LeaseKind, LeaseStatus},
    node::{FoundingFacts, Generation, NodeFacts, Priority, RaftFacts},
    role::Role,
    route::RouteSet,
    time::{Clock, ManualClock, Moment, WallTime},
    view::{ClusterView, Incarnation, NodeView},
};
