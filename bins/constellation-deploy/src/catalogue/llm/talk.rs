//! Open WebUI: a page to talk to models.

use constellation_services::prelude::*;

use crate::catalogue::{
    Differs, Entry,
    common::{service, versioned},
};

/// Settings that no installation changes.
const SETTINGS: &[(&str, &str)] = &[
    ("AIOHTTP_CLIENT_TIMEOUT", "300"),
    ("AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST", "10"),
    ("AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST", "10"),
    ("ANONYMIZED_TELEMETRY", "false"),
    ("BYPASS_MODEL_ACCESS_CONTROL", "True"),
    ("DATA_DIR", "./data"),
    ("DOCKER", "true"),
    ("DO_NOT_TRACK", "true"),
    ("ENABLE_ADMIN_CHAT_ACCESS", "True"),
    ("ENABLE_ADMIN_EXPORT", "True"),
    ("ENABLE_FORWARD_USER_INFO_HEADERS", "False"),
    ("ENABLE_PERSISTENT_CONFIG", "True"),
    ("ENABLE_REALTIME_CHAT_SAVE", "True"),
    ("ENABLE_VERSION_UPDATE_CHECK", "True"),
    ("ENV", "prod"),
    ("FRONTEND_BUILD_DIR", "../build"),
    ("HF_HOME", "/app/backend/data/cache/embedding/models"),
    ("HOME", "/root"),
    ("K8S_FLAG", "False"),
    ("OFFLINE_MODE", "False"),
    ("OLLAMA_BASE_URL", "/ollama"),
    ("RAG_EMBEDDING_MODEL_AUTO_UPDATE", "True"),
    ("RAG_EMBEDDING_MODEL_TRUST_REMOTE_CODE", "True"),
    ("RAG_EMBEDDING_OPENAI_BATCH_SIZE", "1"),
    ("RAG_RERANKING_MODEL_AUTO_UPDATE", "True"),
    ("RAG_RERANKING_MODEL_TRUST_REMOTE_CODE", "True"),
    ("RESET_CONFIG_ON_START", "False"),
    ("SAFE_MODE", "False"),
    ("SCARF_NO_ANALYTICS", "true"),
    ("SENTENCE_TRANSFORMERS_HOME", "/app/backend/data/cache/embedding/models"),
    ("STATIC_DIR", "./static"),
    ("TIKTOKEN_CACHE_DIR", "/app/backend/data/cache/tiktoken"),
    ("USE_CUDA_DOCKER_VER", "cu128"),
    ("USE_EMBEDDING_MODEL_DOCKER", "sentence-transformers/all-MiniLM-L6-v2"),
    ("USE_OLLAMA_DOCKER", "false"),
    ("VECTOR_DB", "chroma"),
    ("WEBUI_AUTH_COOKIE_SAME_SITE", "lax"),
    ("WEBUI_AUTH_COOKIE_SECURE", "False"),
    ("WEBUI_BUILD_HASH", "dev-build"),
    ("WEBUI_SESSION_COOKIE_SAME_SITE", "lax"),
    ("WEBUI_SESSION_COOKIE_SECURE", "False"),
];

pub(super) fn open_webui(cfg: &Config) -> Entry {
    let port = cfg.port("OPEN_WEBUI_PORT", 8080);
    service("open-webui", versioned(cfg, "ghcr.io/open-webui/open-webui", "OPEN_WEBUI_TAG", "v0.6.41"))
        .about("page to talk to language models")
        .command(["bash", "start.sh"])
        .envs(SETTINGS.iter().copied())
        .env("PORT", port)
        .env("CORS_ALLOW_ORIGIN", cfg.var("OPEN_WEBUI_CORS_ALLOWED_ORIGIN", "*"))
        .env("WEBUI_AUTH", cfg.var("WEBUI_AUTH", "True"))
        .secret(secret("open-webui-secret-key.txt").env_file("WEBUI_SECRET_KEY_FILE"))
        .volume(bind(cfg.volume("open-webui")).at("/app/backend/data"))
        .route(Route::http(port).host(cfg.host("open-webui")).own_login())
        .health(
            Health::shell(format!("curl -f http://127.0.0.1:{port}")).every(secs(5)).timeout(secs(30)).retries(10),
        )
        .depends_on("litellm", Started)
        .depends_on("mcpo", Started)
        .homepage(
            Homepage::new("AI", "Open WebUI").icon("open-webui.png").description("Talk to language models"),
        )
        .uptime(Uptime::http().every(secs(20)))
        .differs("healthcheck.start_period", "its first start fetches a model, and is no failure")
        .differs(
            "volumes.*",
            "the same folder as a whole: a database file that is not there yet cannot be mounted, and SQLite keeps its \
             journal beside it",
        )
}
