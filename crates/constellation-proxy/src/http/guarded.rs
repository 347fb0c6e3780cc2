//! A client's connection that gives up on a client which takes nothing, and tells what goes on in it.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How long a client may go on sending what is no longer read, and how much of it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1 << 20;
/// What is read at first from a client that had been silent, in bytes; hyper reads on.
const FIRST_BYTES: usize = 1024;

/// What a connection tells of itself while somebody else reads and writes it.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// The client has said something since [`heed`](Self::heed).
    heard: AtomicBool,
    /// The client has not taken yet what was written.
    owing: AtomicBool,
    /// It is being closed.
    ending: AtomicBool,
}

impl Signs {
    /// What the client has said so far was listened to.
    pub(super) fn heed(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Whether nothing is said, owed or being closed.
    pub(super) fn is_silent(&self) -> bool {
        ![&self.heard, &self.owing, &self.ending].into_iter().any(|sign| sign.load(Ordering::Relaxed))
    }
}

/// Writes within a time, or not at all: an answer that nobody takes would otherwise keep its backend busy for ever. Closes only
/// when the client has seen the last answer, or had the time to: the kernel answers what comes after a close with a reset, and
/// that takes the answer away from a client that has not read it yet.
pub(super) struct Guarded<S> {
    inner: S,
    patience: Duration,
    /// Runs while there is something that the client does not take.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Once all was said: until when the client's last bytes are read, and how many of them were.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// What was read already and goes before the rest.
    kept: Bytes,
    signs: Arc<Signs>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, stalled: None, lingering: None, kept: Bytes::new(), signs: Arc::default() }
    }

    pub(super) fn signs(&self) -> Arc<Signs> {
        Arc::clone(&self.signs)
    }

    /// Gives back what somebody has read and not used.
    pub(super) fn keep(&mut self, bytes: Bytes) {
        self.kept = bytes;
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.signs.owing.store(false, Ordering::Relaxed);
            }
            return written;
        }
        self.signs.owing.store(true, Ordering::Relaxed);
        let patience = self.patience;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Waits for the client's next bytes, with no memory for them meanwhile. Whether there are any, and not the end.
    pub(super) async fn hear(&mut self) -> io::Result<bool> {
        poll_fn(|cx| {
            if self.kept.is_empty() {
                let mut bytes = [0; FIRST_BYTES];
                let mut buffer = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
                self.kept = Bytes::copy_from_slice(buffer.filled());
            }
            Poll::Ready(Ok(!self.kept.is_empty()))
        })
        .await
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (until, seen) = self.lingering.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), 0));
        let mut bytes = [0; 8192];
        while *seen < LINGER_BYTES_MAX && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => *seen += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.kept.is_empty() {
            ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        } else {
            let count = self.kept.len().min(buffer.remaining());
            buffer.put_slice(self.kept.get(..count).unwrap_or_default());
            self.kept.advance(count);
        }
        if buffer.filled().len() > before {
            self.signs.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.signs.ending.store(true, Ordering::Relaxed);
        if self.lingering.is_none() {
            let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
            ready!(self.judge(cx, shut))?;
        }
        self.linger(cx)
    }
}
