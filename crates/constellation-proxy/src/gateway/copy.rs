//! Two streams that say to each other whatever comes.
//!
//! What is little is copied. A direction that has proved bulky goes over to `splice(2)`: the bytes then pass through a pipe inside the
//! kernel, and never come here. A short conversation pays for no pipe.

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::{Errno, retry_on_intr},
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::Semaphore,
};
use tracing::debug;

/// What is copied at once. It is allocated only while something is on its way, so that silent connections hold no memory.
const BUFFER_BYTES: usize = 16 * 1024;
/// What is spliced at once, at most; a pipe takes so much only where the pages are large.
const SPLICE_BYTES: usize = 1024 * 1024;
/// What a direction copies before it is worth a pipe.
const BULKY_BYTES: u64 = 64 * 1024;
/// Pipes at once: each takes two file descriptors. Without one, copying goes on.
const PIPES_MAX: usize = 256;

/// When a direction goes over to a pipe, and how many there may be.
#[derive(Debug)]
pub(super) struct Pipes {
    after: u64,
    free: Semaphore,
}

impl Default for Pipes {
    fn default() -> Self {
        Self { after: BULKY_BYTES, free: Semaphore::new(PIPES_MAX) }
    }
}

/// Until both have said that they have no more to say, or the first error.
pub(super) async fn both_ways(one: &mut TcpStream, other: &mut TcpStream, pipes: &Pipes) -> io::Result<()> {
    let ((from_one, to_one), (from_other, to_other)) = (one.split(), other.split());
    tokio::try_join!(one_way(from_one, to_other, pipes), one_way(from_other, to_one, pipes))?;
    Ok(())
}

async fn one_way(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, pipes: &Pipes) -> io::Result<()> {
    let (mut moved, mut bulky_after) = (0, pipes.after);
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let count = from.read_buf(&mut buffer).await?;
        if count == 0 {
            break;
        }
        to.write_all(&buffer).await?;
        drop(buffer);
        moved += count as u64;
        if moved >= bulky_after
            && let Ok(_place) = pipes.free.try_acquire()
        {
            match through_a_pipe(from.as_ref(), to.as_ref()).await? {
                Spliced::Ended => break,
                // It would not be otherwise the next time.
                Spliced::Refused => bulky_after = u64::MAX,
            }
        }
    }
    to.shutdown().await
}

enum Spliced {
    /// The sender has no more to say, and all of it is sent.
    Ended,
    /// The kernel would not, and nothing is lost.
    Refused,
}

async fn through_a_pipe(from: &TcpStream, to: &TcpStream) -> io::Result<Spliced> {
    let (exit, entry): (OwnedFd, OwnedFd) = match pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) {
        Ok(pipe) => pipe,
        Err(error) => {
            debug!(%error, "no pipe could be had: a bulky connection is copied");
            return Ok(Spliced::Refused);
        }
    };
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        // The pipe is empty here, so that "would block" can mean the sender only.
        let take = || Ok(retry_on_intr(|| splice(from, None, &entry, None, SPLICE_BYTES, flags))?);
        let mut inside: usize = match from.async_io(Interest::READABLE, take).await {
            Ok(0) => return Ok(Spliced::Ended),
            Ok(taken) => taken,
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => return Ok(Spliced::Refused),
            Err(error) => return Err(error),
        };
        while inside > 0 {
            let give = || Ok(retry_on_intr(|| splice(&exit, None, to, None, inside, flags))?);
            match to.async_io(Interest::WRITABLE, give).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                given => inside = inside.saturating_sub(given),
            }
        }
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
