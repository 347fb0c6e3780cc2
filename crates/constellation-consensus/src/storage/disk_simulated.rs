//! A disk in memory that fails as disks do: it loses what was not synced, tears what it was writing, fills up.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use super::disk::{Files, Folder};

/// The unit that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What goes wrong with the disk's operations from some point on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// There is no room for what is written.
    Full,
    /// Every operation fails, as after the disk has left the bus.
    Gone,
}

impl DiskFault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated disk"),
            Self::Gone => io::Error::other("the simulated disk is gone"),
        }
    }
}

/// A simulated disk; clones are the same disk.
///
/// Database writes reach the platter at the next sync, or by chance in a crash: each one whole, not, or up to a sector.
/// Whole files are written atomically and durably, as [`Files::write`] promises; an operation that fails leaves the old.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    platter: Vec<u8>,
    /// The database as its reader sees it: the platter with all writes since the last sync.
    cached: Vec<u8>,
    unsynced: Vec<Write>,
    files: BTreeMap<(Folder, String), Vec<u8>>,
    /// Rises with each crash: what was opened before is dead.
    power_cycles: u64,
    operations: u64,
    fault: Option<(u64, DiskFault)>,
}

#[derive(Clone, Debug)]
enum Write {
    At(usize, Vec<u8>),
    SetLen(usize),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::At(offset, data) => {
                let end = offset + data.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(data);
            }
            Self::SetLen(len) => to.resize(*len, 0),
        }
    }
}

impl SimulatedDisk {
    /// An empty disk that does as it is told.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database file.
    pub fn database(&self) -> SimulatedDatabase {
        SimulatedDatabase { disk: self.clone(), power_cycle: self.lock().power_cycles }
    }

    /// How many operations that change the disk were asked for so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets operations fail once so many more were carried out.
    pub fn fail_after(&self, operations: u64, fault: DiskFault) {
        let mut inner = self.lock();
        inner.fault = Some((inner.operations.saturating_add(operations), fault));
    }

    /// Lets operations succeed again. Whoever saw one fail must not rely on that.
    pub fn mend(&self) {
        self.lock().fault = None;
    }

    /// Cuts the power: what was not synced is lost, in part or whole, by `choose`, which picks one of so many ways.
    /// Whoever has the disk open gets errors from now on; the faults are gone.
    pub fn crash(&self, mut choose: impl FnMut(usize) -> usize) {
        let mut inner = self.lock();
        let unsynced = std::mem::take(&mut inner.unsynced);
        // In order: a disk may write later what it was given earlier, and that is what losing some of them looks like.
        for write in unsynced {
            match (choose(4), write) {
                (0, _) => {}
                (1, Write::At(offset, data)) => {
                    let sectors = data.len().div_ceil(SECTOR);
                    let torn = (choose(sectors.max(1)) * SECTOR).min(data.len());
                    Write::At(offset, data[..torn].to_vec()).apply(&mut inner.platter);
                }
                (_, write) => write.apply(&mut inner.platter),
            }
        }
        inner.cached = inner.platter.clone();
        inner.power_cycles += 1;
        inner.fault = None;
    }

    /// Changes bytes behind the log's back, as rot does: `damage` gets the database as it is on the platter.
    pub fn damage_database(&self, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.lock();
        damage(&mut inner.platter);
        inner.cached = inner.platter.clone();
    }

    /// Changes the files beside the database behind the log's back.
    pub fn damage_files(&self, damage: impl FnOnce(&mut BTreeMap<(Folder, String), Vec<u8>>)) {
        damage(&mut self.lock().files);
    }
}

impl Inner {
    /// Counts an operation that changes the disk; whether it fails.
    fn operate(&mut self) -> io::Result<()> {
        self.check()?;
        self.operations += 1;
        match self.fault {
            Some((after, fault)) if self.operations > after => Err(fault.error()),
            _ => Ok(()),
        }
    }

    /// Whether reading fails.
    fn check(&self) -> io::Result<()> {
        match self.fault {
            Some((after, fault @ DiskFault::Gone)) if self.operations >= after => Err(fault.error()),
            _ => Ok(()),
        }
    }
}

/// The database file of a [`SimulatedDisk`], until the next crash.
#[derive(Debug)]
pub struct SimulatedDatabase {
    disk: SimulatedDisk,
    power_cycle: u64,
}

impl SimulatedDatabase {
    fn lock(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock();
        if inner.power_cycles == self.power_cycle {
            Ok(inner)
        } else {
            Err(io::Error::other("the power was cut"))
        }
    }

    fn write(&self, write: Write) -> io::Result<()> {
        let mut inner = self.lock()?;
        inner.operate()?;
        write.apply(&mut inner.cached);
        inner.unsynced.push(write);
        Ok(())
    }
}

fn offset(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl StorageBackend for SimulatedDatabase {
    fn len(&self) -> io::Result<u64> {
        let inner = self.lock()?;
        inner.check()?;
        Ok(u64::try_from(inner.cached.len()).unwrap_or(u64::MAX))
    }

    fn read(&self, from: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.lock()?;
        inner.check()?;
        let from = offset(from)?;
        let data = inner.cached.get(from..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(data.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Write::SetLen(offset(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.lock()?;
        if let Err(error) = inner.operate() {
            // As Linux does: what could not be written is dropped, and a second sync would say that all is well.
            inner.unsynced.clear();
            return Err(error);
        }
        let unsynced = std::mem::take(&mut inner.unsynced);
        for write in unsynced {
            write.apply(&mut inner.platter);
        }
        Ok(())
    }

    fn write(&self, to: u64, data: &[u8]) -> io::Result<()> {
        self.write(Write::At(offset(to)?, data.to_vec()))
    }
}

impl Files for SimulatedDisk {
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(folder.name()).join(name)
    }

    fn read(&self, folder: Folder, name: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let inner = self.lock();
        inner.check()?;
        match inner.files.get(&(folder, name.to_owned())) {
            Some(content) if content.len() > bytes_max => Err(io::ErrorKind::InvalidData.into()),
            content => Ok(content.cloned()),
        }
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.files.insert((folder, name.to_owned()), content.to_vec());
        Ok(())
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.files.remove(&(folder, name.to_owned()));
        Ok(())
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let inner = self.lock();
        inner.check()?;
        Ok(inner.files.keys().filter(|(of, _)| *of == folder).map(|(_, name)| name.clone()).collect())
    }
}
