//! Members among themselves.

use super::*;

#[tokio::test]
async fn what_is_said_arrives_in_order_and_names_its_speaker() {
    let ca = authority();
    let (mut a, mut b) = pair(&ca).await;
    for number in 0..200 {
        a.send(2, number);
        b.send(1, 1000 + number);
    }
    for number in 0..200 {
        let (from, frame) = b.frame().await;
        assert_eq!((from, super::number(&frame)), (member(1), number));
        assert_eq!(a.number().await, 1000 + number);
    }
    a.status(2, |status| status.sent == 200 && status.received == 200 && status.waiting == 0).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_peer_that_starts_later_gets_what_waits_for_it() {
    let ca = authority();
    let a = Member::start(1, tls(&ca, 1), config()).await;
    a.knows(2, None).await;
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    a.send(2, 7);
    a.knows(2, b.address()).await;
    assert_eq!(b.number().await, 7);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn while_a_peer_is_away_the_oldest_frames_are_dropped() {
    let ca = authority();
    let small = TransportConfig { queue_frames: 10, ..config() };
    let a = Member::start(1, tls(&ca, 1), small).await;
    a.knows(2, None).await;
    for number in 0..100 {
        a.send(2, number);
    }
    let status = a.status(2, |status| status.dropped > 0).await;
    assert_eq!((status.dropped, status.waiting), (90, 10));
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    a.knows(2, b.address()).await;
    for number in 90..100 {
        assert_eq!(b.number().await, number);
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again_also_elsewhere() {
    let ca = authority();
    let mut a = Member::start(1, tls(&ca, 1), config()).await;
    // An address of its own, so that nobody takes the port between two lives.
    let own = TransportConfig { listen: "127.0.0.77:0".parse().unwrap(), ..config() };
    let b = Member::start(2, tls(&ca, 2), own).await;
    a.knows(2, b.address()).await;
    a.connected(2).await;
    let address = b.address();
    b.stop().await;
    let refused = async {
        loop {
            if let Incoming::Unreachable { peer: RaftId(2), refused: true } = a.incoming().await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    let mut b = Member::start(2, tls(&ca, 2), TransportConfig { listen: address, ..config() }).await;
    a.reaches(&mut b, 1).await;
    b.stop().await;
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    a.knows(2, b.address()).await;
    a.reaches(&mut b, 2).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_member_that_is_removed_is_cut_off_and_told_why() {
    let ca = authority();
    let (a, b) = pair(&ca).await;
    a.connected(2).await;
    b.connected(1).await;
    a.removes(2);
    let why = b.failure(1).await;
    assert!(why.contains("was removed from the cluster"), "{why}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_member_that_nobody_told_of_yet_is_heard() {
    let ca = authority();
    let a = Member::start(1, tls(&ca, 1), config()).await;
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    a.knows(2, b.address()).await;
    a.send(2, 5);
    assert_eq!(b.frame().await.0, member(1));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_frame_that_lies_about_its_sender_its_receiver_or_its_epoch_is_not_delivered() {
    let ca = authority();
    let cases = [
        (Frame { from: 9, ..frame(1, 2, 0) }, "another member than its certificate"),
        (Frame { to: 9, ..frame(1, 2, 0) }, "takes this member for another"),
        (Frame { epoch: EPOCH - 1, ..frame(1, 2, 0) }, "new epoch without it"),
        (Frame { epoch: EPOCH + 1, ..frame(1, 2, 0) }, "was not taken into"),
        (Frame { body: None, ..frame(1, 2, 0) }, "says nothing"),
    ];
    for (lie, why) in cases {
        let (a, mut b) = pair(&ca).await;
        a.connected(2).await;
        a.transport.send(RaftId(2), lie);
        let told = a.failure(2).await;
        assert!(told.contains(why), "{told}");
        a.send(2, 8);
        assert_eq!(b.number().await, 8, "the lie was not delivered, and the truth after it is");
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn a_node_that_takes_nothing_keeps_no_more_than_it_may() {
    let ca = authority();
    let bounded = TransportConfig { inbound_bytes: 1 << 20, ..config() };
    let a = Member::start(1, tls(&ca, 1), TransportConfig { queue_bytes: 2 << 20, ..config() }).await;
    let mut b = Member::start(2, tls(&ca, 2), bounded).await;
    a.knows(2, b.address()).await;
    a.connected(2).await;
    let large = |number: u64| {
        let message =
            proto::Message { index: number, context: vec![0; 300 << 10].into(), ..proto::Message::default() };
        Frame { body: Some(Body::Raft(message)), ..frame(1, 2, 0) }
    };
    for number in 0..200 {
        a.transport.send(RaftId(2), large(number));
        // At the pace of the line, as long as the line moves.
        let moves = async {
            while a.transport.peers()[&RaftId(2)].waiting > 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(20), moves).await;
    }
    let dropped = a.status(2, |status| status.dropped > 0).await.dropped;
    // The newest is never dropped: when it is here, all that can come has come.
    let mut taken = 1;
    while b.number().await != 199 {
        taken += 1;
    }
    assert!(taken + dropped <= 200, "{taken} taken, {dropped} dropped");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_is_reported() {
    let ca = authority();
    let mut a = Member::start(1, tls(&ca, 1), TransportConfig { queue_frames: 1, ..config() }).await;
    a.knows(2, None).await;
    let snapshot = proto::Message { kind: 7, ..proto::Message::default() };
    a.transport.send(RaftId(2), Frame { body: Some(Body::Raft(snapshot.clone())), ..frame(1, 2, 0) });
    a.send(2, 1);
    assert!(matches!(a.incoming().await, Incoming::Unreachable { peer: RaftId(2), .. }));
    // Nor is one for nobody.
    a.transport.send(RaftId(5), Frame { body: Some(Body::Raft(snapshot)), ..frame(1, 5, 0) });
    assert!(matches!(a.incoming().await, Incoming::Unreachable { peer: RaftId(5), .. }));
    a.stop().await;
}

#[tokio::test]
async fn new_credentials_count_for_new_connections() {
    let old = authority();
    let new = authority();
    let both = |id: u64, from: &ClusterCa| {
        let key = super::super::NodeKey::generate().unwrap();
        let lifetime = Duration::from_secs(3600);
        let certificate = from.issue(&key.request().unwrap(), &member(id), now(), lifetime).unwrap();
        let trusted = vec![old.certificate().clone(), new.certificate().clone()];
        let credentials = super::super::NodeCredentials::new(&key, certificate, trusted).unwrap();
        Arc::new(TlsIdentity::new(&credentials).unwrap())
    };
    let a = Member::start(1, both(1, &old), config()).await;
    let mut b = Member::start(2, both(2, &old), config()).await;
    a.knows(2, b.address()).await;
    a.connected(2).await;
    // First everybody trusts both authorities, then one after the other gets a certificate of the new one.
    a.identity.send_replace(both(1, &new));
    let elsewhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    a.knows(2, elsewhere).await;
    a.failure(2).await;
    a.knows(2, b.address()).await;
    a.connected(2).await;
    a.send(2, 4);
    assert_eq!(b.number().await, 4);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn an_announcement_is_taken_before_it_is_confirmed() {
    let ca = authority();
    let mut b = Member::start(2, tls(&ca, 2), config()).await;
    let (identity, address) = (tls(&ca, 1), b.address());
    let said = |to: PeerIdentity, frame| {
        let (config, identity) = (config(), Arc::clone(&identity));
        async move { super::super::announce(&config, &identity, address, &to, frame, PATIENCE).await }
    };
    said(member(2), frame(1, 2, 66)).await.unwrap();
    let delivered = b.deliveries.try_recv().expect("it is there when the announcement returns");
    assert!(matches!(delivered.incoming, Incoming::Frame { frame, .. } if number(&frame) == 66));
    let error = said(member(2), frame(1, 3, 67)).await.unwrap_err().to_string();
    assert!(error.contains("turned away"), "{error}");
    said(member(3), frame(1, 3, 68)).await.unwrap_err();
    b.stop().await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_transport() {
    let ca = authority();
    let Member { transport, mut deliveries, supervisor, roster, identity, .. } =
        Member::start(1, tls(&ca, 1), config()).await;
    let address = transport.local_addr();
    drop(transport);
    assert!(tokio::time::timeout(PATIENCE, deliveries.recv()).await.unwrap().is_none());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop((roster, identity));
    supervisor.drain(PATIENCE).await;
}
