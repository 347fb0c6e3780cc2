//! Who has no business here.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{super::NodeCredentials, *};

/// Whether the other end closes a connection, in time.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    let closed = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
    tokio::time::timeout(PATIENCE, closed).await.is_ok()
}

async fn still_serves(ca: &ClusterCa, b: &mut Member) {
    let a = Member::start(1, tls(ca, 1), config()).await;
    a.knows(2, b.address()).await;
    a.send(2, 77);
    assert_eq!(b.number().await, 77, "nothing else was delivered, and members still are");
    a.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_of_no_use_on_either_side() {
    let (ours, theirs) = (authority(), authority());
    let stranger = Member::start(1, tls(&theirs, 1), config()).await;
    let mut b = Member::start(2, tls(&ours, 2), config()).await;
    stranger.knows(2, b.address()).await;
    stranger.send(2, 666);
    let why = stranger.failure(2).await;
    assert!(why.contains("TLS"), "{why}");
    b.knows(1, stranger.address()).await;
    let why = b.failure(1).await;
    assert!(why.contains("TLS"), "{why}");
    stranger.stop().await;
    still_serves(&ours, &mut b).await;
    b.stop().await;
}

#[tokio::test]
async fn a_member_at_another_members_address_is_not_taken_for_it() {
    let ca = authority();
    let a = Member::start(1, tls(&ca, 1), config()).await;
    let mut other_node = Member::start(3, tls(&ca, 3), config()).await;
    a.knows(2, other_node.address()).await;
    a.send(2, 666);
    let why = a.failure(2).await;
    assert!(why.contains("TLS"), "its name is another: {why}");

    // The same node, back under a new id after it lost its disk.
    let reborn: PeerIdentity = "constellation://home/node-4/40".parse().unwrap();
    let reborn = Arc::new(TlsIdentity::new(&ca.credentials(&reborn, now()).unwrap()).unwrap());
    let mut reborn = Member::start(40, reborn, config()).await;
    a.knows(4, reborn.address()).await;
    a.send(4, 666);
    let why = a.failure(4).await;
    assert!(
        why.contains("met constellation://home/node-4/40")
            && why.contains("not constellation://home/node-4/4"),
        "{why}"
    );
    assert!(other_node.deliveries.try_recv().is_err() && reborn.deliveries.try_recv().is_err());
    a.stop().await;
    other_node.stop().await;
    reborn.stop().await;
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_refused() {
    let ca = authority();
    let key = super::super::NodeKey::generate().unwrap();
    let long_ago = WallTime(now().0 - 30 * 24 * 3600 * 1000);
    let certificate =
        ca.issue(&key.request().unwrap(), &member(1), long_ago, Duration::from_secs(3600)).unwrap();
    let credentials = NodeCredentials::new(&key, certificate, vec![ca.certificate().clone()]).unwrap();
    let stale = Member::start(1, Arc::new(TlsIdentity::new(&credentials).unwrap()), config()).await;
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    stale.knows(2, b.address()).await;
    stale.send(2, 666);
    stale.failure(2).await;
    stale.stop().await;
    still_serves(&ca, &mut b).await;
    b.stop().await;
}

#[tokio::test]
async fn two_nodes_with_one_nodes_credentials_are_told_so() {
    let ca = authority();
    let identity = tls(&ca, 1);
    let a = Member::start(1, Arc::clone(&identity), config()).await;
    let twin = Member::start(1, identity, config()).await;
    // Nobody dials itself, so a roster cannot cause this; a copied disk does.
    let (config, own) = (config(), tls(&ca, 1));
    let said = super::super::announce(&config, &own, a.address(), &member(1), frame(1, 1, 0), PATIENCE).await;
    let error = constellation_core::error_chain(&said.unwrap_err());
    assert!(error.contains("two nodes run with one node's credentials"), "{error}");
    a.stop().await;
    twin.stop().await;
}

#[tokio::test]
async fn garbage_before_the_handshake_ends_the_connection_and_nothing_else() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1, 0, 0xff], &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(b.address()).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        assert!(is_closed(&mut stream).await);
    }
    still_serves(&ca, &mut b).await;
    b.stop().await;
}

/// Connections from an address of their own that never say a word.
async fn silent(to: &Member, count: usize) -> Vec<TcpStream> {
    let mut strangers = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.66:0".parse().unwrap()).unwrap();
        strangers.push(socket.connect(to.address()).await.unwrap());
    }
    strangers
}

#[tokio::test]
async fn strangers_that_say_nothing_are_shown_out() {
    let ca = authority();
    let hasty = TransportConfig { handshake_timeout: Duration::from_millis(100), ..config() };
    let b = Member::start(2, tls(&ca, 2), hasty).await;
    for stranger in &mut silent(&b, 5).await {
        assert!(is_closed(stranger).await);
    }
    b.stop().await;
}

#[tokio::test]
async fn strangers_at_one_address_cannot_take_every_place() {
    let ca = authority();
    // They may stay for as long as the test is patient.
    let patient = TransportConfig {
        handshake_timeout: PATIENCE * 2,
        handshakes_max: 8,
        handshakes_per_address_max: 4,
        ..config()
    };
    let mut b = Member::start(2, tls(&ca, 2), patient).await;
    let mut strangers = silent(&b, 20).await;
    // All beyond the fourth are turned away at once.
    for stranger in &mut strangers[4..] {
        assert!(is_closed(stranger).await);
    }
    still_serves(&ca, &mut b).await;
    b.stop().await;
}

#[tokio::test]
async fn what_was_recorded_on_the_line_says_nothing_when_it_is_played_again() {
    let ca = authority();
    let a = Member::start(1, tls(&ca, 1), config()).await;
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.knows(2, line.local_addr().unwrap()).await;
    a.send(2, 5);
    let (from_a, _) = line.accept().await.unwrap();
    let to_b = TcpStream::connect(b.address()).await.unwrap();
    let (mut a_read, mut a_write) = from_a.into_split();
    let (mut b_read, mut b_write) = to_b.into_split();
    let mut recorded = Vec::new();
    let forward = async {
        let mut buffer = [0; 4096];
        loop {
            let read = a_read.read(&mut buffer).await.unwrap();
            recorded.extend_from_slice(&buffer[..read]);
            b_write.write_all(&buffer[..read]).await.unwrap();
        }
    };
    let back = async { tokio::io::copy(&mut b_read, &mut a_write).await };
    tokio::select! {
        number = b.number() => assert_eq!(number, 5),
        () = forward => {},
        _ = back => {},
    }
    a.stop().await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(b.address()).await.unwrap();
        let _ = stream.write_all(&recorded).await;
        let _ = stream.shutdown().await;
        assert!(is_closed(&mut stream).await);
    }
    assert!(b.deliveries.try_recv().is_err());
    still_serves(&ca, &mut b).await;
    b.stop().await;
}
