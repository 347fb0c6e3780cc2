//! Nodes that found a cluster together (`--bootstrap-expect N`), and only one.
//!
//! Each tells by gossip that it waits, and for how many. Once it sees so many, and sees the same for a while, it names the
//! one whose name comes first, writes that down, and never names another. Whoever is named by N of them founds the cluster,
//! and the others join it, by the gossip key that all of them share. Since nobody names two, and N is more than half of
//! those that wait, two can never both be named by N. Where the names are split nobody founds anything, and a person does.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use anyhow::Context;
use constellation_consensus::{
    member::ClusterSettings,
    storage::DataIdentity,
    transport::{JoinAsk, JoinError, JoinPatience, NodeKey, join_founder},
};
use constellation_core::{ClusterId, ClusterView, FoundingFacts, Moment, NodeName};
use constellation_security::Keyring;
use constellation_tasks::{Backoff, Schedule};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    admission::founding_keys,
    files::FoundingVote,
    found::{self, Founding},
    join,
    part::Place,
};

/// How long the same nodes must have been in sight before one is named.
const SETTLED: Duration = Duration::from_secs(2);
/// How often it is looked, beside every change of the view.
const LOOK: Duration = Duration::from_millis(500);
/// How long it may take before a person is told what is missing, and then again.
const SAY_EVERY: Duration = Duration::from_secs(15);

/// How often a cluster that is complete without this node is asked again: only a person can change its mind.
const CLOSED: Schedule = Schedule::new(Duration::from_secs(1), Duration::from_secs(60));

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for more nodes, or for the others to name one.
    Wait,
    /// Name this node, for good.
    Name(NodeName),
    /// Found the cluster.
    Found,
    /// There is a cluster: join it at one of these.
    Join(Vec<SocketAddr>),
}

/// Decides. `same_since` is since when the same nodes wait.
pub(crate) fn next(
    view: &ClusterView,
    expect: NonZeroU16,
    named: Option<&NodeName>,
    same_for: Duration,
) -> Step {
    let members: Vec<SocketAddr> = view
        .live_nodes()
        .filter_map(|node| Some(SocketAddr::new(node.facts.mesh, node.facts.raft?.port)))
        .collect();
    if !members.is_empty() {
        return Step::Join(members);
    }
    let waiting = waiting(view, expect);
    match named {
        None if waiting.len() >= usize::from(expect.get()) && same_for >= SETTLED => {
            waiting.first().map_or(Step::Wait, |first| Step::Name((*first).clone()))
        }
        None => Step::Wait,
        Some(named) if named == view.me() => {
            let names_me = |node: &&Arc<constellation_core::view::NodeView>| {
                let facts = node.facts.founding.as_ref();
                node.name != *view.me() && facts.is_some_and(|facts| facts.vote.as_ref() == Some(view.me()))
            };
            let votes = 1 + view.live_nodes().filter(names_me).count();
            if votes >= usize::from(expect.get()) { Step::Found } else { Step::Wait }
        }
        Some(_) => Step::Wait,
    }
}

/// Who waits for as many as this node does, by name; this node is one of them.
fn waiting(view: &ClusterView, expect: NonZeroU16) -> BTreeSet<&NodeName> {
    let waits = |facts: &FoundingFacts| facts.expect == expect;
    let mut waiting: BTreeSet<&NodeName> = view
        .live_nodes()
        .filter(|node| node.facts.founding.as_ref().is_some_and(waits))
        .map(|node| &node.name)
        .collect();
    waiting.insert(view.me());
    waiting
}

/// Waits until there is a cluster that this node is a member of; `None` at the shutdown.
pub(crate) async fn take_part(
    place: &Place,
    cluster: &ClusterId,
    expect: NonZeroU16,
    settings: ClusterSettings,
    why_not: &watch::Sender<String>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<DataIdentity>> {
    place.files.make_folders()?;
    let keyring = place
        .keyring
        .as_deref()
        .context("nodes found a cluster together by the gossip key that they share: --bootstrap-expect does not go with --insecure-gossip")?;
    let mut named = match place.files.founding_vote()? {
        Some(vote) if vote.expect == expect.get() => Some(vote.vote),
        Some(vote) => anyhow::bail!(
            "this node has waited for {} nodes and named {} before, and cannot take that back: start it with \
             --bootstrap-expect {0}, found the cluster with `constellation-agent init`, or join one",
            vote.expect,
            vote.vote
        ),
        None => None,
    };
    let mut view = place.view.clone();
    let mut known = BTreeSet::new();
    let (mut since, mut said) = (place.clock.now(), place.clock.now());
    let key = NodeKey::generate()?;
    let mut closed = Backoff::new(CLOSED);
    let me = view.borrow().me().clone();
    let ask = JoinAsk {
        node: me.clone(),
        address: place.address,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        key,
    };
    loop {
        let facts = FoundingFacts { expect, port: place.address.port(), vote: named.clone() };
        place.facts.send_if_modified(|own| {
            let changed = own.founding.as_ref() != Some(&facts);
            own.founding = Some(facts.clone());
            changed
        });
        let step = {
            let view = Arc::clone(&view.borrow_and_update());
            let now: BTreeSet<NodeName> = waiting(&view, expect).into_iter().cloned().collect();
            if now != known {
                (known, since) = (now, place.clock.now());
            }
            next(&view, expect, named.as_ref(), place.clock.now().since(since))
        };
        match step {
            Step::Wait => tell_what_is_missing(&mut said, place.clock.now(), &known, expect, named.as_ref()),
            Step::Name(node) => {
                info!(founder = %node, nodes = ?known, "this node names the one that is to found the cluster");
                place
                    .files
                    .write_founding_vote(&FoundingVote { expect: expect.get(), vote: node.clone() })?;
                named = Some(node);
                continue;
            }
            Step::Found => {
                let founding =
                    Founding { cluster: cluster.clone(), node: me.clone(), address: place.address, settings };
                let now = place.clock.wall();
                found::found(&place.files, &founding, now)?;
                info!(%cluster, nodes = ?known, "this node has founded the cluster");
                return place.files.identity().map_err(Into::into);
            }
            Step::Join(addresses) => match join_at(place, cluster, keyring, &ask, &addresses).await {
                Ok(identity) => return Ok(Some(identity)),
                Err(error) => {
                    why_not.send_replace(format!("this node could not join the cluster yet: {error:#}"));
                    let wait = if is_closed(&error) { closed.failed() } else { LOOK };
                    warn!(error = format!("{error:#}"), ?wait, "the cluster could not be joined yet");
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(None),
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            },
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            changed = view.changed() => if changed.is_err() { return Ok(None) },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<JoinError>(), Some(JoinError::FoundingClosed { .. }))
}

/// Goes on with a founding that broke off between the log and its first entry: the log says who this node is and nothing
/// else yet, and nobody can have joined it.
pub(crate) async fn finish(
    place: &Place,
    identity: &DataIdentity,
    settings: ClusterSettings,
) -> anyhow::Result<()> {
    let named = place.files.founding_vote()?.map(|vote| vote.vote);
    let owner = &identity.owner;
    if named.as_ref() != Some(&owner.node) || owner.id != found::FOUNDER.0 {
        return Ok(());
    }
    let (files, address, now) = (place.files.clone(), place.address, place.clock.wall());
    let founding = Founding { cluster: owner.cluster.clone(), node: owner.node.clone(), address, settings };
    let finished = tokio::task::spawn_blocking(move || found::finish(&files, &founding, now));
    if finished.await.context("the founding could not be finished")?? {
        info!(cluster = %owner.cluster, "a founding that had broken off is done: this node has founded the cluster");
    }
    Ok(())
}

async fn join_at(
    place: &Place,
    cluster: &ClusterId,
    keyring: &std::path::Path,
    ask: &JoinAsk,
    addresses: &[SocketAddr],
) -> anyhow::Result<DataIdentity> {
    let keys = founding_keys(&Keyring::read(keyring)?, cluster);
    let key = keys.first().context("there is no gossip key")?;
    let patience = JoinPatience { rounds: 1, ..JoinPatience::default() };
    let joined = join_founder(addresses, cluster, key, ask, &patience).await?;
    let identity = join::keep(&place.files, &joined)?;
    info!(%cluster, id = %joined.id, with = join::company(&joined), "this node has joined the cluster");
    Ok(identity)
}

fn tell_what_is_missing(
    said: &mut Moment,
    now: Moment,
    known: &BTreeSet<NodeName>,
    expect: NonZeroU16,
    named: Option<&NodeName>,
) {
    if now.since(*said) < SAY_EVERY {
        return;
    }
    *said = now;
    let names: Vec<&str> = known.iter().map(NodeName::as_str).collect();
    let names = names.join(", ");
    match named {
        None if known.len() < usize::from(expect.get()) => info!(
            "waiting for {expect} nodes to found a cluster; these wait so far: {names}. Each needs --bootstrap-expect {expect}, \
             the same gossip key, and to be found by the others (--join)"
        ),
        None => info!("waiting for the nodes to settle: {names}"),
        Some(named) => info!(
            "waiting for {named} to be named by {expect} nodes and to found the cluster; these wait: {names}. Where it is gone \
             for good, run `constellation-agent init` on one node and join the others with tokens"
        ),
    }
}

#[cfg(test)]
mod tests {
    use constellation_core::{
        Generation, NodeFacts, RaftFacts,
        view::{Incarnation, NodeView},
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn three() -> NonZeroU16 {
        NonZeroU16::new(3).unwrap()
    }

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn waits(node: &str, expect: u16, vote: Option<&str>) -> (String, NodeFacts) {
        let founding =
            FoundingFacts { expect: NonZeroU16::new(expect).unwrap(), port: 8300, vote: vote.map(name) };
        let facts = NodeFacts { founding: Some(founding), ..NodeFacts::at("192.0.2.1".parse().unwrap()) };
        (node.to_owned(), facts)
    }

    fn view(me: &str, nodes: &[(String, NodeFacts)]) -> ClusterView {
        let incarnations = nodes.iter().map(|(name, facts)| Incarnation {
            node: Arc::new(NodeView {
                name: name.parse().unwrap(),
                generation: Generation(1),
                facts: facts.clone(),
                instances: [].into(),
                routes: [].into(),
            }),
            live: true,
        });
        ClusterView::derive(name(me), 1, incarnations)
    }

    #[test]
    fn the_first_by_name_is_named_once_enough_wait_and_stay() {
        let two = [waits("b", 3, None), waits("c", 3, None)];
        assert_eq!(next(&view("b", &two), three(), None, LONG), Step::Wait);
        let all = [waits("a", 3, None), waits("b", 3, None), waits("c", 3, None)];
        assert_eq!(next(&view("b", &all), three(), None, Duration::from_secs(1)), Step::Wait);
        assert_eq!(next(&view("b", &all), three(), None, LONG), Step::Name(name("a")));
        let other = [waits("a", 5, None), waits("b", 3, None), waits("c", 3, None)];
        assert_eq!(next(&view("b", &other), three(), None, LONG), Step::Wait, "one waits for five");
    }

    #[test]
    fn whoever_is_named_by_enough_founds_and_nobody_else() {
        let all = [waits("a", 3, Some("a")), waits("b", 3, Some("a")), waits("c", 3, None)];
        let me = name("a");
        assert_eq!(next(&view("a", &all), three(), Some(&me), LONG), Step::Wait);
        let all = [waits("a", 3, Some("a")), waits("b", 3, Some("a")), waits("c", 3, Some("a"))];
        assert_eq!(next(&view("a", &all), three(), Some(&me), LONG), Step::Found);
        assert_eq!(next(&view("b", &all), three(), Some(&me), LONG), Step::Wait);
    }

    /// Five wait for three each, and see each other late: whatever each names, two are never both named by three.
    #[test]
    fn two_nodes_are_never_both_founders_whoever_sees_whom() {
        let names = ["a", "b", "c", "d", "e"];
        for mask in 0_u32..3125 {
            let votes: Vec<&str> =
                (0..5).map(|voter| names[(mask / 5_u32.pow(voter)) as usize % 5]).collect();
            let all: Vec<_> =
                names.iter().zip(&votes).map(|(node, vote)| waits(node, 3, Some(vote))).collect();
            let founders = names
                .iter()
                .zip(&votes)
                .filter(|(node, vote)| {
                    next(&view(node, &all), three(), Some(&name(vote)), LONG) == Step::Found
                })
                .count();
            assert!(founders <= 1, "{votes:?}");
        }
    }

    #[test]
    fn where_there_is_a_cluster_it_is_joined_whatever_was_named() {
        let raft = Some(RaftFacts { id: 1, port: 8311, epoch: 1 });
        let member = NodeFacts { raft, ..NodeFacts::at("192.0.2.9".parse().unwrap()) };
        let all = [waits("b", 3, Some("b")), ("a".to_owned(), member)];
        let step = next(&view("b", &all), three(), Some(&name("b")), LONG);
        assert_eq!(step, Step::Join(vec!["192.0.2.9:8311".parse().unwrap()]));
    }
}
