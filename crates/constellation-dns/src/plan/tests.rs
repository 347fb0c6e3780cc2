use constellation_core::FencingToken;

use super::*;
use crate::{
    owner::Marker,
    record::{RecordId, RecordKind, Ttl, Value},
};

const ZONE: &str = "example.org";

fn record(name: &str, content: &str) -> Record {
    let kind = match content {
        text if text.contains(':') => RecordKind::Aaaa,
        text if text.ends_with(|c: char| c.is_ascii_digit()) => RecordKind::A,
        _ => RecordKind::Cname,
    };
    let value = Value::read(kind, content).unwrap();
    Record { name: name.parse().unwrap(), value, ttl: Ttl(60), proxied: false }
}

fn found(id: &str, name: &str, content: &str, comment: Option<&str>) -> Found {
    let marker = Marker { cluster: "home".parse().unwrap(), token: FencingToken(0) };
    Found {
        comment: comment.map(str::to_owned),
        ..apply::written(&record(name, content), RecordId(id.to_owned()), &marker)
    }
}

fn ours(id: &str, name: &str, content: &str) -> Found {
    found(id, name, content, Some("constellation/home/7"))
}

fn wishes(records: &[(&str, &str)]) -> Desired {
    let mut desired = Desired::default();
    for (name, content) in records {
        let record = record(name, content);
        desired.records.entry(record.name.clone()).or_default().push(record);
    }
    desired
}

fn policy() -> Policy {
    Policy { token: Some(FencingToken(7)), ..Policy::of("home".parse().unwrap()) }
}

fn deeds(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|change| match change {
            Change::Delete { from } => format!("delete {}", from.id),
            Change::Update { from, to } => format!("update {} to {}", from.id, to.value),
            Change::Stamp { from } => format!("stamp {}", from.id),
            Change::Release { from } => format!("release {}", from.id),
            Change::Create { to } => format!("create {} {}", to.name, to.value),
        })
        .collect()
}

#[test]
fn a_moved_address_is_one_update_in_place() {
    let zone = [ours("1", ZONE, "203.0.113.1")];
    let plan = plan(&wishes(&[(ZONE, "203.0.113.2")]), &zone, &policy());
    assert_eq!(deeds(&plan), ["update 1 to 203.0.113.2"]);
}

#[test]
fn what_is_right_stays_and_the_rest_is_turned_into_what_is_missing() {
    let zone =
        [ours("1", ZONE, "203.0.113.1"), ours("2", ZONE, "203.0.113.2"), ours("3", ZONE, "203.0.113.3")];
    let desired = wishes(&[(ZONE, "203.0.113.2"), (ZONE, "203.0.113.4")]);
    assert_eq!(deeds(&plan(&desired, &zone, &policy())), ["delete 3", "update 1 to 203.0.113.4"]);
}

#[test]
fn addresses_become_another_name_without_a_moment_of_both() {
    let zone = [ours("1", "a.example.org", "203.0.113.1"), ours("2", "a.example.org", "203.0.113.2")];
    let desired = wishes(&[("a.example.org", "other.example.net")]);
    assert_eq!(deeds(&plan(&desired, &zone, &policy())), ["delete 2", "update 1 to other.example.net"]);
}

#[test]
fn a_foreign_record_on_a_wanted_name_is_refused_with_the_way_to_adopt_it() {
    for (comment, word) in
        [(None, "not ours"), (Some("mine"), "not ours"), (Some("constellation/other/9"), "cluster other")]
    {
        let zone = [found("1", "a.example.org", "203.0.113.1", comment)];
        let plan = plan(&wishes(&[("a.example.org", "203.0.113.2")]), &zone, &policy());
        assert!(plan.is_empty());
        let said = plan.refused[0].to_string();
        assert!(said.contains(word) && said.contains("dns adopt a.example.org"), "{said}");
    }
}

#[test]
fn text_of_others_beside_ours_is_no_conflict() {
    let text = |value: &str| Record { value: Value::Txt(value.to_owned()), ..record(ZONE, "203.0.113.1") };
    let mut theirs = found("1", ZONE, "203.0.113.1", None);
    theirs = Found { kind: "TXT".to_owned(), value: Some(Value::Txt("v=spf1".to_owned())), ..theirs };
    let mut desired = Desired::default();
    desired.records.insert(ZONE.parse().unwrap(), vec![text("ours")]);
    assert_eq!(deeds(&plan(&desired, &[theirs], &policy())), ["create example.org ours"]);
}

#[test]
fn nothing_is_written_below_a_delegation() {
    let ns = |id: &str, name: &str| Found {
        kind: "NS".to_owned(),
        value: None,
        ..found(id, name, "ns.example.net", None)
    };
    let zone = [ns("1", ZONE), ns("2", "sub.example.org")];
    let desired = wishes(&[("a.sub.example.org", "203.0.113.1"), ("a.example.org", "203.0.113.1")]);
    let plan = plan(&desired, &zone, &policy());
    assert_eq!(deeds(&plan), ["create a.example.org 203.0.113.1"]);
    assert!(plan.refused[0].to_string().contains("sub.example.org is delegated"));
}

#[test]
fn the_last_address_of_a_name_is_left_to_people() {
    let zone = [ours("1", "old.example.org", "203.0.113.1"), ours("2", "old.example.org", "2001:db8::1")];
    let careful = plan(&Desired::default(), &zone, &policy());
    assert!(careful.is_empty() && careful.refused.len() == 2, "{careful}");
    let forced = plan(&Desired::default(), &zone, &Policy { force: true, ..policy() });
    assert_eq!(deeds(&forced), ["delete 1", "delete 2"]);
}

#[test]
fn names_of_which_nothing_is_known_stay() {
    let zone = [ours("1", ZONE, "203.0.113.1"), ours("2", ZONE, "203.0.113.2")];
    let mut desired = Desired::default();
    desired.keep.insert(ZONE.parse().unwrap());
    let plan = plan(&desired, &zone, &policy());
    assert!(plan.is_empty() && plan.refused.is_empty());
}

#[test]
fn too_much_at_once_is_held_back_and_the_rest_is_done() {
    let zone: Vec<Found> = (1..=6)
        .flat_map(|n| {
            let name = format!("n{n}.example.org");
            [ours(&format!("{n}a"), &name, "203.0.113.1"), ours(&format!("{n}b"), &name, "203.0.113.2")]
        })
        .collect();
    let names: Vec<String> = (1..=6).map(|n| format!("n{n}.example.org")).collect();
    let mut wanted: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "203.0.113.1")).collect();
    wanted.push(("new.example.org", "203.0.113.1"));
    let careful = plan(&wishes(&wanted), &zone, &policy());
    assert_eq!(deeds(&careful), ["create new.example.org 203.0.113.1"]);
    assert!(matches!(careful.refused[..], [Refusal::TooMany { removals: 6, owned: 13, percent: 30 }]));
    let two_machines = Policy { guard: Guard::default().of_machines(2), ..policy() };
    assert_eq!(plan(&wishes(&wanted), &zone, &two_machines).counts(), (1, 0, 6));
    assert_eq!(plan(&wishes(&wanted), &zone, &Policy { force: true, ..policy() }).counts(), (1, 0, 6));
}

#[test]
fn kinds_that_are_never_written_are_never_touched_even_with_our_marker() {
    for kind in ["NS", "MX", "SOA", "CAA"] {
        let marked =
            Found { kind: kind.to_owned(), value: None, ..ours("1", "a.example.org", "x.example.net") };
        for force in [false, true] {
            let plan =
                plan(&Desired::default(), std::slice::from_ref(&marked), &Policy { force, ..policy() });
            assert!(plan.is_empty());
            assert!(matches!(plan.refused[..], [Refusal::Untouchable { .. }]));
        }
    }
}

#[test]
fn a_newer_writer_is_never_overwritten() {
    let zone = [found("1", ZONE, "203.0.113.1", Some("constellation/home/8"))];
    let plan = plan(&wishes(&[(ZONE, "203.0.113.2")]), &zone, &Policy { force: true, ..policy() });
    assert!(plan.is_empty());
    assert!(matches!(plan.refused[..], [Refusal::NewerWriter { .. }]));
}

#[test]
fn a_new_writer_says_so_once_even_where_nothing_else_is_to_do() {
    let zone = [ours("1", ZONE, "203.0.113.1"), ours("2", "a.example.org", "203.0.113.1")];
    let desired = wishes(&[(ZONE, "203.0.113.1"), ("a.example.org", "203.0.113.1")]);
    let newer = Policy { token: Some(FencingToken(9)), ..policy() };
    let first = plan(&desired, &zone, &newer);
    assert_eq!(deeds(&first), ["stamp 2"]);
    let marker = Marker { cluster: "home".parse().unwrap(), token: FencingToken(9) };
    let zone = after(&zone, &first, &marker, || RecordId("new".to_owned()));
    assert!(plan(&desired, &zone, &newer).is_empty());
    assert!(matches!(plan(&desired, &zone, &policy()).refused[..], [Refusal::NewerWriter { .. }]));
}

#[test]
fn strategies_take_away_what_they_forbid() {
    let zone = [
        ours("1", ZONE, "203.0.113.1"),
        ours("2", ZONE, "203.0.113.3"),
        ours("3", "a.example.org", "203.0.113.1"),
    ];
    let desired =
        wishes(&[(ZONE, "203.0.113.1"), ("a.example.org", "203.0.113.2"), ("b.example.org", "203.0.113.2")]);
    let counts = |strategy| plan(&desired, &zone, &Policy { strategy, ..policy() }).counts();
    assert_eq!(counts(Strategy::Sync), (1, 1, 1));
    assert_eq!(counts(Strategy::UpsertOnly), (1, 1, 0));
    assert_eq!(counts(Strategy::CreateOnly), (1, 0, 0));
}

#[test]
fn what_is_done_to_one_name_goes_in_one_batch() {
    let zone: Vec<Found> =
        (0..4).map(|n| ours(&n.to_string(), &format!("n{n}.example.org"), "203.0.113.9")).collect();
    let names: Vec<String> = (0..4).map(|n| format!("n{n}.example.org")).collect();
    let wanted: Vec<(&str, &str)> =
        names.iter().flat_map(|name| ["203.0.113.1", "203.0.113.2"].map(|to| (name.as_str(), to))).collect();
    let plan = plan(&wishes(&wanted), &zone, &policy());
    let batches = plan.batches(3);
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2]);
    for batch in batches {
        assert!(batch.iter().all(|change| change.name() == batch[0].name()));
        assert!(matches!(batch[0], Change::Update { .. }));
    }
}
