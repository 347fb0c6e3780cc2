//! Which run of this node it is: a number that only rises, whatever the calendar does.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use constellation_core::{Generation, WallTime};

use crate::error::GossipError;

const FILE: &str = "gossip-generation";

/// Hands out generations and remembers the last one on disk.
///
/// The calendar makes generations of two machines with one name comparable, roughly; the file keeps them rising where a
/// calendar was set back. Without the file a machine whose clock was set back would be ignored by its peers, which
/// remember a newer run of it.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    directory: PathBuf,
    last: u64,
}

impl Generations {
    /// Reads the last generation. A file that cannot be understood counts for nothing: the calendar then decides.
    pub(crate) fn open(directory: &Path) -> Result<Self, GossipError> {
        let fail = |source| GossipError::State { path: directory.join(FILE), source };
        fs::create_dir_all(directory).map_err(fail)?;
        let last = match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                tracing::warn!(path = %directory.join(FILE).display(), "the file is not a number; starting from the calendar");
                0
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(fail(error)),
        };
        Ok(Self { directory: directory.to_owned(), last })
    }

    /// The next generation; it is on disk when this returns. Where that fails the number has risen all the same.
    pub(crate) fn next(&mut self, now: WallTime) -> (Generation, Result<(), GossipError>) {
        self.last = self.last.saturating_add(1).max(now.0);
        let kept =
            self.keep().map_err(|source| GossipError::State { path: self.directory.join(FILE), source });
        (Generation(self.last), kept)
    }

    /// [`Self::next`] on a thread that may wait for the disk.
    pub(crate) async fn next_blocking(
        mut self,
        now: WallTime,
    ) -> Result<(Self, Generation, Result<(), GossipError>), GossipError> {
        let next = move || {
            let (generation, kept) = self.next(now);
            (self, generation, kept)
        };
        let task = tokio::task::spawn_blocking(next).await;
        task.map_err(|error| GossipError::Start { source: io::Error::other(error) })
    }

    fn keep(&self) -> io::Result<()> {
        let temporary = self.directory.join(format!(".{FILE}.new"));
        let mut file = File::create(&temporary)?;
        writeln!(file, "{}", self.last)?;
        file.sync_all()?;
        fs::rename(&temporary, self.directory.join(FILE))?;
        File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(directory: &Path, wall: u64) -> u64 {
        let (generation, kept) = Generations::open(directory).unwrap().next(WallTime(wall));
        kept.unwrap();
        generation.0
    }

    #[test]
    fn generations_rise_even_when_the_calendar_falls() {
        let directory = tempfile::tempdir().unwrap();
        let runs: Vec<u64> =
            [5_000, 4_000, 0, 9_000, 9_000].iter().map(|wall| start(directory.path(), *wall)).collect();
        assert_eq!(runs, [5_000, 5_001, 5_002, 9_000, 9_001]);
    }

    #[test]
    fn within_one_process_they_rise_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let mut generations = Generations::open(directory.path()).unwrap();
        assert_eq!(generations.next(WallTime(7)).0, Generation(7));
        assert_eq!(generations.next(WallTime(7)).0, Generation(8));
        assert_eq!(start(directory.path(), 0), 9);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "\0\0\0").unwrap();
        assert_eq!(start(directory.path(), 42), 42);
        assert_eq!(start(directory.path(), 0), 43);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Generations::open(&file.join("below")).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
