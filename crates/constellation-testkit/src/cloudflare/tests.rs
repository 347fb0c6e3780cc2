use serde_json::json;

use super::zone::{Batch, Limits, Zone, read};

fn zone() -> Zone {
    Zone::new(1, "example.org", Limits { records_max: 4, ..Limits::default() })
}

fn create(zone: &mut Zone, name: &str, kind: &str, content: &str) -> Result<String, u32> {
    let record = read(&json!({ "name": name, "type": kind, "content": content })).unwrap();
    zone.create(record).map(|record| record.id).map_err(|(code, _)| code)
}

#[test]
fn records_that_cannot_be_are_refused_with_their_numbers() {
    let mut zone = zone();
    create(&mut zone, "a", "A", "203.0.113.1").unwrap();
    assert_eq!(create(&mut zone, "A.Example.org.", "A", "203.0.113.1"), Err(81058));
    assert_eq!(create(&mut zone, "a", "CNAME", "b.example.org"), Err(81053));
    create(&mut zone, "c", "CNAME", "b.example.org").unwrap();
    assert_eq!(create(&mut zone, "c", "A", "203.0.113.1"), Err(81054));
    assert_eq!(create(&mut zone, "d", "A", "nonsense"), Err(9005));
    assert_eq!(create(&mut zone, "d", "NOSUCH", "x"), Err(1004));
    create(&mut zone, "e", "TXT", "x").unwrap();
    create(&mut zone, "f", "TXT", "x").unwrap();
    assert_eq!(create(&mut zone, "g", "TXT", "x"), Err(81045));
}

#[test]
fn a_batch_is_rolled_back_where_a_part_fails() {
    let mut zone = zone();
    let id = create(&mut zone, "a", "A", "203.0.113.1").unwrap();
    let batch = |posts: serde_json::Value| Batch {
        deletes: vec![json!({ "id": id })],
        posts: posts.as_array().unwrap().clone(),
        ..Batch::default()
    };
    let bad = json!([{ "name": "a", "type": "CNAME", "content": "b.example.org" }, { "name": "x", "type": "A", "content": "x" }]);
    assert!(zone.batch(&batch(bad)).is_err());
    assert_eq!(zone.records.len(), 1);
    let good = json!([{ "name": "a", "type": "CNAME", "content": "b.example.org" }]);
    zone.batch(&batch(good)).unwrap();
    assert_eq!(zone.records[0].kind, "CNAME", "deletes come first");
}

#[test]
fn a_proxied_record_has_the_automatic_ttl() {
    let mut zone = zone();
    let record = json!({ "name": "a", "type": "A", "content": "203.0.113.1", "ttl": 300, "proxied": true });
    assert_eq!(zone.create(read(&record).unwrap()).unwrap().ttl, 1);
}
