//! Indexers, and the browser that solves challenges for them.

use constellation_services::prelude::*;

use super::{INDEXERS, SECOND_WAY_OUT, through_warp};
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, runs_as_operator, service, time_zone, versioned},
};

pub(super) fn flaresolverr(cfg: &Config) -> Entry {
    let port = cfg.port("FLARESOLVERR_PORT", 8191);
    service("flaresolverr", versioned(cfg, "ghcr.io/flaresolverr/flaresolverr", "FLARESOLVERR_TAG", "v3.4.6"))
        .about("browser that solves challenges")
        .env("BROWSER_TIMEOUT", cfg.var("FLARESOLVERR_BROWSER_TIMEOUT", "120000"))
        .env("CAPTCHA_SOLVER", "none")
        .env("HEADLESS", cfg.var("FLARESOLVERR_HEADLESS", "true"))
        .env("HOST", "0.0.0.0")
        .env("LOG_HTML", "false")
        .env("LOG_LEVEL", "debug")
        .env("PORT", port)
        .env("PROMETHEUS_ENABLED", cfg.var("FLARESOLVERR_PROMETHEUS_ENABLED", "true"))
        .env("PROMETHEUS_PORT", cfg.port("PROMETHEUS_PORT", 9090))
        .env("TEST_URL", cfg.var("FLARESOLVERR_TEST_URL", "https://www.google.com"))
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        .networks([BACKEND, PUBLICNET, INDEXERS])
        .route(Route::http(port).host(cfg.host("flaresolverr")).auth(NGINX_AUTH))
        .health(
            Health::shell(format!("curl -f http://127.0.0.1:{port}/health > /dev/null 2>&1 || exit 1"))
                .every(secs(30))
                .timeout(secs(15))
                .retries(3)
                .start_period(mins(1)),
        )
        .cpus(600.millicores())
        .memory(1.gib())
        .memory_reservation(64.mib())
        .homepage(
            Homepage::new("Infrastructure", "Flaresolverr")
                .icon("flaresolverr.png")
                .description("Solves challenges for indexers"),
        )
        .uptime(Uptime::http().every(secs(30)))
        .differs(
            "networks",
            "the indexers, which may not be where it is, reach it on a network without a way out",
        )
}

pub(super) fn jackett(cfg: &Config) -> Entry {
    service("jackett", versioned(cfg, "lscr.io/linuxserver/jackett", "JACKETT_TAG", "0.24.306"))
        .about("many torrent sites as one API")
        .env("AUTO_UPDATE", cfg.var("JACKETT_AUTO_UPDATE", "true"))
        .env("RUN_OPTS", cfg.var("JACKETT_RUN_OPTS", ""))
        .env("TZ", time_zone(cfg))
        .with(runs_as_operator(cfg))
        .config(
            config_file("/defaults/ServerConfig.json", include_str!("jackett-serverconfig.json")).mode(0o644),
        )
        .config(
            config_file("/indexer-blacklist.txt", include_str!("jackett-indexer-blacklist.txt")).mode(0o644),
        )
        .config(
            config_file("/custom-cont-init.d/99-remove-slow-indexers", include_str!("jackett-init.sh"))
                .mode(0o755),
        )
        .volume(bind(cfg.volume("jackett/config")).at("/config"))
        .volume(bind("/mnt/remote/blackhole").at("/blackhole").follows_host())
        .with(through_warp(&[INDEXERS]))
        .route(Route::http(9117).host(cfg.host("jackett")).auth(NGINX_AUTH))
        .health(
            Health::shell("curl -fsS -o /dev/null http://127.0.0.1:9117/health || exit 1")
                .every(secs(30))
                .timeout(secs(10))
                .start_period(mins(1)),
        )
        .depends_on("flaresolverr", Started)
        .caps(S6)
        .cpus(1.cores())
        .memory(1.gib())
        .memory_reservation(128.mib())
        .uptime(Uptime::http().every(secs(30)))
        .differs("networks", SECOND_WAY_OUT)
        .differs("environment.JACKETT_API_KEY", "only its health test read it, which needs no key any more")
        .differs("healthcheck.test", "an unquoted `&` made it succeed always; this page needs no key")
        .differs("labels.kuma.*.url", "it had the key in a label, where everybody reads it")
        .differs("labels.*.middlewares", "its page has no password until somebody sets one")
}

/// What linuxserver.io's images need: they step down to who `PUID` says, and stop what runs as that.
const S6: &[Cap] = &[Cap::Chown, Cap::DacOverride, Cap::Fowner, Cap::Kill, Cap::Setgid, Cap::Setuid];

pub(super) fn prowlarr(cfg: &Config) -> Entry {
    service("prowlarr", versioned(cfg, "lscr.io/linuxserver/prowlarr", "PROWLARR_TAG", "2.3.5"))
        .about("keeps indexers for the add-ons")
        .env("PUID", cfg.var("PUID", "1001"))
        .env("PGID", cfg.var("PGID", "999"))
        .env("TZ", time_zone(cfg))
        .volume(bind(cfg.volume("prowlarr/config")).at("/config"))
        .with(through_warp(&[INDEXERS]))
        .publish(localhost(9696))
        .route(Route::http(9696).host(cfg.host("prowlarr")).own_login())
        .health(
            Health::shell("curl -fs -o /dev/null http://127.0.0.1:9696/ping || exit 1")
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(mins(2)),
        )
        .caps(S6)
        .cpus(2.cores())
        .memory(6.gib())
        .memory_reservation(128.mib())
        .uptime(Uptime::http().url(format!("https://{}/ping", cfg.fqdn("prowlarr"))))
        .differs("networks", SECOND_WAY_OUT)
        .differs(
            "healthcheck.test",
            "it wanted a key that it was not given, and asked for it in another header",
        )
        .differs("labels.kuma.*.url", "without a key that page says no; this one needs none")
}
