//! One thread of the proxy: its runtime, its connections, its part of the counters.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use constellation_core::{Clock, Moment};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::LocalSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    choose::Candidate,
    compiled::Compiled,
    config::{Listen, ProxyConfig},
    secure::Dialer,
    serve,
    upstream::Upstream,
};

/// Between two looks at what lies idle.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// After an accept that failed: most often there are no more file descriptors, and soon there are again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections more than another a thread may serve before it hands some over.
const UNEVEN: usize = 2;
/// Connections that may be on their way from one thread to another; beyond it a thread keeps what it accepted.
pub(super) const HANDED_MAX: usize = 64;

/// Runs tasks on the thread that it is used on, and knows them.
#[derive(Clone, Debug)]
pub(super) struct LocalExecutor(TaskTracker);

impl LocalExecutor {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(self.0.spawn_local(task));
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// What one thread counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Answers by the first digit of their status, from 1 to 5.
    pub(super) answers: [AtomicU64; 5],
    /// Requests that were given to another backend.
    pub(super) retries: AtomicU64,
    /// Answers that the proxy gave by itself.
    pub(super) refused: AtomicU64,
    /// Connections that were accepted.
    pub(super) accepted: AtomicU64,
    /// Connections that were closed at once because too many were open.
    pub(super) turned_away: AtomicU64,
    /// Upgraded connections that are open.
    pub(super) tunnels: AtomicUsize,
    /// Connections of clients that say nothing and hold no buffers.
    pub(super) resting: AtomicUsize,
    /// Connections to backends that lie idle.
    pub(super) idle: AtomicUsize,
}

/// What all threads share.
pub(super) struct Shared {
    pub(super) config: ProxyConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dialer: Dialer,
    /// By thread: connections that it serves, and the way to give it another.
    pub(super) threads: Vec<Seat>,
    pub(super) closing: CancellationToken,
}

impl Shared {
    /// Connections of clients that are open.
    pub(super) fn open(&self) -> usize {
        self.threads.iter().map(|seat| seat.open.load(Ordering::Relaxed)).sum()
    }

    /// Whoever serves the fewest connections, where one serves clearly fewer than this thread. The kernel gives a burst of them to
    /// whichever thread wakes first.
    fn idler_than(&self, number: usize) -> Option<&Seat> {
        let own = self.threads.get(number)?.open.load(Ordering::Relaxed);
        let idlest = self.threads.iter().min_by_key(|seat| seat.open.load(Ordering::Relaxed))?;
        (idlest.open.load(Ordering::Relaxed) + UNEVEN < own).then_some(idlest)
    }
}

/// A thread, as the others see it.
pub(super) struct Seat {
    pub(super) open: AtomicUsize,
    pub(super) handed: mpsc::Sender<Handed>,
}

/// A connection that one thread accepted and another serves: of which listener, and from whom.
pub(super) struct Handed {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    place: usize,
}

/// A thread's own state.
pub(super) struct Worker {
    number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<Counters>,
    pub(super) executor: LocalExecutor,
    pub(super) upstream: Upstream,
    /// Where candidates are put together for each choice.
    pub(super) scratch: RefCell<Vec<Candidate>>,
    tables: RefCell<watch::Receiver<Arc<Compiled>>>,
    table: RefCell<Arc<Compiled>>,
    chance: Cell<u64>,
}

impl Worker {
    fn new(
        shared: Arc<Shared>,
        counters: Arc<Counters>,
        mut tables: watch::Receiver<Arc<Compiled>>,
        number: usize,
    ) -> Self {
        let executor = LocalExecutor(TaskTracker::new());
        let idle_max = shared.config.limits.idle_per_backend;
        let dialer = shared.dialer.clone();
        let upstream = Upstream { pool: Rc::default(), dialer, executor: executor.clone(), idle_max };
        let table = Arc::clone(&tables.borrow_and_update());
        let chance = Cell::new((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            number,
            shared,
            counters,
            executor,
            upstream,
            scratch: RefCell::default(),
            tables: RefCell::new(tables),
            table: RefCell::new(table),
            chance,
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// The table as it is now.
    pub(super) fn table(&self) -> Arc<Compiled> {
        if self.tables.borrow().has_changed().unwrap_or(false) {
            let table = Arc::clone(&self.tables.borrow_mut().borrow_and_update());
            self.sweep(&table);
            *self.table.borrow_mut() = table;
        }
        Arc::clone(&self.table.borrow())
    }

    /// A number that nobody needs to foresee or to fear (xorshift64*).
    pub(super) fn chance(&self) -> u64 {
        let mut bits = self.chance.get();
        bits ^= bits >> 12;
        bits ^= bits << 25;
        bits ^= bits >> 27;
        self.chance.set(bits);
        bits.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Closes connections to backends that are routed no more, and those that have been idle for long.
    fn sweep(&self, table: &Compiled) {
        let mut routed = HashSet::new();
        for service in table.services() {
            for (backend, _) in &service.backends {
                routed.extend([false, true].map(|patient| service.peer(backend, patient)));
            }
        }
        let mut pool = self.upstream.pool.borrow_mut();
        pool.sweep(&routed, self.now(), self.shared.config.limits.idle_timeout);
        self.counters.idle.store(pool.idle(), Ordering::Relaxed);
    }
}

/// Runs one thread until it is told to end and its connections have ended, or the time for that is over.
pub(super) fn run(
    number: usize,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    tables: watch::Receiver<Arc<Compiled>>,
    listeners: Vec<std::net::TcpListener>,
    mut handed: mpsc::Receiver<Handed>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Rc::new(Worker::new(shared, counters, tables, number));
        let listens: Rc<[Rc<Listen>]> = worker.shared.config.listeners.iter().cloned().map(Rc::new).collect();
        for (place, listener) in listeners.into_iter().enumerate() {
            let listener = TcpListener::from_std(listener)?;
            worker.executor.spawn(accept(Rc::clone(&worker), listener, Rc::clone(&listens), place));
        }
        let take = |Handed { stream, peer, place }| {
            // One that cannot be waited for is closed; its client tries again.
            if let (Ok(stream), Some(listen)) = (TcpStream::from_std(stream), listens.get(place)) {
                serve(&worker, stream, peer, listen);
            }
        };
        let closing = worker.shared.closing.clone();
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                Some(connection) = handed.recv() => take(connection),
                _ = ticks.tick() => {
                    // Here alone: tables may change many times in a second.
                    worker.upstream.pool.borrow_mut().trim();
                    let table = worker.table();
                    worker.sweep(&table);
                }
            }
        }
        handed.close();
        while let Some(connection) = handed.recv().await {
            take(connection);
        }
        let tasks = &worker.executor.0;
        tasks.close();
        if tokio::time::timeout(worker.shared.config.drain, tasks.wait()).await.is_err() {
            debug!(open = tasks.len(), "these connections did not end in time and are closed");
        }
        Ok(())
    })
}

/// Takes connections until the proxy is to end, and then those that had been made before that.
async fn accept(worker: Rc<Worker>, listener: TcpListener, listens: Rc<[Rc<Listen>]>, place: usize) {
    let closing = worker.shared.closing.clone();
    let Some(listen) = listens.get(place) else { return };
    let mut ending = false;
    loop {
        let accepted = if ending {
            // Whoever was let in by the kernel has a connection, and is answered.
            match tokio::time::timeout(Duration::ZERO, listener.accept()).await {
                Ok(accepted) => accepted,
                Err(_) => return,
            }
        } else {
            tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = closing.cancelled() => { ending = true; continue }
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                if worker.shared.open() >= worker.shared.config.limits.connections_max {
                    worker.counters.turned_away.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                worker.counters.accepted.fetch_add(1, Ordering::Relaxed);
                match worker.shared.idler_than(worker.number).and_then(|seat| seat.handed.try_reserve().ok())
                {
                    Some(way) => match stream.into_std() {
                        Ok(stream) => way.send(Handed { stream, peer, place }),
                        Err(error) => debug!(%error, "a connection was lost between two threads"),
                    },
                    None => serve(&worker, stream, peer, listen),
                }
            }
            Err(_) if ending => return,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    () = closing.cancelled() => {}
                }
            }
        }
    }
}

/// Serves a connection on this thread.
fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, listen: &Rc<Listen>) {
    let open = Open::new(worker);
    worker.executor.spawn(serve::connection(open, stream, peer, Rc::clone(listen)));
}

/// An open connection, counted.
pub(super) struct Open(Rc<Worker>);

impl Open {
    /// Who serves it.
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }

    fn new(worker: &Rc<Worker>) -> Self {
        if let Some(seat) = worker.shared.threads.get(worker.number) {
            seat.open.fetch_add(1, Ordering::Relaxed);
        }
        Self(Rc::clone(worker))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(seat) = self.0.shared.threads.get(self.0.number) {
            seat.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
