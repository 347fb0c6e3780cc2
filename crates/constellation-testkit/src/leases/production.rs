//! The production log, on the storage crate's simulated disk.

use constellation_consensus::{
    raft::{Batch, Log as _, RaftId, Recovered},
    storage::{DataIdentity, DataOwner, DiskFault, RedbLog, SimulatedDisk},
};
use constellation_core::{ClusterId, NodeName};

use super::{disk::Wreck, machine::chain};
use crate::Chance;

/// A crash comes somewhere within so many operations of a write, or after it.
const OPERATIONS: u64 = 24;

#[derive(Debug)]
pub(super) struct ProductionLog {
    disk: SimulatedDisk,
    log: Option<RedbLog>,
    owner: DataOwner,
}

impl ProductionLog {
    pub(super) fn new(id: RaftId, birth: Option<&Batch>) -> Result<Self, String> {
        let cluster: ClusterId = "simulated".parse().map_err(|error| chain(&error))?;
        let node: NodeName = format!("member-{}", id.0).parse().map_err(|error| chain(&error))?;
        let owner = DataOwner { cluster, node, id: id.0 };
        let disk = SimulatedDisk::new();
        let identity = DataIdentity { owner: owner.clone(), epoch: 1 };
        let mut log = RedbLog::create_on(std::sync::Arc::new(disk.clone()), disk.database(), &identity)
            .map_err(|error| chain(&error))?;
        if let Some(birth) = birth {
            log.write(birth).map_err(|error| chain(&error))?;
        }
        Ok(Self { disk, log: Some(log), owner })
    }

    fn open(&mut self) -> Result<&mut RedbLog, String> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                let files = std::sync::Arc::new(self.disk.clone());
                RedbLog::open_on(files, self.disk.database(), &self.owner.cluster, &self.owner.node)
                    .map_err(|error| chain(&error))?
            }
        };
        Ok(self.log.insert(log))
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), String> {
        self.open()?.write(batch).map_err(|error| chain(&error))
    }

    /// The power goes, often in the middle of the write that was under way.
    pub(super) fn crash(&mut self, under_way: Option<Batch>, chance: &mut Chance) -> Wreck {
        let mut wreck = Wreck::default();
        if let (Some(batch), Some(log)) = (under_way, &mut self.log) {
            self.disk.fail_after(chance.below(OPERATIONS), DiskFault::Gone);
            // Whether it got through or not: nobody was told.
            match log.write(&batch) {
                Ok(()) => wreck.survived = 1,
                Err(_) => wreck.lost = 1,
            }
        }
        self.disk.crash(|ways| {
            let way = chance.place(ways);
            // Of the four ways of a write, the second is to end somewhere in the middle.
            wreck.torn |= ways == 4 && way == 1;
            way
        });
        self.log = None;
        wreck
    }

    pub(super) fn recover(&mut self) -> Result<Recovered, String> {
        self.open()?.recover().map_err(|error| chain(&error))
    }
}
