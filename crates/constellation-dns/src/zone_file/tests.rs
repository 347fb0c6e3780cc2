use constellation_core::{FencingToken, ManualClock, WallTime};

use super::*;
use crate::record::{Record, RecordKind, Ttl, Value};

struct World {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl World {
    fn with(text: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new()) };
        world.clock.set_wall(WallTime(1_700_000_000_000));
        if !text.is_empty() {
            std::fs::write(world.path(), text).unwrap();
        }
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("zone")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn zone(&self) -> ZoneFile {
        let config =
            ZoneFileConfig { path: self.path(), zone: "example.org".parse().unwrap(), name_servers: vec![] };
        ZoneFile::new(config, Arc::clone(&self.clock) as Arc<dyn Clock>)
    }
}

fn create(name: &str, address: &str) -> Change {
    let value = Value::read(RecordKind::A, address).unwrap();
    Change::Create { to: Record { name: name.parse().unwrap(), value, ttl: Ttl(60), proxied: false } }
}

fn marker() -> Marker {
    Marker { cluster: "home".parse().unwrap(), token: FencingToken(7) }
}

const BY_HAND: &str = "; by hand
$ORIGIN example.org.
$TTL 300
@  IN SOA ns1 hostmaster 1800000000 3600 600 1209600 60 ; kept
@  IN NS ns1
ns1 IN A 198.51.100.1   ; the server
@ 600 IN MX 10 mail.example.net.
txt IN TXT \"a; b\" \"c\\\"\\100\"
";

#[tokio::test]
async fn lines_of_others_stay_letter_by_letter_and_only_the_serial_rises() {
    let world = World::with(BY_HAND);
    world.zone().apply(&[create("www.example.org", "203.0.113.1")], &marker()).await.unwrap();
    let expected = BY_HAND.replace("1800000000", "1800000001")
        + "www.example.org. 60 IN A 203.0.113.1 ; constellation/home/7\n";
    assert_eq!(world.text(), expected);
}

#[tokio::test]
async fn names_and_texts_are_understood_as_a_name_server_does() {
    let world = World::with(BY_HAND);
    let found = world.zone().records().await.unwrap();
    let of = |kind: &str| found.iter().find(|found| found.kind == kind).unwrap().clone();
    assert_eq!((of("A").name.as_str(), of("A").ttl), ("ns1.example.org", Ttl(300)));
    assert_eq!(of("A").comment.as_deref(), Some("the server"));
    assert_eq!((of("MX").ttl, of("MX").value), (Ttl(600), None));
    assert_eq!(of("TXT").value, Some(Value::Txt("a; bc\"d".to_owned())));
}

#[tokio::test]
async fn the_serial_is_the_time_and_rises_only_on_change() {
    let world = World::with("");
    let zone = world.zone();
    zone.apply(&[create("a.example.org", "203.0.113.1")], &marker()).await.unwrap();
    assert!(world.text().contains(" 1700000000 "), "{}", world.text());
    let before = world.text();
    let found = zone.records().await.unwrap().into_iter().find(|found| found.kind == "A").unwrap();
    zone.apply(&[Change::Stamp { from: found }], &marker()).await.unwrap();
    assert_eq!(world.text(), before);
    zone.apply(&[create("b.example.org", "203.0.113.1")], &marker()).await.unwrap();
    assert!(world.text().contains(" 1700000001 "), "the clock stood still: {}", world.text());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_its_line() {
    for (text, line, word) in [
        ("@ IN SOA a b (\n 1 2 3 4 5 )\n", 1, "one line"),
        ("$INCLUDE other\n", 1, "$INCLUDE"),
        ("a IN A 203.0.113.1\n\tIN A 203.0.113.2\n", 2, "one line"),
        ("a IN TXT \"open\n", 1, "quote"),
        ("a IN\n", 1, "kind"),
    ] {
        let world = World::with(text);
        let error =
            world.zone().apply(&[create("b.example.org", "203.0.113.1")], &marker()).await.unwrap_err();
        assert!(matches!(error, DnsError::Malformed { line: at, .. } if at == line), "{text}: {error}");
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(world.text(), text, "nothing is changed");
    }
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_old_file() {
    let world = World::with("");
    std::fs::create_dir(world.path()).unwrap();
    assert!(world.zone().apply(&[create("a.example.org", "203.0.113.1")], &marker()).await.is_err());
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 1);
}
