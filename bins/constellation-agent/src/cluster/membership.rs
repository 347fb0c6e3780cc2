//! Being a member for as long as the agent runs: coming to it, and coming back to it when the log could not be used.

use std::{num::NonZeroU16, time::Duration};

use constellation_consensus::{
    ServiceError,
    member::ClusterSettings,
    storage::{DataIdentity, StorageError},
};
use constellation_core::ClusterId;
use constellation_tasks::{Backoff, Schedule, Supervisor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    founding,
    part::{Part, Place},
};

/// After the log failed it is tried again: a full disk is often emptied, and nobody wants to restart an agent for that.
const RETRY: Schedule = Schedule::new(Duration::from_secs(2), Duration::from_secs(30));
/// A part that lived for so long is no sign of a log that fails again and again.
const LIVED: Duration = Duration::from_secs(30);
/// How long the parts of a membership may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// How a node comes to be a member.
pub(crate) struct Membership {
    pub(crate) place: Place,
    pub(crate) cluster: ClusterId,
    /// How many nodes found the cluster together, if they do.
    pub(crate) expect: Option<NonZeroU16>,
    pub(crate) settings: ClusterSettings,
    pub(crate) part: watch::Sender<Option<Part>>,
    pub(crate) why_not: watch::Sender<String>,
}

/// What a node that nobody let in is told.
pub(crate) fn not_a_member(expect: Option<NonZeroU16>) -> String {
    match expect {
        Some(expect) => format!("this node waits to found a cluster with {expect} nodes in all"),
        None => "this node is no member of a cluster, so it knows no leases; found one with `constellation-agent init`, or \
                 join one with `constellation-agent join`"
            .to_owned(),
    }
}

impl Membership {
    /// Takes part at once where this node is a member already. What is wrong with its log keeps it from the leases, and not
    /// from its other work; a folder that another agent uses keeps it from everything.
    pub(crate) async fn begin(&self, base: &Supervisor) -> anyhow::Result<Option<(Part, Supervisor)>> {
        match self.place.files.identity() {
            Ok(Some(identity)) => match self.take(identity, base).await {
                Ok(taken) => Ok(Some(taken)),
                Err(error) if is_locked(&error) => Err(error),
                Err(error) => {
                    self.say_why_not(&error);
                    Ok(None)
                }
            },
            Ok(None) => {
                self.why_not.send_replace(not_a_member(self.expect));
                Ok(None)
            }
            Err(error) => {
                self.say_why_not(&error.into());
                Ok(None)
            }
        }
    }

    fn say_why_not(&self, error: &anyhow::Error) {
        error!(
            error = format!("{error:#}"),
            "this node takes no part in the leases; routes and healing go on"
        );
        self.why_not.send_replace(format!("this node takes no part in the leases: {error:#}"));
    }

    async fn take(&self, identity: DataIdentity, base: &Supervisor) -> anyhow::Result<(Part, Supervisor)> {
        if self.expect.is_some() {
            founding::finish(&self.place, &identity, self.settings).await?;
        }
        let own = base.floor();
        let place = Place { supervisor: own.clone(), ..self.place.clone() };
        match place.take(identity).await {
            Ok(part) => {
                self.part.send_replace(Some(part.clone()));
                Ok((part, own))
            }
            Err(error) => {
                own.drain(GRACE).await;
                Err(error)
            }
        }
    }

    /// Stays a member until the shutdown. Returns before it only when this very process must end.
    pub(crate) async fn stay(
        self,
        mut taken: Option<(Part, Supervisor)>,
        base: Supervisor,
        shutdown: CancellationToken,
    ) {
        let mut backoff = Backoff::new(RETRY);
        loop {
            if let Some((part, own)) = taken.take() {
                let since = self.place.clock.now();
                let ended = tokio::select! {
                    () = shutdown.cancelled() => {
                        own.drain(GRACE).await;
                        return;
                    }
                    ended = part.handle.ended() => ended,
                };
                self.part.send_replace(None);
                self.place.facts.send_modify(|facts| facts.raft = None);
                drop(part);
                own.drain(GRACE).await;
                match ended.as_deref() {
                    // A new process is a new holder, and this one can be none any more.
                    Some(ServiceError::Dead) | None => return,
                    Some(error) => {
                        let why = constellation_core::error_chain(error);
                        self.why_not.send_replace(format!("this node takes no part in the leases: {why}"));
                    }
                }
                if self.place.clock.now().since(since) >= LIVED {
                    backoff.succeeded();
                }
                let wait = backoff.failed();
                warn!(?wait, "the leases went on without this node; its log is tried again");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            let identity = match self.identity(&shutdown).await {
                Ok(Some(identity)) => identity,
                Ok(None) => return shutdown.cancelled().await,
                Err(error) => {
                    self.say_why_not(&error);
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(backoff.failed()) => continue,
                    }
                }
            };
            match self.take(identity, &base).await {
                Ok(back) => {
                    info!("this node takes part in the leases");
                    taken = Some(back);
                }
                Err(error) => {
                    self.say_why_not(&error);
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(backoff.failed()) => {}
                    }
                }
            }
        }
    }

    /// Whose log there is; where there is none and this node may found a cluster with others, once that is done.
    async fn identity(&self, shutdown: &CancellationToken) -> anyhow::Result<Option<DataIdentity>> {
        if let Some(identity) = self.place.files.identity()? {
            return Ok(Some(identity));
        }
        let Some(expect) = self.expect else { return Ok(None) };
        founding::take_part(&self.place, &self.cluster, expect, self.settings, &self.why_not, shutdown).await
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| matches!(cause.downcast_ref::<StorageError>(), Some(StorageError::Locked { .. })))
}

/// Gives up what this node holds, and Raft's lead, before it goes: the next one need not wait for anything to run out.
pub(crate) async fn resign(part: &Part, patience: Duration) {
    if tokio::time::timeout(patience, part.handle.resign()).await.is_err() {
        warn!("the leases could not be given back in time: they end by themselves");
    }
    if !part.handle.role().borrow().leads {
        return;
    }
    let peers = part.transport.peers();
    let voters = part.handle.members().borrow().voters.clone();
    let heir = voters
        .iter()
        .map(|id| constellation_consensus::raft::RaftId(*id))
        .find(|id| peers.get(id).is_some_and(|peer| peer.connected));
    let Some(heir) = heir else { return };
    part.handle.transfer(heir).await;
    let mut role = part.handle.role();
    let gone = role.wait_for(|role| !role.leads);
    // Whoever takes over does so by an election otherwise.
    let _ = tokio::time::timeout(patience, gone).await;
}
