//! A private socket here, each connection of which is carried over a line of its own.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};
use tracing::debug;

use super::{RemoteError, ping, tls::Line};

/// Connections at once; further ones wait. A deployment has a few, and an agent one beside its events.
const CONNECTIONS_MAX: usize = 64;
/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The task that carries. It ends, with every connection, with the value.
#[derive(Debug)]
pub(super) struct Bridge {
    // A set of one: what is in it ends when it is dropped.
    _task: JoinSet<()>,
}

impl Bridge {
    /// Asks the engine whether it is there, and listens.
    pub(super) async fn open(line: Line, socket: &Path) -> Result<Self, RemoteError> {
        let mut wire = line.connect().await?;
        if let Err(said) = ping(&mut wire).await {
            // With TLS 1.3 a certificate of ours that is refused is heard of only after the handshake.
            return Err(if line.is_tls() && said.contains("alert") {
                line.disagreed(&said)
            } else {
                RemoteError::NoEngine { address: line.shown, said }
            });
        }
        let listener = UnixListener::bind(socket).map_err(|source| RemoteError::Socket { source })?;
        let mut task = JoinSet::new();
        task.spawn(carry(listener, line));
        Ok(Self { _task: task })
    }
}

async fn carry(listener: UnixListener, line: Line) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut carried = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Those that have ended are let go of as they end.
            Some(_) = carried.join_next() => continue,
        };
        let (here, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually no file descriptors are left, and soon there are again; the bridge is there for a whole run.
                debug!(%error, "the bridge to an engine could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let line = line.clone();
        carried.spawn(async move {
            let _place = place;
            if let Err(error) = one(here, &line).await {
                debug!(error, engine = line.shown, "a connection to the engine broke off");
            }
        });
    }
}

async fn one(mut here: UnixStream, line: &Line) -> Result<(), String> {
    let mut there = line.connect().await.map_err(|error| error.to_string())?;
    copy_bidirectional(&mut here, &mut there).await.map(drop).map_err(|error| error.to_string())
}
