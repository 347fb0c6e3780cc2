//! Prometheus: fetches metrics, and evaluates alerts.

use constellation_services::prelude::*;

use super::{NO_NETWORK, NOBODY, hand_over, victoria};
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, answers, service, versioned},
};

fn image(cfg: &Config) -> String {
    versioned(cfg, "docker.io/prom/prometheus", "PROMETHEUS_TAG", "v3.5.0")
}

pub(super) fn init_prometheus(cfg: &Config) -> Entry {
    let folder = cfg.volume("prometheus/data");
    hand_over("init_prometheus", image(cfg), folder, "/prometheus", "chown -R 65534:65534 /prometheus")
        .about("hands the folder of Prometheus to whom it runs as")
        .differs("network*", NO_NETWORK)
        .differs("extra_hosts*", NO_NETWORK)
}

/// Flag, variable and default; each is a variable inside as well.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("log.format", "PROMETHEUS_LOG_FORMAT", "logfmt"),
    ("log.level", "PROMETHEUS_LOG_LEVEL", "info"),
    ("query.max-concurrency", "PROMETHEUS_QUERY_MAX_CONCURRENCY", "20"),
    ("query.max-samples", "PROMETHEUS_QUERY_MAX_SAMPLES", "50000000"),
    ("query.timeout", "PROMETHEUS_QUERY_TIMEOUT", "2m"),
    ("storage.tsdb.retention.size", "PROMETHEUS_RETENTION_SIZE", "0"),
    ("storage.tsdb.retention.time", "PROMETHEUS_RETENTION_TIME", "15d"),
    ("web.max-connections", "PROMETHEUS_WEB_MAX_CONNECTIONS", "512"),
];

const FIXED: &[&str] = &[
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
    "--web.console.libraries=/usr/share/prometheus/console_libraries",
    "--web.console.templates=/usr/share/prometheus/consoles",
];

pub(super) fn prometheus(cfg: &Config) -> Entry {
    let changed =
        SETTINGS.iter().map(|(flag, variable, default)| format!("--{flag}={}", cfg.var(variable, *default)));
    let mut flags: Vec<String> = changed.chain(FIXED.iter().map(|flag| (*flag).to_owned())).collect();
    flags.sort();
    let settings = include_str!("prometheus.yml")
        .replace("{domain}", cfg.domain())
        .replace("{node}", cfg.node())
        .replace("{victoriametrics}", &victoria::address(cfg));
    service("prometheus", image(cfg))
        .about("fetches metrics and evaluates alerts")
        .command(flags)
        .envs(SETTINGS.iter().map(|(_, variable, default)| (*variable, cfg.var(variable, *default))))
        .config(config_file("/etc/prometheus/prometheus.yml", settings))
        .config(config_file("/etc/prometheus/alert.rules", include_str!("alert.rules")))
        .volume(bind(cfg.volume("prometheus/data")).owned_by(NOBODY.0, NOBODY.1).at("/prometheus"))
        .route(Route::http(9090).host(cfg.host("prometheus")).auth(NGINX_AUTH))
        .health(answers(9090, "/-/healthy").start_period(secs(40)))
        .metrics(9090, "/metrics")
        .depends_on("init_prometheus", Completed)
        .depends_on("victoriametrics", Healthy)
        .homepage(
            Homepage::new("Infrastructure", "Prometheus")
                .icon("prometheus.png")
                .description("Metrics and alerts")
                .href(format!("https://{}", cfg.fqdn("prometheus")))
                .widget("type", "prometheus")
                .widget("url", "http://prometheus:9090"),
        )
        .uptime(Uptime::http())
        .differs(
            "command.web.*",
            "whoever reached it could delete metrics and end it: no admin API, no lifecycle API",
        )
}
