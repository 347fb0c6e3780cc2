//! VictoriaMetrics: keeps metrics for long.

use constellation_services::prelude::*;

use super::{NO_NETWORK, NOBODY, hand_over};
use crate::catalogue::{
    Differs, Entry,
    common::{answers, service, versioned},
};

fn image(cfg: &Config) -> String {
    versioned(cfg, "docker.io/victoriametrics/victoria-metrics", "VICTORIAMETRICS_TAG", "v1.122.0")
}

pub(super) fn init_victoriametrics(cfg: &Config) -> Entry {
    let command = "chown -R 65534:65534 /storage && chmod -R 755 /storage";
    hand_over("init_victoriametrics", image(cfg), cfg.volume("victoriametrics"), "/storage", command)
        .about("hands the folder of VictoriaMetrics to whom it runs as")
        .differs("network*", NO_NETWORK)
        .differs("extra_hosts*", NO_NETWORK)
}

/// Flag, variable inside, variable of the configuration without `VICTORIAMETRICS_`, and default.
const SETTINGS: &[(&str, &str, &str, &str)] = &[
    ("bigMergeConcurrency", "VICTORIAMETRICS_", "BIG_MERGE_CONCURRENCY", "0"),
    ("dedup.minScrapeInterval", "VICTORIAMETRICS_", "DEDUP_MIN_SCRAPE_INTERVAL", "0s"),
    ("enableTCP6", "VICTORIAMETRICS_", "ENABLE_TCP6", "false"),
    ("finalMergeDelay", "VICTORIAMETRICS_", "FINAL_MERGE_DELAY", "0s"),
    ("http.maxGracefulShutdownDuration", "VICTORIAMETRICS_", "MAX_GRACEFUL_SHUTDOWN_DURATION", "7s"),
    ("http.shutdownDelay", "VICTORIAMETRICS_", "SHUTDOWN_DELAY", "0s"),
    ("influx.maxLineSize", "VICTORIAMETRICS_", "INFLUX_MAX_LINE_SIZE", "262144"),
    ("loggerFormat", "VICTORIAMETRICS_", "LOG_FORMAT", "default"),
    ("loggerLevel", "VICTORIAMETRICS_", "LOG_LEVEL", "INFO"),
    ("memory.allowedPercent", "VM_", "MEMORY_ALLOWED_PERCENT", "60"),
    ("promscrape.maxScrapeSize", "VICTORIAMETRICS_", "PROMSCRAPE_MAX_SCRAPE_SIZE", "16777216"),
    ("retentionPeriod", "VM_", "RETENTION_PERIOD", "1y"),
    ("search.maxConcurrentRequests", "VM_", "SEARCH_MAX_CONCURRENT_REQUESTS", "8"),
    ("search.maxMemoryPerQuery", "VICTORIAMETRICS_", "SEARCH_MAX_MEMORY_PER_QUERY", "1GB"),
    ("search.maxPointsPerTimeseries", "VICTORIAMETRICS_", "SEARCH_MAX_POINTS_PER_TIMESERIES", "30000"),
    ("search.maxQueryDuration", "VICTORIAMETRICS_", "SEARCH_MAX_QUERY_DURATION", "30s"),
    ("search.maxSeries", "VICTORIAMETRICS_", "SEARCH_MAX_SERIES", "30000"),
    ("search.maxTagKeys", "VICTORIAMETRICS_", "SEARCH_MAX_TAG_KEYS", "100000"),
    ("search.maxTagValues", "VICTORIAMETRICS_", "SEARCH_MAX_TAG_VALUES", "100000"),
    ("search.maxUniqueTimeseries", "VICTORIAMETRICS_", "SEARCH_MAX_UNIQUE_TIMESERIES", "300000"),
    ("smallMergeConcurrency", "VICTORIAMETRICS_", "SMALL_MERGE_CONCURRENCY", "0"),
];

fn port(cfg: &Config) -> u16 {
    cfg.port("VICTORIAMETRICS_PORT", 8428)
}

/// Where the others of the stack reach it.
pub(super) fn address(cfg: &Config) -> String {
    format!("victoriametrics:{}", port(cfg))
}

pub(super) fn victoriametrics(cfg: &Config) -> Entry {
    let port = port(cfg);
    let setting = |name: &str, default: &str| cfg.var(&format!("VICTORIAMETRICS_{name}"), default);
    let mut flags: Vec<String> = SETTINGS
        .iter()
        .map(|(flag, _, name, default)| format!("--{flag}={}", setting(name, default)))
        .collect();
    flags.extend([format!("--httpListenAddr=:{port}"), "--storageDataPath=/storage".to_owned()]);
    // As in the reference: by name, so that a change of the list is seen beside it.
    flags.sort();
    let variables =
        SETTINGS.iter().map(|(_, prefix, name, default)| (format!("{prefix}{name}"), setting(name, default)));
    service("victoriametrics", image(cfg))
        .about("keeps metrics for long")
        .user(format!("{}:{}", NOBODY.0, NOBODY.1))
        .command(flags)
        .envs(variables)
        .env("VICTORIAMETRICS_PORT", port)
        .env("VM_INSERT_MAX_CONCURRENT_REQUESTS", setting("INSERT_MAX_CONCURRENT_REQUESTS", "32"))
        .volume(bind(cfg.volume("victoriametrics")).owned_by(NOBODY.0, NOBODY.1).at("/storage"))
        .health(answers(port, "/health").start_period(secs(40)))
        .metrics(port, "/metrics")
        .depends_on("init_victoriametrics", Completed)
        .differs("user", "the job beside it hands the folder to nobody: the same it is then")
}
