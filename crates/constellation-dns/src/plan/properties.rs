//! What holds for every zone and every wish.

use constellation_core::FencingToken;
use proptest::{prelude::*, strategy::Strategy};

use super::{
    BTreeMap, BTreeSet, Change, ClusterId, Desired, Found, Owner, Plan, Policy, Record, RecordName, after,
    apply, owner_of, plan,
};
use crate::{
    owner::Marker,
    record::{RecordId, RecordKind, Ttl, Value},
    rules::Rules,
};

const ZONE: &str = "example.org";

fn any_record() -> impl Strategy<Value = Record> {
    let name = prop_oneof![Just("@".to_owned()), "[a-e]", Just("*".to_owned())];
    let value = prop_oneof![
        4 => (1u8..6).prop_map(|n| Value::A([203, 0, 113, n].into())),
        2 => (1u16..4).prop_map(|n| Value::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into())),
        1 => (1u8..3).prop_map(|n| Value::read(RecordKind::Cname, &format!("x{n}.example.net")).unwrap()),
        1 => (1u8..3).prop_map(|n| Value::Txt(format!("text {n}"))),
        1 => (1u16..3).prop_map(|n| Value::read(RecordKind::Srv, &format!("1 1 {n} x.example.org")).unwrap()),
    ];
    (name, value, prop_oneof![Just(1u32), Just(60), Just(300)], any::<bool>()).prop_map(
        |(name, value, ttl, proxied)| {
            let name = if name == "@" { ZONE.to_owned() } else { format!("{name}.{ZONE}") };
            Record { name: name.parse().unwrap(), value, ttl: Ttl(ttl), proxied }
        },
    )
}

fn desired_of(records: Vec<Record>) -> Desired {
    let mut by_name: BTreeMap<RecordName, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_name.entry(record.name.clone()).or_default().push(record);
    }
    let mut desired = Desired::default();
    for (name, records) in by_name {
        let (records, _) = Rules::CLOUDFLARE.name(ZONE, &name, records);
        if !records.is_empty() {
            desired.records.insert(name, records);
        }
    }
    desired
}

fn any_desired() -> impl Strategy<Value = Desired> {
    proptest::collection::vec(any_record(), 0..20).prop_map(desired_of)
}

fn any_zone() -> impl Strategy<Value = Vec<Found>> {
    let comment = prop_oneof![
        4 => (0u64..8).prop_map(|token| Some(format!("constellation/home/{token}"))),
        1 => Just(None),
        1 => Just(Some("by hand".to_owned())),
        1 => Just(Some("constellation/other/99".to_owned())),
    ];
    let marker = Marker { cluster: "home".parse().unwrap(), token: FencingToken(0) };
    let foreign_kind = prop_oneof![8 => Just(None), 1 => Just(Some("MX")), 1 => Just(Some("NS"))];
    proptest::collection::vec((any_record(), comment, foreign_kind), 0..25).prop_map(move |records| {
        (0..)
            .zip(records)
            .map(|(number, (record, comment, kind))| {
                let mut found = apply::written(&record, RecordId(format!("{number}")), &marker);
                found.comment = comment;
                if let Some(kind) = kind {
                    (found.kind, found.value) = (kind.to_owned(), None);
                }
                found
            })
            .collect()
    })
}

fn us() -> ClusterId {
    "home".parse().unwrap()
}

fn policy(force: bool) -> Policy {
    Policy { token: Some(FencingToken(10)), force, ..Policy::of(us()) }
}

fn carried_out(zone: &[Found], plan: &Plan) -> Vec<Found> {
    let mut next = 0;
    let marker = Marker { cluster: us(), token: FencingToken(10) };
    after(zone, plan, &marker, || {
        next += 1;
        RecordId(format!("new-{next}"))
    })
}

fn is_ours(found: &Found) -> bool {
    matches!(owner_of(found, &us()), Owner::Us(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(desired in any_desired(), zone in any_zone(), force: bool) {
        let first = plan(&desired, &zone, &policy(force));
        let second = plan(&desired, &carried_out(&zone, &first), &policy(force));
        prop_assert!(second.is_empty(), "{first}\nthen\n{second}");
    }

    #[test]
    fn records_of_others_are_never_in_a_plan(desired in any_desired(), zone in any_zone(), force: bool) {
        let plan = plan(&desired, &zone, &policy(force));
        for change in &plan.changes {
            if let Change::Delete { from } | Change::Update { from, .. } | Change::Stamp { from } = change {
                prop_assert!(is_ours(from) && from.value.is_some(), "{change}");
            }
        }
        let others = |zone: &[Found]| zone.iter().filter(|found| !is_ours(found)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(others(&zone), others(&carried_out(&zone, &plan)));
    }

    #[test]
    fn no_name_loses_its_last_address(desired in any_desired(), zone in any_zone()) {
        let plan = plan(&desired, &zone, &policy(false));
        let answered = |zone: &[Found]| {
            let address = |found: &&Found| matches!(found.kind.as_str(), "A" | "AAAA" | "CNAME");
            zone.iter().filter(address).map(|found| found.name.clone()).collect::<BTreeSet<_>>()
        };
        let (before, after) = (answered(&zone), answered(&carried_out(&zone, &plan)));
        prop_assert!(before.is_subset(&after), "{plan}");
    }

    #[test]
    fn a_shrinking_wish_never_removes_more_than_the_guard(
        records in proptest::collection::vec(any_record(), 10..40), keep in 0usize..40,
    ) {
        let whole = desired_of(records.clone());
        let zone = carried_out(&[], &plan(&whole, &[], &policy(false)));
        let rest = desired_of(records.into_iter().take(keep).collect());
        let plan = plan(&rest, &zone, &policy(false));
        let removed = plan.counts().2;
        let creates = plan.counts().0;
        prop_assert!(zone.len() + creates < 10 || removed * 100 <= (zone.len() + creates) * 30, "{plan}");
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(desired in any_desired(), zone in any_zone(), seed: u64) {
        let mut shuffled = zone.clone();
        for i in (1..shuffled.len()).rev() {
            let j = usize::try_from(seed.rotate_left(u32::try_from(i).unwrap()) % (i as u64 + 1)).unwrap();
            shuffled.swap(i, j);
        }
        let (a, b) = (plan(&desired, &zone, &policy(false)), plan(&desired, &shuffled, &policy(false)));
        prop_assert_eq!(a.counts(), b.counts());
        // Which of two equal records is which may differ; what the zone says in the end does not.
        let says = |zone: Vec<Found>| {
            let mut all: Vec<_> = zone.into_iter().map(|found| (found.name, found.kind, found.content, found.ttl, found.proxied)).collect();
            all.sort();
            all
        };
        prop_assert_eq!(says(carried_out(&zone, &a)), says(carried_out(&shuffled, &b)));
    }
}
