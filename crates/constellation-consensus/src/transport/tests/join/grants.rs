//! What a newcomer makes of grants that are not what it asked for.

use super::*;

async fn refused(spoil: Spoil) -> JoinError {
    let ca = authority();
    let script = Script::new(&ca, [Deed::Spoil(spoil)]);
    let a = admitting(&ca, &script, config()).await;
    let error = join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap_err();
    a.stop().await;
    error
}

/// A certificate for somebody, with a key of its own.
fn issued(ca: &ClusterCa, member: &PeerIdentity, at: WallTime) -> CertificateDer<'static> {
    let request = NodeKey::generate().unwrap().request().unwrap();
    ca.issue(&request, member, at, Duration::from_secs(3600)).unwrap()
}

#[tokio::test]
async fn nothing_is_kept_of_a_grant_that_is_for_somebody_else() {
    let cases: [(Spoil, &str); 9] = [
        (|ca, grant| grant.certificate = issued(ca, &member(8), now()), "not the authority's, for"),
        (|ca, grant| grant.certificate = issued(ca, &member(NEW_ID), now()), "another key"),
        (|_, grant| grant.certificate = issued(&authority(), &member(NEW_ID), now()), "not the authority's"),
        (|_, grant| grant.certificate = b"garbage".to_vec().into(), "not the authority's"),
        (|_, grant| grant.id = RaftId(8), "is for constellation://home/node-9/9 and not for"),
        (|_, grant| grant.id = RaftId(0), "an id is zero"),
        (|_, grant| grant.trusted = vec![authority().certificate().clone()], "is not among those"),
        (|_, grant| grant.authority_pem = Some(authority().to_pem()), "is of another authority"),
        (|_, grant| grant.authority_pem = Some(Zeroizing::new("garbage".to_owned())), "authority"),
    ];
    for (spoil, why) in cases {
        let error = refused(spoil).await;
        assert!(matches!(error, JoinError::WrongGrant { .. }), "{why}: {error}");
        assert!(error.to_string().contains(why), "{error} should say {why}");
    }
}

#[tokio::test]
async fn a_certificate_from_a_member_whose_clock_is_off_is_refused_for_that() {
    let error = refused(|ca, grant| {
        grant.certificate = issued(ca, &member(NEW_ID), WallTime(now().0 + 30 * 24 * 3600 * 1000));
    })
    .await;
    assert!(matches!(error, JoinError::Clock { .. }), "{error}");
}

#[tokio::test]
async fn the_authority_of_the_certificate_is_the_first_that_is_shown_later() {
    let ca = authority();
    let script = Script::new(
        &ca,
        [Deed::Spoil(|_, grant| grant.trusted.insert(0, authority().certificate().clone()))],
    );
    let mut a = admitting(&ca, &script, config()).await;
    let joined = join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap();
    assert_eq!(Fingerprint::of(&joined.credentials.trusted()[0]), ca.fingerprint());
    assert_eq!(joined.credentials.trusted().len(), 2);
    speaks_as_member(&joined, &mut a).await;
    a.stop().await;
}

#[tokio::test]
async fn a_grant_that_is_too_large_to_be_sent_is_a_refusal() {
    let error = refused(|_, grant| grant.settings = vec![0; 1 << 20]).await;
    assert!(error.to_string().contains("larger than can be sent"), "{error}");
    let ca = authority();
    let script = Script::new(&ca, [Deed::Spoil(|_, grant| grant.settings = vec![7; 1000 << 10])]);
    let a = admitting(&ca, &script, config()).await;
    let joined = join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap();
    assert_eq!(joined.settings.len(), 1000 << 10, "what is allowed arrives whole");
    a.stop().await;
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let a = admitting(&ca, &script, config()).await;
    let joined = join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap();
    let grant = script.grant(&script.heard()[0]);
    let printed = format!("{joined:?} {grant:?}");
    assert!(!printed.contains("a gossip key") && !printed.contains("PRIVATE KEY"), "{printed}");
    a.stop().await;
}
