//! LiteLLM: one API in front of many providers of models.

use constellation_services::prelude::*;

use super::{READS_NO_FILES, SHARED_KEYS};
use crate::catalogue::{
    Differs, Entry,
    common::{Postgres, REDIS_PASSWORD, redis_host, redis_port, service, time_zone, versioned},
    variables::from_files,
};

const POSTGRES_PASSWORD: &str = "litellm-postgres-password.txt";

fn postgres_user(cfg: &Config) -> Var {
    cfg.var("LITELLM_POSTGRES_USER", "litellm")
}

fn postgres_database(cfg: &Config) -> Var {
    cfg.var("LITELLM_POSTGRES_DB", "litellm")
}

fn postgres_host(cfg: &Config) -> Var {
    cfg.var("LITELLM_POSTGRES_HOSTNAME", "litellm-postgres")
}

pub(super) fn litellm(cfg: &Config) -> Entry {
    let port = cfg.port("LITELLM_PORT", 4000);
    let database = format!(
        "postgresql://{}:{{}}@{}:5432/{}",
        postgres_user(cfg),
        postgres_host(cfg),
        postgres_database(cfg)
    );
    let secrets = from_files()
        .key("litellm-master-key.txt", "LITELLM_MASTER_KEY")
        .key("litellm-master-key.txt", "UI_PASSWORD")
        .optional_keys(SHARED_KEYS.iter().copied())
        .optional_keys([("jina-api-key.txt", "JINA_API_KEY"), ("kagi-api-key.txt", "KAGI_API_KEY")])
        .key(REDIS_PASSWORD, "REDIS_PASSWORD")
        .address(POSTGRES_PASSWORD, "DATABASE_URL", database);
    service("litellm", versioned(cfg, "ghcr.io/berriai/litellm-database", "LITELLM_TAG", "main-stable"))
        .about("one API in front of many providers of language models")
        .command(["--config", "/app/litellm_config.yaml", "--port", &port.to_string(), "--host", "0.0.0.0"])
        .env("LITELLM_LOG", cfg.var("LITELLM_LOG", "INFO"))
        .env("LITELLM_MODE", cfg.var("LITELLM_MODE", "PRODUCTION"))
        .env("POSTGRES_DB", postgres_database(cfg))
        .env("POSTGRES_USER", postgres_user(cfg))
        .env("REDIS_HOST", redis_host(cfg))
        .env("REDIS_PORT", redis_port(cfg))
        .env("UI_USERNAME", cfg.var("LITELLM_UI_USERNAME", "admin"))
        .with(secrets.then(&["docker/prod_entrypoint.sh"]))
        .config(config_file("/app/litellm_config.yaml", include_str!("litellm_config.yaml")))
        .volume(bind(cfg.volume("litellm")).at("/app/config").read_only())
        .route(Route::http(port).host(cfg.host("litellm")).own_login())
        .health(
            Health::shell(format!("wget -qO- http://127.0.0.1:{port}/health/liveliness"))
                .timeout(secs(15))
                .retries(5)
                .start_period(secs(30)),
        )
        .depends_on("litellm-postgres", Healthy)
        .depends_on("redis", Healthy)
        .homepage(
            Homepage::new("AI", "Litellm").icon("litellm.png").description("One API in front of many models"),
        )
        .uptime(Uptime::http())
        .differs("entrypoint", READS_NO_FILES)
        .differs("environment.DATABASE_URL*", "its password was `litellm` in plain text")
        .differs("environment.POSTGRES_PASSWORD", "`litellm` in plain text, and read by nobody here")
        .differs("environment.REDIS_PASSWORD_FILE", "Redis asks for a password")
        .differs("secrets.*", "passwords that were in plain text, or that there were none of")
        .differs("command", "the settings stand beside the read-only folder, in which no file can be mounted")
        .differs(
            "configs.*",
            "the settings stand beside the read-only folder, in which no file can be mounted",
        )
        .differs("labels.traefik.http.*", "it was routed without a port, so to whichever the image declares")
        .differs("expose", "it was routed without a port, so to whichever the image declares")
        .differs("healthcheck.interval", "half a minute, the engine's own, is long for those who wait for it")
}

pub(super) fn litellm_postgres(cfg: &Config) -> Entry {
    let postgres = Postgres {
        name: "litellm-postgres",
        image: versioned(cfg, "docker.io/postgres", "LITELLM_POSTGRES_TAG", "16.10-alpine"),
        user: postgres_user(cfg).into(),
        database: postgres_database(cfg).into(),
        password: POSTGRES_PASSWORD,
        data: cfg.volume("litellm/pgdata"),
    };
    postgres
        .service()
        .about("database of LiteLLM")
        .hostname(postgres_host(cfg))
        .health(
            Health::shell("pg_isready -h localhost -U $POSTGRES_USER -d $POSTGRES_DB")
                .every(secs(5))
                .timeout(secs(5))
                .retries(3)
                .start_period(secs(30)),
        )
        .differs("networks", "a database belongs where only its program reaches it")
        .differs("environment.POSTGRES_PASSWORD*", "`litellm` in plain text: a file holds it")
        .differs("secrets.*", "the password, which was a variable")
        .differs("stop_grace", "it writes its checkpoint before it ends")
}

pub(super) fn model_updater(cfg: &Config) -> Entry {
    Service::job("model-updater", versioned(cfg, "th3w1zard1/llm_fallbacks", "MODEL_UPDATER_TAG", "latest"))
        .about("makes the list of models anew for LiteLLM")
        .env("OPENROUTER_API_KEY", cfg.var("OPENROUTER_API_KEY", ""))
        .env("TZ", time_zone(cfg))
        .secret(secret(POSTGRES_PASSWORD).env_file("POSTGRES_PASSWORD_FILE"))
        .volume(bind(cfg.volume("litellm")).at("/app/config"))
        .engine_caps()
        .differs("networks", "nobody comes to it")
        .differs(
            "environment.POSTGRES_PASSWORD*",
            "`postgres` in plain text, where the database had `litellm`",
        )
        .differs("secrets.*", "the password, which was a variable")
}
