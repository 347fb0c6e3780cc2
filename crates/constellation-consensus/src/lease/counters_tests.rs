//! What goes wrong where leases are told apart by counters that each node keeps for itself: a successor with a lower one is
//! refused for ever, two leases share one, and nothing ever ends.

use constellation_core::{FencingToken, LeaseHolder, LeaseKind};

use super::{AskId, Command, LeaseTable, Outcome};

const LB: LeaseKind = LeaseKind::LbLeader;
const DNS: LeaseKind = LeaseKind::DnsWriter;

fn process(node: &str, boot: u128) -> LeaseHolder {
    LeaseHolder { node: node.parse().unwrap(), boot }
}

fn acquire(kind: LeaseKind, holder: LeaseHolder, ask: u64) -> Command {
    Command::Acquire { kind, holder, ask: AskId(ask) }
}

#[test]
fn a_successor_is_granted_the_lease_however_few_questions_it_has_asked() {
    let mut table = LeaseTable::new();
    table.apply(10, &acquire(LB, process("a", 1), 900));
    table.apply(11, &Command::Bury { holder: process("a", 1) });
    let granted = table.apply(12, &acquire(LB, process("b", 1), 1));
    assert_eq!(granted, Outcome::Granted { token: FencingToken(12) });
}

#[test]
fn taking_a_second_lease_changes_nothing_about_the_first() {
    let mut table = LeaseTable::new();
    table.apply(10, &acquire(LB, process("a", 1), 1));
    let before = table.record(LB);
    let granted = table.apply(20, &acquire(DNS, process("a", 1), 2));
    assert_eq!(granted, Outcome::Granted { token: FencingToken(20) });
    assert_eq!(table.record(LB), before);
    let renew = Command::Renew { kind: LB, holder: process("a", 1), ask: AskId(3), token: FencingToken(10) };
    assert_eq!(table.apply(21, &renew), Outcome::Renewed { token: FencingToken(10) });
}

#[test]
fn a_lease_whose_holder_falls_silent_ends_and_the_next_token_is_higher() {
    let mut table = LeaseTable::new();
    table.apply(10, &acquire(LB, process("a", 1), 1));
    let expire = Command::Expire { kind: LB, token: FencingToken(10), as_of: 10 };
    assert_eq!(table.apply(11, &expire), Outcome::Done);
    assert_eq!(table.record(LB).holder(), None);
    let granted = table.apply(12, &acquire(LB, process("b", 1), 1));
    assert_eq!(granted, Outcome::Granted { token: FencingToken(12) });
    // What the old holder still says under its token is not heard.
    let late = Command::Renew { kind: LB, holder: process("a", 1), ask: AskId(2), token: FencingToken(10) };
    assert!(matches!(table.apply(13, &late), Outcome::Refused(_)));
}
