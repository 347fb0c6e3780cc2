//! What waits to be sent to one peer. When it is full the oldest goes: Raft says everything that matters again, and says
//! it better later.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost::bytes::Bytes;
use tokio::sync::Notify;

/// One encoded frame, and whether it carries a snapshot, which Raft waits to hear the fate of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) bytes: Bytes,
    pub(super) snapshot: bool,
}

/// What was dropped to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) frames: u64,
    pub(super) snapshots: u64,
}

/// A bounded queue with one reader and any number of writers, who never wait.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    frames_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Outgoing>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), frames_max, bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame at the end, and drops from the front what there is no room for any more: everything but the new one,
    /// if need be.
    pub(super) fn push(&self, frame: Outgoing) -> Dropped {
        let mut dropped = Dropped::default();
        {
            let mut waiting = self.lock();
            waiting.bytes += frame.bytes.len();
            waiting.frames.push_back(frame);
            while waiting.frames.len() > 1
                && (waiting.frames.len() > self.frames_max || waiting.bytes > self.bytes_max)
            {
                let Some(oldest) = waiting.frames.pop_front() else { break };
                waiting.bytes -= oldest.bytes.len();
                dropped.frames += 1;
                dropped.snapshots += u64::from(oldest.snapshot);
            }
        }
        self.filled.notify_one();
        dropped
    }

    /// Takes the oldest frame, waiting for one if need be. Cancelling takes nothing.
    pub(super) async fn pop(&self) -> Outgoing {
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    /// Takes the oldest frame, if there is one.
    pub(super) fn take(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        let frame = waiting.frames.pop_front()?;
        waiting.bytes -= frame.bytes.len();
        Some(frame)
    }

    /// How many frames wait.
    pub(super) fn len(&self) -> usize {
        self.lock().frames.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(bytes: usize, snapshot: bool) -> Outgoing {
        Outgoing { bytes: vec![0; bytes].into(), snapshot }
    }

    proptest! {
        #[test]
        fn the_newest_that_fit_are_kept_in_order(sizes in prop::collection::vec((1usize..50, any::<bool>()), 1..60), frames_max in 1usize..10, bytes_max in 1usize..120) {
            let outbox = Outbox::new(frames_max, bytes_max);
            let sent: Vec<_> = sizes.iter().map(|(bytes, snapshot)| frame(*bytes, *snapshot)).collect();
            let mut dropped = Dropped::default();
            for frame in &sent {
                let more = outbox.push(frame.clone());
                dropped.frames += more.frames;
                dropped.snapshots += more.snapshots;
            }
            let kept: Vec<_> = std::iter::from_fn(|| outbox.take()).collect();
            prop_assert_eq!(&sent[sent.len() - kept.len()..], kept.as_slice());
            prop_assert_eq!(kept.len() + usize::try_from(dropped.frames).unwrap(), sent.len());
            let lost = &sent[..sent.len() - kept.len()];
            prop_assert_eq!(u64::try_from(lost.iter().filter(|frame| frame.snapshot).count()).unwrap(), dropped.snapshots);
            prop_assert!(kept.len() <= frames_max);
            prop_assert!(kept.len() == 1 || kept.iter().map(|frame| frame.bytes.len()).sum::<usize>() <= bytes_max);
        }
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let outbox = std::sync::Arc::new(Outbox::new(4, 100));
        let reader = {
            let outbox = std::sync::Arc::clone(&outbox);
            async move { outbox.pop().await }
        };
        let writer = async { outbox.push(frame(3, false)) };
        let (found, _) = tokio::join!(reader, writer);
        assert_eq!(found, frame(3, false));
    }
}
