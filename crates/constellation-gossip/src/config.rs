//! What gossip is told at its start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use constellation_core::{ClusterId, NodeName};

use crate::{error::GossipError, transport::GossipSecurity};

/// The longest that chitchat may remember a dead run: each costs some 50 bytes in every handshake of everybody.
const DEAD_NODE_GRACE_MAX: Duration = Duration::from_secs(15 * 60);

/// How one node takes part.
#[derive(Clone, Debug)]
pub struct GossipConfig {
    /// This node's name; no other node of the cluster may have it.
    pub name: NodeName,
    /// The cluster. Datagrams of another are dropped.
    pub cluster: ClusterId,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the others reach us. Port 0 stands for the one that we listen on.
    pub advertise: SocketAddr,
    /// Whom to ask first, as `host:port`; names are looked up now and again. Every node may list all nodes, itself
    /// included; one that is reachable is enough.
    pub seeds: Vec<String>,
    /// What protects the traffic.
    pub security: GossipSecurity,
    /// Where the generation is kept. It must survive a restart.
    pub state_dir: PathBuf,
    /// The length of a round. Shorter finds deaths and spreads changes faster, and costs traffic and CPU in proportion.
    /// All nodes should have the same. Default 200 ms: a death is seen in 1.2 to 1.7 s.
    pub interval: Duration,
    /// How many mean heartbeat intervals a node may be silent before chitchat suspects it. Default 8.
    pub phi: f64,
    /// How long chitchat remembers a dead run, 15 minutes at most; for half of that it is part of every handshake.
    ///
    /// Default 2 minutes. A handshake holds some 1,300 runs, so a crash loop on several nodes must not pile up more: at a
    /// restart every two seconds, 2 minutes carry 30 runs per crashing node, and 15 would carry 225. What this node
    /// itself remembers of the dead does not depend on it.
    pub dead_node_grace: Duration,
}

impl GossipConfig {
    /// A configuration with every default and no seeds.
    pub fn new(
        name: NodeName,
        cluster: ClusterId,
        listen: SocketAddr,
        advertise: SocketAddr,
        security: GossipSecurity,
        state_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name,
            cluster,
            listen,
            advertise,
            seeds: Vec::new(),
            security,
            state_dir: state_dir.into(),
            interval: Duration::from_millis(200),
            phi: 8.0,
            dead_node_grace: Duration::from_secs(2 * 60),
        }
    }

    pub(crate) fn check(&self) -> Result<(), GossipError> {
        let refuse = |problem: String| Err(GossipError::Config { problem });
        if self.advertise.ip().is_unspecified() {
            return refuse(format!(
                "the address to advertise, {}, is every address and so none; give the one that other nodes reach",
                self.advertise
            ));
        }
        if self.advertise.is_ipv4() != self.listen.is_ipv4() && !self.listen.ip().is_unspecified() {
            return refuse(format!(
                "it would listen on {} and advertise {}, of the other kind of address; give both of one kind",
                self.listen, self.advertise
            ));
        }
        if self.dead_node_grace > DEAD_NODE_GRACE_MAX {
            return refuse(format!("dead nodes are remembered for {DEAD_NODE_GRACE_MAX:?} at most"));
        }
        if !(Duration::from_millis(20)..=Duration::from_secs(5)).contains(&self.interval) {
            return refuse(format!("a round of {:?} is not between 20 ms and 5 s", self.interval));
        }
        if !(1.0..=100.0).contains(&self.phi) {
            return refuse(format!("a phi of {} is not between 1 and 100", self.phi));
        }
        for seed in &self.seeds {
            let named = seed
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !named {
                return refuse(format!("the seed `{seed}` is not of the form host:port"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> GossipConfig {
        let address = "127.0.0.1:0".parse().unwrap();
        let (name, cluster) = ("a".parse().unwrap(), "home".parse().unwrap());
        GossipConfig::new(name, cluster, address, address, GossipSecurity::Insecure, "/tmp")
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        assert!(config().check().is_ok());
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_would() {
        type Change = fn(&mut GossipConfig);
        let cases: [(&str, Change); 6] = [
            ("is every address", |c| c.advertise = "0.0.0.0:7946".parse().unwrap()),
            ("other kind", |c| c.advertise = "[::1]:7946".parse().unwrap()),
            ("900s at most", |c| c.dead_node_grace = Duration::from_secs(901)),
            ("not between 20 ms and 5 s", |c| c.interval = Duration::ZERO),
            ("not between 1 and 100", |c| c.phi = f64::NAN),
            ("`web-1` is not of the form host:port", |c| c.seeds = vec!["web-1".into()]),
        ];
        for (expected, change) in cases {
            let mut config = config();
            change(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
