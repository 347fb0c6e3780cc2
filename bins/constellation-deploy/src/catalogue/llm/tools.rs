//! What models use: tools over MCP, and a place for vectors.

use constellation_services::prelude::*;

use super::READS_NO_FILES;
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, service, versioned},
    variables::from_files,
};

const OWN_SETTINGS: &str = "a file that every operator would have had to write: a first one stands here";

pub(super) fn mcp_proxy(cfg: &Config) -> Entry {
    let port = cfg.port("MCP_PROXY_PORT", 9090);
    let settings = include_str!("mcp_proxy.json")
        .replace("{address}", &format!("https://{}", cfg.fqdn("mcp")))
        .replace("{port}", &port.to_string());
    let connects =
        format!("python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 3)\"");
    service("mcp-proxy", versioned(cfg, "ghcr.io/tbxark/mcp-proxy", "MCP_PROXY_TAG", "v0.43.2"))
        .about("many MCP servers behind one address")
        .hostname("mcp")
        .command(["--config", "/config.json", "-expand-env"])
        .config(config_file("/config.json", settings))
        .network(PUBLICNET)
        .route(Route::http(port).host(cfg.host("mcp")).auth(NGINX_AUTH))
        .health(Health::shell(connects))
        .homepage(
            Homepage::new("MCP", "MCP Proxy")
                .icon("mcp-proxy.png")
                .description("Tools for language models")
                .href(format!("https://{}", cfg.fqdn("mcp"))),
        )
        .differs("command", "it found its settings only as long as it was started in `/`")
        .differs("configs.*", OWN_SETTINGS)
        .differs("healthcheck*", "there was none")
        .differs("labels.*.middlewares", "whoever reaches it uses every tool behind it")
}

/// The key must be an option, and an option of a running program is read by every process of the host. Python puts it in
/// when it is running already.
const MCPO_WITH_KEY: &str = "import pathlib, sys; from mcpo import app; \
                             sys.argv[1:1] = ['--api-key', pathlib.Path('/run/secrets/mcpo-api-key').read_text().strip()]; \
                             app()";

pub(super) fn mcpo(cfg: &Config) -> Entry {
    let port = cfg.port("MCPO_PORT", 8000);
    let arguments = [
        "--host",
        "0.0.0.0",
        "--port",
        &port.to_string(),
        "--cors-allow-origins",
        "*",
        "--config",
        "/app/config/mcp_servers.json",
    ];
    service("mcpo", versioned(cfg, "ghcr.io/open-webui/mcpo", "MCPO_TAG", "main"))
        .about("MCP servers as an OpenAPI server")
        .entrypoint(["python", "-c", MCPO_WITH_KEY])
        .command(arguments)
        .secret(secret("mcpo-api-key.txt"))
        .config(config_file("/app/config/mcp_servers.json", include_str!("mcp_servers.json")))
        .route(Route::http(port).host(cfg.host("mcpo")).auth(NGINX_AUTH))
        .health(
            Health::shell(format!("curl -f http://127.0.0.1:{port}/openapi.json"))
                .timeout(secs(10))
                .start_period(secs(40)),
        )
        .homepage(Homepage::new("MCPO", "MCPO").icon("mcpo.png").description("Tools as an OpenAPI server"))
        .uptime(Uptime::http().every(secs(30)))
        .differs("entrypoint", "the key was on the command line, where every process of the host reads it")
        .differs("command", "the key was on the command line, where every process of the host reads it")
        .differs("environment.MCPO_API_KEY", "it reads no such variable")
        .differs("secrets.*", "the key, which was on the command line")
        .differs("healthcheck.interval", "half a minute, the engine's own, is long for those who wait for it")
}

pub(super) fn qdrant(cfg: &Config) -> Entry {
    let ready = "exec 3<>/dev/tcp/127.0.0.1/6333 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: \
                 close\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3";
    Service::new("qdrant", versioned(cfg, "qdrant/qdrant", "QDRANT_TAG", "v1.15.4"))
        .about("database of vectors")
        .env("QDRANT_STORAGE_DISK_PATH", "/qdrant/storage")
        .env("QDRANT_STORAGE_DISK_TYPE", "disk")
        .env("QDRANT_STORAGE_PATH", "/qdrant/storage")
        .env("QDRANT_STORAGE_TYPE", "disk")
        .with(from_files().key("qdrant-api-key.txt", "QDRANT__SERVICE__API_KEY").then(&["./entrypoint.sh"]))
        .volume(bind(cfg.volume("qdrant/storage")).at("/qdrant/storage"))
        .network(PUBLICNET)
        .route(Route::http(6333).host(cfg.host("qdrant")).own_login())
        // The image has no client, but a bash.
        .health(Health::cmd(["bash", "-c", ready]))
        .homepage(
            Homepage::new("AI", "Qdrant")
                .icon("qdrant.png")
                .description("Vectors")
                .href(format!("https://{}", cfg.fqdn("qdrant"))),
        )
        .differs("entrypoint", READS_NO_FILES)
        .differs(
            "environment.QDRANT__SERVICE__API_KEY_FILE",
            "it asked for no key, and was open to everybody",
        )
        .differs("secrets.*", "it asked for no key, and was open to everybody")
        .differs("healthcheck*", "there was none")
}
