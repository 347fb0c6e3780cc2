//! Joining with a token.

use super::*;

#[tokio::test]
async fn a_node_with_a_token_becomes_a_member_that_the_others_hear() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let mut a = admitting(&ca, &script, config()).await;
    let token = token(&ca, &[a.address()]);
    // As it is handed over: as a text.
    let token: JoinToken = token.encode().parse().unwrap();
    let joined = join(&token, &ask(), &patience()).await.unwrap();

    assert_eq!((joined.id, joined.epoch), (RaftId(NEW_ID), EPOCH));
    assert_eq!(joined.credentials.identity(), &member(NEW_ID));
    assert_eq!(joined.authority.as_ref().unwrap().fingerprint(), ca.fingerprint());
    assert_eq!(joined.gossip_keys.as_ref().unwrap().as_str(), "a gossip key");
    assert_eq!(joined.settings, b"settings");
    assert_eq!(joined.members, [JoinMember { id: RaftId(1), node: member(1).node, address: None }]);
    let [heard] = script.heard().try_into().unwrap();
    assert_eq!(heard.proof, JoinProof::Secret(token.secret.digest()));
    assert_eq!((heard.node, heard.address), (member(NEW_ID).node, "192.0.2.9:8300".parse().unwrap()));
    assert_eq!(heard.agent_version, "0.1.0");
    speaks_as_member(&joined, &mut a).await;
    a.stop().await;
}

#[tokio::test]
async fn each_refusal_reaches_the_person_in_words_that_say_what_to_do() {
    let ca = authority();
    for (kind, what_next) in [
        (RefusalKind::SecretUnknown, "make one with `constellation-agent token`"),
        (RefusalKind::SecretUsed, "used up"),
        (RefusalKind::SecretUsed, "make another with `constellation-agent token`"),
        (RefusalKind::SecretExpired, "`--expires`"),
        (RefusalKind::NameTaken, "raft remove node-9"),
        (RefusalKind::OtherVersion, "run the version that the members run"),
        (RefusalKind::OtherCluster, "another cluster than `home`"),
        (RefusalKind::Other, "does not let this node join"),
    ] {
        let script = Script::new(&ca, [Deed::Refuse(kind, "because")]);
        let a = admitting(&ca, &script, config()).await;
        let b = admitting(&ca, &script, config()).await;
        let token = token(&ca, &[a.address(), b.address()]);
        let error = join(&token, &ask(), &patience()).await.unwrap_err().to_string();
        assert!(error.contains(what_next) && error.contains("because"), "{kind:?}: {error}");
        assert_eq!(script.heard().len(), 1, "asking again, or another, would not help");
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn a_no_that_may_pass_is_tried_again_with_the_same_question() {
    let ca = authority();
    let deeds = [RefusalKind::NoQuorum, RefusalKind::Busy].map(|kind| Deed::Refuse(kind, "later"));
    let script = Script::new(&ca, deeds);
    let a = admitting(&ca, &script, config()).await;
    join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap();
    let heard = script.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|request| *request == heard[0] && request.digest() == heard[0].digest()));

    let script = Script::new(&ca, [1, 2, 3].map(|_| Deed::Refuse(RefusalKind::NoQuorum, "no majority")));
    let b = admitting(&ca, &script, config()).await;
    let error = join(&token(&ca, &[b.address()]), &ask(), &patience()).await.unwrap_err();
    assert!(matches!(error, JoinError::NotNow { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("no majority") && error.contains("nothing is lost"), "{error}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_member_that_cannot_decide_in_time_says_so_and_is_asked_again() {
    let ca = authority();
    let script = Script::new(&ca, [Deed::Hang]);
    let hasty = TransportConfig { join_timeout: Duration::from_millis(200), ..config() };
    let a = admitting(&ca, &script, hasty).await;
    join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap();
    assert_eq!(script.heard().len(), 2);
    a.stop().await;
}

#[tokio::test]
async fn the_other_members_are_asked_where_one_cannot_help() {
    let ca = authority();
    let deaf = Member::start(2, tls(&ca, 2), config()).await;
    let not_here = Script::new(&ca, [Deed::Refuse(RefusalKind::NotHere, "no key here")]);
    let unable = admitting(&ca, &not_here, config()).await;
    let script = Script::new(&ca, []);
    let able = admitting(&ca, &script, config()).await;
    let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let addresses = [nobody, deaf.address(), unable.address(), able.address()];
    join(&token(&ca, &addresses), &ask(), &patience()).await.unwrap();
    assert_eq!((not_here.heard().len(), script.heard().len()), (1, 1));
    for member in [deaf, unable, able] {
        member.stop().await;
    }
}

#[tokio::test]
async fn where_nobody_answers_each_address_is_named_with_what_came_of_it() {
    let ca = authority();
    let deaf = Member::start(2, tls(&ca, 2), config()).await;
    let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let error = join(&token(&ca, &[nobody, deaf.address()]), &ask(), &patience()).await.unwrap_err();
    assert!(matches!(&error, JoinError::NobodyAnswered { tried } if tried.len() == 2), "{error}");
    let error = error.to_string();
    assert!(error.contains("127.0.0.1:1 (could not connect"), "{error}");
    assert!(
        error.contains(&format!("{} (was turned away: nodes cannot join there", deaf.address())),
        "{error}"
    );
    deaf.stop().await;
}

#[tokio::test]
async fn a_cluster_of_another_authority_is_told_nothing() {
    let (ours, theirs) = (authority(), authority());
    let script = Script::new(&theirs, []);
    let stranger = admitting(&theirs, &script, config()).await;
    let error = join(&token(&ours, &[stranger.address()]), &ask(), &patience()).await.unwrap_err();
    assert!(matches!(error, JoinError::WrongAuthority { .. }), "{error}");
    assert!(error.to_string().contains("somebody is in the middle"), "{error}");
    assert!(script.heard().is_empty());

    // One such address in a token does not keep a node out: the others are asked as well.
    let script = Script::new(&ours, []);
    let a = admitting(&ours, &script, config()).await;
    join(&token(&ours, &[stranger.address(), a.address()]), &ask(), &patience()).await.unwrap();
    stranger.stop().await;
    a.stop().await;
}

#[tokio::test]
async fn a_token_for_another_cluster_of_the_same_authority_is_refused_by_name() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let a = admitting(&ca, &script, config()).await;
    let token = JoinToken { cluster: "away".parse().unwrap(), ..token(&ca, &[a.address()]) };
    let error = join(&token, &ask(), &patience()).await.unwrap_err();
    assert!(matches!(error, JoinError::OtherCluster { .. }), "{error}");
    assert!(error.to_string().contains("a member of the cluster `home`, not of `away`"), "{error}");
    assert!(script.heard().is_empty());
    a.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_as_the_reason() {
    let ca = authority();
    let day = 24 * 3600 * 1000;
    for at in [WallTime(now().0 + 30 * day), WallTime(now().0 - 30 * day)] {
        let key = NodeKey::generate().unwrap();
        let certificate = ca.issue(&key.request().unwrap(), &member(1), at, Duration::from_secs(60)).unwrap();
        let credentials =
            super::super::super::NodeCredentials::new(&key, certificate, vec![ca.certificate().clone()])
                .unwrap();
        let script: Arc<dyn Admission> = Script::new(&ca, []);
        let identity = Arc::new(TlsIdentity::new(&credentials).unwrap());
        let a = Member::start_admitting(1, identity, config(), Some(script)).await;
        let error = join(&token(&ca, &[a.address()]), &ask(), &patience()).await.unwrap_err();
        assert!(matches!(error, JoinError::Clock { .. }), "{error}");
        assert!(error.to_string().contains("set this machine's clock"), "{error}");
        a.stop().await;
    }
}

#[tokio::test]
async fn a_node_that_nobody_could_reach_is_not_taken_in() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let a = admitting(&ca, &script, config()).await;
    for address in ["0.0.0.0:8300", "[::]:8300", "192.0.2.9:0", "224.0.0.1:8300"] {
        let ask = JoinAsk { address: address.parse().unwrap(), ..ask() };
        let error = join(&token(&ca, &[a.address()]), &ask, &patience()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("nobody can reach a node at {address}")), "{error}");
    }
    assert!(script.heard().is_empty());
    a.stop().await;
}
