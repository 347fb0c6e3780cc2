//! MediaFusion: an add-on that finds streams in many places.

use constellation_services::prelude::*;

use super::{READS_ENV_FILE, addons::tile, through_warp};
use crate::catalogue::{
    Differs, Entry,
    common::{runs_as_operator, service, time_zone, versioned},
};

/// Settings that no installation changes.
const SETTINGS: &[(&str, &str)] = &[
    ("BACKGROUND_SEARCH_INTERVAL_HOURS", "72"),
    ("BRANDING_DESCRIPTION", "MediaFusion is a AIO media stream aggregator addon for Stremio/Kodi."),
    ("BT4G_IMMEDIATE_MAX_PROCESS", "15"),
    ("BT4G_IMMEDIATE_MAX_PROCESS_TIME", "15"),
    ("BT4G_SEARCH_INTERVAL_HOUR", "72"),
    ("BT4G_SEARCH_TIMEOUT", "5"),
    ("BT4G_URL", "https://bt4gprx.com"),
    ("DB_MAX_CONNECTIONS", "50"),
    ("DISABLE_ALL_SCHEDULER", "false"),
    ("ENABLE_FETCHING_TORRENT_METADATA_FROM_P2P", "false"),
    ("ENABLE_RATE_LIMIT", "true"),
    ("IS_PUBLIC_INSTANCE", "false"),
    ("IS_SCRAP_FROM_BT4G", "true"),
    ("IS_SCRAP_FROM_JACKETT", "true"),
    ("IS_SCRAP_FROM_MEDIAFUSION", "true"),
    ("IS_SCRAP_FROM_PROWLARR", "true"),
    ("IS_SCRAP_FROM_TORRENTIO", "true"),
    ("IS_SCRAP_FROM_YTS", "true"),
    ("IS_SCRAP_FROM_ZILEAN", "true"),
    ("JACKETT_BACKGROUND_TITLE_SEARCH", "true"),
    ("JACKETT_FEED_SCRAPE_INTERVAL_HOUR", "3"),
    ("JACKETT_IMMEDIATE_MAX_PROCESS", "10"),
    ("JACKETT_IMMEDIATE_MAX_PROCESS_TIME", "15"),
    ("JACKETT_LIVE_TITLE_SEARCH", "false"),
    ("JACKETT_SEARCH_INTERVAL_HOUR", "72"),
    ("JACKETT_SEARCH_QUERY_TIMEOUT", "30"),
    ("JACKETT_URL", "http://jackett:9117"),
    ("FLARESOLVERR_URL", "http://flaresolverr:8191/v1"),
    ("LOGGING_LEVEL", "DEBUG"),
    ("MEDIAFUSION_SEARCH_INTERVAL_DAYS", "3"),
    ("MEDIAFUSION_URL", "https://mediafusion.elfhosted.com"),
    ("METADATA_PRIMARY_SOURCE", "tmdb"),
    ("META_CACHE_TTL", "1800"),
    ("MIN_SCRAPING_VIDEO_SIZE", "26214400"),
    ("PROWLARR_BACKGROUND_TITLE_SEARCH", "true"),
    ("PROWLARR_FEED_SCRAPE_INTERVAL_HOUR", "3"),
    ("PROWLARR_IMMEDIATE_MAX_PROCESS", "10"),
    ("PROWLARR_IMMEDIATE_MAX_PROCESS_TIME", "15"),
    ("PROWLARR_LIVE_TITLE_SEARCH", "false"),
    ("PROWLARR_SEARCH_INTERVAL_HOUR", "72"),
    ("PROWLARR_SEARCH_QUERY_TIMEOUT", "30"),
    ("REDIS_MAX_CONNECTIONS", "100"),
    ("SCRAPE_WITH_AKA_TITLES", "true"),
    ("STORE_STREMTHRU_MAGNET_CACHE", "true"),
    ("SYNC_DEBRID_CACHE_STREAMS", "true"),
    ("TORRENTIO_SEARCH_INTERVAL_DAYS", "3"),
    ("VALIDATE_M3U8_URLS_LIVENESS", "false"),
    ("VERSION", "1.0.0"),
    ("WORKER_MAX_TASKS_PER_CHILD", "20"),
    ("ZILEAN_SEARCH_INTERVAL_HOUR", "24"),
];

pub(super) fn mediafusion(cfg: &Config) -> Entry {
    let name = format!("MediaFusion | {}", cfg.domain());
    let url = format!("https://{}", cfg.fqdn("mediafusion"));
    // The last line of versions that keeps its data in MongoDB.
    let mediafusion = service("mediafusion", versioned(cfg, "docker.io/mhdzumair/mediafusion", "MEDIAFUSION_TAG", "4.3.35"))
        .about(
            "add-on that finds streams in many places; `mediafusion.env` holds SECRET_KEY (32 characters), API_PASSWORD, \
             MONGO_URI and REDIS_URL with their passwords",
        )
        .envs(SETTINGS.iter().copied())
        .env("ADDON_NAME", &name)
        .env("DESCRIPTION", &name)
        .env("CONTACT_EMAIL", format!("webmaster@{}", cfg.domain()))
        .env("HOST_URL", &url)
        .env("POSTER_HOST_URL", &url)
        .env("LOGO_URL", format!("{url}/static/logo.png"))
        .env("PROWLARR_URL", format!("https://{}", cfg.fqdn("prowlarr")))
        .env("JACKETT_API_KEY", cfg.var("JACKETT_API_KEY", ""))
        .env("PROWLARR_API_KEY", cfg.var("PROWLARR_API_KEY", ""))
        .env("TMDB_API_KEY", cfg.var("TMDB_API_KEY", ""))
        .env("TORRENTIO_URL", cfg.var("TORRENTIO_URL", "https://torrentio.strem.fun"))
        .env("ZILEAN_URL", cfg.var("ZILEAN_URL", "https://zilean.elfhosted.com"))
        .env("PLAYWRIGHT_CDP_URL", cfg.var("PLAYWRIGHT_CDP_URL", ""))
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        // The user that its image makes for the system.
        .secret(secret("mediafusion.env").at("/mediafusion/.env").owner(999, 999))
        .with(through_warp(&["core/data", super::INDEXERS]))
        .publish(localhost(8000))
        .route(Route::http(8000).host(cfg.host("mediafusion")).own_login())
        .health(
            Health::shell("curl -f http://127.0.0.1:8000/health > /dev/null 2>&1 || exit 1")
                .every(secs(30))
                .timeout(secs(5))
                .start_period(mins(2)),
        )
        .depends_on("mongodb", Healthy)
        .depends_on("redis", Healthy)
        .cpus(330.millicores())
        .memory(1.gib())
        .memory_reservation(512.mib())
        .homepage(tile("MediaFusion", "mediafusion.png", "Finds streams in many places"))
        .uptime(Uptime::http().every(secs(30)));
    mediafusion
        .differs(
            "networks",
            "a second network with a way out is a way past WARP; the databases are on one without",
        )
        .differs("depends_on.playwright-service", "that browser is not of the kind which it can use")
        .differs(
            "environment.PLAYWRIGHT_CDP_URL",
            "that browser is not of the kind which it can use: name one that is",
        )
        .differs("environment.*_FILE", READS_ENV_FILE)
        .differs(
            "environment.MONGO_URI",
            "MongoDB asks for a password, and one file holds what has passwords",
        )
        .differs("environment.REDIS_URL", "Redis asks for a password, and one file holds what has passwords")
        .differs("environment.JACKETT_URL", "from outside it asks who is there; the two share a network")
        .differs("environment.FLARESOLVERR_URL", "from outside it asks who is there; the two share a network")
        .differs("secrets.*", "the password of `sudo` was its password as well; one file holds its own")
}
