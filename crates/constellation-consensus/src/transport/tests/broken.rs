//! Peers that are members, and not right in the head; and lines that go dead.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{super::tls::server_name, *};

/// A member's raw connection to another, for saying what no member says.
async fn raw(ca: &ClusterCa, to: &Member) -> tokio_rustls::client::TlsStream<TcpStream> {
    let connector = TlsConnector::from(Arc::clone(&tls(ca, 1).client));
    let stream = TcpStream::connect(to.address()).await.unwrap();
    connector.connect(server_name(&member(to.id)).unwrap(), stream).await.unwrap()
}

/// All that the other end says before it closes the connection.
async fn last_words(mut stream: tokio_rustls::client::TlsStream<TcpStream>) -> String {
    let mut words = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut words)).await;
    let _ = read.expect("the connection is closed in time");
    String::from_utf8_lossy(&words).into_owned()
}

#[tokio::test]
async fn a_member_that_talks_garbage_is_told_so_and_cut_off() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let oversized = u32::MAX.to_le_bytes().to_vec();
    let empty = 0u32.to_le_bytes().to_vec();
    let unknown = [&2u32.to_le_bytes()[..], &[200, 0]].concat();
    let no_frame = [&5u32.to_le_bytes()[..], &[0, 0xff, 0xff, 0xff, 0xff]].concat();
    let answer = [&9u32.to_le_bytes()[..], &[2, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    for (garbage, why) in [
        (oversized, "larger than"),
        (empty, "is empty"),
        (unknown, "unknown kind 200"),
        (no_frame, "not in its form"),
        (answer, "an answer to nothing"),
    ] {
        let mut stream = raw(&ca, &b).await;
        stream.write_all(&garbage).await.unwrap();
        let words = last_words(stream).await;
        assert!(words.contains(why), "{words:?} should say {why}");
    }
    assert!(b.deliveries.try_recv().is_err());
    b.stop().await;
}

#[tokio::test]
async fn a_frame_that_is_cut_short_is_not_delivered() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let whole = super::super::codec::encode_frame(&frame(1, 2, 9)).unwrap();
    for cut in 0..whole.len() {
        let mut stream = raw(&ca, &b).await;
        stream.write_all(&whole[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        last_words(stream).await;
    }
    assert!(b.deliveries.try_recv().is_err());
    let mut stream = raw(&ca, &b).await;
    for byte in &whole {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(b.number().await, 9, "byte by byte is fine");
    b.stop().await;
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_given_up_and_tried_again() {
    let ca = authority();
    let hasty = TransportConfig { handshake_timeout: Duration::from_millis(50), ..config() };
    let a = Member::start(1, tls(&ca, 1), hasty).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.knows(2, mute.local_addr().unwrap()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(tokio::time::timeout(PATIENCE, mute.accept()).await.unwrap().unwrap());
    }
    assert!(a.failure(2).await.contains("TLS handshake"));
    a.stop().await;
}

#[tokio::test]
async fn a_peer_that_goes_silent_is_noticed_and_connected_anew() {
    let ca = authority();
    let watchful = TransportConfig { dead_after: Duration::from_millis(300), ..config() };
    let a = Member::start(1, tls(&ca, 1), watchful).await;
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.knows(2, frozen.local_addr().unwrap()).await;
    let acceptor = TlsAcceptor::from(Arc::clone(&tls(&ca, 2).server));
    let mut held = Vec::new();
    for _ in 0..2 {
        let (stream, _) = tokio::time::timeout(PATIENCE, frozen.accept()).await.unwrap().unwrap();
        // It shakes hands, and never says a word again: what a stopped process looks like.
        held.push(acceptor.accept(stream).await.unwrap());
    }
    let why = a.failure(2).await;
    assert!(why.contains("whether it is there"), "{why}");
    a.stop().await;
}

#[tokio::test]
async fn a_member_that_says_nothing_is_shown_out() {
    let ca = authority();
    let watchful = TransportConfig { dead_after: Duration::from_millis(200), ..config() };
    let b = Member::start(2, tls(&ca, 2), watchful).await;
    let stream = raw(&ca, &b).await;
    b.status(1, |status| status.inbound == 1).await;
    last_words(stream).await;
    b.status(1, |status| status.inbound == 0).await;
    b.stop().await;
}

#[tokio::test]
async fn a_member_with_many_connections_keeps_its_newest() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let oldest = raw(&ca, &b).await;
    let mut newer = Vec::new();
    for inbound in 2..=3 {
        newer.push(raw(&ca, &b).await);
        b.status(1, |status| status.inbound == inbound).await;
    }
    newer.push(raw(&ca, &b).await);
    assert!(last_words(oldest).await.contains("newer connections"));
    let whole = super::super::codec::encode_frame(&frame(1, 2, 9)).unwrap();
    newer.last_mut().unwrap().write_all(&whole).await.unwrap();
    assert_eq!(b.number().await, 9);
    b.stop().await;
}
