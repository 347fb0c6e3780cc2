//! Grafana: shows metrics and logs.

use constellation_services::prelude::*;

use super::{OWN_SETTINGS, victoria};
use crate::catalogue::{
    Differs, Entry,
    common::{answers, service, versioned},
};

/// What the image runs as; its group is root's.
const USER: (u32, u32) = (472, 0);

const PLUGINS: &str = "grafana-piechart-panel,grafana-worldmap-panel,natel-discrete-panel,flant-statusmap-panel,\
                       vonage-status-panel,michaeldmoore-multistat-panel,grafana-polystat-panel,\
                       marcusolsson-dynamictext-panel,yesoreyeram-boomtable-panel,grafana-clock-panel,\
                       grafana-simple-json-datasource,btplc-status-dot-panel,\
                       camptocamp-prometheus-alertmanager-datasource";

pub(super) fn grafana(cfg: &Config) -> Entry {
    let host = cfg.var("GF_FQDN", cfg.fqdn("grafana"));
    let url = cfg.var("GF_URL", format!("https://{host}"));
    let ours = |folder: &str| bind(cfg.volume(folder)).owned_by(USER.0, USER.1);
    let sources = config_file(
        "/etc/grafana/provisioning/datasources/constellation.yaml",
        include_str!("grafana-datasources.yaml").replace("{victoriametrics}", &victoria::address(cfg)),
    );
    service("grafana", versioned(cfg, "docker.io/grafana/grafana", "GRAFANA_TAG", "12.1.1"))
        .about("dashboards of metrics and logs")
        .env("GF_FEATURE_TOGGLES_ENABLE", cfg.var("GF_FEATURE_TOGGLES_ENABLE", ""))
        .env("GF_LOG_LEVEL", cfg.var("GF_LOG_LEVEL", "info"))
        .env("GF_PATHS_PROVISIONING", cfg.var("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"))
        .env(
            "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS",
            cfg.var("GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS", "victoriametrics-datasource"),
        )
        .env("GF_PLUGINS_PREINSTALL", cfg.var("GF_PLUGINS_PREINSTALL", PLUGINS))
        .env("GF_SECURITY_ADMIN_USER", cfg.var("GF_SECURITY_ADMIN_USER", "admin"))
        .env("GF_SECURITY_AVAILABLE_ENCRYPTION_PROVIDERS", "")
        .env("GF_SECURITY_COOKIE_SAMESITE", cfg.var("GF_SECURITY_COOKIE_SAMESITE", "lax"))
        .env("GF_SECURITY_COOKIE_SECURE", cfg.var("GF_SECURITY_COOKIE_SECURE", "true"))
        .env("GF_SECURITY_ENCRYPTION_PROVIDER", "")
        .env("GF_SERVER_DOMAIN", &host)
        .env("GF_SERVER_ROOT_URL", &url)
        .env("GF_SERVER_SERVE_FROM_SUB_PATH", cfg.var("GF_SERVE_FROM_SUB_PATH", "false"))
        .secret(
            secret("grafana-password.txt")
                .at("grafana-admin-password")
                .owner(USER.0, USER.1)
                .env_file("GF_SECURITY_ADMIN_PASSWORD__FILE"),
        )
        .secret(
            secret("grafana-secret-key.txt")
                .owner(USER.0, USER.1)
                .env_file("GF_SECURITY_SECRET_KEY__FILE")
                .env_file("GF_SECRETS_MANAGER_SECRET_KEY__FILE"),
        )
        .config(config_file("/etc/grafana/grafana.ini", include_str!("grafana.ini")))
        .config(sources)
        .volume(ours("grafana/data").at("/var/lib/grafana"))
        .volume(ours("grafana/provisioning").at("/etc/grafana/provisioning"))
        .route(Route::http(3000).host(host.as_str()).own_login())
        .health(answers(3000, "/api/health").start_period(mins(1)))
        .depends_on("prometheus", Started)
        .homepage(
            Homepage::new("Infrastructure", "Grafana")
                .icon("grafana.png")
                .description("Dashboards of metrics and logs")
                .href(url.as_str()),
        )
        .uptime(Uptime::http().url(url.as_str()))
        .differs("configs.*", OWN_SETTINGS)
}
