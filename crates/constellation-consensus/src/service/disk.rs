//! The thread that owns the log. A slow disk must look like a slow disk to the others, not like a dead node.

use std::thread;

use tokio::sync::mpsc;

use super::ServiceError;
use crate::raft::{Batch, Log, LogError};

/// One batch is with the disk; what comes meanwhile is merged and waits with the task.
const IN_FLIGHT: usize = 1;

/// The task's end of the thread.
#[derive(Debug)]
pub(super) struct Disk {
    batches: mpsc::Sender<Batch>,
    answers: mpsc::Receiver<Result<u64, LogError>>,
    waiting: Option<Batch>,
    busy: bool,
}

/// Starts the thread. It ends when the task's end is dropped.
pub(super) fn start(mut log: impl Log) -> Result<Disk, ServiceError> {
    let (batches, mut work) = mpsc::channel::<Batch>(IN_FLIGHT);
    let (answer, answers) = mpsc::channel(IN_FLIGHT);
    let run = move || {
        while let Some(batch) = work.blocking_recv() {
            let written = log.write(&batch).map(|()| batch.number);
            let failed = written.is_err();
            // Nobody listens any more where the task has ended; then nothing needs to be written either.
            if answer.blocking_send(written).is_err() || failed {
                return;
            }
        }
    };
    // Owned by the two channels: it ends with whichever side goes first.
    thread::Builder::new().name("raft-log".to_owned()).spawn(run).map_err(ServiceError::Thread)?;
    Ok(Disk { batches, answers, waiting: None, busy: false })
}

impl Disk {
    /// Hands over a batch, or merges it with those that wait.
    pub(super) fn write(&mut self, batch: Batch) -> Result<(), ServiceError> {
        match &mut self.waiting {
            Some(waiting) => waiting.merge(batch),
            None => self.waiting = Some(batch),
        }
        self.next()
    }

    /// Waits for the disk's answer: the number of the batch that it has, and all before it.
    pub(super) async fn written(&mut self) -> Result<u64, ServiceError> {
        let number = self.answers.recv().await.ok_or(ServiceError::DiskGone)??;
        self.busy = false;
        self.next()?;
        Ok(number)
    }

    fn next(&mut self) -> Result<(), ServiceError> {
        if self.busy {
            return Ok(());
        }
        let Some(batch) = self.waiting.take() else { return Ok(()) };
        self.busy = true;
        self.batches.try_send(batch).map_err(|_| ServiceError::DiskGone)
    }
}
