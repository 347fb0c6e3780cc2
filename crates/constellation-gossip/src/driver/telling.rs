//! What the driver tells the others, and when it keeps silent.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use constellation_core::{Generation, fact::Omitted, fact::Publication};
use tracing::{debug, error, info};

use super::{Driver, seniority};
use crate::{
    engine::Snapshot,
    rivalry::{Rival, elder},
};

/// To how many peers a farewell goes, and how long it may take.
const FAREWELL_PEERS: usize = 256;
const FAREWELL_PATIENCE: Duration = Duration::from_millis(500);

impl Driver {
    /// Tells what is wanted: to our own view at once, then to chitchat, then to the peers.
    pub(super) async fn tell(&mut self) {
        let Some(wanted) = &self.wanted else { return };
        let leaving;
        let publication = if self.leaving {
            let mut changed = Publication::clone(wanted);
            changed.node.leaving = true;
            leaving = changed;
            &leaving
        } else {
            wanted.as_ref()
        };
        let (entries, omitted) = publication.entries();
        self.knowledge.speak(Generation(self.engine.id.generation_id), &entries);
        self.publish_view(self.now());
        self.note_omitted(omitted);
        let told = if self.outputs.condition.borrow().conflict.is_some() { BTreeMap::new() } else { entries };
        let steps = self.ledger.change_to(&told);
        if !steps.is_empty() {
            self.engine.tell(steps).await;
            self.push.want();
        }
    }

    fn note_omitted(&self, omitted: Vec<Omitted>) {
        self.outputs.condition.send_if_modified(|condition| {
            if condition.omitted == omitted {
                return false;
            }
            for new in omitted.iter().filter(|new| !condition.omitted.contains(new)) {
                error!("{new}");
            }
            condition.omitted = omitted;
            true
        });
    }

    pub(super) async fn say_farewell(&mut self) {
        self.leaving = true;
        self.tell().await;
        let peers: Vec<SocketAddr> = self.live.iter().copied().take(FAREWELL_PEERS).collect();
        if self.wanted.is_none() || peers.is_empty() {
            return;
        }
        self.around.farewell.await_peers(peers.iter().copied());
        self.engine.ask(peers, self.own_heartbeat);
        if tokio::time::timeout(FAREWELL_PATIENCE, self.around.farewell.reached()).await.is_err() {
            debug!("not every peer took the farewell; they will notice the silence");
        }
    }

    pub(super) fn find_rivals(&mut self, snapshot: &Snapshot) {
        let named = snapshot.sightings.iter().filter(|(run, _)| {
            run.node_id == self.engine.id.node_id && run.gossip_advertise_addr != self.advertise
        });
        self.rivals = named
            .map(|(run, seen)| Rival {
                seniority: seniority(run),
                heartbeat: seen.heartbeat,
                published: self.knowledge.has_published(run),
                live: self.liveness.is_live(run),
            })
            .collect();
    }

    /// Gives way to an older run of our name, and takes the name back when that is gone.
    pub(super) async fn settle_conflict(&mut self) {
        let elder = elder(self.seniority(), &self.rivals);
        let changed = self.outputs.condition.send_if_modified(|condition| {
            let changed = condition.conflict != elder;
            condition.conflict = elder;
            changed
        });
        if !changed {
            return;
        }
        let name = &self.around.config.name;
        match elder {
            Some(other) => error!(
                %name, %other,
                "another machine has this node's name and had it first, so this one tells the cluster nothing \
                 until the other is gone; give one of the two another name"
            ),
            None => info!(%name, "the other machine with this node's name is gone"),
        }
        self.tell().await;
    }
}
