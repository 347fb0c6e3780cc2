//! Pages that everybody sees.

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, node_domain, runs_as_operator, service, time_zone, versioned},
    from_files,
};

pub(super) fn bolabaden_nextjs(cfg: &Config) -> Entry {
    Service::new(
        "bolabaden-nextjs",
        versioned(cfg, "docker.io/bolabaden/bolabaden-nextjs", "BOLABADEN_NEXTJS_TAG", "latest"),
    )
    .about("site home page and error pages")
    .envs([("ALLOW_ORIGIN", "*"), ("HOSTNAME", "0.0.0.0"), ("NODE_ENV", "production"), ("PORT", "3000")])
    .env("TZ", time_zone(cfg))
    .with(runs_as_operator(cfg))
    .route(Route::http(3000).host(cfg.apex()).public("the home page of the site"))
    .middleware(Middleware::errors(
        "bolabaden-error-pages",
        "400-599",
        "bolabaden-nextjs@docker",
        "/api/error/{status}",
    ))
    .health(
        Health::shell("wget -qO- http://127.0.0.1:${PORT:-3000} > /dev/null 2>&1 || exit 1")
            .every(secs(30))
            .timeout(secs(10))
            .start_period(secs(30)),
    )
    .uptime(Uptime::http().name(node_domain(cfg)).every(secs(30)))
    .engine_caps()
    .into()
}

pub(super) fn homepage(cfg: &Config) -> Entry {
    let hosts = cfg.host("homepage").names().join(",");
    let place = ["CITY", "LAT", "LONG"].into_iter().filter_map(|part| {
        let value = cfg.optional(&format!("HOMEPAGE_WEATHER_{part}"))?;
        Some((format!("HOMEPAGE_VAR_WEATHER_{part}"), value))
    });
    let files = [
        ("custom.css", include_str!("homepage/custom.css")),
        ("custom.js", include_str!("homepage/custom.js")),
        ("docker.yaml", include_str!("homepage/docker.yaml")),
        ("widgets.yaml", include_str!("homepage/widgets.yaml")),
        ("settings.yaml", include_str!("homepage/settings.yaml")),
        ("bookmarks.yaml", include_str!("homepage/bookmarks.yaml")),
    ];
    files
        .into_iter()
        .fold(
            service("homepage", versioned(cfg, "ghcr.io/gethomepage/homepage", "HOMEPAGE_TAG", "v1.13.2")),
            |service, (name, content)| service.config(config_file(format!("/app/config/{name}"), content)),
        )
        .about("service dashboard")
        .env("DOCKER_HOST", "tcp://dockerproxy-ro:2375")
        .env("HOMEPAGE_ALLOWED_HOSTS", hosts)
        .env("HOMEPAGE_CUSTOM_CSS", "/app/config/custom.css")
        .env("HOMEPAGE_CUSTOM_JS", "/app/config/custom.js")
        .env("HOMEPAGE_VAR_HEADER_STYLE", "glass")
        .env("HOMEPAGE_VAR_SEARCH_PROVIDER", "duckduckgo")
        .env("HOMEPAGE_VAR_THEME", "dark")
        .env("HOMEPAGE_VAR_TITLE", cfg.var("HOMEPAGE_TITLE", cfg.domain()))
        .env("HOMEPAGE_VAR_WEATHER_UNIT", "fahrenheit")
        .envs(place)
        .volume(bind(cfg.volume("homepage")).at("/app/config"))
        .networks([BACKEND, DEFAULT_NET, PUBLICNET])
        .route(Route::http(3000).auth(NGINX_AUTH))
        .health(
            Health::shell("wget -qO- http://127.0.0.1:3000 > /dev/null 2>&1 || exit 1")
                .every(secs(30))
                .timeout(secs(15))
                .retries(3)
                .start_period(secs(30)),
        )
        .depends_on("dockerproxy-ro", Healthy)
        .uptime(Uptime::http().every(secs(30)))
        .memory(1.gib())
        .memory_reservation(128.mib())
        .cpus(0.25.cores())
        .differs("environment.HOMEPAGE_ALLOWED_HOSTS", "`*` let any name in; its own two are enough")
        .differs("environment.HOMEPAGE_VAR_TITLE", "somebody's own: the domain, or HOMEPAGE_TITLE")
        .differs(
            "environment.HOMEPAGE_VAR_WEATHER_*",
            "somebody's own place: HOMEPAGE_WEATHER_CITY, _LAT and _LONG",
        )
        .differs("labels.*.middlewares", "it names every service there is, and asks nobody who they are")
        .differs("configs.*", "everybody could change them (mode 0777)")
}

pub(super) fn searxng(cfg: &Config) -> Entry {
    let port = cfg.port("SEARXNG_PORT", 8080);
    service("searxng", versioned(cfg, "docker.io/searxng/searxng", "SEARXNG_TAG", "2025.10.27-ea4a55fa5"))
        .about("metasearch engine")
        .env("SEARXNG_BASE_URL", cfg.var("SEARXNG_INTERNAL_URL", format!("http://searxng:{port}")))
        .env("GRANIAN_PORT", port)
        // 977 is the image's user `searxng`.
        .with(
            from_files()
                .key("searxng-secret.txt", "SEARXNG_SECRET")
                .owner(977, 977)
                .then(&["/usr/local/searxng/entrypoint.sh"]),
        )
        // Should the image start as root: it makes its folders its own, and steps down.
        .caps(STEP_DOWN)
        .volume(bind(cfg.volume("searxng/config")).owned_by(977, 977).at("/etc/searxng"))
        .volume(bind(cfg.volume("searxng/data")).owned_by(977, 977).at("/var/cache/searxng"))
        .route(Route::http(port).public("a search engine for everybody"))
        .health(
            Health::shell(format!("wget --no-verbose --tries=1 --spider http://127.0.0.1:{port}/ || exit 1"))
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(secs(30)),
        )
        .homepage(
            Homepage::new("Search", "SearxNG")
                .icon("searxng.png")
                .description("Searches many engines and tells none who asks"),
        )
        .uptime(Uptime::http().every(secs(30)))
        .differs("environment.GRANIAN_PORT", "the port was changed everywhere but in the program")
        .differs(
            "environment.SEARXNG_SECRET*",
            "empty by default, and in the environment otherwise: a file holds it",
        )
        .differs("secrets.*", "the key that its cookies are signed with")
        .differs("entrypoint", "hands the key over from its file")
}
