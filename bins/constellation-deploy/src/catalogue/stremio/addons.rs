//! Add-ons of Stremio that find and pass on streams.

use constellation_services::prelude::*;

use super::{READS_ENV_FILE, SECOND_WAY_OUT, through_warp};
use crate::catalogue::{
    Differs, Entry,
    common::{REDIS_PASSWORD, redis_address, runs_as_operator, service, time_zone, versioned},
    variables::from_files,
};

pub(super) fn tile(title: &str, icon: &str, line: &str) -> Homepage {
    Homepage::new("Stremio Addons", title).icon(icon).description(line)
}

pub(super) fn aiostreams(cfg: &Config) -> Entry {
    let port = cfg.port("AIOSTREAMS_PORT", 3000);
    let url = format!("https://{}", cfg.fqdn("aiostreams"));
    Service::new("aiostreams", versioned(cfg, "ghcr.io/viren070/aiostreams", "AIOSTREAMS_TAG", "v2.29.5"))
        .about(
            "many add-ons as one; `aiostreams.env` holds SECRET_KEY (64 hex digits), ADDON_PASSWORD and the keys of \
             services that are used, such as DEFAULT_REALDEBRID_API_KEY or TMDB_ACCESS_TOKEN",
        )
        .env("ADDON_ID", cfg.fqdn("aiostreams"))
        .env("ADDON_NAME", cfg.var("AIOSTREAMS_ADDON_NAME", "BadenAIO"))
        .env("BASE_URL", url)
        .env("DATABASE_URI", "sqlite://./data/db.sqlite")
        .env("PORT", port)
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        .secret(secret("aiostreams.env").at("/app/.env"))
        .volume(bind(cfg.volume("stremio/addons/aiostreams/data")).at("/app/data"))
        .with(through_warp(&[]))
        .route(Route::http(port).host(cfg.host("aiostreams")).own_login())
        .health(Health::shell(format!("wget -q -O /dev/null http://127.0.0.1:{port}/api/v1/health")))
        .cpus(1.cores())
        .memory(1.gib())
        .memory_reservation(50.mib())
        .homepage(tile("AIOStreams", "aiostreams.png", "Many add-ons as one"))
        .uptime(Uptime::http())
        .differs("networks", SECOND_WAY_OUT)
        .differs("environment.*_FILE", READS_ENV_FILE)
        .differs("environment.SECRET_KEY", READS_ENV_FILE)
        .differs("environment.ADDON_PASSWORD", READS_ENV_FILE)
        .differs("secrets.*", READS_ENV_FILE)
        .differs("healthcheck*", "there was none")
}

pub(super) fn mediaflow_proxy(cfg: &Config) -> Entry {
    let port = cfg.port("MEDIAFLOW_PROXY_PORT", 8888);
    let connects = format!(
        "python3 -c \"import socket; s=socket.socket(); s.connect(('127.0.0.1', {port})); print('Healthcheck passed')\""
    );
    service(
        "mediaflow-proxy",
        versioned(cfg, "docker.io/mhdzumair/mediaflow-proxy", "MEDIAFLOW_PROXY_TAG", "latest"),
    )
    .about("passes streams on; `mediaflow-proxy.env` holds API_PASSWORD")
    .env("ENABLE_STREAMING_PROGRESS", cfg.var("MEDIAFLOW_PROXY_ENABLE_STREAMING_PROGRESS", "true"))
    .env("PORT", port)
    .env("TZ", time_zone(cfg))
    .with(runs_as_operator(cfg))
    // The first user that its image makes.
    .secret(secret("mediaflow-proxy.env").at("/mediaflow_proxy/.env").owner(1000, 1000))
    .with(through_warp(&[]))
    .publish(localhost(port))
    .route(Route::http(port).host(cfg.host("mediaflow-proxy")).own_login())
    .health(Health::shell(connects).every(mins(1)).timeout(secs(10)).retries(5).start_period(secs(10)))
    .homepage(tile("MediaFlow Proxy", "mediaflow-proxy.png", "Passes streams on"))
    .uptime(Uptime::http())
    .differs("networks", SECOND_WAY_OUT)
    .differs("environment.*_FILE", READS_ENV_FILE)
    .differs("secrets.*", READS_ENV_FILE)
}

/// Variables that no installation changes.
const STREMTHRU: &[(&str, &str)] = &[
    ("CONTENT_PROXY_CONNECTION_LIMIT", "*:10"),
    ("FEATURE", "+anime,-stremio_p2p"),
    ("INTEGRATION_MDBLIST_LIST_STALE_TIME", ""),
    ("INTEGRATION_TMDB_LIST_STALE_TIME", "12h"),
    ("INTEGRATION_TRAKT_LIST_STALE_TIME", "12h"),
    ("LOG_FORMAT", "text"),
    ("LOG_LEVEL", "INFO"),
    ("STORE_CONTENT_PROXY", "*:true,premiumize:false"),
    ("STREMIO_TORZ_LAZY_PULL", "true"),
];

pub(super) fn stremthru(cfg: &Config) -> Entry {
    let secrets = from_files()
        .key("stremthru-proxy-auth.txt", "STREMTHRU_PROXY_AUTH")
        .key("stremthru-store-auth.txt", "STREMTHRU_STORE_AUTH")
        .address(REDIS_PASSWORD, "STREMTHRU_REDIS_URI", cfg.var("REDIS_INTERNAL_URL", redis_address(cfg)));
    service("stremthru", versioned(cfg, "docker.io/muniftanjim/stremthru", "STREMTHRU_TAG", "0.84.5"))
        .about("one store in front of many debrid services")
        .envs(STREMTHRU.iter().map(|(name, value)| (format!("STREMTHRU_{name}"), *value)))
        .env("STREMTHRU_AUTH_ADMIN", cfg.var("MAIN_USERNAME", ""))
        .env("STREMTHRU_BASE_URL", format!("https://{}", cfg.fqdn("stremthru")))
        .env("STREMTHRU_DATABASE_URI", cfg.var("STREMTHRU_DATABASE_URI", "sqlite://./data/stremthru.db"))
        .env("STREMTHRU_INTEGRATION_GITHUB_TOKEN", cfg.var("GITHUB_TOKEN", ""))
        .env("STREMTHRU_INTEGRATION_GITHUB_USER", cfg.var("GITHUB_USERNAME", ""))
        .env("STREMTHRU_INTEGRATION_TMDB_ACCESS_TOKEN", cfg.var("TMDB_ACCESS_TOKEN", ""))
        .env("STREMTHRU_INTEGRATION_TRAKT_CLIENT_ID", cfg.var("TRAKT_CLIENT_ID", ""))
        .env("STREMTHRU_INTEGRATION_TRAKT_CLIENT_SECRET", cfg.var("TRAKT_CLIENT_SECRET", ""))
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        .with(secrets.then(&["./stremthru"]))
        .volume(bind(cfg.volume("stremio/addons/stremthru/app/data")).at("/app/data"))
        .with(through_warp(&["core/data"]))
        .route(Route::http(8080).host(cfg.host("stremthru")).own_login())
        .health(
            Health::shell("wget -qO- http://127.0.0.1:8080 > /dev/null 2>&1 || exit 1")
                .every(mins(1))
                .timeout(secs(5))
                .retries(3)
                .start_period(secs(15)),
        )
        .depends_on("redis", Healthy)
        .homepage(tile("StremThru", "stremthru.png", "One store in front of many"))
        .uptime(Uptime::http())
        .differs("networks", "a second network with a way out is a way past WARP; Redis is on one without")
        .differs(
            "entrypoint",
            "it reads no `*_FILE` variables: a shell reads the files for it, and becomes it",
        )
        .differs("environment.STREMTHRU_REDIS_URI*", "Redis asks for a password")
        .differs("environment.STREMTHRU_INTEGRATION_GITHUB_USER", "it was another person's account")
        .differs("secrets.*", "Redis asks for a password")
}
