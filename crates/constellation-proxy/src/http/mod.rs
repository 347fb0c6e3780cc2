//! The failover proxy over HTTP: each request goes to the best backend there is, and to the next when that one fails it.
//!
//! In reading order: [`Table`] is what is routed; `compiled` makes it ready; [`choose`](choose::choose) picks a backend,
//! [`Breaker`](breaker::Breaker) leaves one alone that does not answer, [`repeat`] says what may be sent twice: all of that
//! is plain values. `handle` takes one request through it, `upstream` asks backends over the connections that `secure` makes
//! and `pool` keeps;
//! `serve`, `kept` and `worker` are a client's connection, the same while it says nothing, and a thread; [`HttpProxy`]
//! starts the threads.
//!
//! Each thread serves its own connections with its own runtime and its own connections to backends, so requests take no lock.
//! What a proxy answers by itself is in [`Refusal`]; its bounds are in [`Limits`].

mod access;
mod body;
pub mod breaker;
pub mod choose;
mod compiled;
mod config;
mod ears;
mod guarded;
mod h1;
mod handle;
mod head;
mod headers;
mod kept;
mod live;
mod pool;
mod proxy;
mod refusal;
pub mod repeat;
mod secure;
mod serve;
mod status;
mod sticky;
mod table;
mod tunnel;
mod upstream;
mod worker;

pub use self::{
    breaker::{BreakerConfig, BreakerState},
    config::{Limits, Listen, ProxyConfig},
    proxy::{HttpProxy, ProxyError, ProxyHandle},
    refusal::Refusal,
    secure::BackendTls,
    status::{BackendStatus, ProxyStatus},
    table::{Backend, Name, Policy, Router, Service, Table, Target},
};
