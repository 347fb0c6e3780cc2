//! GPT Researcher: reports on a question, from the web.

use constellation_services::prelude::*;

use super::{READS_NO_FILES, SHARED_KEYS};
use crate::catalogue::{
    Differs, Entry,
    common::{NGINX_AUTH, service},
    variables::from_files,
};

/// Keys of its own, and second names of shared ones.
const KEYS: &[(&str, &str)] = &[
    ("brave-api-key.txt", "BRAVE_API_KEY"),
    ("exa-api-key.txt", "EXA_API_KEY"),
    ("firecrawl-api-key.txt", "FIRECRAWL_API_KEY"),
    ("firecrawl-api-key.txt", "FIRE_CRAWL_API_KEY"),
    ("hf-token.txt", "HUGGINGFACE_ACCESS_TOKEN"),
    ("hf-token.txt", "HUGGINGFACE_API_TOKEN"),
    ("langchain-api-key.txt", "LANGSMITH_API_KEY"),
    ("mistral-api-key.txt", "MISTRALAI_API_KEY"),
    ("perplexity-api-key.txt", "PERPLEXITYAI_API_KEY"),
    ("revid-api-key.txt", "REVID_API_KEY"),
    ("tavily-api-key.txt", "TAVILY_API_KEY"),
    ("upstage-api-key.txt", "UPSTAGEAI_API_KEY"),
];

pub(super) fn gptr(cfg: &Config) -> Entry {
    let secrets = from_files().optional_keys(SHARED_KEYS.iter().copied()).optional_keys(KEYS.iter().copied());
    let page = |name: &str, port: u16| Route::http(port).named(name).host(cfg.host(name)).auth(NGINX_AUTH);
    service("gptr", cfg.own_image("ai-researchwizard-aio-fullstack:master"))
        .about("research agent: page, API and MCP server; its image is one of your own: IMAGE_PREFIX says where")
        .env("CHOKIDAR_USEPOLLING", cfg.var("CHOKIDAR_USEPOLLING", "true"))
        .env("LANGSMITH_ENDPOINT", cfg.var("LANGSMITH_ENDPOINT", "https://api.smith.langchain.com"))
        .env("LANGSMITH_TRACING", cfg.var("LANGSMITH_TRACING", "true"))
        .env("LOGGING_LEVEL", cfg.var("GPTR_LOGGING_LEVEL", "DEBUG"))
        .env("NEXT_PUBLIC_GA_MEASUREMENT_ID", cfg.var("NEXT_PUBLIC_GA_MEASUREMENT_ID", ""))
        .env("NEXT_PUBLIC_GPTR_API_URL", format!("https://{}", cfg.fqdn("gptr")))
        .with(secrets.then(&["/usr/bin/supervisord", "-c", "/etc/supervisor/conf.d/supervisord.conf"]))
        .volume(bind(cfg.volume("gptr/logs")).at("/usr/src/app/logs"))
        .volume(bind(cfg.volume("gptr/outputs")).at("/usr/src/app/outputs"))
        .volume(bind(cfg.volume("gptr/reports")).at("/usr/src/app/reports"))
        .route(Route::http(8000).named("gptr-legacy").host(cfg.host("gptr")).auth(NGINX_AUTH))
        .route(page("gptr-nextjs", 3000))
        .route(page("gptr-mcp", 8080))
        .health(
            Health::shell(
                "(wget -qO- http://127.0.0.1:3000 > /dev/null 2>&1 && wget -qO- http://127.0.0.1:8000 > /dev/null 2>&1) \
                 || exit 1",
            )
            .every(secs(30))
            .timeout(secs(10))
            .retries(3)
            .start_period(mins(2)),
        )
        .homepage(
            Homepage::new("AI", "AI Research Wizard").icon("gptr.png").description("Reports on a question"),
        )
        .uptime(Uptime::http().every(secs(30)))
        // Two browsers, an nginx that steps down and a supervisor: nobody has looked what they need.
        .engine_caps()
        .differs("entrypoint", READS_NO_FILES)
        .differs("labels.*.middlewares", "whoever reaches it spends the operator's money at a dozen providers")
}
