//! The authority and what it issues.

use rustls::{
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    super::{
        Fingerprint, NodeCredentials, NodeKey, TransportError,
        newcomer::{Belief, NewcomerVerifier},
    },
    *,
};

#[test]
fn an_authority_is_read_back_and_goes_on_issuing() {
    let ca = authority();
    let again = ClusterCa::from_pem(ca.to_pem().as_bytes()).unwrap();
    assert_eq!((again.cluster(), again.fingerprint()), (ca.cluster(), ca.fingerprint()));
    let credentials = again.credentials(&member(1), now()).unwrap();
    assert_eq!(credentials.identity(), &member(1));
    assert_eq!(credentials.trusted(), [ca.certificate().clone()]);
}

#[test]
fn credentials_are_read_back_from_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.pem");
    let credentials = authority().credentials(&member(7), now()).unwrap();
    std::fs::write(&file, credentials.to_pem().as_bytes()).unwrap();
    let again = NodeCredentials::from_pem(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(again.identity(), &member(7));
    assert_eq!(again.expires(), credentials.expires());
    TlsIdentity::new(&again).unwrap();
}

#[test]
fn a_certificate_outlives_a_machine_that_is_off_for_a_year() {
    let credentials = authority().credentials(&member(1), now()).unwrap();
    let years = (credentials.expires().0 - now().0) / (365 * 24 * 3600 * 1000);
    assert!((9..=10).contains(&years), "{years}");
}

#[test]
fn an_authority_issues_to_its_own_cluster_only_and_says_itself_who_the_member_is() {
    let ca = authority();
    let key = NodeKey::generate().unwrap();
    let request = key.request().unwrap();
    let lifetime = Duration::from_secs(60);
    let foreign: PeerIdentity = "constellation://away/node-1/1".parse().unwrap();
    assert!(matches!(ca.issue(&request, &foreign, now(), lifetime), Err(TransportError::Unfit { .. })));
    for garbage in [&b""[..], b"garbage", &request[..request.len() - 1]] {
        assert!(ca.issue(garbage, &member(1), now(), lifetime).is_err());
    }
    let mut changed = request.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(
        ca.issue(&changed, &member(1), now(), lifetime).is_err(),
        "not signed by the key that it asks for"
    );
}

#[test]
fn a_key_and_the_certificate_of_another_do_not_go_together() {
    let ca = authority();
    let (ours, theirs) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let certificate =
        ca.issue(&theirs.request().unwrap(), &member(1), now(), Duration::from_secs(60)).unwrap();
    let trusted = vec![ca.certificate().clone()];
    let error = NodeCredentials::new(&ours, certificate.clone(), trusted.clone()).unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    assert!(NodeCredentials::new(&theirs, certificate.clone(), Vec::new()).is_err());
    assert!(NodeCredentials::new(&theirs, ca.certificate().clone(), trusted).is_err());
    NodeCredentials::new(&theirs, certificate, vec![ca.certificate().clone()]).unwrap();
}

#[test]
fn what_is_no_key_and_no_certificate_is_refused() {
    for garbage in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(ClusterCa::from_pem(garbage.as_bytes()).is_err());
        assert!(NodeCredentials::from_pem(garbage.as_bytes()).is_err());
    }
    let credentials = authority().credentials(&member(1), now()).unwrap();
    assert!(ClusterCa::from_pem(credentials.to_pem().as_bytes()).is_err(), "a node is no authority");
}

#[test]
fn private_keys_are_not_printed() {
    let ca = authority();
    let key = ca.to_pem();
    let body = key.split("PRIVATE KEY-----").nth(1).unwrap().lines().nth(1).unwrap();
    let printed = format!("{ca:?} {:?}", ca.credentials(&member(1), now()).unwrap());
    assert!(!printed.contains(body) && !printed.contains("BEGIN"), "{printed}");
}

/// What a node with a token makes of a chain.
fn pinned(fingerprint: Fingerprint, chain: &[CertificateDer<'static>]) -> bool {
    let verifier = NewcomerVerifier::new(Belief::Pinned(fingerprint));
    let name = ServerName::try_from("192.0.2.1").unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn a_token_lets_a_node_know_the_members_of_its_cluster_and_nobody_else() {
    let (ours, theirs) = (authority(), authority());
    let leaf = |ca: &ClusterCa| {
        let key = NodeKey::generate().unwrap();
        ca.issue(&key.request().unwrap(), &member(1), now(), Duration::from_secs(60)).unwrap()
    };
    let (mine, foreign) = (ours.certificate().clone(), theirs.certificate().clone());
    assert!(pinned(ours.fingerprint(), &[leaf(&ours), mine.clone()]));
    assert!(!pinned(ours.fingerprint(), &[leaf(&theirs), foreign.clone()]));
    assert!(!pinned(ours.fingerprint(), &[leaf(&theirs), mine.clone()]), "shown, but not signed by");
    assert!(!pinned(ours.fingerprint(), &[leaf(&theirs), foreign, mine.clone()]));
    assert!(!pinned(ours.fingerprint(), &[leaf(&ours)]));
    assert!(!pinned(ours.fingerprint(), &[mine.clone(), mine]), "the authority itself is no member");
}
