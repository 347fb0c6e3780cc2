//! The promises of a provider, on the two that need nothing: a zone in memory and a zone file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails as a test does")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use constellation_core::ManualClock;
use constellation_dns::{
    DnsProvider, Found, Record, RecordId, Rules, SimulatedZone, ZoneFile, ZoneFileConfig,
    contract::{ContractWorld, ZONE, provider_contract},
};

struct InMemory(Rules);

fn foreign(records: &[Record]) -> Vec<Found> {
    let found = |(number, record): (usize, &Record)| Found {
        id: RecordId(format!("foreign-{number}")),
        name: record.name.to_string(),
        kind: record.value.kind().as_str().to_owned(),
        value: Some(record.value.clone()),
        content: record.value.to_string(),
        ttl: record.ttl,
        proxied: false,
        comment: None,
    };
    records.iter().enumerate().map(found).collect()
}

#[async_trait]
impl ContractWorld for InMemory {
    async fn zone(&self, records: &[Record]) -> Arc<dyn DnsProvider> {
        Arc::new(SimulatedZone::new(self.0, foreign(records)))
    }
}

#[derive(Default)]
struct OnDisk(Mutex<Vec<tempfile::TempDir>>);

#[async_trait]
impl ContractWorld for OnDisk {
    async fn zone(&self, records: &[Record]) -> Arc<dyn DnsProvider> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.org.zone");
        std::fs::write(&path, constellation_dns::zone_file::zone_file_text(ZONE, &foreign(records), 1))
            .unwrap();
        self.0.lock().unwrap().push(folder);
        let config = ZoneFileConfig { path, zone: ZONE.parse().unwrap(), name_servers: vec![] };
        Arc::new(ZoneFile::new(config, Arc::new(ManualClock::new())))
    }
}

#[tokio::test]
async fn a_zone_in_memory_keeps_the_contract() {
    for rules in [Rules::CLOUDFLARE, Rules::ZONE_FILE] {
        assert_eq!(provider_contract(&InMemory(rules)).await.map_err(|broken| broken.to_string()), Ok(8));
    }
}

#[tokio::test]
async fn a_zone_file_keeps_the_contract() {
    assert_eq!(provider_contract(&OnDisk::default()).await.map_err(|broken| broken.to_string()), Ok(8));
}
