//! What a person may ask of the controller.

use std::sync::Arc;

use constellation_core::{FencingToken, NodeName};
use tokio::sync::watch;

use super::{core::Core, status::DnsStatus};
use crate::{
    owner::{Owner, owner_of},
    plan::{Change, Plan, plan},
    provider::DnsError,
    record::{Class, Found, RecordKind, RecordName},
    zone_file::zone_file_text,
};

/// Why a person's wish was not done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another process writes.
    #[error("this node may not write DNS now: ask {}", holder.as_ref().map_or("the node that holds the lease `dns-writer` (see `constellation-agent leases`)", NodeName::as_str))]
    NotWriter {
        /// Who may.
        holder: Option<NodeName>,
    },
    /// The agent was told to change nothing.
    #[error("this agent runs with --dns-dry-run and changes nothing")]
    DryRun,
    /// There is nothing of that kind.
    #[error("{name} has no record that could be {deed}: see `constellation-agent dns export`")]
    Nothing {
        /// The name.
        name: RecordName,
        /// What was asked.
        deed: &'static str,
    },
    /// It belongs to another cluster, which would take it back.
    #[error(
        "{name} belongs to the cluster {owner}: disown it there, or say --take-over where that cluster is no more"
    )]
    OtherCluster {
        /// The name.
        name: RecordName,
        /// Whose it is.
        owner: String,
    },
    /// The zone could not be read or written.
    #[error(transparent)]
    Dns(#[from] DnsError),
}

/// Speaks for the controller. Clones speak for the same.
#[derive(Clone)]
pub struct DnsHandle {
    pub(super) core: Arc<Core>,
}

impl DnsHandle {
    /// Follows what it tells of itself.
    pub fn status(&self) -> watch::Receiver<Arc<DnsStatus>> {
        self.core.status.subscribe()
    }

    /// Asks for a look soon.
    pub fn look(&self) {
        self.core.look.nudge();
    }

    /// What would be done now. Any node may ask.
    pub async fn plan(&self, force: bool) -> Result<Plan, DnsError> {
        let zone = self.core.read().await?;
        let (wanted, _) = self.core.wanted();
        Ok(plan(&wanted, &zone, &self.core.policy(self.core.permit.may_write(), force)))
    }

    /// Does it now; `force` lifts the guards on how much and on last addresses. Gives what was done.
    pub async fn apply(&self, force: bool) -> Result<Plan, WriteError> {
        let token = self.token()?;
        let mut pen = self.core.pen.lock().await;
        pen.look_soon();
        let zone = self.core.read().await?;
        let (wanted, _) = self.core.wanted();
        let plan = plan(&wanted, &zone, &self.core.policy(Some(token), force));
        self.write(&plan.batches(self.core.provider.rules().batch_max), token).await?;
        Ok(plan)
    }

    /// Makes records of others ours: those of `kind`, or all addresses of the name. From then on they are changed.
    pub async fn adopt(
        &self,
        name: &RecordName,
        kind: Option<RecordKind>,
        take_over: bool,
    ) -> Result<Vec<Found>, WriteError> {
        let token = self.token()?;
        let mut pen = self.core.pen.lock().await;
        pen.look_soon();
        let zone = self.core.read().await?;
        let mut taken = Vec::new();
        for found in zone.into_iter().filter(|found| is_meant(found, name, kind)) {
            match owner_of(&found, &self.core.config.cluster) {
                Owner::Us(_) => {}
                Owner::OtherCluster(owner) if !take_over => {
                    return Err(WriteError::OtherCluster { name: name.clone(), owner: owner.to_string() });
                }
                Owner::OtherCluster(_) | Owner::Foreign => taken.push(found),
            }
        }
        let changes: Vec<Change> = taken.iter().map(|found| Change::Stamp { from: found.clone() }).collect();
        self.some(name, "adopted", changes, token).await?;
        Ok(taken)
    }

    /// Lets go of records of ours: they stay as they are, and nobody here changes them any more.
    pub async fn disown(
        &self,
        name: &RecordName,
        kind: Option<RecordKind>,
    ) -> Result<Vec<Found>, WriteError> {
        let token = self.token()?;
        let mut pen = self.core.pen.lock().await;
        pen.look_soon();
        let zone = self.core.read().await?;
        let ours = |found: &Found| matches!(owner_of(found, &self.core.config.cluster), Owner::Us(_));
        let released: Vec<Found> =
            zone.into_iter().filter(|found| is_meant(found, name, kind) && ours(found)).collect();
        let changes = released.iter().map(|found| Change::Release { from: found.clone() }).collect();
        self.some(name, "disowned", changes, token).await?;
        Ok(released)
    }

    /// The whole zone as a zone file.
    pub async fn export(&self) -> Result<String, DnsError> {
        let zone = self.core.read().await?;
        let serial = u32::try_from(self.core.clock.wall().0 / 1000).unwrap_or(u32::MAX);
        Ok(zone_file_text(self.core.config.dns.zone.as_str(), &zone, serial))
    }

    fn token(&self) -> Result<FencingToken, WriteError> {
        if self.core.config.dry_run {
            return Err(WriteError::DryRun);
        }
        self.core.permit.may_write().ok_or_else(|| self.not_writer())
    }

    fn not_writer(&self) -> WriteError {
        let holder = match &*self.core.writer.borrow() {
            constellation_core::LeaseStatus::HeldBy { holder, .. } => Some(holder.node.clone()),
            _ => None,
        };
        WriteError::NotWriter { holder }
    }

    async fn some(
        &self,
        name: &RecordName,
        deed: &'static str,
        changes: Vec<Change>,
        token: FencingToken,
    ) -> Result<(), WriteError> {
        if changes.is_empty() {
            return Err(WriteError::Nothing { name: name.clone(), deed });
        }
        self.write(&[changes], token).await
    }

    async fn write(&self, batches: &[Vec<Change>], token: FencingToken) -> Result<(), WriteError> {
        let done = self.core.write_for_a_person(batches, token).await?;
        // The task has its own idea of the zone: it looks again.
        self.core.look.nudge();
        if done { Ok(()) } else { Err(self.not_writer()) }
    }
}

/// Only kinds that are written here can be meant: NS, MX and SOA never are.
fn is_meant(found: &Found, name: &RecordName, kind: Option<RecordKind>) -> bool {
    let Some(theirs) = found.value.as_ref().map(crate::record::Value::kind) else { return false };
    found.name == name.as_str() && kind.map_or(theirs.class() == Class::Address, |kind| kind == theirs)
}
