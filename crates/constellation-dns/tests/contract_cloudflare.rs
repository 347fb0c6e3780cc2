//! The real Cloudflare client against the simulator, over HTTP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails as a test does")]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use constellation_core::FencingToken;
use constellation_dns::{
    Change, DnsError, DnsProvider, Marker, Record, RecordKind, Retry, Ttl, Value,
    contract::{ContractWorld, ZONE, provider_contract},
};
use constellation_testkit::cloudflare::{Fault, Limits, Rights, Simulator, StoredRecord, Token};
use support::World;

struct Simulated;

#[async_trait]
impl ContractWorld for Simulated {
    async fn zone(&self, foreign: &[Record]) -> Arc<dyn DnsProvider> {
        let world = World::start(Limits::default()).await;
        for record in foreign {
            let content = match &record.value {
                Value::Txt(text) => format!("\"{text}\""),
                value => value.to_string(),
            };
            world
                .simulator
                .create(ZONE, stored(record.name.as_str(), record.value.kind().as_str(), &content))
                .unwrap();
        }
        let client = world.client(Some(""));
        // It lives as long as the test does.
        std::mem::forget(world);
        Arc::new(client)
    }
}

fn stored(name: &str, kind: &str, content: &str) -> StoredRecord {
    StoredRecord {
        id: String::new(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        content: content.to_owned(),
        data: None,
        ttl: 120,
        proxied: false,
        comment: None,
    }
}

fn create(name: &str, number: u8) -> Change {
    let value = Value::A([203, 0, 113, number].into());
    Change::Create {
        to: Record { name: format!("{name}.{ZONE}").parse().unwrap(), value, ttl: Ttl(60), proxied: false },
    }
}

fn marker() -> Marker {
    Marker { cluster: "home".parse().unwrap(), token: FencingToken(7) }
}

#[tokio::test]
async fn cloudflare_keeps_the_contract() {
    assert_eq!(provider_contract(&Simulated).await.map_err(|broken| broken.to_string()), Ok(8));
}

#[tokio::test]
async fn every_page_is_read_and_kinds_that_nobody_knows_do_no_harm() {
    let world = World::start(Limits { records_max: 5000, ..Limits::default() }).await;
    for number in 0..2500 {
        world.simulator.create(ZONE, stored(&format!("n{number}"), "A", "203.0.113.1")).unwrap();
    }
    world.simulator.create(ZONE, stored("caa", "CAA", "0 issue \"letsencrypt.org\"")).unwrap();
    let client = world.client(None);
    let all = client.records().await.unwrap();
    assert_eq!((all.len(), client.usage().requests), (2501, 4), "the zone's id and three pages");
    assert!(all.iter().any(|found| found.kind == "CAA" && found.value.is_none()));
}

#[tokio::test]
async fn a_page_that_is_cut_short_is_an_error_and_never_a_shorter_zone() {
    let world = World::start(Limits::default()).await;
    for number in 0..20 {
        world.simulator.create(ZONE, stored(&format!("n{number}"), "A", "203.0.113.1")).unwrap();
    }
    let client = world.client(Some(""));
    world.simulator.faults([Fault::TruncatedPage, Fault::TruncatedPage]);
    let error = client.records().await.unwrap_err();
    assert!(matches!(error, DnsError::Incomplete { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
}

#[tokio::test]
async fn too_many_requests_are_answered_by_waiting_as_long_as_was_said() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    world.simulator.faults([Fault::TooManyRequests(7)]);
    let Err(DnsError::RateLimited { wait, .. }) = client.records().await else { panic!("it was let in") };
    assert!(wait >= Duration::from_secs(7) && wait < Duration::from_secs(9), "{wait:?}");
    let asked = client.usage().requests;
    assert!(matches!(client.records().await, Err(DnsError::RateLimited { .. })));
    assert_eq!(client.usage().requests, asked, "nothing is sent meanwhile");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_told_from_one_that_was_refused() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    world.simulator.faults([Fault::BrokenAfterwards]);
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(client.records().await.unwrap().len(), 1, "it was done");
    world.simulator.faults([Fault::Status(502)]);
    assert!(client.apply(&[create("b", 1)], &marker()).await.unwrap_err().is_unknown());
    world.simulator.faults([Fault::Status(503)]);
    let error = client.records().await.unwrap_err();
    assert!(matches!(error, DnsError::Unreachable { .. }), "{error}");
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(matches!(&error, DnsError::Refused { code: Some(81058), .. }), "{error}");
    assert!(error.to_string().contains("adopt"), "{error}");
}

#[tokio::test]
async fn a_batch_of_which_half_was_done_is_an_error_and_the_next_look_sees_what_is_there() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    world.simulator.faults([Fault::HalfABatch]);
    let error = client.apply(&[create("a", 1), create("b", 2)], &marker()).await.unwrap_err();
    let there = client.records().await.unwrap();
    assert_eq!(there.len(), 1, "{error}");
    client.apply(&[create("b", 2)], &marker()).await.unwrap();
    assert_eq!(client.records().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_from_before_the_last_change_is_put_right_by_the_next_one() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    client.apply(&[create("a", 1)], &marker()).await.unwrap();
    world.simulator.faults([Fault::StaleList]);
    assert_eq!(client.records().await.unwrap().len(), 0, "as it was before");
    // Whoever believes it makes the record again, and hears that it is there: nothing is doubled.
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(matches!(&error, DnsError::Refused { .. }), "{error}");
    assert_eq!(client.records().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_in_an_unknown_deed_and_not_in_a_wait_without_end() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    world.simulator.faults([Fault::SilentAfterwards]);
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(client.records().await.unwrap().len(), 1, "it was done");
}

#[tokio::test]
async fn a_clock_over_there_that_is_wrong_changes_nothing() {
    let world = World::start(Limits::default()).await;
    let client = world.client(Some(""));
    for (minutes, name, records) in [(-90, "behind", 1), (90, "ahead", 2)] {
        world.simulator.skew_clock(minutes * 60);
        world.simulator.faults([Fault::TooManyRequests(2)]);
        let fresh = world.client(Some(""));
        let Err(DnsError::RateLimited { wait, .. }) = fresh.records().await else { panic!("it was let in") };
        assert!(
            wait >= Duration::from_secs(2) && wait < Duration::from_secs(4),
            "{minutes} min off: {wait:?}"
        );
        client.apply(&[create(name, 1)], &marker()).await.unwrap();
        assert_eq!(client.records().await.unwrap().len(), records);
    }
}

#[tokio::test]
async fn a_token_that_is_no_good_is_told_with_what_helps() {
    let world = World::start(Limits::default()).await;
    let of = |status: &str, rights, zones: &[&str]| Token {
        status: status.to_owned(),
        rights,
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
    };
    world.simulator.set_token("expired", of("expired", Rights::Edit, &[ZONE]));
    world.simulator.set_token("reader", of("active", Rights::Read, &[ZONE]));
    world.simulator.set_token("other", of("active", Rights::Edit, &["example.net"]));
    for (token, word) in
        [("nonsense", "no valid API token"), ("expired", "expired"), ("other", "no zone example.org")]
    {
        world.write_token(token);
        let error = world.client(None).records().await.unwrap_err();
        assert!(error.to_string().contains(word), "{token}: {error}");
        assert_eq!(error.retry(), Retry::Mended);
        assert!(!format!("{error:?}").contains(&format!("\"{token}\"")), "the token is not told");
    }
    world.write_token("reader");
    let client = world.client(None);
    assert!(client.records().await.unwrap().is_empty());
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(matches!(error, DnsError::Denied { .. }) && error.to_string().contains("DNS edit"), "{error}");
    world.write_token(Simulator::token());
    assert!(client.verify().await.is_ok(), "a new token counts at once");
    world.open_token_to_everybody();
    assert!(matches!(client.records().await, Err(DnsError::Token(_))));
}

#[tokio::test]
async fn what_the_zone_does_not_take_is_told_by_its_number() {
    let world = World::start(Limits { records_max: 2, comment_max: 10, ..Limits::default() }).await;
    let client = world.client(Some(""));
    let error = client.apply(&[create("a", 1)], &marker()).await.unwrap_err();
    assert!(error.to_string().contains("shorten the cluster's name"), "{error}");
    let world = World::start(Limits { records_max: 2, ..Limits::default() }).await;
    let client = world.client(Some(""));
    let error = client.apply(&[create("a", 1), create("b", 1), create("c", 1)], &marker()).await.unwrap_err();
    assert!(error.to_string().contains("as many records as its plan allows"), "{error}");
    assert!(world.simulator.records(ZONE).is_empty(), "nothing of a batch that was refused");
    let error = world.client(Some("ffffffffffffffffffffffffffffffff")).records().await.unwrap_err();
    assert!(matches!(error, DnsError::NoZone { .. }), "{error}");
    assert_eq!(RecordKind::A.as_str(), "A");
}
