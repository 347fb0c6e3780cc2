//! Engines on other machines: a private socket on this one that leads there.
//!
//! Whatever the way is, it ends in a unix socket below a folder that only this user may enter, so the rest of the crate
//! speaks to an engine in one way only. `ssh://` is one `ssh` process that forwards the engine's socket over one connection;
//! `tcp://` is TLS with a certificate on both sides, as the engine's own documentation asks for.
//!
//! [`Remote::open`] asks the engine once, so what is wrong with the way is said there, with what to do about it.

mod address;
mod bridge;
mod error;
mod ssh;
mod tls;

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use self::{
    address::{InvalidRemote, RemoteAddress},
    error::RemoteError,
    tls::{TcpSecurity, TlsFiles},
};

/// How long the whole way may take to open, an answer of the engine included.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long an engine may take to answer its first question.
const PING_LIMIT: Duration = Duration::from_secs(10);
/// The name of the socket in its folder.
const SOCKET: &str = "engine.sock";

/// An open way to an engine on another machine. It closes with the value.
#[derive(Debug)]
pub struct Remote {
    shown: String,
    socket: PathBuf,
    // Dropped in this order: the way first, then the folder with its socket.
    _way: Way,
    _folder: TempDir,
}

#[derive(Debug)]
enum Way {
    Ssh { _tunnel: ssh::Tunnel },
    Tcp { _bridge: bridge::Bridge },
}

impl Remote {
    /// Opens the way, and asks the engine whether it is there.
    ///
    /// # Errors
    /// What keeps us from it, with what to do: the line, the host key, the login, the certificate, or the engine itself.
    pub async fn open(address: &RemoteAddress, security: &TcpSecurity) -> Result<Self, RemoteError> {
        let shown = address.to_string();
        match tokio::time::timeout(OPEN_LIMIT, Self::open_unbounded(address, security, &shown)).await {
            Ok(opened) => opened,
            Err(_) => Err(RemoteError::TimedOut { address: shown, limit: OPEN_LIMIT }),
        }
    }

    async fn open_unbounded(
        address: &RemoteAddress,
        security: &TcpSecurity,
        shown: &str,
    ) -> Result<Self, RemoteError> {
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("constellation-").permissions(private).tempdir();
        let folder = folder.map_err(|source| RemoteError::Socket { source })?;
        let socket = folder.path().join(SOCKET);
        let way = match address {
            RemoteAddress::Ssh(ssh) => Way::Ssh { _tunnel: ssh::Tunnel::open(ssh, &socket, shown).await? },
            RemoteAddress::Tcp { host, port } => {
                let line = tls::Line::new(host, *port, security, shown)?;
                Way::Tcp { _bridge: bridge::Bridge::open(line, &socket).await? }
            }
        };
        Ok(Self { shown: shown.to_owned(), socket, _way: way, _folder: folder })
    }

    /// The socket here that leads there.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// The address as a person would write it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Asks whether an engine is at the other end; `Err` is what came instead.
async fn ping<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), String> {
    let ask = async {
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n").await?;
        stream.flush().await?;
        let mut answer = [0_u8; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(PING_LIMIT, ask).await {
        Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.") && answer.ends_with(b" 200") => Ok(()),
        Ok(Ok(answer)) => Err(format!("it answers `{}`", String::from_utf8_lossy(&answer).escape_debug())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it does not answer within {PING_LIMIT:?}")),
    }
}
