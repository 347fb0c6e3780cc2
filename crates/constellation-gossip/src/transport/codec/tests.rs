use constellation_security::{Key, Keyring, KeyringHandle};
use proptest::prelude::*;

use super::{super::frame::DATAGRAM_BYTES_MAX, *};

const A: u16 = 1;
const B: u16 = 2;

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn with(ring: &KeyringHandle) -> Codec {
    Codec::new(&"home".parse().unwrap(), GossipSecurity::Sealed(ring.clone()))
}

fn a_ring() -> KeyringHandle {
    KeyringHandle::new(Keyring::new([Key::generate()]).unwrap())
}

/// Two nodes and every datagram that went between them.
struct Pair {
    nodes: [(SocketAddr, Codec); 2],
    now: Moment,
    recorded: Vec<(SocketAddr, Outgoing)>,
}

impl Pair {
    fn new(ring: &KeyringHandle) -> Self {
        Self { nodes: [(at(A), with(ring)), (at(B), with(ring))], now: Moment::START, recorded: Vec::new() }
    }

    fn codec(&mut self, port: u16) -> &mut Codec {
        &mut self.nodes.iter_mut().find(|(address, _)| *address == at(port)).unwrap().1
    }

    fn restart(&mut self, port: u16, ring: &KeyringHandle) {
        *self.codec(port) = with(ring);
    }

    /// Delivers datagrams and all that they cause; the messages that came out.
    fn deliver(&mut self, from: u16, datagrams: Vec<Outgoing>) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        self.now = self.now + HELLO_EVERY;
        let now = self.now;
        let mut queue: Vec<(SocketAddr, Outgoing)> =
            datagrams.into_iter().map(|out| (at(from), out)).collect();
        while !queue.is_empty() {
            let (from, (to, datagram)) = queue.remove(0);
            assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
            self.recorded.push((from, (to, datagram.clone())));
            let mut answers = Vec::new();
            let codec = self.codec(to.port());
            if let Incoming::Message(message) = codec.incoming(from, &datagram, now, &mut answers) {
                messages.push(message);
            }
            queue.extend(answers.into_iter().map(|answer| (to, answer)));
        }
        messages
    }

    fn send(&mut self, from: u16, to: u16, message: &[u8]) -> Vec<Vec<u8>> {
        let datagrams = self.codec(from).outgoing(at(to), message).unwrap();
        self.deliver(from, datagrams)
    }
}

#[test]
fn the_first_message_to_a_stranger_arrives_after_one_greeting() {
    let mut pair = Pair::new(&a_ring());
    assert_eq!(pair.send(A, B, b"hello"), [b"hello"]);
    assert_eq!(pair.recorded.len(), 3, "a probe, a hello, and the message");
    assert_eq!(pair.send(B, A, b"back"), [b"back"]);
    assert_eq!(pair.recorded.len(), 4, "the other way is known by then");
}

#[test]
fn a_recording_is_worthless_at_once_and_after_either_side_restarted() {
    let ring = a_ring();
    let mut pair = Pair::new(&ring);
    pair.send(A, B, b"first");
    pair.send(A, B, &vec![9; 5000]);
    pair.send(B, A, b"answer");
    for restart in [None, Some(B), Some(A)] {
        if let Some(port) = restart {
            pair.restart(port, &ring);
        }
        let recorded = pair.recorded.clone();
        for (from, out) in recorded {
            assert_eq!(pair.deliver(from.port(), vec![out]), Vec::<Vec<u8>>::new(), "{restart:?}");
        }
    }
}

#[test]
fn a_peer_that_restarted_is_met_anew() {
    let ring = a_ring();
    let mut pair = Pair::new(&ring);
    pair.send(A, B, b"first");
    pair.restart(B, &ring);
    assert!(pair.send(A, B, b"lost").is_empty(), "it was meant for the run before");
    assert_eq!(pair.send(A, B, b"second"), [b"second"]);
}

#[test]
fn a_peer_that_answers_from_another_address_is_met_at_the_one_we_know() {
    let ring = a_ring();
    let mut pair = Pair::new(&ring);
    let probe = pair.codec(A).outgoing(at(B), b"hello").unwrap().remove(0).1;
    let (mut answers, mut sent) = (Vec::new(), Vec::new());
    pair.codec(B).incoming(at(A), &probe, Moment::START, &mut answers);
    let elsewhere = at(77);
    pair.codec(A).incoming(elsewhere, &answers[0].1, Moment::START, &mut sent);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, at(B));
}

#[test]
fn keys_change_under_traffic_without_a_lost_message() {
    let (old, new) = (Key::generate(), Key::generate());
    let ring = |keys: &[&Key]| Keyring::new(keys.iter().map(|key| (*key).clone())).unwrap();
    let (a, b) = (KeyringHandle::new(ring(&[&old])), KeyringHandle::new(ring(&[&old])));
    let mut pair =
        Pair { nodes: [(at(A), with(&a)), (at(B), with(&b))], now: Moment::START, recorded: Vec::new() };
    let steps = [vec![&old], vec![&old, &new], vec![&new, &old], vec![&new]];
    for step in &steps {
        for handle in [&a, &b] {
            handle.replace(ring(step));
            assert_eq!(pair.send(A, B, b"there"), [b"there"]);
            assert_eq!(pair.send(B, A, b"back"), [b"back"]);
        }
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_where_it_is_sent() {
    let mut codec = with(&a_ring());
    assert_eq!(codec.outgoing(at(B), &vec![0; MESSAGE_BYTES_MAX + 1]), Err(Reason::TooLarge));
    assert!(codec.outgoing(at(B), &vec![0; MESSAGE_BYTES_MAX]).is_ok());
}

#[test]
fn a_flood_of_recordings_earns_few_answers() {
    let ring = a_ring();
    let mut pair = Pair::new(&ring);
    let probe = pair.codec(A).outgoing(at(B), b"x").unwrap().remove(0).1;
    let mut answers = Vec::new();
    for port in 1..10_000 {
        pair.codec(B).incoming(at(port), &probe, Moment::START, &mut answers);
        pair.codec(B).incoming(at(port), &probe, Moment::START, &mut answers);
    }
    assert_eq!(answers.len(), HELLOS_MAX);
}

#[test]
fn more_senders_than_can_be_remembered_begin_a_new_session_and_nothing_old_gets_in() {
    let ring = a_ring();
    let mut pair = Pair::new(&ring);
    pair.send(A, B, b"old");
    let recorded = pair.recorded.clone();
    let before = pair.codec(B).session;
    for sender in 1..=SENDERS_MAX as u64 {
        pair.codec(B).admit(Session(sender), 1);
    }
    assert_ne!(pair.codec(B).session, before);
    for (from, out) in recorded {
        assert!(pair.deliver(from.port(), vec![out]).is_empty());
    }
    assert_eq!(pair.send(A, B, b"new"), [b"new"], "an answered recording has told the new session");
}

/// What a network may do to a datagram.
#[derive(Clone, Debug)]
enum Fate {
    Deliver,
    Lose,
    Double,
    Flip(usize),
    Cut(usize),
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Deliver),
        1 => Just(Fate::Lose),
        1 => Just(Fate::Double),
        1 => (0usize..9600).prop_map(Fate::Flip),
        1 => (0usize..1200).prop_map(Fate::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_any_order_every_message_arrives_once(sizes in proptest::collection::vec(0usize..6000, 1..4), seed: u64) {
        let mut pair = Pair::new(&a_ring());
        pair.send(A, B, b"met");
        let messages: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(i, size)| vec![u8::try_from(i).unwrap(); *size]).collect();
        let mut datagrams: Vec<Outgoing> =
            messages.iter().flat_map(|m| pair.codec(A).outgoing(at(B), m).unwrap()).collect();
        for i in (1..datagrams.len()).rev() {
            let turned = seed.rotate_left(u32::try_from(i).unwrap()) % (i as u64 + 1);
            datagrams.swap(i, usize::try_from(turned).unwrap());
        }
        let mut arrived = pair.deliver(A, datagrams);
        let mut expected = messages;
        arrived.sort();
        expected.sort();
        prop_assert_eq!(arrived, expected);
    }

    #[test]
    fn a_hostile_network_can_lose_messages_and_never_make_one(
        sizes in proptest::collection::vec(0usize..4000, 1..6),
        fates in proptest::collection::vec(any_fate(), 32),
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..4),
    ) {
        let mut pair = Pair::new(&a_ring());
        pair.send(A, B, b"met");
        let messages: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(i, size)| vec![u8::try_from(i).unwrap(); *size]).collect();
        let datagrams: Vec<Outgoing> =
            messages.iter().flat_map(|m| pair.codec(A).outgoing(at(B), m).unwrap()).collect();
        let mut hostile: Vec<Outgoing> = garbage.into_iter().map(|bytes| (at(B), bytes)).collect();
        for ((to, mut datagram), fate) in datagrams.into_iter().zip(fates.into_iter().cycle()) {
            match fate {
                Fate::Deliver => hostile.push((to, datagram)),
                Fate::Lose => {}
                Fate::Double => hostile.extend([(to, datagram.clone()), (to, datagram)]),
                Fate::Flip(bit) => {
                    let bit = bit % (datagram.len() * 8);
                    datagram[bit / 8] ^= 1 << (bit % 8);
                    hostile.push((to, datagram));
                }
                Fate::Cut(length) => {
                    datagram.truncate(length % datagram.len());
                    hostile.push((to, datagram));
                }
            }
        }
        let arrived = pair.deliver(A, hostile);
        for message in &arrived {
            prop_assert!(messages.contains(message));
        }
        prop_assert!(arrived.len() <= messages.len(), "none arrives twice");
    }
}
