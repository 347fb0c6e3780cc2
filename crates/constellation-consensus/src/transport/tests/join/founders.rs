//! Founding a cluster together, with a key that all have and a man in the middle has not.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    super::super::{newcomer::Belief, tls},
    *,
};

#[tokio::test]
async fn nodes_that_share_the_gossip_key_found_a_cluster_together() {
    let ca = authority();
    // A ring of keys: any of them will do, also while they are changed.
    let keys = vec![founding_key(b"a newer key"), founding_key(&GOSSIP_KEY)];
    let script = Script::with_keys(&ca, keys, []);
    let mut a = admitting(&ca, &script, config()).await;
    let joined = found(&[a.address()], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap();
    assert_eq!(script.heard()[0].proof, JoinProof::SharedKey);
    assert_eq!(joined.credentials.trusted(), [ca.certificate().clone()]);
    speaks_as_member(&joined, &mut a).await;
    a.stop().await;
}

#[tokio::test]
async fn a_node_with_another_gossip_key_founds_nothing_here() {
    let ca = authority();
    let script = Script::with_keys(&ca, vec![founding_key(&GOSSIP_KEY)], []);
    let a = admitting(&ca, &script, config()).await;
    let error = found(&[a.address()], &founding_key(b"another key"), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::KeyUnknown { .. }), "{error}");
    assert!(error.to_string().contains("the same `gossip.key`"), "{error}");
    assert!(script.heard().is_empty(), "the cluster was not even asked");
    a.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_founded_wants_a_token() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let a = admitting(&ca, &script, config()).await;
    let error = found(&[a.address()], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::FoundingClosed { .. }), "{error}");
    assert!(error.to_string().contains("constellation-agent token"), "{error}");
    a.stop().await;
}

#[tokio::test]
async fn a_cluster_of_another_name_is_not_founded_with() {
    let away = ClusterCa::create("away".parse().unwrap(), now()).unwrap();
    let member: PeerIdentity = "constellation://away/node-1/1".parse().unwrap();
    let identity = Arc::new(TlsIdentity::new(&away.credentials(&member, now()).unwrap()).unwrap());
    let script: Arc<dyn Admission> = Script::with_keys(&away, vec![founding_key(&GOSSIP_KEY)], []);
    let a = Member::start_admitting(1, identity, config(), Some(script)).await;
    let error = found(&[a.address()], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::OtherCluster { .. }), "{error}");
    a.stop().await;
}

#[tokio::test]
async fn a_grant_by_somebody_who_does_not_know_the_key_is_not_believed() {
    let ca = authority();
    let script = Script::with_keys(&ca, vec![founding_key(&GOSSIP_KEY)], []);
    let a = admitting(&ca, &script, config()).await;
    // Its own authority of the same name, and it believes every proof and makes one up.
    let liar = liar(&authority()).await;
    let error = found(&[liar], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::Unproven { .. }), "{error}");
    // And it keeps nobody from asking the others.
    found(&[liar, a.address()], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap();
    a.stop().await;
}

/// Grants everything to everybody, without knowing any key.
async fn liar(ca: &ClusterCa) -> SocketAddr {
    use super::super::super::join::testing::{Answer, Ask, Question, encode_grant, read};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, script, identity) = (listener.local_addr().unwrap(), Script::new(ca, []), tls(ca, 1));
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.join));
    let lie = async move {
        for proof in [Some([7; 32]), None].into_iter().cycle() {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let question = Question::decode(&read(&mut stream, 16 << 10).await.unwrap()).unwrap();
            let ask = Ask::decode(&question.ask).unwrap();
            let request = JoinRequest {
                proof: JoinProof::SharedKey,
                node: ask.node,
                address: ask.address,
                certificate_request: ask.certificate_request,
                agent_version: ask.agent_version,
            };
            let grant = encode_grant(&script.grant(&request));
            stream.write_all(&Answer::Granted { grant, mac: proof }.encode()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    };
    in_background(lie);
    address
}

#[tokio::test]
async fn whoever_is_in_the_middle_can_pass_nothing_on() {
    let ca = authority();
    let script = Script::with_keys(&ca, vec![founding_key(&GOSSIP_KEY)], []);
    let a = admitting(&ca, &script, config()).await;
    // It shows an authority of the right name to the newcomer, is a newcomer to the member, and passes on what each says.
    let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, identity, member) = (line.local_addr().unwrap(), tls(&authority(), 1), a.address());
    in_background(async move {
        let acceptor = TlsAcceptor::from(Arc::clone(&identity.join));
        let config = Belief::Unproven("home".parse().unwrap()).client_config().unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        loop {
            let (stream, _) = line.accept().await.unwrap();
            let Ok(mut newcomer) = acceptor.accept(stream).await else { continue };
            let stream = TcpStream::connect(member).await.unwrap();
            let name = tls::server_name(&super::member(1)).unwrap();
            let mut member = connector.connect(name, stream).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut newcomer, &mut member).await;
        }
    });
    let error = found(&[address], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::KeyUnknown { .. }), "{error}");
    assert!(error.to_string().contains("made for another connection"), "{error}");
    assert!(script.heard().is_empty());
    // Without anybody in the middle the same question is fine.
    found(&[a.address()], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap();
    a.stop().await;
}

#[tokio::test]
async fn a_proof_that_was_played_back_to_whom_it_came_from_is_none() {
    // A liar that has no key answers a newcomer's proof with that very proof.
    use super::super::super::join::testing::{Answer, Question, Shown, read};
    let ca = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, identity) = (listener.local_addr().unwrap(), tls(&ca, 1));
    in_background(async move {
        let acceptor = TlsAcceptor::from(Arc::clone(&identity.join));
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let question = Question::decode(&read(&mut stream, 16 << 10).await.unwrap()).unwrap();
        let Shown::Founding { mac, .. } = question.shown else { panic!("a proof") };
        // Even the grant is what the proof was made over.
        let grant = Zeroizing::new(question.ask);
        stream.write_all(&Answer::Granted { grant, mac: Some(mac) }.encode()).await.unwrap();
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut [0; 1]).await;
    });
    let error = found(&[address], &founding_key(&GOSSIP_KEY), &ask()).await.unwrap_err();
    assert!(matches!(error, JoinError::Unproven { .. }), "{error}");
}
