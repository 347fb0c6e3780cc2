//! How the proxy stands, for people and for metrics.

use std::{net::SocketAddr, sync::atomic::Ordering};

use constellation_core::{InstanceId, Moment, NodeName};
use serde::{Deserialize, Serialize};

use super::{compiled::Compiled, worker::Counters};

/// How the proxy stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Connections of clients that are open.
    pub connections: usize,
    /// Those of them that say nothing and hold no buffers.
    #[serde(default)]
    pub resting: usize,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Connections that were closed at once because too many were open.
    pub turned_away: u64,
    /// Answers by the first digit of their status, from 1xx to 5xx.
    pub answers: [u64; 5],
    /// Answers that the proxy gave by itself.
    pub refused: u64,
    /// Requests that were given to another backend.
    pub retries: u64,
    /// Connections that changed to another protocol and are open.
    pub tunnels: usize,
    /// Connections to backends that lie idle.
    pub idle: usize,
    /// Routers in the table.
    pub routers: usize,
    /// Backends, by service and rank.
    pub backends: Vec<BackendStatus>,
}

/// How one backend of one service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// The service.
    pub service: String,
    /// Its node.
    pub node: NodeName,
    /// Its instance.
    pub instance: InstanceId,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Lower is asked first.
    pub rank: u32,
    /// `closed`, `open` or `half-open`.
    pub breaker: String,
    /// Requests that it has not answered whole.
    pub outstanding: u32,
    /// How long it takes to begin an answer, in microseconds; 0 where nothing is known.
    pub latency_us: u32,
    /// Requests that it was given.
    pub requests: u64,
    /// Requests that it did not answer.
    pub failures: u64,
}

impl ProxyStatus {
    pub(super) fn add(&mut self, counters: &Counters) {
        let Counters { answers, retries, refused, accepted, turned_away, tunnels, resting, idle } = counters;
        for (sum, part) in self.answers.iter_mut().zip(answers) {
            *sum += part.load(Ordering::Relaxed);
        }
        self.retries += retries.load(Ordering::Relaxed);
        self.refused += refused.load(Ordering::Relaxed);
        self.accepted += accepted.load(Ordering::Relaxed);
        self.turned_away += turned_away.load(Ordering::Relaxed);
        self.resting += resting.load(Ordering::Relaxed);
        self.tunnels += tunnels.load(Ordering::Relaxed);
        self.idle += idle.load(Ordering::Relaxed);
    }

    pub(super) fn look_at(&mut self, table: &Compiled, now: Moment) {
        self.routers = table.routers_len();
        for service in table.services() {
            self.backends.extend(service.backends.iter().map(|(backend, live)| BackendStatus {
                service: service.name.to_string(),
                node: backend.node.clone(),
                instance: backend.instance.clone(),
                address: backend.address,
                rank: backend.rank,
                breaker: live.breaker(now).as_str().to_owned(),
                outstanding: live.outstanding(),
                latency_us: live.latency(),
                requests: live.requests(),
                failures: live.failures(),
            }));
        }
    }
}
