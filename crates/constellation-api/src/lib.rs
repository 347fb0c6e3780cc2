//! The agent's local HTTP API over a unix socket, and its client.
//!
//! [`model`], [`cluster`] and [`dns`] are what is said: plain values that serialise to the JSON that `--json` prints. [`server`] turns an
//! [`Agent`] into an HTTP service; [`client`] asks one. [`metrics`] is the same for a monitoring system. Whoever may open the socket may ask and, on a node that runs
//! processes, start and stop them: the socket's mode (0600) is the permission.
//!
//! The API knows how to ask the agent, and not how the agent knows.

pub mod client;
pub mod cluster;
pub mod dns;
pub mod explain;
pub mod metrics;
pub mod model;
pub mod server;

pub use self::{
    client::{Client, ClientError},
    cluster::{Cluster, ClusterRefusal, LeaseChange, LeaseRow, Leases, RaftMember, RaftStatus},
    explain::{Explanation, Question},
    metrics::serve_metrics,
    model::{Failure, MemberRow, Problem, Rung, ServiceRow, Status},
    server::{Agent, ServeError, serve},
};
