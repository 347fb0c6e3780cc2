//! Comet: an add-on that searches torrents and debrid services.

use constellation_services::prelude::*;

use super::{SECOND_WAY_OUT, addons::tile, through_warp};
use crate::catalogue::{
    Differs, Entry,
    common::{service, time_zone, versioned},
    variables::from_files,
};

const INDEXERS: &str =
    r#"["animetosho", "anirena", "bitsearch", "eztv", "nyaasi", "thepiratebay", "therarbg", "yts"]"#;

/// Settings that no installation changes.
const SETTINGS: &[(&str, &str)] = &[
    ("ADDON_ID", "stremio.comet.fast"),
    ("ADDON_NAME", "Comet"),
    ("COMET_URL", "https://comet.elfhosted.com"),
    ("CORS_ALLOW_CREDENTIALS", "true"),
    ("CORS_ALLOW_HEADERS", "*"),
    ("CORS_ALLOW_METHODS", "GET,POST,PUT,DELETE,OPTIONS"),
    ("CORS_ALLOW_ORIGINS", "*"),
    ("DATABASE_PATH", "data/comet.db"),
    ("DATABASE_TYPE", "sqlite"),
    ("DEBRID_CACHE_TTL", "86400"),
    ("DOWNLOAD_TORRENT_FILES", "true"),
    ("FASTAPI_HOST", "0.0.0.0"),
    ("FASTAPI_WORKERS", "-1"),
    ("GET_TORRENT_TIMEOUT", "5"),
    ("INDEXER_MANAGER_TIMEOUT", "60"),
    ("INDEXER_MANAGER_TYPE", "prowlarr"),
    ("MEDIAFUSION_LIVE_SEARCH", "true"),
    ("MEDIAFUSION_URL", "https://mediafusion.elfhosted.com"),
    ("METADATA_CACHE_TTL", "2592000"),
    ("PROXY_DEBRID_STREAM", "true"),
    ("PROXY_DEBRID_STREAM_DEBRID_DEFAULT_SERVICE", "realdebrid"),
    ("PROXY_DEBRID_STREAM_MAX_CONNECTIONS", "-1"),
    ("REMOVE_ADULT_CONTENT", "false"),
    ("SCRAPE_COMET", "true"),
    ("SCRAPE_LOCK_TTL", "300"),
    ("SCRAPE_MEDIAFUSION", "true"),
    ("SCRAPE_TORRENTIO", "true"),
    ("SCRAPE_WAIT_TIMEOUT", "30"),
    ("SCRAPE_ZILEAN", "true"),
    ("TORRENTIO_URL", "https://torrentio.strem.fun"),
    ("TORRENT_CACHE_TTL", "1296000"),
    ("USE_GUNICORN", "true"),
    ("ZILEAN_URL", "https://zilean.elfhosted.com"),
];

pub(super) fn comet(cfg: &Config) -> Entry {
    let port = cfg.port("COMET_PORT", 2020);
    // Two names, since the program renamed it.
    let password = from_files()
        .key("comet-admin-password.txt", "DASHBOARD_ADMIN_PASSWORD")
        .key("comet-admin-password.txt", "ADMIN_DASHBOARD_PASSWORD");
    service("comet", versioned(cfg, "docker.io/g0ldyy/comet", "COMET_TAG", "latest"))
        .about("add-on that searches torrents and debrid services")
        .envs(SETTINGS.iter().copied())
        .env("FASTAPI_PORT", port)
        .env("INDEXER_MANAGER_API_KEY", cfg.var("PROWLARR_API_KEY", ""))
        .env("INDEXER_MANAGER_INDEXERS", cfg.var("COMET_INDEXERS", INDEXERS))
        .env("INDEXER_MANAGER_URL", format!("https://{}", cfg.fqdn("prowlarr")))
        .env("PROXY_DEBRID_STREAM_DEBRID_DEFAULT_APIKEY", cfg.var("REALDEBRID_TOKEN", ""))
        .env("PROXY_DEBRID_STREAM_PASSWORD", cfg.var("STREMTHRU_PROXY_AUTH", ""))
        .env("STREMTHRU_URL", format!("https://{}", cfg.fqdn("stremthru")))
        .env("TZ", time_zone(cfg))
        .env("UMASK", cfg.var("UMASK", "002"))
        .with(password.then(&["uv", "run", "python", "-m", "comet.main"]))
        .volume(bind(cfg.volume("stremio/addons/comet/data")).at("/data"))
        .with(through_warp(&[]))
        .publish(localhost(port))
        .route(
            Route::http(port)
                .host(cfg.host("comet"))
                .public("players know no login; what it finds is played with a key of their own"),
        )
        .health(
            Health::shell(format!("wget -qO- http://127.0.0.1:{port}/health > /dev/null 2>&1 || exit 1"))
                .every(mins(1))
                .timeout(secs(5))
                .retries(3)
                .start_period(secs(15)),
        )
        .homepage(tile("Comet", "comet.png", "Searches torrents and debrid services"))
        .uptime(Uptime::http())
        .differs("networks", SECOND_WAY_OUT)
        .differs(
            "entrypoint",
            "it reads no `*_FILE` variables: a shell reads the files for it, and becomes it",
        )
        .differs("environment.*ADMIN*PASSWORD_FILE", "the password of `sudo` was its password as well")
        .differs("secrets.*", "the password of `sudo` was its password as well")
        .differs(
            "labels.*comet-redirect*",
            "it led to an address without a domain, on a host that has a route already",
        )
}
