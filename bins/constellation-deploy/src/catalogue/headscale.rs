//! Headscale: one's own control server for Tailscale, and its page.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{NGINX_AUTH, service, versioned},
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("headscale", "a control server for Tailscale").service(server(cfg)).service(ui(cfg))
}

/// Ports of the server.
struct Ports {
    http: u16,
    metrics: u16,
}

fn settings(cfg: &Config, ports: &Ports) -> String {
    format!(
        "server_url: https://{url}\n\
         listen_addr: 0.0.0.0:{http}\n\
         metrics_listen_addr: 0.0.0.0:{metrics}\n\
         grpc_listen_addr: 127.0.0.1:50443\n\
         unix_socket: /var/run/headscale/headscale.sock\n\
         unix_socket_permission: \"0770\"\n\
         noise:\n  private_key_path: /var/lib/headscale/noise_private.key\n\
         prefixes:\n  v4: 100.64.0.0/10\n  v6: fd7a:115c:a1e0::/48\n  allocation: sequential\n\
         derp:\n  urls:\n    - https://controlplane.tailscale.com/derpmap/default\n  auto_update_enabled: true\n  \
         update_frequency: 24h\n\
         database:\n  type: sqlite\n  sqlite:\n    path: /var/lib/headscale/db.sqlite\n    write_ahead_log: true\n\
         policy:\n  mode: database\n\
         dns:\n  magic_dns: true\n  base_domain: {base}\n  nameservers:\n    global:\n      - 1.1.1.1\n      - 1.0.0.1\n\
         log:\n  level: info\n\
         disable_check_updates: true\n",
        url = cfg.fqdn("headscale"),
        // Not the server's own domain: the names of nodes would hide it.
        base = cfg.var("HEADSCALE_BASE_DOMAIN", cfg.fqdn("mesh")),
        http = ports.http,
        metrics = ports.metrics,
    )
}

fn server(cfg: &Config) -> Entry {
    let ports = Ports {
        http: cfg.port("HEADSCALE_HTTP_PORT", 8081),
        metrics: cfg.port("HEADSCALE_METRICS_PORT", 8080),
    };
    let names: Vec<String> =
        cfg.host("headscale").names().iter().map(|name| name.replace('.', "\\.")).collect();
    service("headscale-server", versioned(cfg, "docker.io/headscale/headscale", "HEADSCALE_TAG", "0.27.1"))
        .about("self-hosted Tailscale control server")
        .command(["serve", "--config", "/etc/headscale/config.yaml"])
        .config(config_file("/etc/headscale/config.yaml", settings(cfg, &ports)))
        .volume(bind(cfg.volume("headscale/lib")).at("/var/lib/headscale"))
        .volume(bind(cfg.volume("headscale/run")).at("/var/run/headscale"))
        .route(
            Route::http(ports.http)
                .host(cfg.host("headscale"))
                .redirect_from(cfg.host("headscale-server"))
                .middleware("headscale-admin-redirect")
                .public("machines join here; each shows its own key"),
        )
        .route(
            Route::http(ports.metrics)
                .named("headscale-metrics")
                .host(cfg.host("headscale"))
                .path("/metrics")
                .auth(NGINX_AUTH),
        )
        .middleware(Middleware::redirect_regex(
            "headscale-admin-redirect",
            format!("^https?://(?:{})/admin(.*)$", names.join("|")),
            format!("https://{}/web$1", cfg.fqdn("headscale")),
        ))
        .health(Health::cmd(["headscale", "health"]).every(secs(30)).timeout(secs(10)).start_period(secs(20)))
        .differs("volumes./etc/headscale", "nobody wrote its settings there: they stand in the definition")
        .differs("configs./etc/headscale/config.yaml", "its settings, in the definition")
        .differs(
            "volumes./var/lib/headscale/private.key",
            "the domain's TLS key, from a path relative to wherever the tool ran: Headscale makes its own key in its folder",
        )
        .differs("healthcheck.test", "the image has neither shell nor wget; the program brings a check")
        .differs(
            "labels.traefik.http.routers.headscale-server*",
            "`headscale-server` is an alias, and is redirected as one; a shorter rule than the page's, which must win",
        )
        .differs("labels.traefik.http.middlewares.headscale-*", "the dots of the domain matched any character")
        .differs("labels.traefik.http.routers.headscale-metrics.middlewares", "metrics were there for everybody")
}

fn ui(cfg: &Config) -> Entry {
    service(
        "headscale",
        versioned(cfg, "ghcr.io/gurucomputing/headscale-ui", "HEADSCALE_UI_TAG", "2025.08.23"),
    )
    .about("web UI for Headscale")
    .route(Route::http(8080).host(cfg.host("headscale")).path("/web").own_login())
    .health(
        Health::shell("wget --no-verbose --tries=1 --spider http://127.0.0.1:8080/ || exit 1")
            .every(secs(30))
            .timeout(secs(10))
            .retries(3)
            .start_period(secs(20)),
    )
    .depends_on("headscale-server", Healthy)
    .homepage(
        Homepage::new("Networking", "Headscale UI")
            .icon("headscale.png")
            .description("Machines, users and keys of the mesh"),
    )
    // The kernel starts its web server only with the capability that stands in the file.
    .caps(&[Cap::NetBindService])
    .differs("labels.traefik.http.routers.headscale.rule", "the other paths begin with `/web` as well")
}
