//! What stands around Traefik: fallback routes, log rotation, names, monitors, and an echo.

use constellation_services::prelude::*;

use super::dynamic;
use crate::catalogue::{
    Differs, Entry,
    common::{node_domain, service, time_zone, versioned},
};

pub(super) fn docker_gen_failover(cfg: &Config) -> Entry {
    const TEMPLATE: &str = "/templates/traefik-failover-dynamic.conf.tmpl";
    let events = [
        "event=start",
        "event=create",
        "event=expose",
        "event=update",
        "event=connect",
        "label=traefik.enable=true",
    ];
    let mut command = vec!["-endpoint", "tcp://dockerproxy-ro:2375", "-only-exposed", "-include-stopped"];
    command.extend(events.iter().flat_map(|event| ["-event-filter", event]));
    command.extend(["-container-filter", "label=traefik.enable=true", "-watch"]);
    command.extend([TEMPLATE, "/traefik/dynamic/failover-fallbacks.yaml"]);
    Service::new(
        "docker-gen-failover",
        versioned(cfg, "docker.io/nginxproxy/docker-gen", "DOCKER_GEN_TAG", "0.14.5"),
    )
    .about("renders Traefik failover config from container metadata")
    .command(command)
    .config(config_file(TEMPLATE, dynamic::FALLBACKS).mode(0o400))
    .volume(bind(cfg.volume("traefik/dynamic")).at("/traefik/dynamic"))
    .networks([BACKEND, DEFAULT_NET])
    .depends_on("dockerproxy-ro", Healthy)
    .differs("command", "it reads, so it asks the read-only proxy")
    .differs("restart", "it watches, so it must come back")
    .differs("depends_on.dockerproxy-ro", "without its proxy it ends")
}

/// Traefik writes on, so a file is copied and cut: nobody here could tell Traefik of a new one.
const LOGROTATE: &str = "\
/var/log/traefik/*.log {
    daily
    maxsize 100M
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    copytruncate
}
";

pub(super) fn logrotate_traefik(cfg: &Config) -> Entry {
    let image = build_from(
        "ARG BASE\nFROM ${BASE}\nRUN apk add --no-cache logrotate tzdata\nCOPY logrotate.conf /etc/logrotate.conf\n\
         RUN chmod 0644 /etc/logrotate.conf\n\
         CMD [\"/bin/sh\", \"-c\", \"while true; do logrotate -s /var/log/traefik/.rotated /etc/logrotate.conf; sleep 3600 & wait; done\"]\n",
    )
    .arg("BASE", versioned(cfg, "docker.io/library/alpine", "ALPINE_TAG", "3.22"))
    .file("logrotate.conf", LOGROTATE)
    .tagged(cfg.own_image("logrotate-traefik"));
    Service::new("logrotate-traefik", image)
        .about("rotates the Traefik log files")
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("traefik/logs")).at("/var/log/traefik"))
        .no_network()
        // It writes down what it rotated at least once an hour.
        .health(
            Health::shell("find /var/log/traefik/.rotated -mmin -130 | grep -q .")
                .every(mins(5))
                .timeout(secs(10)),
        )
        .init()
        .caps(STEP_DOWN)
        .memory(64.mib())
        .memory_reservation(8.mib())
        .cpus(0.1.cores())
        .differs(
            "build.*",
            "from a folder that came with nothing: its Dockerfile and settings stand in the definition",
        )
        .differs("healthcheck*", "there was none")
        .differs("init", "its shell would not hear when it is to end")
}

pub(super) fn cloudflare_ddns(cfg: &Config) -> Entry {
    let (domain, node) = (cfg.domain(), node_domain(cfg));
    Service::new(
        "cloudflare-ddns",
        versioned(cfg, "docker.io/favonia/cloudflare-ddns", "CLOUDFLARE_DDNS_TAG", "1.15.1"),
    )
    .about("keeps the node name and node wildcard DNS records pointed at the host public IP")
    .env("DOMAINS", format!("{node},*.{node}"))
    .env("PROXIED", format!("is({domain})||is(*.{domain})"))
    .env("RECORD_COMMENT", format!("Updated by Cloudflare DDNS on server `{node}`"))
    .env("TTL", "1")
    .env("TZ", time_zone(cfg))
    .user("1000:1000")
    .secret(
        secret("cf-api-token.txt")
            .at("cloudflare-api-token")
            .owner(1000, 1000)
            .env_file("CLOUDFLARE_API_TOKEN_FILE"),
    )
    .host_network()
    .read_only_root()
    .allow(Lint::HostNetwork, "it publishes the host's own addresses, which a bridge would hide")
    .differs("user", "it needs no rights at all, and its documentation runs it as 1000")
    .differs("read_only_root", "it writes nothing; wanted in the reference, which had no field for it")
}

pub(super) fn autokuma(cfg: &Config) -> Entry {
    let kuma = |name: &str| format!("AUTOKUMA__KUMA__{name}");
    let defaults = [("CALL_TIMEOUT", "5"), ("CONNECT_TIMEOUT", "5"), ("USERNAME", "admin")];
    service("autokuma", versioned(cfg, "ghcr.io/bigboot/autokuma", "AUTOKUMA_TAG", "2.0.0"))
        .about("creates Uptime Kuma monitors from kuma.* labels")
        .envs(defaults.map(|(name, default)| (kuma(name), cfg.var(&kuma(name), default))))
        .envs(cfg.optional(&kuma("PASSWORD")).map(|password| (kuma("PASSWORD"), password)))
        .env(kuma("URL"), format!("https://{}", cfg.fqdn("uptimekuma")))
        .env("AUTOKUMA__DOCKER__HOSTS", "tcp://dockerproxy-ro:2375")
        .networks([BACKEND, DEFAULT_NET])
        .depends_on("dockerproxy-ro", Healthy)
        .differs(
            "volumes./var/run/docker.sock",
            "the socket takes writes, however it is mounted: it asks the read-only proxy",
        )
        .differs("environment.AUTOKUMA__DOCKER__HOSTS", "the read-only proxy, as above")
        .differs("networks", "the read-only proxy is on `default`")
        .differs("depends_on.dockerproxy-ro", "without its proxy it ends")
}

pub(super) fn whoami(cfg: &Config) -> Entry {
    service("whoami", versioned(cfg, "docker.io/traefik/whoami", "WHOAMI_TAG", "v1.11.0"))
        .about("echo service for testing routing")
        .route(Route::http(80).public("it shows people what they sent themselves"))
        .homepage(
            Homepage::new("Web Services", "whoami")
                .icon("whoami.png")
                .description("Shows a request as it arrives"),
        )
        .uptime(Uptime::http().every(secs(60)))
        .caps(&[Cap::NetBindService])
        .into()
}
