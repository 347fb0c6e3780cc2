//! Certificates that nobody should have, shown by somebody who knows all that is public.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    super::tls::{provider, server_name},
    *,
};

/// Shows a certificate, whether it goes with the key or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

/// What a certificate with these names says.
fn named(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params
}

fn key_of(ca: &ClusterCa) -> KeyPair {
    KeyPair::try_from(&PrivateKeyDer::from_pem_slice(ca.to_pem().as_bytes()).unwrap()).unwrap()
}

/// The authority, as somebody with its key could use it.
fn issuer(ca: &ClusterCa) -> Issuer<'static, KeyPair> {
    Issuer::from_ca_cert_der(ca.certificate(), key_of(ca)).unwrap()
}

/// Connects as a member would, and says something; what the member at the other end says to that, or why nothing.
async fn told(ca: &ClusterCa, b: &Member, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    let provider = provider();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))));
    client.alpn_protocols = tls(ca, 1).client.alpn_protocols.clone();
    let stream = TcpStream::connect(b.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let name = server_name(&member(b.id)).unwrap();
    let told = async {
        let mut stream = connector.connect(name, stream).await?;
        let spoken = super::super::codec::encode_frame(&frame(1, b.id, 666)).unwrap();
        // It may be closed already.
        let _ = stream.write_all(&spoken).await;
        let _ = stream.flush().await;
        let mut words = Vec::new();
        stream.read_to_end(&mut words).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&words).into_owned())
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("the connection is closed in time");
    told.unwrap_or_else(|error| error.to_string())
}

#[tokio::test]
async fn who_shows_a_certificate_that_is_no_members_is_told_what_is_wrong_with_it() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let (one, three) = (member(1).to_string(), member(3).to_string());
    let no_member = "not issued to a member of a cluster";
    for (uris, why) in [
        (&[][..], no_member),
        (&["https://home/node-1/1"], no_member),
        (&["constellation://home/node-1/01"], no_member),
        // Which of the two counts would be anybody's guess.
        (&[one.as_str(), three.as_str()], no_member),
        (&["constellation://away/node-1/1"], "it is of another cluster"),
        (&["constellation://home/node-2/2"], "two nodes run with one node's credentials"),
    ] {
        let key = key();
        let certificate = named(uris).signed_by(&key, &issuer(&ca)).unwrap();
        let told = told(&ca, &b, vec![certificate.der().clone()], &key).await;
        assert!(told.contains(why), "{uris:?}: {told}");
    }
    assert!(b.deliveries.try_recv().is_err());
    b.stop().await;
}

#[tokio::test]
async fn who_shows_a_certificate_that_is_not_the_authoritys_or_not_its_own_gets_no_further_than_tls() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let one = member(1).to_string();
    let own = key();
    let by_itself = named(&[&one]).self_signed(&own).unwrap().der().clone();

    // A member is no authority, whatever it signs.
    let (member_key, member_request) = (key(), CertificateParams::default());
    let request = member_request.serialize_request(&member_key).unwrap();
    let lifetime = Duration::from_secs(3600);
    let members = ca.issue(request.der(), &member(3), now(), lifetime).unwrap();
    let by_member = Issuer::from_ca_cert_der(&members, &member_key);
    let by_member = named(&[&one]).signed_by(&own, &by_member.unwrap()).unwrap().der().clone();

    // Good for servers only.
    let mut servers = named(&[&one]);
    servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let for_servers = servers.signed_by(&own, &issuer(&ca)).unwrap().der().clone();

    let authority_key = key_of(&ca);
    for (what, chain, key) in [
        ("made by itself", vec![by_itself], &own),
        ("made by a member", vec![by_member, members.clone()], &own),
        ("for servers", vec![for_servers], &own),
        ("a member's, without its key", vec![members], &own),
        ("the authority itself", vec![ca.certificate().clone()], &authority_key),
    ] {
        let told = told(&ca, &b, chain, key).await;
        assert!(told.contains("received fatal alert"), "{what}: {told}");
    }
    assert!(b.deliveries.try_recv().is_err());
    b.stop().await;
}
