//! Logs: who fetches them, and who keeps them.

use constellation_services::prelude::*;

use super::{NO_TEST, NOBODY_COMES, OWN_SETTINGS};
use crate::catalogue::{
    Differs, Entry,
    common::{answers, service, versioned},
};

pub(super) fn loki(cfg: &Config) -> Entry {
    // From 3.6 on the image has no shell, and nothing could ask it how it is.
    Service::new("loki", versioned(cfg, "docker.io/grafana/loki", "LOKI_TAG", "3.5.8"))
        .about("keeps logs")
        .command(["-config.file=/etc/loki/config.yaml"])
        .config(config_file("/etc/loki/config.yaml", include_str!("loki.yaml")))
        .volume(bind(cfg.volume("loki/data")).owned_by(10001, 10001).at("/loki"))
        .health(answers(3100, "/ready").start_period(mins(1)))
        .differs("networks", NOBODY_COMES)
        .differs("configs.*", OWN_SETTINGS)
        .differs("healthcheck*", NO_TEST)
}

pub(super) fn promtail(cfg: &Config) -> Entry {
    let ready = "exec 3<>/dev/tcp/127.0.0.1/9080 && printf 'GET /ready HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: \
                 close\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3";
    service("promtail", versioned(cfg, "docker.io/grafana/promtail", "PROMTAIL_TAG", "3.5.8"))
        .about("fetches logs of containers and of the machine for Loki")
        .command(["-config.file=/etc/promtail/config.yaml"])
        .env("DOCKER_HOST", "tcp://dockerproxy-ro:2375")
        .config(config_file("/etc/promtail/config.yaml", include_str!("promtail.yaml")))
        .volume(bind("/var/lib/docker/containers").at("/var/lib/docker/containers").read_only())
        .volume(bind("/var/log").at("/var/log").read_only())
        // The image has no client, but a bash.
        .health(Health::cmd(["bash", "-c", ready]))
        .depends_on("loki", Healthy)
        .caps(&[Cap::DacReadSearch])
        .allow(Lint::StrongCapability, "logs in /var/log belong to other users")
        .differs("networks", NOBODY_COMES)
        .differs("environment.DOCKER_HOST", "the proxy listens on 2375")
        .differs("configs.*", OWN_SETTINGS)
        .differs(
            "cap_add",
            "the engine's own capabilities let it read the logs of others; of those it keeps one that reads",
        )
        .differs("healthcheck*", NO_TEST)
}
