//! A simulated Cloudflare and clients of it.

#![allow(dead_code, reason = "every suite uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use constellation_dns::{
    cloudflare::{Cloudflare, CloudflareConfig},
    contract::ZONE,
};
use constellation_tasks::{Supervisor, SystemClock};
use constellation_testkit::cloudflare::{Limits, Simulator};

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) supervisor: Supervisor,
    folder: tempfile::TempDir,
    base: String,
}

impl World {
    pub(crate) async fn start(limits: Limits) -> Self {
        let (simulator, supervisor) = (Simulator::new(&[ZONE], limits), Supervisor::new());
        let base = simulator.listen(SocketAddr::from(([127, 0, 0, 1], 0)), &supervisor).await.unwrap();
        let world = Self { simulator, supervisor, folder: tempfile::tempdir().unwrap(), base };
        world.write_token(Simulator::token());
        world
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("cloudflare.token")
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), format!("{token}\n")).unwrap();
        std::fs::set_permissions(self.token_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn open_token_to_everybody(&self) {
        std::fs::set_permissions(self.token_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// With the zone's id (the right one where it is empty), or by its name.
    pub(crate) fn client(&self, zone_id: Option<&str>) -> Cloudflare {
        let right = format!("{:032x}", 1);
        let config = CloudflareConfig {
            api: self.base.clone(),
            token: self.token_file(),
            zone: ZONE.parse().unwrap(),
            zone_id: zone_id.map(|id| if id.is_empty() { right } else { id.to_owned() }),
        };
        Cloudflare::new(config, Arc::new(SystemClock::start())).unwrap()
    }
}
