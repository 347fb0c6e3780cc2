//! What travels when a node joins, for every value and for every bit of garbage.

use proptest::prelude::*;

use super::{
    super::super::join::testing::{
        Answer, Ask, Question, Shown, Unreadable, decode_grant, encode_grant, read,
    },
    *,
};

fn an_ip() -> impl Strategy<Value = std::net::IpAddr> {
    let own = |ip: &std::net::IpAddr| !ip.is_unspecified() && !ip.is_multicast();
    any::<std::net::IpAddr>().prop_filter("an address of its own", own)
}

prop_compose! {
    fn an_ask()(cluster in "[a-z][a-z0-9]{0,20}", node in "[a-z][a-z0-9]{0,20}", ip in an_ip(), port in 1u16.., request in prop::collection::vec(any::<u8>(), 1..500), agent_version in "[ -~]{0,64}") -> Ask {
        Ask { cluster: cluster.parse().unwrap(), node: node.parse().unwrap(), address: SocketAddr::new(ip, port), certificate_request: request, agent_version }
    }
}

fn question() -> impl Strategy<Value = Question> {
    let shown = prop_oneof![
        any::<[u8; 32]>().prop_map(|secret| Shown::Secret(JoinSecret::from_bytes(secret))),
        any::<([u8; 32], [u8; 32])>().prop_map(|(nonce, mac)| Shown::Founding { nonce, mac }),
    ];
    (an_ask(), shown).prop_map(|(ask, shown)| Question { ask: ask.encode(), shown })
}

prop_compose! {
    fn a_member()(id in 1u64.., node in "[a-z][a-z0-9]{0,20}", address in prop::option::of((any::<std::net::IpAddr>(), any::<u16>()))) -> JoinMember {
        JoinMember { id: RaftId(id), node: node.parse().unwrap(), address: address.map(SocketAddr::from) }
    }
}

prop_compose! {
    fn a_grant()(id in 1u64.., epoch: u64, certificate: Vec<u8>, trusted in prop::collection::vec(any::<Vec<u8>>(), 0..3), pem in prop::option::of("[ -~\n]{0,90}"), keys in prop::option::of("[ -~\n]{0,90}"), settings: Vec<u8>, members in prop::collection::vec(a_member(), 0..8)) -> JoinGrant {
        JoinGrant {
            id: RaftId(id), epoch, certificate: certificate.into(), trusted: trusted.into_iter().map(CertificateDer::from).collect(),
            authority_pem: pem.map(Zeroizing::new), gossip_keys: keys.map(Zeroizing::new), settings, members,
        }
    }
}

fn an_answer() -> impl Strategy<Value = Answer> {
    let kinds = prop::sample::select(vec![
        RefusalKind::SecretUnknown,
        RefusalKind::SecretUsed,
        RefusalKind::SecretExpired,
        RefusalKind::NameTaken,
        RefusalKind::NoQuorum,
        RefusalKind::NotHere,
        RefusalKind::Busy,
        RefusalKind::OtherVersion,
        RefusalKind::OtherCluster,
        RefusalKind::KeyUnknown,
        RefusalKind::FoundingClosed,
        RefusalKind::Malformed,
        RefusalKind::Other,
    ]);
    prop_oneof![
        (a_grant(), any::<Option<[u8; 32]>>())
            .prop_map(|(grant, mac)| Answer::Granted { grant: encode_grant(&grant), mac }),
        (kinds, "[ -~]{0,300}").prop_map(|(kind, text)| Answer::Refused(JoinRefusal::new(kind, text))),
    ]
}

/// What comes off a stream on which these bytes are.
fn off_the_stream(mut bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(read(&mut bytes, most)).ok().map(|message| message.to_vec())
}

proptest! {
    #[test]
    fn a_question_is_read_as_it_was_written(question in question(), ask in an_ask()) {
        let message = off_the_stream(&question.encode(), 16 << 10).unwrap();
        prop_assert_eq!(Question::decode(&message), Ok(question));
        prop_assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(answer in an_answer(), grant in a_grant()) {
        let message = off_the_stream(&answer.encode(), 1 << 20).unwrap();
        prop_assert_eq!(Answer::decode(&message), Ok(answer));
        prop_assert_eq!(decode_grant(&encode_grant(&grant)), Ok(grant));
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(kind in 60u8..70, bytes: Vec<u8>) {
        let message = [&[kind][..], &bytes].concat();
        let _ = (Question::decode(&message), Answer::decode(&message), Ask::decode(&bytes), decode_grant(&bytes));
        let _ = off_the_stream(&bytes, 100);
    }

    #[test]
    fn a_changed_byte_never_panics(question in question(), answer in an_answer(), at: prop::sample::Index, to: u8) {
        for whole in [question.encode(), answer.encode()] {
            let mut bytes = whole.to_vec();
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Some(message) = off_the_stream(&bytes, 1 << 20) {
                if let Ok(question) = Question::decode(&message) { let _ = Ask::decode(&question.ask); }
                if let Ok(Answer::Granted { grant, .. }) = Answer::decode(&message) { let _ = decode_grant(&grant); }
            }
        }
    }

    #[test]
    fn what_is_cut_is_nothing(question in question(), at: prop::sample::Index) {
        let whole = question.encode();
        prop_assert_eq!(off_the_stream(&whole[..at.index(whole.len())], 16 << 10), None);
    }
}

#[test]
fn a_kind_of_refusal_that_is_not_known_yet_is_still_a_refusal() {
    let Ok(Answer::Refused(refusal)) = Answer::decode(&[66, 8, 99, 18, 3, b'n', 10, b'o']) else { panic!() };
    assert_eq!(
        refusal,
        JoinRefusal::new(RefusalKind::Other, "n o"),
        "and it cannot write lines into our log"
    );
}

#[test]
fn another_version_is_named_before_anything_else_of_it_is_read() {
    // Version 7, and a secret of no length that this version would refuse.
    assert_eq!(Question::decode(&[64, 8, 7, 0x1a, 0]), Err(Unreadable::Version(7)));
}
