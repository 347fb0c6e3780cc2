//! The promises of [`DnsProvider`], as one suite for every implementation.
//!
//! A world supplies fresh zones; the suite supplies the promises. It ships with the crate, so that a provider that is written
//! elsewhere can be held to them as well.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use constellation_core::{ClusterId, FencingToken};

use crate::{
    desired::Desired,
    owner::{Marker, Owner, owner_of},
    plan::{Change, Policy, plan},
    provider::{DnsError, DnsProvider},
    record::{Found, Record, RecordKind, Ttl, Value},
};

/// The zone of every world.
pub const ZONE: &str = "example.org";

/// Supplies zones.
#[async_trait]
pub trait ContractWorld: Send + Sync {
    /// A provider of a fresh zone [`ZONE`] which holds these records, as somebody else made them.
    async fn zone(&self, foreign: &[Record]) -> Arc<dyn DnsProvider>;
}

/// A promise that was not kept.
#[derive(Debug)]
pub struct BrokenPromise {
    /// The promise, as a sentence.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise.replace('_', " "), self.seen)
    }
}

impl std::error::Error for BrokenPromise {}

struct Trial {
    zone: Arc<dyn DnsProvider>,
    promise: &'static str,
}

impl Trial {
    fn broken(&self, seen: impl fmt::Debug) -> BrokenPromise {
        BrokenPromise { promise: self.promise, seen: format!("{seen:?}") }
    }

    fn check(&self, kept: bool, seen: impl fmt::Debug) -> Result<(), BrokenPromise> {
        if kept { Ok(()) } else { Err(self.broken(seen)) }
    }

    async fn all(&self) -> Result<Vec<Found>, BrokenPromise> {
        let mut all = self.zone.records().await.map_err(|error| self.broken(error))?;
        all.sort_by(|a, b| (&a.name, &a.kind, &a.content).cmp(&(&b.name, &b.kind, &b.content)));
        Ok(all)
    }

    async fn ours(&self) -> Result<Vec<Found>, BrokenPromise> {
        let all = self.all().await?;
        Ok(all.into_iter().filter(|found| matches!(owner_of(found, &cluster()), Owner::Us(_))).collect())
    }

    async fn apply(&self, token: u64, batch: &[Change]) -> Result<(), DnsError> {
        self.zone.apply(batch, &marker(token)).await
    }

    async fn must(&self, token: u64, batch: &[Change]) -> Result<(), BrokenPromise> {
        self.apply(token, batch).await.map_err(|error| self.broken(error))
    }
}

fn cluster() -> ClusterId {
    // Of the form of a cluster's name, so it is one.
    "contract".parse().unwrap_or_else(|_| unreachable!())
}

fn marker(token: u64) -> Marker {
    Marker { cluster: cluster(), token: FencingToken(token) }
}

fn record(name: &str, kind: RecordKind, content: &str) -> Record {
    let name = format!("{name}.{ZONE}");
    let (Ok(name), Some(value)) = (name.parse(), Value::read(kind, content)) else { unreachable!() };
    Record { name, value, ttl: Ttl(120), proxied: false }
}

fn a(name: &str, number: u8) -> Record {
    record(name, RecordKind::A, &format!("203.0.113.{number}"))
}

fn create(to: Record) -> Change {
    Change::Create { to }
}

type Kept = Result<(), BrokenPromise>;

async fn a_created_record_is_found_with_its_marker(trial: &Trial) -> Kept {
    let every_kind = [
        a("a", 1),
        record("a", RecordKind::Aaaa, "2001:db8::1"),
        record("alias", RecordKind::Cname, "a.example.org"),
        record("_web._tcp", RecordKind::Srv, "10 20 443 a.example.org"),
        record("text", RecordKind::Txt, "with \"quotes\", a \\ and a; semicolon"),
        record("long", RecordKind::Txt, &"x".repeat(600)),
        record("*.wild", RecordKind::A, "203.0.113.9"),
    ];
    trial.must(7, &every_kind.clone().map(create)).await?;
    let ours = trial.ours().await?;
    trial.check(ours.len() == every_kind.len(), &ours)?;
    for record in &every_kind {
        let found = ours.iter().filter(|found| found.says(record)).count();
        trial.check(found == 1, (record, &ours))?;
    }
    trial.check(ours.iter().all(|found| owner_of(found, &cluster()) == Owner::Us(FencingToken(7))), &ours)
}

async fn an_update_changes_one_record_and_adds_none(trial: &Trial) -> Kept {
    trial.must(7, &[create(a("a", 1)), create(a("b", 1))]).await?;
    let ours = trial.ours().await?;
    let from = ours.first().cloned().ok_or_else(|| trial.broken(&ours))?;
    trial.must(8, &[Change::Update { from, to: a("a", 2) }]).await?;
    let ours = trial.ours().await?;
    trial.check(ours.len() == 2 && ours.iter().any(|found| found.says(&a("a", 2))), &ours)?;
    let tokens: Vec<_> = ours.iter().map(|found| owner_of(found, &cluster())).collect();
    trial.check(tokens == [Owner::Us(FencingToken(8)), Owner::Us(FencingToken(7))], tokens)
}

async fn a_record_becomes_one_of_another_kind_in_place(trial: &Trial) -> Kept {
    trial.must(7, &[create(a("a", 1)), create(a("a", 2))]).await?;
    let ours = trial.ours().await?;
    let [first, second] = ours.as_slice() else { return Err(trial.broken(ours)) };
    let alias = record("a", RecordKind::Cname, "other.example.net");
    let turn = Change::Update { from: first.clone(), to: alias.clone() };
    trial.must(7, &[Change::Delete { from: second.clone() }, turn]).await?;
    let ours = trial.ours().await?;
    trial.check(ours.len() == 1 && ours.iter().all(|found| found.says(&alias)), ours)
}

async fn a_batch_is_done_whole_or_not_at_all(trial: &Trial) -> Kept {
    trial.must(7, &[create(a("a", 1))]).await?;
    let before = trial.all().await?;
    let refused = trial.apply(7, &[create(a("b", 1)), create(a("a", 1))]).await;
    trial.check(matches!(refused, Err(DnsError::Refused { .. })), refused)?;
    let after = trial.all().await?;
    trial.check(before == after, (before, after))
}

async fn a_change_applied_twice_leaves_one_record(trial: &Trial) -> Kept {
    trial.must(7, &[create(a("a", 1))]).await?;
    // Refused or not: whoever does not know what became of the first time must be able to try.
    let _ = trial.apply(7, &[create(a("a", 1))]).await;
    let ours = trial.ours().await?;
    trial.check(ours.len() == 1, &ours)?;
    let gone: Vec<Change> = ours.into_iter().map(|from| Change::Delete { from }).collect();
    trial.must(7, &gone).await?;
    let _ = trial.apply(7, &gone).await;
    let ours = trial.ours().await?;
    trial.check(ours.is_empty(), ours)
}

async fn a_marker_is_put_on_and_taken_off_and_nothing_else_changes(trial: &Trial) -> Kept {
    let foreign = trial.all().await?;
    let from =
        foreign.iter().find(|found| found.kind == "A").cloned().ok_or_else(|| trial.broken(&foreign))?;
    trial.must(9, &[Change::Stamp { from: from.clone() }]).await?;
    let ours = trial.ours().await?;
    let [stamped] = ours.as_slice() else { return Err(trial.broken(ours)) };
    trial.check(*stamped == Found { comment: stamped.comment.clone(), ..from.clone() }, stamped)?;
    trial.must(9, &[Change::Release { from: stamped.clone() }]).await?;
    let after = trial.all().await?;
    trial.check(after == foreign, (foreign, after))
}

async fn records_of_others_stay_as_they_are(trial: &Trial) -> Kept {
    let before = trial.all().await?;
    trial.must(7, &[create(a("a", 1)), create(record("text", RecordKind::Txt, "ours"))]).await?;
    let ours = trial.ours().await?;
    trial.must(8, &ours.iter().map(|from| Change::Delete { from: from.clone() }).collect::<Vec<_>>()).await?;
    let after = trial.all().await?;
    trial.check(before == after && !before.is_empty(), (before, after))
}

async fn a_plan_that_was_carried_out_leaves_nothing_to_do(trial: &Trial) -> Kept {
    let rules = trial.zone.rules();
    let mut desired = Desired::default();
    for number in 1..=30 {
        let mut record = a(&format!("n{number}"), number);
        record.proxied = number % 3 == 0;
        let (records, _) = rules.name(ZONE, &record.name.clone(), [record.clone()]);
        desired.records.insert(record.name, records);
    }
    let policy = Policy { token: Some(FencingToken(7)), ..Policy::of(cluster()) };
    let first = plan(&desired, &trial.all().await?, &policy);
    for batch in first.batches(rules.batch_max.min(11)) {
        trial.must(7, &batch).await?;
    }
    let second = plan(&desired, &trial.all().await?, &policy);
    trial.check(first.changes.len() == 30 && second.is_empty(), second)
}

/// Holds a provider to every promise. The error is the first one that it broke.
pub async fn provider_contract(world: &dyn ContractWorld) -> Result<usize, BrokenPromise> {
    let foreign = [
        a("theirs", 99),
        record("theirs-text", RecordKind::Txt, "v=spf1 -all"),
        record("old", RecordKind::Cname, "elsewhere.example.net"),
    ];
    let mut kept = 0;
    macro_rules! promises {
        ($($promise:ident),+ $(,)?) => {$(
            let trial = Trial { zone: world.zone(&foreign).await, promise: stringify!($promise) };
            $promise(&trial).await?;
            kept += 1;
        )+};
    }
    promises!(
        a_created_record_is_found_with_its_marker,
        an_update_changes_one_record_and_adds_none,
        a_record_becomes_one_of_another_kind_in_place,
        a_batch_is_done_whole_or_not_at_all,
        a_change_applied_twice_leaves_one_record,
        a_marker_is_put_on_and_taken_off_and_nothing_else_changes,
        records_of_others_stay_as_they_are,
        a_plan_that_was_carried_out_leaves_nothing_to_do,
    );
    Ok(kept)
}
