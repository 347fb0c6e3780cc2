//! Who comes to the door for newcomers and has no business there.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::super::{
        codec::encode_frame,
        join::testing::{Answer, Ask, Question, Shown},
        newcomer::Belief,
        tls::server_name,
    },
    *,
};

/// A connection that says these protocols, without a certificate.
async fn without_certificate(
    ca: &ClusterCa,
    to: &Member,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = Belief::Pinned(ca.fingerprint()).client_config().unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(to.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    TlsConnector::from(Arc::new(config)).connect(server_name(&member(to.id)).unwrap(), stream).await
}

async fn newcomer(ca: &ClusterCa, to: &Member) -> TlsStream<TcpStream> {
    without_certificate(ca, to, &[b"constellation-join/1"]).await.unwrap()
}

/// All that the other end says before it closes the connection, if anything.
async fn answer(stream: &mut TlsStream<TcpStream>) -> Option<Answer> {
    // It may be closed already.
    let _ = stream.flush().await;
    let mut words = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut words)).await;
    let _ = read.expect("the connection is closed in time");
    words.get(4..).map(|words| Answer::decode(words).unwrap())
}

async fn refusal(stream: &mut TlsStream<TcpStream>) -> JoinRefusal {
    match answer(stream).await {
        Some(Answer::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn question(secret: JoinSecret) -> Vec<u8> {
    let ask = Ask {
        cluster: "home".parse().unwrap(),
        node: member(NEW_ID).node,
        address: "192.0.2.9:8300".parse().unwrap(),
        certificate_request: NodeKey::generate().unwrap().request().unwrap(),
        agent_version: String::new(),
    };
    Question { ask: ask.encode(), shown: Shown::Secret(secret) }.encode().to_vec()
}

async fn still_lets_join(ca: &ClusterCa, a: &Member) {
    join(&token(ca, &[a.address()]), &ask(), &patience()).await.unwrap();
}

#[tokio::test]
async fn without_a_certificate_nobody_gets_further_than_to_ask() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let mut a = admitting(&ca, &script, config()).await;
    let raft: &[u8] = b"constellation-raft/1";
    let join: &[u8] = b"constellation-join/1";
    for alpn in [&[raft][..], &[raft, join], &[join, raft], &[join, b"h2"], &[], &[b"constellation-join/2"]] {
        // With TLS 1.3 the client is done before the server has looked at its certificate.
        if let Ok(mut stream) = without_certificate(&ca, &a, alpn).await {
            let _ = stream.write_all(&question(JoinSecret::generate())).await;
            let mut words = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut words)).await.unwrap();
            assert!(read.is_err() && words.is_empty(), "{alpn:?} got {words:?}");
        }
    }
    // And where nobody can join, saying so gets nobody in either.
    let b = Member::start(2, tls(&ca, 2), config()).await;
    assert!(without_certificate(&ca, &b, &[join]).await.is_err());
    assert!(script.heard().is_empty() && a.deliveries.try_recv().is_err());
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn who_asks_to_join_cannot_speak_as_a_member() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let mut a = admitting(&ca, &script, config()).await;
    let frame = encode_frame(&frame(2, 1, 666)).unwrap();
    let mut stream = newcomer(&ca, &a).await;
    stream.write_all(&frame).await.unwrap();
    let said = refusal(&mut stream).await;
    assert_eq!(said.kind, RefusalKind::Malformed);
    assert!(said.text.contains("kind 0 has no place here"), "{said}");

    // Nor behind a question that is fine.
    let mut stream = newcomer(&ca, &a).await;
    stream.write_all(&[&question(JoinSecret::generate())[..], &frame].concat()).await.unwrap();
    assert!(matches!(answer(&mut stream).await, Some(Answer::Granted { .. })));
    assert!(a.deliveries.try_recv().is_err(), "no frame was delivered");

    // And members cannot say on their connections what newcomers say.
    let member_connector = TlsConnector::from(Arc::clone(&tls(&ca, 2).client));
    let stream = TcpStream::connect(a.address()).await.unwrap();
    let mut stream = member_connector.connect(server_name(&member(1)).unwrap(), stream).await.unwrap();
    stream.write_all(&question(JoinSecret::generate())).await.unwrap();
    let mut words = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut words)).await.unwrap();
    assert!(String::from_utf8_lossy(&words).contains("unknown kind 64"), "{words:?}");
    assert_eq!(script.heard().len(), 1);
    a.stop().await;
}

#[tokio::test]
async fn what_is_no_question_is_refused_in_words() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let a = admitting(&ca, &script, config()).await;
    let whole = question(JoinSecret::generate());
    let framed = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], body].concat();
    for (garbage, kind, why) in [
        (framed(b""), RefusalKind::Malformed, "empty"),
        (u32::MAX.to_le_bytes().to_vec(), RefusalKind::Malformed, "larger than the 16384"),
        (((16 << 10) + 1u32).to_le_bytes().to_vec(), RefusalKind::Malformed, "larger than the 16384"),
        (framed(&[200, 1, 2]), RefusalKind::Malformed, "kind 200 has no place here"),
        (framed(&[65, 1, 2]), RefusalKind::Malformed, "kind 65 has no place here"),
        (framed(&[64, 0xff, 0xff]), RefusalKind::Malformed, "decode"),
        (framed(&[64]), RefusalKind::OtherVersion, "version 0"),
        (framed(&[64, 8, 2]), RefusalKind::OtherVersion, "version 2"),
        (framed(&[64, 8, 1]), RefusalKind::Malformed, "neither a secret nor a key"),
        (framed(&[64, 8, 1, 0x1a, 1, 7]), RefusalKind::Malformed, "the secret has 1 bytes and not 32"),
    ] {
        let mut stream = newcomer(&ca, &a).await;
        stream.write_all(&garbage).await.unwrap();
        let said = refusal(&mut stream).await;
        assert_eq!(said.kind, kind, "{said}");
        assert!(said.text.contains(why), "{said} should say {why}");
    }
    for cut in [2, 4, 5, whole.len() / 2, whole.len() - 1] {
        let mut stream = newcomer(&ca, &a).await;
        stream.write_all(&whole[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(refusal(&mut stream).await.text.contains("cut short"));
    }
    assert!(script.heard().is_empty());
    // Byte by byte is fine.
    let mut stream = newcomer(&ca, &a).await;
    for byte in whole {
        stream.write_all(&[byte]).await.unwrap();
    }
    let answer = answer(&mut stream).await;
    assert!(matches!(answer, Some(Answer::Granted { .. })), "{answer:?}");
    a.stop().await;
}

#[tokio::test]
async fn who_takes_too_long_is_shown_out_however_it_dawdles() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let hasty = TransportConfig { handshake_timeout: Duration::from_millis(500), ..config() };
    let a = admitting(&ca, &script, hasty).await;
    let mut silent = newcomer(&ca, &a).await;
    assert!(answer(&mut silent).await.is_none());
    // A byte now and then buys no more time.
    let mut slow = newcomer(&ca, &a).await;
    let whole = question(JoinSecret::generate());
    let dawdle = async {
        for byte in &whole {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if slow.write_all(&[*byte]).await.is_err() || slow.flush().await.is_err() {
                return;
            }
        }
        panic!("all {} bytes were waited for", whole.len());
    };
    tokio::time::timeout(PATIENCE, dawdle).await.unwrap();
    assert!(script.heard().is_empty());
    still_lets_join(&ca, &a).await;
    a.stop().await;
}

#[tokio::test]
async fn newcomers_that_dawdle_take_few_places_and_none_of_the_members() {
    let ca = authority();
    let script = Script::new(&ca, []);
    let narrow = TransportConfig {
        handshake_timeout: PATIENCE * 2,
        handshakes_max: 3,
        handshakes_per_address_max: 3,
        joins_max: 4,
        joins_per_address_max: 2,
        ..config()
    };
    let mut a = admitting(&ca, &script, narrow).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(newcomer(&ca, &a).await);
    }
    // Once the two are inside, every other one is told to come again.
    let busy = async {
        loop {
            let mut stream = newcomer(&ca, &a).await;
            stream.write_all(&question(JoinSecret::generate())).await.unwrap();
            if let Some(Answer::Refused(said)) = answer(&mut stream).await {
                break said;
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, busy).await.unwrap();
    assert_eq!(said.kind, RefusalKind::Busy);
    let b = Member::start(2, tls(&ca, 2), config()).await;
    b.knows(1, a.address()).await;
    b.send(1, 77);
    assert_eq!(a.number().await, 77, "members come in all the same");
    drop(held);
    let joins = async { while join(&token(&ca, &[a.address()]), &ask(), &patience()).await.is_err() {} };
    tokio::time::timeout(PATIENCE, joins).await.expect("places come back");
    a.stop().await;
    b.stop().await;
}
