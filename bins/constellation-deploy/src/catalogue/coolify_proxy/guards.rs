//! Who may pass: forward authentication, a login page, and what watches for attacks.

use constellation_services::prelude::*;

use super::{CROWDSEC_KEY, dynamic};
use crate::catalogue::{
    Differs, Entry,
    common::{service, versioned},
};

pub(super) fn nginx_traefik_extensions(cfg: &Config) -> Entry {
    service("nginx-traefik-extensions", versioned(cfg, "docker.io/nginx", "NGINX_TAG", "1.29.4-alpine"))
        .about("nginx that answers the forward-auth request (API key, IP allow list, else TinyAuth)")
        .envs([("NGINX_ACCESS_LOG", "/dev/stdout"), ("NGINX_ERROR_LOG", "/dev/stderr"), ("NGINX_LOG_LEVEL", "debug")])
        .env("TZ", "America/Chicago")
        .config(config_file("/etc/nginx/nginx.conf", dynamic::nginx(cfg)))
        .volume(bind(cfg.volume("traefik/nginx-middlewares/auth")).at("/etc/nginx/auth").read_only())
        .networks([BACKEND, NGINX_NET])
        .health(
            Health::shell("wget -qO- http://127.0.0.1:80/health > /dev/null 2>&1 || exit 1")
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(secs(20)),
        )
        .caps(STEP_DOWN)
        .caps(&[Cap::NetBindService])
        .memory(1.gib())
        .memory_reservation(6.mib())
        .cpus(1.cores())
        .differs("configs./etc/nginx/nginx.conf", "without it the stock page answered, and `/auth` was not found")
        .differs(
            "labels.traefik.http.middlewares.nginx-auth.*",
            "never read, since the container is not routed, and a list in a form that Traefik does not take: Traefik's file \
             `core.yaml` defines `nginx-auth@file`, which everybody names",
        )
}

pub(super) fn tinyauth(cfg: &Config) -> Entry {
    let optional = [
        ("GITHUB_CLIENT_ID", "TINYAUTH_GITHUB_CLIENT_ID"),
        ("GOOGLE_CLIENT_ID", "TINYAUTH_GOOGLE_CLIENT_ID"),
        ("OAUTH_WHITELIST", "TINYAUTH_OAUTH_WHITELIST"),
        ("USERS", "TINYAUTH_USERS"),
    ];
    service("tinyauth", versioned(cfg, "ghcr.io/steveiliop56/tinyauth", "TINYAUTH_TAG", "v3.6.2"))
        .about("login page and session check behind Traefik forward auth")
        .hostname("auth")
        .env("APP_TITLE", cfg.var("TINYAUTH_APP_TITLE", cfg.domain()))
        .env("APP_URL", format!("https://{}", cfg.fqdn("auth")))
        .env("COOKIE_SECURE", cfg.var("TINYAUTH_COOKIE_SECURE", "true"))
        .env("LOGIN_MAX_RETRIES", cfg.var("TINYAUTH_LOGIN_MAX_RETRIES", "15"))
        .env("LOGIN_TIMEOUT", cfg.var("TINYAUTH_LOGIN_TIMEOUT", "300"))
        .env("OAUTH_AUTO_REDIRECT", cfg.var("TINYAUTH_OAUTH_AUTO_REDIRECT", "none"))
        .env("SESSION_EXPIRY", cfg.var("TINYAUTH_SESSION_EXPIRY", "604800"))
        .envs(optional.into_iter().filter_map(|(name, variable)| Some((name, cfg.optional(variable)?))))
        .secret(secret("tinyauth-secret.txt").env_file("SECRET_FILE"))
        .secret(secret("tinyauth-google-client-secret.txt").optional().env_file("GOOGLE_CLIENT_SECRET_FILE"))
        .secret(secret("tinyauth-github-client-secret.txt").optional().env_file("GITHUB_CLIENT_SECRET_FILE"))
        .volume(bind(cfg.volume("traefik/tinyauth")).at("/data"))
        .networks([attach(BACKEND).alias("auth"), attach(PUBLICNET).alias("auth")])
        .route(Route::http(3000).host(cfg.host("auth")).own_login())
        .middleware(Middleware::forward_auth("tinyauth", "http://auth:3000/api/auth/traefik"))
        .health(
            Health::cmd(["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/api/healthcheck"])
                .every(secs(30)),
        )
        .homepage(
            Homepage::new("Security", "TinyAuth")
                .icon("https://tinyauth.app/img/logo.png")
                .description("Where people log in"),
        )
        .uptime(
            Uptime::http()
                .name(format!("auth.{}", crate::catalogue::common::node_domain(cfg)))
                .every(secs(60)),
        )
        .differs("networks.*.aliases.auth", "others ask for `auth`, which only the host name inside was")
        .differs("healthcheck*", "there was none; the program answers `/api/healthcheck`")
}

pub(super) fn crowdsec(cfg: &Config) -> Entry {
    let collections = [
        "appsec-crs",
        "appsec-generic-rules",
        "appsec-virtual-patching",
        "whitelist-good-actors",
        "base-http-scenarios",
        "http-cve",
        "linux",
        "sshd",
    ];
    let collections: Vec<String> = collections.iter().map(|name| format!("crowdsecurity/{name}")).collect();
    service("crowdsec", versioned(cfg, "docker.io/crowdsecurity/crowdsec", "CROWDSEC_TAG", "v1.7.8"))
        .about("log-driven intrusion detection that feeds the Traefik bouncer")
        .env("COLLECTIONS", collections.join(" ") + " crowdsecurity/traefik")
        .env("GID", cfg.var("PGID", "999"))
        .env("UID", cfg.var("PUID", "1001"))
        // Its entry point makes a bouncer named `traefik` of it.
        .secret(secret(CROWDSEC_KEY).at("bouncer_key_traefik"))
        .config(config_file("/etc/crowdsec/acquis.d/traefik.yaml", dynamic::CROWDSEC_LOGS))
        .volume(bind(cfg.volume("traefik/crowdsec/data")).at("/var/lib/crowdsec/data"))
        .volume(bind(cfg.volume("traefik/crowdsec/config")).at("/etc/crowdsec"))
        .volume(bind(cfg.volume("traefik/logs")).at("/var/log/traefik").read_only())
        .networks([BACKEND, DEFAULT_NET])
        .health(
            Health::shell("cscli version > /dev/null 2>&1 || exit 1")
                .every(secs(30))
                .timeout(secs(10))
                .retries(3)
                .start_period(secs(40)),
        )
        .homepage(
            Homepage::new("Security", "CrowdSec")
                .icon("crowdsec.png")
                .description("Who was turned away, and why"),
        )
        .caps(STEP_DOWN)
        .differs(
            "secrets.*",
            "nothing read it under its old name; under this one the image makes Traefik's bouncer of it",
        )
        .differs(
            "configs./etc/crowdsec/acquis.d/traefik.yaml",
            "it read no log: its settings were written into another folder",
        )
        .differs("environment.COLLECTIONS", "it could not read Traefik's log without `crowdsecurity/traefik`")
        .differs("networks", "Traefik is not on `backend`, so its bouncer could not ask")
}
