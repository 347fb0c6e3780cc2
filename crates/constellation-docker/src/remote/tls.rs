//! A line to an engine over the net: TLS with a certificate on both sides, or in the clear where somebody said so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use constellation_security::{
    certificates::{InvalidBundle, read_bundle},
    read_secret,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::RemoteError;

/// How long a connection may take, and as long again TLS on it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that the engine's certificate may come from (`ca.pem`).
    pub ca: PathBuf,
    /// Our certificate (`cert.pem`).
    pub certificate: PathBuf,
    /// Its key (`key.pem`), readable by its owner alone.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files in a folder, under the names that the docker client gives them.
    pub fn in_folder(folder: &Path) -> Self {
        Self { ca: folder.join("ca.pem"), certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
    }
}

/// What protects `tcp://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpSecurity {
    /// TLS.
    Tls(TlsFiles),
    /// Nothing: whoever is on the way is root on the engine's machine.
    Insecure,
}

/// What a stream must be for a bridge to carry it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// How to connect, again and again.
#[derive(Clone)]
pub(super) struct Line {
    host: String,
    port: u16,
    pub(super) shown: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Line {
    pub(super) fn new(
        host: &str,
        port: u16,
        security: &TcpSecurity,
        shown: &str,
    ) -> Result<Self, RemoteError> {
        let tls = match security {
            TcpSecurity::Insecure => None,
            TcpSecurity::Tls(files) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| RemoteError::Tls {
                    address: shown.to_owned(),
                    said: error.to_string(),
                    advice: "name the machine as its certificate does",
                })?;
                Some((TlsConnector::from(Arc::new(config(files)?)), name))
            }
        };
        Ok(Self { host: host.to_owned(), port, shown: shown.to_owned(), tls })
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Wire>, RemoteError> {
        let failed = |source| RemoteError::Connect { address: self.shown.clone(), source };
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let tcp =
            timeout(CONNECT_LIMIT, connecting).await.map_err(|late| failed(late.into()))?.map_err(failed)?;
        // Requests are small and wait for their answers.
        let _ = tcp.set_nodelay(true);
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(tcp)) };
        let agreeing = timeout(CONNECT_LIMIT, connector.connect(name.clone(), tcp)).await;
        let tls = agreeing
            .map_err(|late| failed(late.into()))?
            .map_err(|error| self.disagreed(&error.to_string()))?;
        Ok(Box::new(tls))
    }

    /// An error of TLS, with what helps.
    pub(super) fn disagreed(&self, said: &str) -> RemoteError {
        let has = |words: &str| said.contains(words);
        let advice = if has("UnknownIssuer") || has("BadSignature") {
            "its certificate is not from the authority in ca.pem: is that file the right one?"
        } else if has("NotValidForName") {
            "its certificate is for other names: it needs this one among its subject alternative names"
        } else if has("Expired") || has("NotValidYet") {
            "check the certificates' dates, and the clocks of both machines"
        } else if has("alert") {
            "it does not take our certificate: is cert.pem from the authority that it trusts?"
        } else {
            "does that port speak TLS?"
        };
        RemoteError::Tls { address: self.shown.clone(), said: said.to_owned(), advice }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

fn config(files: &TlsFiles) -> Result<ClientConfig, RemoteError> {
    let wrong = |path: &Path, reason: String| RemoteError::Certificate { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.ca)? {
        roots.add(authority).map_err(|error| wrong(&files.ca, error.to_string()))?;
    }
    let own = certificates(&files.certificate)?;
    let key = read_secret(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| wrong(&files.key, format!("there is no key in it: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(own, key)
        .map_err(|error| {
            wrong(&files.certificate, format!("it does not go with {}: {error}", files.key.display()))
        })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RemoteError> {
    read_bundle(path).map_err(|error| {
        let mut reason = error.to_string();
        if matches!(error, InvalidBundle::Io(_)) {
            reason += "; say where it is with --tls-ca, --tls-cert and --tls-key, or with DOCKER_CERT_PATH";
        }
        RemoteError::Certificate { path: path.to_owned(), reason }
    })
}
