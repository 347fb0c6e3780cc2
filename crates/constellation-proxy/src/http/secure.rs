//! Backends over TLS: what is asked of them, and connections that keep to it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::table::Name;

/// What is asked of a service's backends that speak TLS. By default their certificate must be for the address that they are reached
/// at, and come from whom [`ProxyConfig::backend_roots`](super::ProxyConfig::backend_roots) trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendTls {
    /// The name that their certificate must be for, which is told to them (SNI); `None` for the address of each.
    pub server_name: Option<Name>,
    /// Takes any certificate. Whoever is on the way to such a backend can read and change what passes.
    pub insecure: bool,
}

/// Where a connection leads, and what was asked of whoever is there. None is used for what another is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// `None` in the clear.
    pub(super) tls: Option<Arc<BackendTls>>,
    /// Whether its machine is waited for when it acknowledges nothing any more. Never cut is what has a body, because the kernel
    /// counts a backend that does not read for a while as one that is gone, and what nobody else can be asked for.
    pub(super) patient: bool,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Requests: the backend chooses between HTTP/1.1 and HTTP/2.
    Any,
    /// A change to another protocol, which HTTP/1.1 alone has.
    Http1,
}

/// Connects to backends, and what it takes to speak TLS with them.
#[derive(Clone)]
pub(super) struct Dialer {
    /// See [`ProxyConfig::acknowledge_timeout`](super::ProxyConfig::acknowledge_timeout).
    acknowledge_timeout: Duration,
    checked: Connectors,
    unchecked: Connectors,
}

#[derive(Clone)]
struct Connectors {
    any: TlsConnector,
    http1: TlsConnector,
}

impl Connectors {
    fn new(config: &ClientConfig) -> Self {
        let offering = |protocols: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
            // Not shared: a session is resumed without a look at the certificate.
            config.resumption = Resumption::default();
            TlsConnector::from(Arc::new(config))
        };
        Self { any: offering(&["h2", "http/1.1"]), http1: offering(&["http/1.1"]) }
    }
}

impl Dialer {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        acknowledge_timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unchecked = Arc::new(Unchecked(provider.signature_verification_algorithms));
        let builder =
            |provider| ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let checked = builder(Arc::clone(&provider))?.with_root_certificates(roots).with_no_client_auth();
        let unchecked =
            builder(provider)?.dangerous().with_custom_certificate_verifier(unchecked).with_no_client_auth();
        let (checked, unchecked) = (Connectors::new(&checked), Connectors::new(&unchecked));
        Ok(Self { acknowledge_timeout, checked, unchecked })
    }

    /// A connection that is ready to be spoken over, within this time.
    pub(super) async fn connect(&self, peer: &Peer, offer: Offer, timeout: Duration) -> io::Result<Link> {
        let connecting = async {
            let stream = TcpStream::connect(peer.address).await?;
            stream.set_nodelay(true)?;
            if !peer.patient {
                SockRef::from(&stream).set_tcp_user_timeout(Some(self.acknowledge_timeout))?;
            }
            match &peer.tls {
                None => Ok(Link::Plain(stream)),
                // Rare, so in memory of its own.
                Some(tls) => Box::pin(self.secure(stream, peer.address, tls, offer)).await,
            }
        };
        tokio::time::timeout(timeout, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn secure(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: &BackendTls,
        offer: Offer,
    ) -> io::Result<Link> {
        let name = match &tls.server_name {
            None => ServerName::from(address.ip()),
            Some(name) => ServerName::try_from(name.to_string()).map_err(|_| {
                io::Error::other(format!("`{name}` is no name that a certificate may be for"))
            })?,
        };
        let connectors = if tls.insecure { &self.unchecked } else { &self.checked };
        let connector = match offer {
            Offer::Any => &connectors.any,
            Offer::Http1 => &connectors.http1,
        };
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("the TLS handshake failed: {error}")))?;
        Ok(Link::Tls(Box::new(stream)))
    }
}

/// A connection to a backend.
pub(super) enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    /// Whether the backend has chosen HTTP/2.
    pub(super) fn chose_h2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Takes any certificate whose key the backend has.
#[derive(Debug)]
struct Unchecked(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};

    use super::*;

    /// A backend's side of TLS with a certificate for this name, and a dialer that trusts it.
    pub(in super::super) fn pair(name: &str) -> (Arc<ServerConfig>, Dialer) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        (Arc::new(server), Dialer::new(Arc::new(roots), Duration::from_secs(10)).unwrap())
    }

    pub(in super::super) fn named(address: SocketAddr, name: &str) -> Peer {
        let tls = BackendTls { server_name: Some(name.into()), insecure: false };
        Peer { address, tls: Some(Arc::new(tls)), patient: true }
    }

    #[tokio::test]
    async fn a_handshake_that_fails_says_what_is_wrong_with_the_certificate() {
        let (server, dialer) = pair("other.test");
        let (_, stranger) = pair("other.test");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let reason = async |dialer: &Dialer, name: &str| {
            let peer = named(address, name);
            let (link, _) = tokio::join!(dialer.connect(&peer, Offer::Any, Duration::from_secs(10)), async {
                let (stream, _) = listener.accept().await.unwrap();
                tokio_rustls::TlsAcceptor::from(Arc::clone(&server)).accept(stream).await
            });
            constellation_core::error_chain(&link.err().unwrap())
        };
        let other = reason(&dialer, "web.test").await;
        assert!(other.contains("certificate not valid for name \"web.test\""), "{other}");
        let unknown = reason(&stranger, "other.test").await;
        assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    }
}
