//! Whom to ask when nobody is in sight, or somebody is missing.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How many addresses are kept; more than a cluster has nodes is a mistake somewhere.
pub(crate) const SEEDS_MAX: usize = 1024;
/// How long the name service may take.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(2);
/// How often names are looked up again, and how soon after a failure.
const LOOKUP_EVERY: Duration = Duration::from_secs(60);
const LOOKUP_RETRY: Duration = Duration::from_secs(5);

/// Seeds by kind.
#[derive(Debug)]
pub(crate) struct Seeds {
    pub(crate) addresses: BTreeSet<SocketAddr>,
    pub(crate) names: Vec<String>,
}

impl Seeds {
    pub(crate) fn new(seeds: &[String]) -> Self {
        let addresses = seeds.iter().filter_map(|seed| seed.parse().ok()).collect();
        let names = seeds.iter().filter(|seed| seed.parse::<SocketAddr>().is_err()).cloned().collect();
        Self { addresses, names }
    }
}

/// Adds addresses within the bound.
pub(crate) fn add(known: &mut BTreeSet<SocketAddr>, more: impl IntoIterator<Item = SocketAddr>) -> bool {
    let before = known.len();
    for address in more {
        if known.len() < SEEDS_MAX {
            known.insert(address);
        }
    }
    known.len() > before
}

/// Looks the names up again and again. An address that a name once had stays: asking it costs little, and a name
/// service that forgets a node must not keep us from finding it.
pub(crate) async fn look_up(
    names: Vec<String>,
    found: watch::Sender<BTreeSet<SocketAddr>>,
    shutdown: CancellationToken,
) {
    let mut complained = BTreeSet::new();
    loop {
        let mut missing = false;
        for name in &names {
            let looked_up = tokio::select! {
                () = shutdown.cancelled() => return,
                looked_up = tokio::time::timeout(LOOKUP_PATIENCE, tokio::net::lookup_host(name)) => looked_up,
            };
            let problem = match looked_up {
                Ok(Ok(addresses)) => {
                    found.send_if_modified(|known| add(known, addresses));
                    complained.remove(name);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {LOOKUP_PATIENCE:?}"),
            };
            missing = true;
            if complained.insert(name.clone()) {
                warn!(seed = name, problem, "could not look up a seed; trying again every {LOOKUP_RETRY:?}");
            }
        }
        let wait = if missing { LOOKUP_RETRY } else { LOOKUP_EVERY };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        let seeds =
            Seeds::new(&["10.0.0.1:7946".into(), "[fd00::1]:7946".into(), "web-1.example.org:7946".into()]);
        assert_eq!(seeds.addresses.len(), 2);
        assert_eq!(seeds.names, ["web-1.example.org:7946"]);
    }

    #[test]
    fn more_seeds_than_any_cluster_has_nodes_are_not_kept() {
        let mut known = BTreeSet::new();
        let many = (0..5000u16).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        assert!(add(&mut known, many.clone()));
        assert!(!add(&mut known, many));
        assert_eq!(known.len(), SEEDS_MAX);
    }
}
