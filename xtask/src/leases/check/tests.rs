//! Histories written down: good ones that must pass, and bad ones that must not.

use super::*;
use crate::{
    clock::BootTime,
    leases::history::{
        Deed, Process, Sighting,
        tests::{acts, process},
    },
};

fn at(millis: u64) -> BootTime {
    BootTime(millis * 1_000_000)
}

/// `node` says that `holder` has the lease under `token`.
fn says(history: &mut History, node: &str, holder: Option<Process>, token: u64) {
    let (by, lease) = (process(node, "1"), "lb".to_owned());
    history.see(Sighting { at: at(1), by, lease, holder, token, may_act: false });
}

/// What `node` got under `token`, in the eyes of somebody.
fn granted(node: &str, token: u64) -> Deed {
    Deed { lease: "lb".to_owned(), token, deed: "granted".to_owned(), node: node.to_owned() }
}

fn commit(asked: u64, answered: u64, index: u64) -> Commit {
    Commit { asked: at(asked), answered: at(answered), index }
}

#[test]
fn nothing_seen_breaks_nothing() {
    assert_eq!(check(&History::default()), []);
}

#[test]
fn a_lease_that_goes_from_hand_to_hand_is_fine() {
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 10, 20]);
    acts(&mut history, "b", 9, &[21, 30]);
    acts(&mut history, "a", 12, &[31, 400]);
    assert_eq!(check(&history), []);
}

#[test]
fn two_holders_at_one_instant_are_found() {
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 20]);
    acts(&mut history, "b", 9, &[20, 30]);
    let found = check(&history);
    assert!(matches!(found[..], [Violation::TwoHolders { .. }]), "{found:?}");
}

#[test]
fn a_holder_that_was_not_seen_acting_in_between_still_overlaps() {
    // `a` acted under one token before and after `b` did: the lease cannot have been b's in between.
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 100]);
    acts(&mut history, "b", 9, &[40, 60]);
    let found = check(&history);
    assert!(
        matches!(&found[..], [Violation::TwoHolders { later, .. }] if later.process.node == "b"),
        "{found:?}"
    );
}

#[test]
fn a_short_overlap_behind_a_long_tenure_is_found() {
    // The neighbours by beginning do not overlap; the first and the last do.
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 100]);
    acts(&mut history, "b", 6, &[10, 20]);
    acts(&mut history, "c", 7, &[90, 95]);
    let pairs = check(&history);
    assert_eq!(pairs.len(), 2, "{pairs:?}");
}

#[test]
fn two_processes_of_one_node_are_two_holders() {
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 20]);
    let by = process("a", "2");
    history.see(Sighting {
        at: at(15),
        by: by.clone(),
        lease: "lb".to_owned(),
        holder: Some(by),
        token: 6,
        may_act: true,
    });
    let found = check(&history);
    assert!(matches!(found[..], [Violation::TwoHolders { .. }]), "{found:?}");
}

#[test]
fn leases_do_not_disturb_each_other() {
    let mut history = History::default();
    acts(&mut history, "a", 5, &[0, 20]);
    let by = process("b", "1");
    history.see(Sighting {
        at: at(10),
        by: by.clone(),
        lease: "dns".to_owned(),
        holder: Some(by),
        token: 4,
        may_act: true,
    });
    assert_eq!(check(&history), []);
}

#[test]
fn a_token_that_comes_back_or_stays_is_found() {
    for later in [4, 5] {
        let mut history = History::default();
        acts(&mut history, "a", 5, &[0, 20]);
        acts(&mut history, "b", later, &[30, 40]);
        let found = check(&history);
        let risen = found.iter().any(|found| matches!(found, Violation::TokenNotHigher { .. }));
        assert!(risen, "token {later}: {found:?}");
    }
}

#[test]
fn a_token_that_two_tables_give_to_two_processes_is_found() {
    let mut history = History::default();
    says(&mut history, "a", Some(process("a", "1")), 5);
    says(&mut history, "b", Some(process("a", "1")), 5);
    says(&mut history, "c", None, 5);
    says(&mut history, "c", Some(process("c", "1")), 4);
    assert_eq!(check(&history), [], "it may have been let go, and who is behind may know an earlier one");
    says(&mut history, "c", Some(process("a", "2")), 5);
    let found = check(&history);
    assert!(matches!(&found[..], [Violation::TokenGivenTwice { token: 5, .. }]), "{found:?}");
    assert!(found[0].to_string().ends_with("a/1 (say a, b); a/2 (say c)"), "{}", found[0]);
}

#[test]
fn a_token_that_falls_along_the_log_is_found_whoever_tells() {
    let mut history = History::default();
    history.recorded("a", 5, granted("a", 5));
    history.recorded("b", 9, granted("b", 9));
    assert_eq!(check(&history), []);
    history.recorded("c", 11, granted("a", 3));
    assert!(matches!(check(&history)[..], [Violation::TokenWentBack { before: (9, 9), after: (11, 3), .. }]));
}

#[test]
fn two_pasts_of_one_entry_are_found() {
    let mut history = History::default();
    history.recorded("a", 5, granted("a", 5));
    history.recorded("b", 5, granted("a", 5));
    assert_eq!(check(&history), []);
    history.recorded("c", 5, granted("c", 5));
    assert!(matches!(check(&history)[..], [Violation::DifferentPast { index: 5, .. }]));
}

#[test]
fn commits_side_by_side_may_be_answered_in_any_order() {
    let mut history = History::default();
    for each in [commit(0, 10, 8), commit(1, 9, 7), commit(11, 12, 9)] {
        history.committed(each);
    }
    assert_eq!(check(&history), []);
}

#[test]
fn a_commit_that_was_answered_and_then_overwritten_is_found() {
    let mut history = History::default();
    history.committed(commit(0, 10, 8));
    history.committed(commit(20, 30, 8));
    assert_eq!(check(&history), [Violation::PlaceTakenTwice { index: 8 }]);
    let mut history = History::default();
    history.committed(commit(0, 10, 8));
    history.committed(commit(20, 30, 6));
    assert_eq!(check(&history), [Violation::CommitLost { answered: 8, later: 6 }]);
}
