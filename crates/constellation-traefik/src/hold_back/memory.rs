//! What has to be remembered from one view to the next to hold back well.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use constellation_core::{ClusterView, Evidence, Governor, Moment};

use super::{
    Held,
    settle::{Situation, address_of, forget_what_lives, settle},
};
use crate::document::DynamicConfig;

/// How long the peers must have been steady before what is served becomes what would be gone back to. A node that is cut
/// off loses its peers one after the other, within a second or two; without this it would go back only to the last.
const STEADY: Duration = Duration::from_secs(5);

/// Decides what is served, view by view. A plain value: it is told the time and tells what to serve.
#[derive(Clone, Debug)]
pub struct HoldBack {
    governor: Governor,
    /// Until then nothing is taken away that was served before the start.
    starting_until: Moment,
    /// What was served before the start and was not seen since.
    before_start: Option<DynamicConfig>,
    served: Option<Arc<DynamicConfig>>,
    /// What was served when the peers were last steady.
    steady: Option<Arc<DynamicConfig>>,
    peers_live: usize,
    last_loss: Option<Moment>,
}

/// What to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The document; `None` while it is not known whether there is nothing to route or nothing is known yet. Traefik must
    /// not be told `{}` then, because it would drop what it has.
    pub document: Option<Arc<DynamicConfig>>,
    /// What is held back.
    pub held: Option<Held>,
}

impl HoldBack {
    /// Starts with what was served before the agent stopped, and a grace in which nothing is taken away.
    pub fn new(
        governor: Governor,
        last_known_good: Option<Arc<DynamicConfig>>,
        started: Moment,
        grace: Duration,
    ) -> Self {
        Self {
            governor,
            starting_until: started + grace,
            before_start: last_known_good.as_deref().cloned(),
            steady: last_known_good.clone(),
            served: last_known_good,
            peers_live: 0,
            last_loss: None,
        }
    }

    /// When the same view may settle to something else, by the passing of time alone.
    pub fn wake(&self, now: Moment) -> Option<Moment> {
        (now < self.starting_until).then_some(self.starting_until)
    }

    /// What is served now that the cluster renders to `next`.
    pub fn settle(&mut self, view: &ClusterView, next: Arc<DynamicConfig>, now: Moment) -> Settled {
        let evidence = view.evidence();
        if self.last_loss.is_none_or(|loss| now.since(loss) >= STEADY) {
            self.steady.clone_from(&self.served);
        }
        if evidence.peers_live < self.peers_live {
            self.last_loss = Some(now);
        }
        self.peers_live = evidence.peers_live;
        if now < self.starting_until {
            return self.settle_start(next, evidence);
        }
        self.before_start = None;
        let Some(previous) = &self.steady else {
            return self.serve(next, None);
        };
        let own = own_addresses(view);
        let evidence = if knows_nobody(view) { remembered(previous, &own) } else { evidence };
        let situation = Situation { evidence, own, starting: false };
        let (document, held) = settle(previous, next, &situation, &self.governor);
        self.serve(document, held)
    }

    /// While the agent starts, what it has not seen yet is not taken away. What it has seen and sees no more is.
    fn settle_start(&mut self, next: Arc<DynamicConfig>, evidence: Evidence) -> Settled {
        let Some(before) = &mut self.before_start else {
            if self.served.is_none() && next.is_empty() {
                return Settled { document: None, held: None };
            }
            return self.serve(next, None);
        };
        forget_what_lives(before, &next);
        let situation = Situation { evidence, own: BTreeSet::new(), starting: true };
        let (document, held) = settle(before, next, &situation, &self.governor);
        self.serve(document, held)
    }

    fn serve(&mut self, document: Arc<DynamicConfig>, held: Option<Held>) -> Settled {
        self.served = Some(Arc::clone(&document));
        Settled { document: Some(document), held }
    }
}

/// Whether no other node was ever heard of since the start.
fn knows_nobody(view: &ClusterView) -> bool {
    view.members().all(|member| member.node.name == *view.me())
}

/// An agent that starts while it is cut off knows no peers, and would take itself for alone. What it served before says
/// otherwise: each other machine in it is a peer that is out of sight.
fn remembered(previous: &DynamicConfig, own: &BTreeSet<IpAddr>) -> Evidence {
    let urls = previous.server_urls().into_iter().filter_map(address_of);
    let below_http = previous.l4_servers().filter_map(|(_, address)| address.parse().ok());
    let others: BTreeSet<IpAddr> =
        urls.chain(below_http).map(|address| address.ip()).filter(|address| !own.contains(address)).collect();
    Evidence { peers_known: others.len(), peers_live: 0 }
}

fn own_addresses(view: &ClusterView) -> BTreeSet<IpAddr> {
    let facts = view.member(view.me()).map(|member| &member.node.facts);
    facts.into_iter().flat_map(|facts| facts.public.iter().copied().chain([facts.mesh])).collect()
}
