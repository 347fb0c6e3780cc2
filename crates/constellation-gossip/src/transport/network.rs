//! Where datagrams go: the machine's UDP, or a network in memory that loses, cuts and breaks on demand.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

/// A place where sockets can be bound.
#[async_trait]
pub trait DatagramNetwork: Send + Sync + 'static {
    /// Binds a socket; port 0 takes a free one. The address is free again when the socket is dropped.
    async fn bind(&self, listen: SocketAddr) -> io::Result<Box<dyn DatagramSocket>>;
}

/// A bound socket. Datagrams may be lost, doubled and reordered, never changed by accident.
#[async_trait]
pub trait DatagramSocket: Send + Sync + 'static {
    /// Where it is bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends now, or says `WouldBlock`. `Ok` means that it was handed on, not that it arrives.
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;

    /// Waits until sending may succeed.
    async fn sendable(&self) -> io::Result<()>;

    /// Waits for the next datagram. Cancelling it loses none.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// The machine's own network.
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpNetwork;

/// What the kernel is asked to hold for us: a cold start of a large cluster sends some hundred datagrams at once, and the
/// usual 208 KiB hold about ninety.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

#[async_trait]
impl DatagramNetwork for UdpNetwork {
    async fn bind(&self, listen: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        let socket = tokio::net::UdpSocket::bind(listen).await?;
        // Only a privileged process may pass the system's bound; the other is cut to it. Less is slower, not wrong.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
        }
        Ok(Box::new(socket))
    }
}

#[async_trait]
impl DatagramSocket for tokio::net::UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.try_send_to(datagram, to).map(drop)
    }

    async fn sendable(&self) -> io::Result<()> {
        self.writable().await
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buffer).await
    }
}

/// How many datagrams wait for a reader in memory; more are lost, as in a kernel's buffer.
const MEMORY_QUEUE: usize = 4096;

type Arrival = io::Result<(SocketAddr, Vec<u8>)>;

#[derive(Debug, Default)]
struct Wires {
    sockets: HashMap<SocketAddr, mpsc::Sender<Arrival>>,
    cut: HashSet<(SocketAddr, SocketAddr)>,
    loss: f64,
    next_port: u16,
}

/// A network within this process, for tests and simulations. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork(Arc<Mutex<Wires>>);

impl MemoryNetwork {
    /// A network that loses nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses this part of all datagrams, from 0 to 1, from now on.
    pub fn lose(&self, part: f64) {
        self.wires().loss = part;
    }

    /// Cuts the wire between two addresses, both ways.
    pub fn cut(&self, a: SocketAddr, b: SocketAddr) {
        self.wires().cut.extend([(a, b), (b, a)]);
    }

    /// Mends every cut wire.
    pub fn heal(&self) {
        self.wires().cut.clear();
    }

    /// Makes the socket at this address fail to receive so many times, as a broken interface does.
    pub fn fail_receiving(&self, at: SocketAddr, times: usize) {
        let queue = self.wires().sockets.get(&at).cloned();
        if let Some(queue) = queue {
            for _ in 0..times {
                let _ = queue.try_send(Err(io::Error::other("the simulated interface is broken")));
            }
        }
    }

    fn wires(&self) -> std::sync::MutexGuard<'_, Wires> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemorySocket {
    at: SocketAddr,
    network: MemoryNetwork,
    queue: tokio::sync::Mutex<mpsc::Receiver<Arrival>>,
}

#[async_trait]
impl DatagramNetwork for MemoryNetwork {
    async fn bind(&self, mut listen: SocketAddr) -> io::Result<Box<dyn DatagramSocket>> {
        let (sender, queue) = mpsc::channel(MEMORY_QUEUE);
        {
            let mut wires = self.wires();
            while listen.port() == 0
                || (listen.port() == wires.next_port && wires.sockets.contains_key(&listen))
            {
                wires.next_port = wires.next_port.checked_add(1).unwrap_or(1);
                listen.set_port(wires.next_port);
            }
            if wires.sockets.contains_key(&listen) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            wires.sockets.insert(listen, sender);
        }
        Ok(Box::new(MemorySocket {
            at: listen,
            network: self.clone(),
            queue: tokio::sync::Mutex::new(queue),
        }))
    }
}

#[async_trait]
impl DatagramSocket for MemorySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }

    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let wires = self.network.wires();
        let lost = wires.loss > 0.0 && rand::random_bool(wires.loss.clamp(0.0, 1.0));
        if lost || wires.cut.contains(&(self.at, to)) {
            return Ok(());
        }
        if let Some(queue) = wires.sockets.get(&to) {
            let _ = queue.try_send(Ok((self.at, datagram.to_vec())));
        }
        Ok(())
    }

    async fn sendable(&self) -> io::Result<()> {
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (from, datagram) = self.queue.lock().await.recv().await.ok_or(io::ErrorKind::BrokenPipe)??;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok((length, from))
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        self.network.wires().sockets.remove(&self.at);
    }
}
