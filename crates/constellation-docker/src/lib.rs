//! One trait over containers, so that nothing above this crate knows what runs them.
//!
//! [`ContainerRuntime`] is the seam. [`DockerEngine`] speaks to a real Docker Engine over its unix socket,
//! or over a [`Remote`] (ssh, TLS) to one on another machine;
//! [`ProcessRuntime`] runs the same [`ContainerSpec`]s as supervised child processes, for machines without Docker
//! and for the demo. [`contract`] is the one suite of promises that both keep.
//!
//! This crate decides nothing: what should run, what counts as healthy for routing and when to restart are other
//! crates' business. No type of a Docker client library appears in its interface.

mod container;
pub mod contract;
mod engine;
mod error;
mod event;
mod process;
mod remote;
mod resubscribe;
mod runtime;
mod spec;

pub use self::{
    container::{
        Container, ContainerId, ContainerState, ContainerSummary, HealthReport, NetworkAttachment,
        PublishedPort, RunState,
    },
    engine::{
        DockerEndpoint, DockerEngine, InvalidEndpoint, Network, NetworkJoin, NetworkSpec, Observed,
        RegistryAuth, TransferProgress, VolumeInfo,
    },
    error::{Retry, RuntimeError},
    event::{ContainerEvent, EventKind, EventStream},
    process::{ProcessConfig, ProcessRuntime},
    remote::{InvalidRemote, Remote, RemoteAddress, RemoteError, TcpSecurity, TlsFiles},
    resubscribe::{ResubscribeDelay, events_forever},
    runtime::{ContainerRuntime, ListFilter, LogLine, LogStream, RuntimeInfo, StopOutcome},
    spec::{
        ContainerSpec, HealthCheck, Mount, MountKind, NetworkMode, Port, PortBinding, Propagation, Protocol,
        Resources, RestartPolicy, Ulimit,
    },
};
