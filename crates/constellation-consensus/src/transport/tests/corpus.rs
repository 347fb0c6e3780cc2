//! Messages as they lie on the stream, written down once (`corpus.txt`): a version that reads or writes them otherwise
//! cannot talk to those that are out there. They are also what the attempts to break the decoders begin with.

use prost::bytes::BufMut;

use super::{
    super::{
        JoinGrant, JoinMember, JoinRefusal, JoinSecret, RefusalKind,
        codec::{Decoder, Packet},
        join::testing::{Answer, Ask, Question, Shown, Unreadable, decode_grant, encode_grant, read},
    },
    *,
};
use crate::Obituary;

const CORPUS: &str = include_str!("corpus.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// One line of the corpus.
struct Known {
    name: &'static str,
    bytes: Vec<u8>,
    /// Why it is refused, where it is.
    why: &'static str,
}

fn corpus() -> Vec<Known> {
    let lines = CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| {
        let mut parts = line.splitn(3, ' ');
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default())
    });
    parts.map(|(name, bytes, why)| Known { name, bytes: unhex(bytes), why }).collect()
}

/// The messages that the corpus has, by name, as this version writes them.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let entry =
        proto::Entry { kind: 0, term: 2, index: 300, data: vec![1, 2, 3].into(), ..Default::default() };
    let append = proto::Message {
        kind: 3,
        from: 1,
        to: 2,
        term: 2,
        log_term: 1,
        index: 299,
        commit: 298,
        entries: vec![entry.clone(), proto::Entry { kind: 2, index: 301, ..entry }],
        ..Default::default()
    };
    let snapshot = proto::Message { kind: 7, snapshot: Some(Default::default()), ..append.clone() };
    let boot = 7u128.to_be_bytes().to_vec();
    let framed = |body| Packet::Frame(Frame { epoch: 3, from: 1, to: 2, body });
    let ask = Ask {
        cluster: "home".parse().unwrap(),
        node: "node-9".parse().unwrap(),
        address: "192.0.2.9:8300".parse().unwrap(),
        certificate_request: vec![0x30, 0],
        agent_version: "0.1.0".to_owned(),
    };
    let members = [Some("192.0.2.1:8300"), None].map(|address| JoinMember {
        id: RaftId(1),
        node: "node-1".parse().unwrap(),
        address: address.map(|address| address.parse().unwrap()),
    });
    let grant = JoinGrant {
        id: RaftId(57),
        epoch: 3,
        certificate: vec![0x30, 1].into(),
        trusted: vec![vec![0x30, 2].into(), vec![0x30, 3].into()],
        authority_pem: Some("pem".to_owned().into()),
        gossip_keys: Some("keys".to_owned().into()),
        settings: vec![9],
        members: members.to_vec(),
    };
    let secret = Question { ask: ask.encode(), shown: Shown::Secret(JoinSecret::from_bytes([5; 32])) };
    let founding = Question { shown: Shown::Founding { nonce: [6; 32], mac: [7; 32] }, ..secret.clone() };
    let granted = |mac| Answer::Granted { grant: encode_grant(&grant), mac };
    let refused = Answer::Refused(JoinRefusal::new(RefusalKind::SecretUsed, "node-4 came with it"));
    let packet = |packet: Packet| packet.encode().unwrap().to_vec();
    vec![
        ("frame/append", packet(framed(Some(Body::Raft(append))))),
        ("frame/snapshot", packet(framed(Some(Body::Raft(snapshot))))),
        (
            "frame/obituary",
            packet(framed(Some(Body::Obituary(Obituary {
                node: "node-1".to_owned(),
                boot,
                returned: false,
            })))),
        ),
        ("frame/empty", packet(framed(None))),
        ("packet/ping", packet(Packet::Ping(258))),
        ("packet/pong", packet(Packet::Pong(258))),
        ("packet/refused", packet(Packet::Refused("not you".to_owned()))),
        ("question/secret", secret.encode().to_vec()),
        ("question/founding", founding.encode().to_vec()),
        ("answer/granted", granted(None).encode().to_vec()),
        ("answer/proven", granted(Some([8; 32])).encode().to_vec()),
        ("answer/refused", refused.encode().to_vec()),
    ]
}

/// Lets every decoder have a go at what is on a stream; why, where all of them refuse it.
fn attempt(stream: &[u8]) -> Result<(), String> {
    let mut decoder = Decoder::default();
    decoder.buffer().put_slice(stream);
    let packet = loop {
        match decoder.next() {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(garbled) => break Err(garbled.to_string()),
        }
    };
    assert!(decoder.buffer().capacity() < stream.len() + (64 << 10), "announcements take no room");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let message = runtime.block_on(read(&mut &*stream, 1 << 20)).map_err(|error| error.to_string());
    let joining = message.and_then(|message| {
        let words = |unreadable: Unreadable| unreadable.to_string();
        match (Question::decode(&message), Answer::decode(&message)) {
            (Ok(question), _) => Ask::decode(&question.ask).map(drop).map_err(words),
            (_, Ok(Answer::Granted { grant, .. })) => decode_grant(&grant).map(drop).map_err(words),
            (_, Ok(Answer::Refused(_))) => Ok(()),
            (Err(question), Err(answer)) => Err(format!("{question}; {answer}")),
        }
    });
    match (packet, joining) {
        (Err(packet), Err(joining)) => Err(format!("{packet}; {joining}")),
        _ => Ok(()),
    }
}

#[test]
fn messages_lie_on_the_stream_as_they_always_have() {
    let (corpus, written) = (corpus(), written());
    for (name, bytes) in &written {
        attempt(bytes).unwrap();
        let known = corpus.iter().find(|known| known.name == *name).map(|known| hex(&known.bytes));
        assert_eq!(known, Some(hex(bytes)), "{name}");
    }
    let good = corpus.iter().filter(|known| known.why.is_empty()).count();
    assert_eq!(good, written.len(), "what was written once is still known");
}

#[test]
fn what_is_bad_in_the_corpus_is_refused_by_every_decoder_for_what_is_wrong_with_it() {
    let bad: Vec<_> = corpus().into_iter().filter(|known| !known.why.is_empty()).collect();
    assert!(bad.len() >= 15);
    for Known { name, bytes, why } in bad {
        let said = attempt(&bytes).unwrap_err();
        assert!(said.contains(why), "{name}: {said}");
    }
}

#[test]
fn no_change_of_one_byte_and_no_cut_of_the_corpus_makes_a_decoder_panic() {
    for Known { bytes: whole, .. } in corpus() {
        for at in 0..whole.len() {
            let _ = attempt(&whole[..at]);
            let was = whole[at];
            for to in [0, 1, 0x7f, 0x80, 0xff, was ^ 1, was ^ 0x80, was.wrapping_add(1), was.wrapping_sub(1)]
            {
                let mut changed = whole.clone();
                changed[at] = to;
                let _ = attempt(&changed);
            }
        }
    }
}
