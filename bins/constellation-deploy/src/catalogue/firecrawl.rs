//! Firecrawl: pages of the web as text for language models.

use constellation_services::prelude::*;

use super::{
    Chapter, Differs, Entry,
    common::{NGINX_AUTH, Postgres, REDIS_PASSWORD, redis_address, service, versioned},
    variables::from_files,
};

pub(super) fn chapter(cfg: &Config) -> Chapter {
    Chapter::new("firecrawl", "pages of the web as text for language models")
        .service(firecrawl(cfg))
        .service(nuq_postgres(cfg))
        .service(playwright_service(cfg))
        .service(rabbitmq(cfg))
}

const POSTGRES_PASSWORD: &str = "nuq-postgres-password.txt";
const RABBITMQ_PASSWORD: &str = "rabbitmq-password.txt";
const FIRST_START: &str = "a first start takes a while, and is no failure";

fn postgres_user(cfg: &Config) -> Var {
    cfg.var("FIRECRAWL_POSTGRES_USER", "postgres")
}

fn postgres_database(cfg: &Config) -> Var {
    cfg.var("FIRECRAWL_POSTGRES_DB", "postgres")
}

fn rabbitmq_user(cfg: &Config) -> Var {
    cfg.var("RABBITMQ_USERNAME", "rabbitmq")
}

/// Variables that Firecrawl is given as they are, with the variable of the configuration and its default.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("ENV", "FIRECRAWL_ENV", "local"),
    ("HOST", "FIRECRAWL_HOST", "0.0.0.0"),
    ("MODEL_EMBEDDING_NAME", "FIRECRAWL_MODEL_EMBEDDING_NAME", ""),
    ("MODEL_NAME", "FIRECRAWL_MODEL_NAME", ""),
    ("OLLAMA_BASE_URL", "FIRECRAWL_OLLAMA_BASE_URL", ""),
    ("OPENAI_BASE_URL", "OPENAI_BASE_URL", ""),
    ("PLAYWRIGHT_MICROSERVICE_URL", "PLAYWRIGHT_HOST", "http://playwright-service:3000/scrape"),
    ("POSTHOG_API_KEY", "POSTHOG_API_KEY", ""),
    ("POSTHOG_HOST", "POSTHOG_HOST", ""),
    ("SEARCHAPI_API_KEY", "SEARCHAPI_API_KEY", ""),
    ("SELF_HOSTED_WEBHOOK_URL", "FIRECRAWL_SELF_HOSTED_WEBHOOK_URL", ""),
    ("SERPER_API_KEY", "SERPER_API_KEY", ""),
    ("SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_URL", ""),
    ("SUPABASE_ANON_TOKEN", "SUPABASE_ANON_TOKEN", ""),
    ("SUPABASE_SERVICE_TOKEN", "SUPABASE_SERVICE_TOKEN", ""),
    ("SUPABASE_URL", "SUPABASE_URL", ""),
    ("USE_DB_AUTHENTICATION", "FIRECRAWL_USE_DB_AUTHENTICATION", ""),
];

fn firecrawl(cfg: &Config) -> Entry {
    let port = cfg.port("FIRECRAWL_INTERNAL_PORT", 3002);
    let extract_port = cfg.port("FIRECRAWL_EXTRACT_WORKER_PORT", 3004);
    let worker_port = cfg.port("FIRECRAWL_WORKER_PORT", 3005);
    let database = cfg.var(
        "FIRECRAWL_NUQ_DATABASE_URL",
        format!(
            "postgres://{}:{{}}@{}:{}/{}",
            postgres_user(cfg),
            cfg.var("FIRECRAWL_POSTGRES_HOSTNAME", "nuq-postgres"),
            cfg.port("FIRECRAWL_POSTGRES_PORT", 5432),
            postgres_database(cfg),
        ),
    );
    let queue = cfg.var(
        "FIRECRAWL_NUQ_RABBITMQ_URL",
        format!(
            "amqp://{}:{{}}@{}:{}",
            rabbitmq_user(cfg),
            cfg.var("RABBITMQ_HOSTNAME", "rabbitmq"),
            cfg.port("RABBITMQ_PORT", 5672),
        ),
    );
    let redis = redis_address(cfg);
    let secrets = from_files()
        .optional_keys([("openai-api-key.txt", "OPENAI_API_KEY")])
        .key("firecrawl-api-key.txt", "BULL_AUTH_KEY")
        .key("firecrawl-api-key.txt", "TEST_API_KEY")
        .address(POSTGRES_PASSWORD, "NUQ_DATABASE_URL", database)
        .address(RABBITMQ_PASSWORD, "NUQ_RABBITMQ_URL", queue)
        .address(REDIS_PASSWORD, "REDIS_URL", cfg.var("FIRECRAWL_REDIS_URL", redis.clone()))
        .address(REDIS_PASSWORD, "REDIS_RATE_LIMIT_URL", cfg.var("FIRECRAWL_REDIS_RATE_LIMIT_URL", redis));
    let alive = format!(
        "node -e \"require('http').get('http://127.0.0.1:{port}/v0/health/liveness', (r) => {{ let d=''; \
         r.on('data',c=>d+=c); r.on('end',()=>process.exit(r.statusCode===200?0:1)); }})\
         .on('error',()=>process.exit(1));\" >/dev/null 2>&1 || exit 1"
    );
    let firecrawl =
        service("firecrawl", versioned(cfg, "ghcr.io/firecrawl/firecrawl", "FIRECRAWL_TAG", "latest"))
            .about("API that reads and crawls pages")
            .hostname("api")
            .command(["node", "dist/src/harness.js", "--start-docker"])
            .env("PORT", port)
            .env("EXTRACT_WORKER_PORT", extract_port)
            .env("WORKER_PORT", worker_port)
            .env("SEARXNG_ENDPOINT", cfg.var("SEARXNG_ENDPOINT", format!("https://{}", cfg.fqdn("searxng"))))
            .envs(SETTINGS.iter().map(|(name, variable, default)| (*name, cfg.var(variable, *default))))
            .with(secrets.then(&[]))
            .expose(extract_port)
            .expose(worker_port)
            .route(
                Route::http(port)
                    .host(cfg.host("firecrawl-api"))
                    .host(cfg.host("firecrawl"))
                    .auth(NGINX_AUTH),
            )
            .health(Health::shell(alive).every(secs(30)).timeout(secs(10)).retries(3).start_period(mins(1)))
            .depends_on("nuq-postgres", Healthy)
            .depends_on("rabbitmq", Healthy)
            .depends_on("redis", Healthy)
            .depends_on("playwright-service", Started)
            .cpus(4.cores())
            .memory_reservation(4.gib())
            .nofile(65535)
            .homepage(
                Homepage::new("AI", "Firecrawl")
                    .icon("firecrawl.png")
                    .description("Pages as text for language models")
                    .href(format!("https://{}", cfg.fqdn("firecrawl"))),
            )
            .uptime(Uptime::http().url(format!("https://{}", cfg.fqdn("firecrawl"))));
    firecrawl
        .differs(
            "entrypoint",
            "it reads its keys and addresses from variables only: a shell reads the files for it",
        )
        .differs(
            "environment.*_URL*",
            "the passwords in these addresses were `postgres`, `rabbitmq` and none",
        )
        .differs("secrets.*", "passwords that were in addresses, in plain text")
        .differs(
            "labels.*.rule",
            "its tile and its monitor lead to `firecrawl.<domain>`, where nobody answered",
        )
        .differs("labels.*.middlewares", "whoever reaches it has the machine fetch what he likes")
}

fn nuq_postgres(cfg: &Config) -> Entry {
    let postgres = Postgres {
        name: "nuq-postgres",
        image: versioned(cfg, "docker.io/postgres", "NUQ_POSTGRES_TAG", "16.10-alpine"),
        user: postgres_user(cfg).into(),
        database: postgres_database(cfg).into(),
        password: POSTGRES_PASSWORD,
        data: cfg.volume("nuq-postgres/data"),
    };
    postgres
        .service()
        .about("queue of Firecrawl")
        .hostname(cfg.var("NUQ_POSTGRES_HOSTNAME", "nuq-postgres"))
        .health(
            Health::shell("pg_isready -U $POSTGRES_USER -d $POSTGRES_DB >/dev/null 2>&1 || exit 1")
                .every(secs(10))
                .timeout(secs(5))
                .retries(5),
        )
        .differs("environment.POSTGRES_PASSWORD*", "`postgres` in plain text: a file holds it")
        .differs("secrets.*", "the password, which was a variable")
        .differs("healthcheck.start_period", FIRST_START)
        .differs("stop_grace", "it writes its checkpoint before it ends")
        .differs("labels.kuma.*", "a monitor of a page that there is not")
}

fn playwright_service(cfg: &Config) -> Entry {
    let port = cfg.port("FIRECRAWL_PLAYWRIGHT_SERVICE_PORT", 3000);
    let alive = format!(
        "node -e \"require('http').get('http://127.0.0.1:{port}/health', r => process.exit(r.statusCode === 200 ? 0 : 1))\
         .on('error', () => process.exit(1))\""
    );
    service(
        "playwright-service",
        versioned(cfg, "ghcr.io/firecrawl/playwright-service", "PLAYWRIGHT_SERVICE_TAG", "latest"),
    )
    .about("browser without a window, for Firecrawl")
    .env("BLOCK_MEDIA", cfg.var("FIRECRAWL_BLOCK_MEDIA", "false"))
    .env("PORT", port)
    .env("PROXY_PASSWORD", cfg.var("FIRECRAWL_PROXY_PASSWORD", ""))
    .env("PROXY_SERVER", cfg.var("FIRECRAWL_PROXY_SERVER", ""))
    .env("PROXY_USERNAME", cfg.var("FIRECRAWL_PROXY_USERNAME", ""))
    .health(Health::shell(alive).every(secs(10)).timeout(secs(10)).retries(10))
    .differs("healthcheck.test", "it installed curl anew at each test; the image has node")
    .differs("healthcheck.interval", "every 2 s")
    .differs("healthcheck.start_period", FIRST_START)
    .differs("labels.kuma.*", "a monitor of a page that there is not")
}

/// The broker takes its first user's password from a variable, and from no file any more: its entry point ends where it
/// finds `RABBITMQ_DEFAULT_PASS_FILE`.
const RABBITMQ_INIT: &str = include_str!("firecrawl/rabbitmq-init.sh");

fn rabbitmq(cfg: &Config) -> Entry {
    service("rabbitmq", versioned(cfg, "docker.io/rabbitmq", "RABBITMQ_TAG", "3.13-management"))
        .about("message broker of Firecrawl")
        .env("RABBITMQ_DEFAULT_USER", rabbitmq_user(cfg))
        .secret(secret(RABBITMQ_PASSWORD))
        .config(config_file("/rabbitmq-init.sh", RABBITMQ_INIT))
        .command(["/bin/bash", "/rabbitmq-init.sh"])
        .health(
            Health::shell("rabbitmq-diagnostics -q check_running >/dev/null 2>&1 || exit 1")
                .every(secs(10))
                .timeout(secs(5))
                .retries(5)
                .start_period(secs(30)),
        )
        .caps(STEP_DOWN)
        .differs("environment.RABBITMQ_DEFAULT_PASS*", "`rabbitmq` in plain text: a file holds it")
        .differs("secrets.*", "the password, which was a variable")
        .differs(
            "volumes./rabbitmq-init.sh",
            "a script that every operator would have had to write: it stands here",
        )
        .differs(
            "configs./rabbitmq-init.sh",
            "a script that every operator would have had to write: it stands here",
        )
        .differs("labels.kuma.*", "a monitor of a page that there is not")
}
