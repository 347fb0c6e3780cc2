//! A network that records all that passes, and whose sockets panic on demand.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use constellation_gossip::{DatagramNetwork, DatagramSocket, MemoryNetwork};

/// A datagram that was sent: from where, to where, and what.
pub type Recorded = (SocketAddr, SocketAddr, Vec<u8>);

#[derive(Clone, Default)]
pub struct Tap {
    pub network: MemoryNetwork,
    recorded: Arc<Mutex<Vec<Recorded>>>,
    panic: Arc<AtomicBool>,
}

impl Tap {
    pub fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    /// The next socket that receives something panics.
    pub fn panic_once(&self) {
        self.panic.store(true, Ordering::SeqCst);
    }
}

struct TapSocket {
    inner: Box<dyn DatagramSocket>,
    tap: Tap,
}

#[async_trait]
impl DatagramNetwork for Tap {
    async fn bind(&self, listen: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        Ok(Box::new(TapSocket { inner: self.network.bind(listen).await?, tap: self.clone() }))
    }
}

#[async_trait]
impl DatagramSocket for TapSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.tap.recorded.lock().unwrap().push((self.local_addr()?, to, datagram.to_vec()));
        self.inner.try_send(to, datagram)
    }

    async fn sendable(&self) -> io::Result<()> {
        self.inner.sendable().await
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.inner.receive(buffer).await?;
        assert!(
            !self.tap.panic.swap(false, Ordering::SeqCst),
            "a panic in the middle of chitchat's task, on demand"
        );
        Ok(received)
    }
}
