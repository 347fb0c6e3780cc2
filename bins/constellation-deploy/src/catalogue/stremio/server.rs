//! Stremio itself: the page, and the server that players stream from.

use constellation_services::prelude::*;

use super::{SECOND_WAY_OUT, through_warp};
use crate::catalogue::{Differs, Entry, common::versioned};

/// What the streaming server answers; the rest is the page's.
const PREFIXES: &[&str] = &[
    "/hlsv2",
    "/casting",
    "/local-addon",
    "/proxy",
    "/rar",
    "/zip",
    "/settings",
    "/create",
    "/removeAll",
    "/samples",
    "/probe",
    "/subtitlesTracks",
    "/opensubHash",
    "/subtitles",
    "/network-info",
    "/device-info",
    "/get-https",
    "/hwaccel-profiler",
    "/status",
    "/exec",
    "/stream",
];

/// As [`PREFIXES`], below the hash of a torrent and the number of a file in it.
const PATTERNS: &[&str] = &[
    r"^/[^/]+/(stats\.json|create|remove|destroy)$",
    r"^/[^/]+/[^/]+/(stats\.json|hls\.m3u8|master\.m3u8|stream\.m3u8|dlna|thumb\.jpg)$",
    r"^/[^/]+/[^/]+/(stream-q-[^/]+\.m3u8|stream-[^/]+\.m3u8|subs-[^/]+\.m3u8)$",
    r"^/[^/]+/[^/]+/(stream-q-[^/]+|stream-[^/]+)/[^/]+\.(ts|mp4)$",
    r"^/yt/[^/]+(\.json)?$",
];

fn streaming(hosts: &Hosts) -> String {
    let any = |matcher: &str, values: &[&str]| -> Vec<String> {
        values.iter().map(|value| format!("{matcher}(`{value}`)")).collect()
    };
    let hosts: Vec<&str> = hosts.names().iter().map(String::as_str).collect();
    let paths = [
        any("PathPrefix", PREFIXES),
        any("PathRegexp", PATTERNS),
        any("Path", &["/thumb.jpg", "/stats.json"]),
    ];
    format!("({}) && ( {} )", any("Host", &hosts).join(" || "), paths.concat().join(" || "))
}

/// Tells the page which server to stream from, by a parameter that it reads once.
fn streaming_server(cfg: &Config) -> Middleware {
    let suffixes: Vec<String> = cfg.apex().names().iter().map(|name| name.replace('.', r"\.")).collect();
    Middleware::redirect_regex(
        "stremio-streaming-server-redirect",
        format!(
            r"^(http|https)://stremio\.({})(/shell[^#?]*)(\?[^#]*?streamingServer=[^&#]*)?([^#]*)(#.*)?$",
            suffixes.join("|")
        ),
        "$1://stremio.$2$3?streamingServer=https%3A%2F%2Fstremio.$2$5$6",
    )
}

pub(super) fn stremio(cfg: &Config) -> Entry {
    let hosts = cfg.host("stremio");
    let url = format!("https://{}", cfg.fqdn("stremio"));
    let everybody = "players know no login";
    Service::new("stremio", versioned(cfg, "ghcr.io/tsaridas/stremio-docker", "STREMIO_TAG", "main"))
        .about("page and streaming server of Stremio")
        .env("AUTO_SERVER_URL", "1")
        .env("CASTING_DISABLED", "1")
        .env("IPADDRESS", "127.0.0.1")
        .env("NO_CORS", "0")
        .env("SERVER_URL", format!("{url}/"))
        .env("WEBUI_LOCATION", format!("{url}/shell/"))
        .volume(bind(cfg.volume("stremio/root/.stremio-server")).at("/root/.stremio-server"))
        .with(through_warp(&[]))
        .publish(localhost(11470))
        .publish(localhost(12470))
        .route(
            Route::http(8080)
                .scheme(Scheme::Https)
                .host(hosts.clone())
                .redirect_from(cfg.host("stremio-web"))
                .public(everybody),
        )
        // Its own route, so that the page is there also where nobody knows the middleware.
        .route(
            Route::http(8080)
                .named("stremio-shell")
                .scheme(Scheme::Https)
                .host(hosts.clone())
                .path("/shell")
                .middleware("stremio-streaming-server-redirect")
                .public(everybody),
        )
        .route(Route::http(11470).named("stremio-http11470").rule(streaming(&hosts)).public(everybody))
        .middleware(streaming_server(cfg))
        .health(
            Health::shell(
                "(curl -fs http://127.0.0.1:11470/ >/dev/null 2>&1 || curl -fsk https://127.0.0.1:12470/ >/dev/null 2>&1) \
                 || exit 1",
            )
            .every(secs(30))
            .timeout(secs(10))
            .retries(3)
            .start_period(secs(90)),
        )
        .cpus(2.cores())
        .memory(2.gib())
        .memory_reservation(256.mib())
        .homepage(
            Homepage::new("Media Streaming Platforms", "Stremio").icon("stremio.png").description("Watch"),
        )
        .uptime(Uptime::http())
        .differs("networks", SECOND_WAY_OUT)
        .differs("ports", "players come through Traefik; the whole world needs no second way")
        .differs("healthcheck.test", "it would have installed curl, which the image has")
        .differs("labels.*stremio-shell-redirect*", "it led each address to itself")
        .differs("labels.*stremio-web-redirect*", "it matches the alias only, and dots are dots")
        .differs("labels.*stremio-streaming-server-redirect.*.regex", "it looked for an optional backslash, not for a `?`")
        .differs("labels.*stremio-https12470*", "its rule was that of the plain route, and chance decided between them")
        .differs("labels.*stremio-shell.*", "its own route, so that the page is there also where nobody knows the middleware")
        .differs("labels.*stremio-http11470*.scheme", "plain HTTP is what Traefik speaks unless told")
        .differs("labels.traefik.http.routers.stremio.*", "the alias has a route of its own, which leads here")
}
