//! Metrics and logs of every service and of the machine, kept and shown.

mod exporters;
mod logs;
mod prometheus;
mod show;
mod victoria;

use constellation_services::prelude::*;

use super::Chapter;

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("metrics", "metrics and logs of every service and of the machine, kept and shown")
        .service(exporters::blackbox_exporter(cfg))
        .service(exporters::cadvisor(cfg))
        .service(show::grafana(cfg))
        .service(prometheus::init_prometheus(cfg))
        .service(victoria::init_victoriametrics(cfg))
        .service(logs::loki(cfg))
        .service(exporters::node_exporter(cfg))
        .service(prometheus::prometheus(cfg))
        .service(logs::promtail(cfg))
        .service(victoria::victoriametrics(cfg))
}

/// Nobody, whom the images of Prometheus run as.
const NOBODY: (u32, u32) = (65534, 65534);

/// A job that hands a folder to whom its program runs as: folders that other tools made belong to root.
fn hand_over(name: &str, image: String, folder: HostPath, at: &str, command: &str) -> Service {
    Service::job(name, image)
        .entrypoint(["/bin/sh", "-c", command])
        .user("root")
        .volume(bind(folder).owned_by(NOBODY.0, NOBODY.1).at(at))
        .no_network()
        // What is in there belongs to others already.
        .caps(&[Cap::Chown, Cap::DacOverride, Cap::Fowner])
}

const NO_NETWORK: &str = "it changes owners and ends: it needs no network";
const OWN_SETTINGS: &str = "a file that nobody wrote where it was mounted from: it stands here";
const NOBODY_COMES: &str = "it is not routed, so nobody comes to it";
const NO_TEST: &str = "there was none";
