//! Certificates for tests, and a client that looks at what it is shown.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Writes a new certificate for these hosts, as `NAME.crt` and `NAME.key`; says what a client will be shown.
pub(crate) fn write(folder: &Path, name: &str, hosts: &[&str]) -> CertificateDer<'static> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(hosts).unwrap();
    // The key first and by renaming, as whoever renews them should.
    for (ending, text) in [("key", made.signing_key.serialize_pem()), ("crt", made.cert.pem())] {
        let next = folder.join(format!("{name}.next"));
        std::fs::write(&next, text).unwrap();
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(next, folder.join(format!("{name}.{ending}"))).unwrap();
    }
    made.cert.der().clone()
}

/// An open connection over TLS.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Opens one; `None` where the other side refuses.
    pub(crate) fn open(address: SocketAddr, host: &str) -> Option<Self> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut connection = Self(StreamOwned::new(connection, stream));
        while connection.0.conn.is_handshaking() {
            connection.0.conn.complete_io(&mut connection.0.sock).ok()?;
        }
        Some(connection)
    }

    /// The certificate that it was shown.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Asks for `/` and leaves the connection open; the status.
    pub(crate) fn get(&mut self, host: &str) -> Option<u16> {
        write!(self.0, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        let head = loop {
            let read = self.0.read(&mut part).ok().filter(|read| *read > 0)?;
            answer.extend_from_slice(&part[..read]);
            if let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        while answer.len() < head + length.unwrap_or_default() {
            let read = self.0.read(&mut part).ok().filter(|read| *read > 0)?;
            answer.extend_from_slice(&part[..read]);
        }
        text.split(' ').nth(1)?.parse().ok()
    }
}

/// Believes everything: a test looks for itself.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
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
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
