use super::*;

fn process(node: &str, boot: u128) -> LeaseHolder {
    LeaseHolder { node: node.parse().unwrap(), boot }
}

fn granted(node: &str, boot: u128, token: u64) -> Claim {
    Claim::Granted { node: node.parse().unwrap(), boot: Some(boot), token: FencingToken(token) }
}

fn ended(token: u64) -> Claim {
    Claim::Ended { token: FencingToken(token), heir: Heir::Nobody }
}

fn renewed(node: &str, token: u64) -> Claim {
    Claim::Renewed { holder: process(node, 1), token: FencingToken(token) }
}

fn history(operations: &[(u64, u64, Claim)]) -> Vec<Operation> {
    let operation = |(after, before, claim): &(u64, u64, Claim)| Operation {
        after: *after,
        before: *before,
        claim: claim.clone(),
    };
    operations.iter().map(operation).collect()
}

fn is_explained(operations: &[(u64, u64, Claim)]) -> bool {
    match explain(&history(operations)) {
        Verdict::Explained => true,
        Verdict::Unexplained(_) => false,
        Verdict::Undecided => panic!("a history this small is decided"),
    }
}

#[test]
fn tenures_that_follow_each_other_are_explained() {
    assert!(is_explained(&[
        (1, 4, granted("a", 1, 2)),
        (5, 8, renewed("a", 2)),
        (2, 9, Claim::HeldBy(process("a", 1))),
        (0, 10, ended(2)),
        (9, 12, granted("b", 1, 7)),
        (3, 13, Claim::NotHeld { holder: process("a", 1), token: FencingToken(2) }),
    ]));
}

#[test]
fn an_answer_that_comes_late_may_have_been_right_earlier() {
    let late = (3, 30, renewed("a", 2));
    assert!(is_explained(&[
        (1, 2, granted("a", 1, 2)),
        late,
        (0, 10, ended(2)),
        (11, 12, granted("b", 1, 5))
    ]));
}

#[test]
fn a_renewal_that_was_asked_after_the_end_was_seen_is_not_explained() {
    let operations = history(&[(1, 2, granted("a", 1, 2)), (0, 10, ended(2)), (11, 12, renewed("a", 2))]);
    assert_eq!(explain(&operations), Verdict::Unexplained(operations[2].clone()));
}

#[test]
fn two_grants_without_an_end_between_them_are_not_explained() {
    assert!(!is_explained(&[(1, 4, granted("a", 1, 2)), (2, 6, granted("b", 1, 3))]));
    assert!(is_explained(&[(1, 4, granted("a", 1, 2)), (2, 6, granted("a", 1, 3))]), "its own again");
    assert!(!is_explained(&[(1, 4, granted("a", 1, 2)), (2, 6, granted("a", 2, 3))]), "another run of it");
}

#[test]
fn a_token_that_does_not_rise_is_not_explained() {
    assert!(!is_explained(&[(1, 2, granted("a", 1, 5)), (3, 4, ended(5)), (5, 6, granted("b", 1, 5)),]));
}

#[test]
fn a_refusal_that_names_who_let_go_before_the_question_is_not_explained() {
    let before = [(1, 2, granted("a", 1, 5)), (3, 4, ended(5))];
    let refusal = |after| (after, 6, Claim::HeldBy(process("a", 1)));
    assert!(is_explained(&[&before[..], &[refusal(3)]].concat()));
    assert!(!is_explained(&[&before[..], &[refusal(5)]].concat()));
}

#[test]
fn a_tenure_ends_once() {
    assert!(!is_explained(&[(1, 2, granted("a", 1, 5)), (0, 4, ended(5)), (0, 8, ended(5))]));
}

#[test]
fn a_lease_that_is_kept_for_an_heir_is_refused_in_its_name() {
    let heir = |node: Option<&str>| Heir::Somebody(node.map(|node| node.parse().unwrap()));
    let with = |heir| {
        [
            (1, 2, granted("a", 1, 5)),
            (3, 4, Claim::Ended { token: FencingToken(5), heir }),
            (5, 6, Claim::ReservedFor("b".parse().unwrap())),
            (7, 8, granted("c", 1, 9)),
        ]
    };
    assert!(is_explained(&with(heir(Some("b")))));
    assert!(is_explained(&with(heir(None))), "whoever it was");
    assert!(!is_explained(&with(heir(Some("c")))));
    assert!(!is_explained(&with(Heir::Nobody)));
}

/// Every order of the operations is tried: slow, and too simple to be wrong.
fn is_explained_by_trying(operations: &[Operation]) -> bool {
    fn from(left: &[Operation], lease: &Lease) -> bool {
        let first_end = left.iter().map(|operation| operation.before).min();
        left.is_empty()
            || left.iter().enumerate().any(|(at, operation)| {
                let mut rest = left.to_vec();
                rest.remove(at);
                first_end.is_some_and(|end| operation.after <= end)
                    && lease.after(&operation.claim).is_some_and(|lease| from(&rest, &lease))
            })
    }
    from(operations, &Lease::new())
}

mod chance {
    use proptest::prelude::*;

    use super::*;

    fn claims() -> impl Strategy<Value = Claim> {
        let node = || prop::sample::select(vec!["a", "b"]);
        prop_oneof![
            3 => (node(), 1..4_u64).prop_map(|(node, token)| granted(node, 1, token)),
            3 => (1..4_u64).prop_map(ended),
            2 => (node(), 1..4_u64).prop_map(|(node, token)| renewed(node, token)),
            2 => node().prop_map(|node| Claim::HeldBy(process(node, 1))),
            1 => (node(), 1..4_u64)
                .prop_map(|(node, token)| Claim::NotHeld { holder: process(node, 1), token: FencingToken(token) }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_search_finds_an_order_exactly_where_trying_all_does(
            operations in prop::collection::vec((0..20_u64, 1..8_u64, claims()), 0..7),
        ) {
            let operations: Vec<(u64, u64, Claim)> =
                operations.into_iter().map(|(after, length, claim)| (after, after + length, claim)).collect();
            prop_assert_eq!(is_explained(&operations), is_explained_by_trying(&history(&operations)));
        }
    }
}
