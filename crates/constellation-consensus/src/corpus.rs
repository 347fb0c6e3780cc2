//! Bad input, written down: `corpus/<decoder>.txt` has what each decoder of the crate must read, and what it must refuse.
//!
//! One message a line: its name, its bytes in hex (`-` for none), and what becomes of it. `bad/` is refused, for a reason
//! that has the words of the line; `odd/` is read, although this version does not write it; anything else is read, and is
//! what this version writes, byte for byte, so that a change of the format is seen.
//!
//! Everything in it is also where attempts to break the decoder begin: bytes changed, cut out, doubled, put in between, and
//! joined with other lines. `PROPTEST_CASES=1000000` tries for longer. cargo-fuzz would find its way by coverage, but needs
//! a nightly compiler, which this workspace does not.
//!
//! What lies on the stream between members has its corpus beside the transport's tests.

use std::fmt::Write as _;

use constellation_core::{FencingToken, LeaseHolder, LeaseKind, WallTime};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

use crate::{
    ClusterCommand, ClusterMachine,
    lease::{AskId, Command, LeaseTable},
    member::{AdmissionKey, ClusterSettings, MemberCommand, MemberTable, Profile},
    raft::{Machine as _, RaftId, proto::ConfState},
    transport::{JoinSecretDigest, JoinToken, PeerIdentity},
};

/// How many attempts each decoder is given, unless the environment says otherwise.
const CASES: u32 = 2000;

/// A decoder, and what it is held against.
pub(crate) struct Decoder<'a> {
    /// The text of its corpus.
    pub(crate) corpus: &'a str,
    /// What this version writes, by name.
    pub(crate) written: Vec<(&'a str, Vec<u8>)>,
    /// Reads; says why not. Whatever it reads it also writes and reads again, where that can be.
    pub(crate) read: fn(&[u8]) -> Result<(), String>,
}

struct Line<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    why: &'a str,
}

impl Decoder<'_> {
    fn lines(&self) -> Vec<Line<'_>> {
        let lines = self.corpus.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = |line| {
            let mut parts = str::splitn(line, 3, ' ');
            let (name, bytes) = (parts.next().unwrap(), parts.next().unwrap());
            Line { name, bytes: unhex(bytes), why: parts.next().unwrap_or_default() }
        };
        lines.map(line).collect()
    }

    /// Holds the decoder against every line, and against what chance makes of them.
    pub(crate) fn check(&self) {
        let lines = self.lines();
        let mut wrong = String::new();
        for Line { name, bytes, why } in &lines {
            let said = (self.read)(bytes);
            let right = match (&said, name.split('/').next()) {
                (Err(reason), Some("bad")) => !why.is_empty() && reason.contains(why),
                (outcome, Some("odd")) => outcome.is_ok(),
                (outcome, _) => outcome.is_ok() && self.written.contains(&(name, bytes.clone())),
            };
            if !right {
                let _ = writeln!(wrong, "{name}: {said:?}");
            }
        }
        for (name, bytes) in &self.written {
            if !lines.iter().any(|line| line.name == *name) {
                let _ = writeln!(wrong, "{name} is not in the corpus: {}", hex(bytes));
            }
        }
        assert!(wrong.is_empty(), "not as the corpus says:\n{wrong}");
        self.attack(&lines.into_iter().map(|line| line.bytes).collect::<Vec<_>>());
    }

    fn attack(&self, lines: &[Vec<u8>]) {
        let mut config = ProptestConfig::with_cases(CASES);
        if std::env::var_os("PROPTEST_CASES").is_some() {
            config = ProptestConfig::default();
        }
        config.failure_persistence = None;
        let lines = lines.to_vec();
        let case = (any::<Index>(), any::<Index>(), prop::collection::vec(twists(), 1..6));
        let attempts = case.prop_map(move |(from, other, twists)| {
            let other = other.get(&lines);
            twists.iter().fold(from.get(&lines).clone(), |bytes, twist| twist.apply(bytes, other))
        });
        // A panic in there is a failure, with the shortest bytes that cause it.
        let ended = TestRunner::new(config).run(&attempts, |bytes| {
            let _ = (self.read)(&bytes);
            Ok(())
        });
        ended.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// One way to spoil a message.
#[derive(Clone, Debug)]
enum Twist {
    Flip(Index, u8),
    Set(Index, u8),
    CutOut(Index, Index),
    Double(Index, Index),
    PutIn(Index, Vec<u8>),
    GoOnAs(Index, Index),
}

fn twists() -> impl Strategy<Value = Twist> {
    let at = any::<Index>;
    // Numbers at their ends, lengths beyond the end, fields of another kind, groups.
    let nasty = prop::sample::select(vec![
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0x0a, 0x00],
        vec![0x0b],
        vec![0x0c],
        vec![0x00],
        vec![0x7f],
        vec![0xc0, 0xaf],
    ]);
    prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Twist::Flip(at, bit)),
        2 => (at(), prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff])).prop_map(|(at, to)| Twist::Set(at, to)),
        2 => (at(), at()).prop_map(|(from, to)| Twist::CutOut(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Twist::Double(from, to)),
        3 => (at(), nasty).prop_map(|(at, bytes)| Twist::PutIn(at, bytes)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Twist::PutIn(at, bytes)),
        2 => (at(), at()).prop_map(|(at, from)| Twist::GoOnAs(at, from)),
    ]
}

impl Twist {
    fn apply(&self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        let place = |at: &Index, length: usize| at.index(length + 1);
        let span = |from: &Index, to: &Index| {
            let (from, to) = (place(from, bytes.len()), place(to, bytes.len()));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Flip(..) | Self::Set(..) if bytes.is_empty() => {}
            Self::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Set(at, to) => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Self::CutOut(from, to) => {
                bytes.drain(span(from, to));
            }
            Self::Double(from, to) => {
                let span = span(from, to);
                let again = bytes[span.clone()].to_vec();
                bytes.splice(span.end..span.end, again);
            }
            Self::PutIn(at, more) => {
                let at = place(at, bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::GoOnAs(at, from) => {
                bytes.truncate(place(at, bytes.len()));
                bytes.extend_from_slice(&other[place(from, other.len())..]);
            }
        }
        bytes
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let text = if text == "-" { "" } else { text };
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn words(error: impl std::error::Error) -> String {
    error.to_string()
}

fn web(number: u128) -> LeaseHolder {
    LeaseHolder { node: format!("web-{number}").parse().unwrap(), boot: 7 }
}

#[test]
fn lease_commands_are_read_or_refused() {
    let (kind, holder, token) = (LeaseKind::LbLeader, web(1), FencingToken(17));
    let heir = Some(web(2).node);
    let commands = [
        ("acquire", Command::Acquire { kind, holder: holder.clone(), ask: AskId(300) }),
        (
            "renew",
            Command::Renew { kind: LeaseKind::DnsWriter, holder: holder.clone(), ask: AskId(301), token },
        ),
        ("release", Command::Release { kind, holder: holder.clone(), token, heir: None }),
        ("hand-over", Command::Release { kind, holder: holder.clone(), token, heir }),
        ("expire", Command::Expire { kind: LeaseKind::DnsWriter, token, as_of: 40 }),
        ("bury", Command::Bury { holder }),
    ];
    let written = commands.map(|(name, command)| (name, command.encode())).into();
    let read = |bytes: &[u8]| {
        let command = Command::decode(bytes).map_err(words)?;
        assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/lease-command.txt"), written, read }.check();
}

/// A table in which the load balancer's lease is held and the DNS writer's was handed over.
fn leases() -> LeaseTable {
    let (lb, dns) = (LeaseKind::LbLeader, LeaseKind::DnsWriter);
    let mut table = LeaseTable::new();
    table.apply(16, &Command::Bury { holder: web(3) });
    table.apply(17, &Command::Acquire { kind: lb, holder: web(1), ask: AskId(300) });
    table.apply(20, &Command::Acquire { kind: dns, holder: web(1), ask: AskId(301) });
    let (holder, token) = (web(1), FencingToken(20));
    table.apply(21, &Command::Release { kind: dns, holder, token, heir: Some(web(2).node) });
    table
}

#[test]
fn lease_tables_are_read_or_refused() {
    let mut expired = leases();
    expired.apply(30, &Command::Expire { kind: LeaseKind::DnsWriter, token: FencingToken(20), as_of: 21 });
    let written = vec![
        ("empty", LeaseTable::new().encode()),
        ("held-and-reserved", leases().encode()),
        ("held-and-free", expired.encode()),
    ];
    let read = |bytes: &[u8]| {
        let table = LeaseTable::decode(bytes).map_err(words)?;
        assert_eq!(LeaseTable::decode(&table.encode()).unwrap(), table);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/lease-table.txt"), written, read }.check();
}

fn admit(key: AdmissionKey, address: &str, replaces: Option<RaftId>) -> MemberCommand {
    MemberCommand::Admit {
        key,
        node: web(2).node,
        address: address.parse().unwrap(),
        request: [0x22; 32],
        at: WallTime(1_700_000_000),
        replaces,
    }
}

fn offer() -> MemberCommand {
    MemberCommand::Offer {
        secret: JoinSecretDigest([5; 32]),
        expires: WallTime(1_700_000_600),
        by: web(1).node,
        authority: true,
    }
}

#[test]
fn member_commands_are_read_or_refused() {
    let secret = AdmissionKey::Secret(JoinSecretDigest([5; 32]));
    let founder = AdmissionKey::SharedKey { founders: 3 };
    let commands = [
        ("offer", offer()),
        ("admit", admit(secret, "192.0.2.2:8300", Some(RaftId(3)))),
        ("admit-a-founder", admit(founder, "[2001:db8::2]:8300", None)),
        ("locate", MemberCommand::Locate { id: RaftId(7), address: "192.0.2.9:8300".parse().unwrap() }),
        ("remove", MemberCommand::Remove { id: RaftId(7) }),
        ("lead", MemberCommand::Lead { id: RaftId(7) }),
        ("pace", MemberCommand::Pace(Profile::Wan)),
    ];
    let written = commands.map(|(name, command)| (name, command.encode())).into();
    let read = |bytes: &[u8]| {
        let command = MemberCommand::decode(bytes).map_err(words)?;
        assert_eq!(MemberCommand::decode(&command.encode()).unwrap(), command);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/member-command.txt"), written, read }.check();
}

/// Two members, the second by a secret that is used now, and the pace of a wide network.
fn members() -> MemberTable {
    let first = "192.0.2.1:8300".parse().unwrap();
    let mut table = MemberTable::founded_by(RaftId(1), web(1).node, first);
    table.apply(5, &offer());
    table.apply(9, &admit(AdmissionKey::Secret(JoinSecretDigest([5; 32])), "192.0.2.2:8300", None));
    table.apply(10, &MemberCommand::Pace(Profile::Wan));
    table
}

#[test]
fn member_tables_are_read_or_refused() {
    let mut one_left = members();
    one_left.apply(11, &MemberCommand::Remove { id: RaftId(1) });
    let written = vec![
        ("nobody", MemberTable::new().encode()),
        ("two", members().encode()),
        ("one-left", one_left.encode()),
    ];
    let read = |bytes: &[u8]| {
        let table = MemberTable::decode(bytes).map_err(words)?;
        assert_eq!(MemberTable::decode(&table.encode()).unwrap(), table);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/member-table.txt"), written, read }.check();
}

#[test]
fn settings_are_read_or_refused() {
    let written = vec![
        ("lan", ClusterSettings::of(Profile::Lan).encode()),
        ("wan", ClusterSettings::of(Profile::Wan).encode()),
    ];
    let read = |bytes: &[u8]| {
        let settings = ClusterSettings::decode(bytes).map_err(words)?;
        assert_eq!(ClusterSettings::decode(&settings.encode()).unwrap(), settings);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/settings.txt"), written, read }.check();
}

/// A machine on which whatever is read is also applied.
fn machine() -> ClusterMachine {
    let mut machine = ClusterMachine::founded(members());
    let acquire = Command::Acquire { kind: LeaseKind::LbLeader, holder: web(1), ask: AskId(300) };
    machine.apply(17, &ClusterCommand::Lease(acquire).encode()).unwrap();
    machine
}

#[test]
fn commands_of_the_cluster_are_applied_or_refused() {
    let acquire = Command::Acquire { kind: LeaseKind::LbLeader, holder: web(1), ask: AskId(300) };
    let written = vec![
        ("lease", ClusterCommand::Lease(acquire).encode()),
        ("member", ClusterCommand::Member(MemberCommand::Remove { id: RaftId(7) }).encode()),
        ("note", ClusterCommand::Note(b"hello".to_vec()).encode()),
    ];
    let read = |bytes: &[u8]| {
        let mut machine = machine();
        machine.apply(40, bytes).map_err(words)?;
        // Whatever a command did, the state can be handed to another member.
        ClusterMachine::new().restore(&machine.snapshot(), &ConfState::default()).unwrap();
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/cluster-command.txt"), written, read }.check();
}

#[test]
fn states_of_the_cluster_are_taken_over_or_refused() {
    let written = vec![("founded", machine().snapshot())];
    let read = |bytes: &[u8]| {
        let (mut one, mut other) = (ClusterMachine::new(), ClusterMachine::new());
        one.restore(bytes, &ConfState::default()).map_err(words)?;
        other.restore(&one.snapshot(), &ConfState::default()).unwrap();
        assert_eq!(one.snapshot(), other.snapshot());
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/cluster-state.txt"), written, read }.check();
}

fn as_text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(words)
}

#[test]
fn join_tokens_are_read_or_refused() {
    let read = |bytes: &[u8]| {
        let token: JoinToken = as_text(bytes)?.parse().map_err(words)?;
        assert_eq!(token.encode().parse::<JoinToken>().unwrap(), token);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/join-token.txt"), written: vec![], read }.check();
}

#[test]
fn names_of_peers_are_read_or_refused() {
    let peer: PeerIdentity = "constellation://home/web-1/7".parse().unwrap();
    let written = vec![("member", peer.to_string().into_bytes())];
    let read = |bytes: &[u8]| {
        let peer: PeerIdentity = as_text(bytes)?.parse().map_err(words)?;
        assert_eq!(peer.to_string().as_bytes(), bytes);
        Ok(())
    };
    Decoder { corpus: include_str!("../corpus/peer-identity.txt"), written, read }.check();
}
