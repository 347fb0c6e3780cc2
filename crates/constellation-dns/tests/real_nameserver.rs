//! Our zone files under real name servers: `named-checkzone` and `kzonecheck` must take them, and a `named` that serves one is
//! asked with `dig`. From Debian's packages bind9, bind9-utils, bind9-dnsutils and knot-dnssecutils (or knot).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails as a test does")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use constellation_core::{FencingToken, ManualClock, WallTime};
use constellation_dns::{
    Change, DnsProvider, Marker, Record, RecordKind, Ttl, Value, ZoneFile, ZoneFileConfig, contract::ZONE,
};

fn create(name: &str, kind: RecordKind, content: &str) -> Change {
    let name = if name == "@" { ZONE.to_owned() } else { format!("{name}.{ZONE}") };
    let value = Value::read(kind, content).unwrap();
    Change::Create { to: Record { name: name.parse().unwrap(), value, ttl: Ttl(60), proxied: false } }
}

fn marker() -> Marker {
    Marker { cluster: "home".parse().unwrap(), token: FencingToken(7) }
}

async fn every_kind(path: &Path) -> ZoneFile {
    let clock = Arc::new(ManualClock::new());
    clock.set_wall(WallTime(1_700_000_000_000));
    let config = ZoneFileConfig { path: path.to_owned(), zone: ZONE.parse().unwrap(), name_servers: vec![] };
    let zone = ZoneFile::new(config, clock);
    let changes = [
        create("@", RecordKind::A, "203.0.113.1"),
        create("@", RecordKind::Aaaa, "2001:db8::1"),
        create("*", RecordKind::A, "203.0.113.1"),
        create("n1", RecordKind::A, "203.0.113.1"),
        create("docs", RecordKind::Cname, "pages.example.net"),
        create("_web._tcp", RecordKind::Srv, "10 20 443 n1.example.org"),
        create("text", RecordKind::Txt, "with \"quotes\", a \\, a; semicolon and \u{fc}"),
        create("long", RecordKind::Txt, &"x".repeat(700)),
    ];
    zone.apply(&changes, &marker()).await.unwrap();
    zone
}

fn program(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed: apt-get install bind9 bind9-utils bind9-dnsutils knot-dnssecutils")
    })
}

fn passes(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {said}");
    said
}

#[tokio::test]
async fn both_checkers_take_a_zone_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    every_kind(&path).await;
    let said = passes(Command::new(program("named-checkzone")).arg(ZONE).arg(&path));
    assert!(said.contains("loaded serial 1700000000"), "{said}");
    passes(Command::new(program("kzonecheck")).args(["-o", ZONE]).arg(&path));
}

struct Named {
    child: Child,
    port: u16,
}

impl Drop for Named {
    fn drop(&mut self) {
        // It is ours, and there is nothing that it would have to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Named {
    fn start(folder: &Path, zone: &Path) -> Self {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("named.conf");
        let text = format!(
            "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             recursion no; dnssec-validation no; pid-file none; session-keyfile none; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{zone}\"; }};\n",
            folder = folder.display(),
            zone = zone.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program("named"))
            .args(["-f", "-n", "1", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    fn dig(&self, name: &str, kind: &str) -> String {
        let done = Command::new(program("dig"))
            .args(["@127.0.0.1", "-p", &self.port.to_string(), "+short", "+time=1", "+tries=1", name, kind])
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    async fn until(&self, name: &str, kind: &str, answer: &str) {
        for _ in 0..100 {
            if self.dig(name, kind) == answer {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} {kind} is {:?} and not {answer:?}", self.dig(name, kind));
    }

    fn reload(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

#[tokio::test]
async fn a_name_server_serves_what_was_written_and_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    let zone = every_kind(&path).await;
    let named = Named::start(folder.path(), &path);
    named.until(ZONE, "A", "203.0.113.1").await;
    assert_eq!(named.dig(ZONE, "AAAA"), "2001:db8::1");
    assert_eq!(named.dig("anything.example.org", "A"), "203.0.113.1");
    assert_eq!(named.dig("docs.example.org", "CNAME"), "pages.example.net.");
    assert_eq!(named.dig("_web._tcp.example.org", "SRV"), "10 20 443 n1.example.org.");
    assert_eq!(named.dig("text.example.org", "TXT"), r#""with \"quotes\", a \\, a; semicolon and \195\188""#);
    let long = named.dig("long.example.org", "TXT");
    assert_eq!(long.matches('x').count(), 700, "{long}");

    let found = zone.records().await.unwrap();
    let from = found.into_iter().find(|found| found.name == ZONE && found.kind == "A").unwrap();
    let Change::Create { to } = create("@", RecordKind::A, "203.0.113.2") else { unreachable!() };
    zone.apply(&[Change::Update { from, to }], &marker()).await.unwrap();
    named.reload();
    named.until(ZONE, "A", "203.0.113.2").await;
}
