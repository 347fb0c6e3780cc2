//! One connection, after its handshake: packets in and out, with a limit on every wait.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    codec::{Decoder, Packet},
    error::LinkError,
};

/// The reading half. Cancelling a read loses nothing.
#[derive(Debug)]
pub(super) struct LinkReader<R> {
    stream: R,
    decoder: Decoder,
}

impl<R: AsyncRead + Unpin> LinkReader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, decoder: Decoder::default() }
    }

    /// The stream, when nothing more is to be understood of it.
    pub(super) fn into_stream(self) -> R {
        self.stream
    }

    /// The next packet. `dead_after` counts from each arrival of bytes, so a large packet on a slow link is no death.
    pub(super) async fn next(&mut self, dead_after: Duration) -> Result<Packet, LinkError> {
        loop {
            if let Some(packet) =
                self.decoder.next().map_err(|error| LinkError::Garbled { why: error.to_string() })?
            {
                return Ok(packet);
            }
            let read = timeout(dead_after, self.stream.read_buf(self.decoder.buffer())).await;
            match read {
                Err(_) => return Err(LinkError::Silent { what: "a sign of life" }),
                Ok(Ok(0)) => return Err(LinkError::Ended { source: None }),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(ended(error)),
            }
        }
    }
}

/// Reads and forgets until the other end closes as well, at most so long.
///
/// Closing with unread bytes resets the connection, and the reset may overtake our last words.
pub(super) async fn linger<R: AsyncRead + Unpin>(mut stream: R, patience: Duration) {
    let mut sink = vec![0; 4096];
    let read = async { while let Ok(1..) = stream.read(&mut sink).await {} };
    let _ = timeout(patience, read).await;
}

/// The writing half.
#[derive(Debug)]
pub(super) struct LinkWriter<W> {
    stream: W,
}

impl<W: AsyncWrite + Unpin> LinkWriter<W> {
    pub(super) fn new(stream: W) -> Self {
        Self { stream }
    }

    /// Writes bytes. `dead_after` counts from each progress.
    pub(super) async fn write(&mut self, mut bytes: &[u8], dead_after: Duration) -> Result<(), LinkError> {
        let silent = |_| LinkError::Silent { what: "room to write" };
        while !bytes.is_empty() {
            match timeout(dead_after, self.stream.write(bytes)).await.map_err(silent)? {
                Ok(0) => return Err(LinkError::Ended { source: None }),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) => return Err(ended(error)),
            }
        }
        timeout(dead_after, self.stream.flush()).await.map_err(silent)?.map_err(ended)
    }

    /// Writes a packet that is never too large.
    pub(super) async fn packet(&mut self, packet: &Packet, dead_after: Duration) -> Result<(), LinkError> {
        let bytes = packet.encode().map_err(|error| LinkError::Garbled { why: error.to_string() })?;
        self.write(&bytes, dead_after).await
    }

    /// Says goodbye, if there is still somebody.
    pub(super) async fn close(mut self, dead_after: Duration) {
        // The connection ends in any case; this only lets the other end know that it was in order.
        let _ = timeout(dead_after, self.stream.shutdown()).await;
    }
}

fn ended(error: io::Error) -> LinkError {
    // A peer that was killed does not say goodbye in TLS, which is no more than that.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return LinkError::Ended { source: None };
    }
    LinkError::Ended { source: Some(error) }
}
