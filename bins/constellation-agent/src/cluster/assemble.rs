//! The part of a cluster's life that the agent puts together when it starts.

use std::sync::Arc;

use constellation_core::{Clock, ClusterView, NodeFacts};
use constellation_tasks::Supervisor;
use tokio::sync::watch;

use super::{desk::Desk, files::ClusterFiles, membership::Membership, part::Place};
use crate::config::{Config, Security};

/// The cluster that this node is a member of has a name already; where another one was given, that is a mistake.
pub(crate) fn name_cluster(config: &mut Config, files: &ClusterFiles) -> anyhow::Result<()> {
    // What cannot be read is said when the log is opened.
    let Ok(Some(identity)) = files.identity() else { return Ok(()) };
    let owner = identity.owner;
    if let Some(named) = &config.named_cluster {
        anyhow::ensure!(
            *named == owner.cluster,
            "{} is that of {owner}, and --cluster says `{named}`: leave --cluster out, or point --data-dir elsewhere",
            files.raft().display()
        );
    }
    anyhow::ensure!(
        config.node == owner.node,
        "{} is that of {owner}, and this node is called `{}`: give it that name (--node-name), or point --data-dir elsewhere",
        files.raft().display(),
        config.node
    );
    config.cluster = owner.cluster;
    Ok(())
}

/// How this node comes to be a member.
pub(crate) fn membership(
    config: &Config,
    files: ClusterFiles,
    clock: &Arc<dyn Clock>,
    view: &watch::Receiver<Arc<ClusterView>>,
    facts: &watch::Sender<NodeFacts>,
    base: &Supervisor,
) -> Membership {
    let keyring = match &config.security {
        Security::Keyring(path) => Some(path.clone()),
        Security::Insecure => None,
    };
    let place = Place {
        files,
        address: config.raft,
        policy: config.seats,
        founders: config.expect.map_or(0, |expect| usize::from(expect.get())),
        keyring,
        boot: config.boot,
        clock: Arc::clone(clock),
        view: view.clone(),
        facts: facts.clone(),
        supervisor: base.clone(),
    };
    Membership {
        place,
        cluster: config.cluster.clone(),
        expect: config.expect,
        settings: config.founding,
        part: watch::Sender::new(None),
        why_not: watch::Sender::new(String::new()),
    }
}

/// What answers for the cluster.
pub(crate) fn desk(
    config: &Config,
    membership: &Membership,
    view: watch::Receiver<Arc<ClusterView>>,
) -> Arc<Desk> {
    let place = &membership.place;
    Arc::new(Desk {
        node: config.node.clone(),
        cluster: config.cluster.clone(),
        boot: config.boot,
        part: membership.part.subscribe(),
        why_not: membership.why_not.subscribe(),
        facts: place.facts.clone(),
        view,
        files: place.files.clone(),
        clock: Arc::clone(&place.clock),
        keyring: place.keyring.clone(),
    })
}
